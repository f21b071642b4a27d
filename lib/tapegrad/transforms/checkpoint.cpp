#include "tapegrad/transforms/checkpoint.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "tapegrad/autograd/record.h"
#include "tapegrad/autograd/services.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

// The inputs as variables of a tape; what has no gradient stays as it is.
std::vector<Tensor> watch_all(Tape& tape, const std::vector<Tensor>& xs) {
  std::vector<Tensor> watched;
  for (const Tensor& x : xs) watched.push_back(is_floating(x.dtype()) && !x.is_stopped() ? tape.watch(x) : x);
  return watched;
}

// A run of a checkpointed function on this thread, and the runs around it.
class Run {
 public:
  Run(std::vector<std::uint64_t>& values, bool again) : values_(values), again_(again), outer_(innermost()) {
    innermost() = this;
  }
  ~Run() { innermost() = outer_; }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  static Run*& innermost() {
    thread_local Run* run = nullptr;
    return run;
  }

  // Runs around this one know best: inside the second run of one, this may be a first.
  std::uint64_t replay(std::uint64_t value) {
    if (outer_ != nullptr) value = outer_->replay(value);
    if (!again_) {
      values_.push_back(value);
      return value;
    }
    if (next_ == values_.size())
      fail("checkpoint", "the function asks for more than in its first run: it must do the same each time");
    return values_[next_++];
  }

  bool again() const { return again_ || (outer_ != nullptr && outer_->again()); }

 private:
  std::vector<std::uint64_t>& values_;
  std::size_t next_ = 0;
  const bool again_;
  Run* const outer_;
};

}  // namespace

std::uint64_t replayed(std::uint64_t value) {
  return Run::innermost() == nullptr ? value : Run::innermost()->replay(value);
}

bool is_replaying() {
  return Run::innermost() != nullptr && Run::innermost()->again();
}

Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  if (!is_recording()) return f(inputs);

  // The first run is on a tape of its own, which tells what parameters were used, and is then thrown away.
  std::vector<Tensor> sources = inputs;
  const auto values = std::make_shared<std::vector<std::uint64_t>>();
  Tensor y;
  {
    const NoGrad no_grad;
    const Run first(*values, false);
    Tape scout;
    y = f(watch_all(scout, inputs));
    y = TensorAccess::view(y, y.shape());
    std::ranges::copy(scout.parameters(), std::back_inserter(sources));
  }
  std::vector<Saved> saved;
  for (const Tensor& x : sources) saved.emplace_back(x);

  const auto rule = [f, values, saved = std::move(saved), count = inputs.size()](
                        const Tensor& g, const Tensor&, const std::vector<bool>& wanted) {
    std::vector<Tensor> xs;
    for (const Saved& x : saved) xs.push_back(x());
    const auto first_parameter = xs.begin() + static_cast<std::ptrdiff_t>(count);
    Tape tape;  // inside the one that runs this rule, if that records; else on its own
    std::vector<Tensor> variables = watch_all(tape, {xs.begin(), first_parameter});
    const Tensor again = [&] {
      const Run second(*values, true);
      return f(variables);
    }();
    variables.insert(variables.end(), first_parameter, xs.end());

    std::vector<Tensor> asked;
    for (std::size_t i = 0; i < variables.size(); ++i)
      if (wanted[i]) asked.push_back(variables[i]);
    Gradients found = tape.gradient(again, asked, {.zeros_for_unreached = true, .output_gradient = g});
    std::vector<Tensor> gradients(variables.size());
    for (std::size_t i = 0, next = 0; i < gradients.size(); ++i)
      if (wanted[i]) gradients[i] = std::move(found[next++]);
    return gradients;
  };
  return record_joint("checkpoint", std::move(y), sources, rule);
}

}  // namespace tapegrad::inline v0
