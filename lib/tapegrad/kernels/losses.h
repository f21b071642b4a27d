#pragma once

// Kernels of losses that compute their derivatives in the same pass.

#include <cstdint>

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

// Losses, and in the same pass their derivatives by the prediction x times scale: slopes, unless it is
// nullptr. On the calling thread alone, and made for some thousands of elements at a time.

/// (x - t)^2 for n pairs.
template <class T>
void squared_error(index_t n, const T* x, const T* t, T* losses, T* slopes, T scale);

/// t log(1 + exp(-x)) + (1 - t) log(1 + exp(x)) for n pairs.
template <class T>
void logistic_loss(index_t n, const T* x, const T* t, T* losses, T* slopes, T scale);

/// log(sum(exp(x))) - x[label] for each row of x, [rows, classes]; of that, the part `spread` is the mean
/// over all classes in the place of the label.
template <class T>
void cross_entropy(index_t rows, index_t classes, const T* x, const std::int32_t* labels, T spread, T* losses,
                   T* slopes, T scale);

}  // namespace tapegrad::inline v0::kernels
