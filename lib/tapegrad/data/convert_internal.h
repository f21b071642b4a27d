#pragma once

// Internal: the one place that says how stored samples become numbers to compute with.

#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// Writes the elements of `from` over those of `to` from `first` on: UInt8 to a floating dtype divided by 255, all
/// others by value.
void copy_converted(const Tensor& from, Tensor& to, index_t first);

}  // namespace tapegrad::inline v0::detail
