#pragma once

#include "tapegrad/base/random.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// x with each element set to 0 with this probability, and the others divided by 1 - rate, so that the mean
/// stays. Sample i, x[i], is drawn from generator.child(first_sample + i): the mask of a sample does not
/// depend on how a batch is split, if each part is told the number of its first sample. generator is not
/// advanced: give each call one of its own, as generator.child(step). Float32 or Float64. Throws unless
/// 0 <= rate < 1, and for a scalar.
Tensor dropout(const Tensor& x, double rate, const Generator& generator, std::uint64_t first_sample = 0);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
