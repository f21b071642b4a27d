#pragma once

// What the tests of the tape share.

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/error.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::testing {

/// Whether f throws an Error that contains every one of the words, whoever signed it.
template <class F>
::testing::AssertionResult throws(std::initializer_list<std::string_view> words, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    for (const std::string_view word : words)
      if (std::string_view(error.what()).find(word) == std::string_view::npos)
        return ::testing::AssertionFailure() << "no \"" << word << "\" in: " << error.what();
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "nothing was thrown";
}

/// Whether f gives this gradient or refuses to: what it must not do is give another one.
template <class F>
::testing::AssertionResult right_or_refused(const Tensor& expected, F&& f) {
  try {
    const Tensor found = f();
    if (equal(found, expected)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "silently wrong: " << found << ", expected " << expected;
  } catch (const Error& error) {
    return ::testing::AssertionSuccess() << error.what();
  }
}

inline Tensor f64(const Literal& values) {
  return tensor(values, DType::Float64);
}
inline Tensor number(double value) {
  return full({}, value, DType::Float64);
}
inline Tensor new_parameter(const Literal& values) {
  return parameter(f64(values));
}

inline std::uint32_t holders(const Tensor& x) {
  return TensorAccess::storage(x)->use_count();
}
inline bool share_memory(const Tensor& a, const Tensor& b) {
  return TensorAccess::storage(a)->data() == TensorAccess::storage(b)->data();
}

/// An op without a library around it: its values are computed from plain numbers, its rule is f.
template <class F>
Tensor identity_op(const char* op, const Tensor& x, F rule) {
  return record(op, TensorAccess::clone(x), {{x, std::move(rule)}});
}

/// What a closure holds to have its lifetime counted.
class Counted {
 public:
  explicit Counted(int* alive) : alive_(alive) { ++*alive_; }
  Counted(const Counted& other) : alive_(other.alive_) { ++*alive_; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive_; }

 private:
  int* alive_;
};

}  // namespace tapegrad::testing
