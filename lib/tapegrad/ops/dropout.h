#pragma once

// dropout(): elements set to 0 at random.

#include <cstdint>

#include "tapegrad/base/random.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// x with each element set to 0 with this probability, and the others divided by 1 - rate, so that the mean
/// stays. The mask is drawn from the generator, which moves on: the next call draws another mask. Inside
/// batch_gradient() it throws, as its chunks would draw in no order: the layer Dropout numbers its samples. Float32 or
/// Float64. Throws unless 0 <= rate < 1, and for a scalar.
[[nodiscard]] Tensor dropout(const Tensor& x, double rate, Generator& generator);
/// The same with a generator that is made for this call.
[[nodiscard]] inline Tensor dropout(const Tensor& x, double rate, Generator&& generator) {
  return dropout(x, rate, generator);
}

/// The same with a mask that is a function of the key: sample i, x[i], is drawn from key.child(first_sample + i). The
/// mask of a sample does not depend on how a batch is split, if each part is told the number of its first sample. Two
/// calls with the same key and the same numbers have the same mask.
[[nodiscard]] Tensor dropout(const Tensor& x, double rate, const Generator& key, std::uint64_t first_sample);

}  // namespace v0
}  // namespace tapegrad
