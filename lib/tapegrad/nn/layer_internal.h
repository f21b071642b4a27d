#pragma once

// Internal: what the layers share.

#include <cstdint>
#include <initializer_list>
#include <limits>

#include "tapegrad/base/error.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/window.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// f(), whose errors name the layer that the user called, not the op that the layer calls.
template <class F>
Tensor as_layer(const char* layer, const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw Error(layer, error.message());
  }
}

/// The shape of a layer's parameter: what is wrong with it is an error of the layer.
inline Shape shape_for(const char* layer, std::initializer_list<index_t> sizes) {
  try {
    return Shape(sizes);
  } catch (const Error& error) {
    fail(layer, "a parameter would have an impossible shape: {}", error.message());
  }
}

inline void require_positive(const char* layer, const char* what, index_t value) {
  if (value < 1) fail(layer, "{} must be at least 1, got {}", what, value);
}

/// Throws unless height and width are at least 1, and small enough for a window's.
inline void require_sizes(const char* layer, const char* what, Size2D size) {
  constexpr index_t kLargest = std::numeric_limits<std::int32_t>::max();
  for (const index_t number : {size.height, size.width})
    if (number < 1 || number > kLargest)
      fail(layer, "{} must be 1 x 1 to {} x {}, got {} x {}", what, kLargest, kLargest, size.height,
           size.width);
}

}  // namespace tapegrad::inline v0::detail
