#pragma once

// The axes argument of reductions and similar ops: sum(x, 1), sum(x, {0, 1}), sum(x, -1, {.keepdims = true}).

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <span>
#include <vector>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// One axis or several; negative axes count from the end. Functions that take Axes throw for an axis that the tensor
/// does not have, and for an axis that is named twice.
class Axes {
 public:
  Axes(int axis) : few_{axis}, count_(1) {}
  /// A number beyond int becomes the nearest int, which is no axis of a tensor either.
  Axes(index_t axis)
      : Axes(static_cast<int>(std::clamp<index_t>(axis, (std::numeric_limits<int>::min)(),
                                                  (std::numeric_limits<int>::max)()))) {}
  /// Other numbers are refused: sum(x, true) could mean axis 1 or keepdims.
  template <detail::Arithmetic T>
  Axes(T) = delete;
  Axes(std::initializer_list<int> axes) : Axes(std::span(axes.begin(), axes.size())) {}
  Axes(const std::vector<int>& axes) : Axes(std::span(axes)) {}
  explicit Axes(std::span<const int> axes) : count_(axes.size()) {
    if (count_ > kFew)
      many_.assign(axes.begin(), axes.end());
    else
      std::copy(axes.begin(), axes.end(), few_);
  }

  const int* begin() const { return count_ > kFew ? many_.data() : few_; }
  const int* end() const { return begin() + count_; }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }

 private:
  static constexpr std::size_t kFew = Shape::kMaxRank;
  int few_[kFew] = {};
  std::size_t count_;
  std::vector<int> many_;  // more than a tensor has: an op that is given them throws
};

/// The options of reductions.
struct ReduceOptions {
  /// Keep the reduced axes, with size 1, so that the result can be broadcast to x.
  bool keepdims = false;
};

}  // namespace v0
}  // namespace tapegrad
