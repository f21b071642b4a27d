#pragma once

// How reductions and their like are told which axes to work on: sum(x, 1), sum(x, {0, 1}),
// sum(x, -1, {.keepdims = true}).

#include <concepts>
#include <initializer_list>
#include <utility>
#include <vector>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// One axis or several; negative ones count from the end. The function that takes them throws for an axis
/// that the tensor does not have, and for one that is named twice.
class Axes {
 public:
  template <std::integral T>
  requires(!std::same_as<T, bool>) Axes(T axis) : axes_(1, static_cast<int>(axis)) {}
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

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
