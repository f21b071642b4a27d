#pragma once

// dropout(): elements set to 0 at random.

#include <cstdint>

#include "tapegrad/base/random.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// x with each element set to 0 with probability `rate`, and the other elements divided by 1 - rate, so that the
/// expected value stays the same. The mask is drawn from the generator, which advances: the next call draws another
/// mask. Throws inside batch_gradient(), whose chunks would draw in no fixed order: use the layer Dropout there, which
/// numbers its samples. Float32 or Float64. Throws unless 0 <= rate < 1, and for a scalar.
[[nodiscard]] Tensor dropout(const Tensor& x, double rate, Generator& generator);
/// The same with a temporary generator: dropout(x, rate, Generator(seed)).
[[nodiscard]] inline Tensor dropout(const Tensor& x, double rate, Generator&& generator) {
  return dropout(x, rate, generator);
}

/// Dropout whose mask is a function of a key: the mask of x[i] is drawn from key.child(first_sample + i). The mask of a
/// sample does not depend on how the batch is split, if each part is given the number of its first sample. Two calls
/// with the same key and the same first_sample have the same mask.
[[nodiscard]] Tensor dropout(const Tensor& x, double rate, const Generator& key, std::uint64_t first_sample);

}  // namespace v0
}  // namespace tapegrad
