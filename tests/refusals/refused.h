#pragma once

// One wrong call, and all that must be so after it.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {

/// What a call must not change of its arguments: whether they are defined, shape, dtype, bits, and the count of writes.
class Untouched {
 public:
  explicit Untouched(const std::vector<Tensor>& arguments) {
    for (const Tensor& x : arguments) states_.push_back(state_of(x));
  }
  bool holds(const std::vector<Tensor>& arguments) const {
    for (std::size_t i = 0; i < states_.size(); ++i)
      if (state_of(arguments[i]) != states_[i]) return false;
    return true;
  }

 private:
  struct OfOne {
    bool defined = false, stopped = false, parameter = false;
    std::string shape = {}, elements = {};
    DType dtype = DType::Float32;
    std::uint64_t version = 0;
    bool operator==(const OfOne&) const = default;
  };
  static OfOne state_of(const Tensor& x) {
    if (!x.defined()) return {};
    const auto bytes = static_cast<std::size_t>(x.size()) * size_of(x.dtype());
    return {true,
            x.is_stopped(),
            x.is_parameter(),
            x.shape().str(),
            std::string(reinterpret_cast<const char*>(TensorAccess::elements(x)), bytes),
            x.dtype(),
            TensorAccess::storage(x)->version()};
  }
  std::vector<OfOne> states_;
};

/// A training step with known bits: what a wrong call has left behind in the library would show in them.
inline std::string bits_of_a_step() {
  static const Tensor x = tensor({{0.5, -1, 2}, {1, 0.25, -0.5}}), y = tensor({{1, 0}, {0.5, -1}});
  Generator generator(11);
  Dense net({.in_features = 3, .units = 2, .activation = tanh}, generator);
  SGD sgd(net.parameters(), {.learning_rate = 0.1});
  Tape tape;
  sgd.step(tape.gradient(mse_loss(net(x), y), net.parameters()));
  return {reinterpret_cast<const char*>(net.kernel.data<float>()), 6 * sizeof(float)};
}

/// Counts the wrong calls of this program, and tells at its end how many there were.
inline int& wrong_calls() {
  static struct Count {
    int calls = 0;
    ~Count() { std::printf("wrong calls: %d\n", calls); }
  } count;
  return count.calls;
}

/// A call of arguments that outlives this reference. In tables of a thousand calls std::function takes a third of the time to
/// compile them.
class CallRef {
 public:
  template <class F>
  CallRef(const F& call)
      : object_(&call), call_([](const void* object, const std::vector<Tensor>& arguments) {
          (*static_cast<const F*>(object))(arguments);
        }) {}
  void operator()(const std::vector<Tensor>& arguments) const { call_(object_, arguments); }

 private:
  const void* object_;
  void (*call_)(const void*, const std::vector<Tensor>&);
};

/// Whether call(arguments) throws an Error of op, whose text says so, changes nothing, and leaves the library as it was.
inline ::testing::AssertionResult is_refused(std::string_view op, const std::vector<Tensor>& arguments,
                                             CallRef call) {
  static const std::string expected = bits_of_a_step();
  ++wrong_calls();
  const Untouched before(arguments);
  const bool recording = is_recording();
  std::string wrong = "nothing was thrown";
  try {
    call(arguments);
  } catch (const Error& error) {
    wrong.clear();
    const std::string text = error.what(), tag = "[" + std::string(op) + "] ";
    if (error.op() != op || text.compare(0, tag.size(), tag) != 0)
      wrong = "an error of another function: " + text;
    if (error.message().empty()) wrong = "the error says nothing";
  } catch (const std::bad_alloc&) {
    wrong = "std::bad_alloc was thrown";
  } catch (const std::exception& error) {
    wrong = std::string("not an Error: ") + error.what();
  } catch (...) {
    wrong = "something was thrown that is not a std::exception";
  }
  if (wrong.empty() && !before.holds(arguments)) wrong = "an argument has changed";
  if (wrong.empty() && is_recording() != recording) wrong = "a tape has begun or ended to record";
  if (wrong.empty()) {
    const NoGrad apart;
    if (bits_of_a_step() != expected) wrong = "a training step gives other bits afterwards";
  }
  if (!wrong.empty()) return ::testing::AssertionFailure() << "[" << op << "]: " << wrong;
  return ::testing::AssertionSuccess();
}

}  // namespace tapegrad::testing
