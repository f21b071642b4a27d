#pragma once

// The axes argument of reductions and similar ops: sum(x, 1), sum(x, {0, 1}), sum(x, -1, {.keepdims = true}).

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>
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
  Axes(int axis) : axes_(1, axis) {}
  /// A number beyond int becomes the nearest int, which is no axis of a tensor either.
  Axes(index_t axis)
      : axes_(1, static_cast<int>(std::clamp<index_t>(axis, (std::numeric_limits<int>::min)(),
                                                      (std::numeric_limits<int>::max)()))) {}
  /// Other numbers are refused: sum(x, true) could mean axis 1 or keepdims.
  template <detail::Arithmetic T>
  Axes(T) = delete;
  Axes(std::initializer_list<int> axes) : axes_(axes) {}
  Axes(std::vector<int> axes) : axes_(std::move(axes)) {}

  auto begin() const { return axes_.begin(); }
  auto end() const { return axes_.end(); }
  std::size_t size() const { return axes_.size(); }

 private:
  std::vector<int> axes_;
};

/// The options of reductions.
struct ReduceOptions {
  /// Keep the reduced axes, with size 1, so that the result can be broadcast to x.
  bool keepdims = false;
};

}  // namespace v0
}  // namespace tapegrad
