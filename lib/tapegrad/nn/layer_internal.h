#pragma once

// Internal: what the layers share.

#include <initializer_list>

#include "tapegrad/base/error.h"
#include "tapegrad/base/fail_internal.h"

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

}  // namespace tapegrad::inline v0::detail
