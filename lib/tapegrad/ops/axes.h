#pragma once

// How reductions and their like are told which axes to work on: sum(x, 1), sum(x, {0, 1}),
// sum(x, -1, {.keepdims = true}).

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// One axis or several; negative ones count from the end. The function that takes them throws for an axis
/// that the tensor does not have, and for one that is named twice.
class Axes {
 public:
  Axes(int axis) : axes_(1, axis) {}
  /// A number that no int holds becomes the nearest int: no tensor has that axis either.
  Axes(index_t axis)
      : axes_(1, static_cast<int>(std::clamp<index_t>(axis, (std::numeric_limits<int>::min)(),
                                                      (std::numeric_limits<int>::max)()))) {}
  /// sum(x, true) is neither axis 1 nor keepdims.
  template <class T>
  requires std::is_arithmetic_v<T> Axes(T)
  = delete;
  Axes(std::initializer_list<int> axes) : axes_(axes) {}
  Axes(std::vector<int> axes) : axes_(std::move(axes)) {}

  auto begin() const { return axes_.begin(); }
  auto end() const { return axes_.end(); }
  std::size_t size() const { return axes_.size(); }

 private:
  std::vector<int> axes_;
};

struct ReduceOptions {
  /// Keep the reduced axes, with size 1, so that the result can be broadcast to x.
  bool keepdims = false;
};

}  // namespace v0
}  // namespace tapegrad
