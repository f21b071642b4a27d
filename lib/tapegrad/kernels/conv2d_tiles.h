#pragma once

#include "tapegrad/base/shape.h"

namespace tapegrad::kernels {

// The innermost loops of the direct convolutions, written once for vectors of any width and compiled for each
// instruction set; the best one that the CPU has is chosen at run time. Single precision.

/// What the code knows about the vectors of the chosen instruction set.
struct VectorTraits {
  index_t lanes;        ///< floats in a vector
  index_t filter_sums;  ///< vectors of sums that a FilterJob may ask for
};
VectorTraits vector_traits();

/// Most vectors of output channels in one tile of correlate().
inline constexpr index_t kMostVectors = 2;

/// `length` numbers that lie next to each other in x, x_step further on for each pixel, and the tap of the
/// packed filter that they are multiplied from.
struct Run {
  index_t x;
  index_t tap;
};

/// A row of output pixels: sums over runs[begin .. end) of the job. Their places are counted from x + offset.
struct CorrelateRow {
  const float* x;
  index_t offset;
  index_t begin, end;
  float* y;
};

/// y[row][q * y_step + o] = act(bias[o] + sum over the row's runs and k < length of x[q * x_step + k] * w[tap
/// + k][o]), for pixels q and the channels o of one block.
///
/// A vector holds `group` inputs of each of lanes / group channels, so that few channels fill it as well:
/// lane o * group + i of packed vector k / group is w[tap + k + i][o]. Group divides length, and is 1 when
/// there is more than one vector. Bias has the same layout, its number in lane o * group and zeros in the
/// others.
struct CorrelateJob {
  const Run* runs;
  const CorrelateRow* rows;
  index_t row_count, pixels, length;
  index_t x_step, y_step;
  const float* weights;  ///< [tap / group][vectors * lanes], aligned
  const float* bias;     ///< [vectors * lanes], aligned
  index_t group, vectors, channels;
  bool relu;
};
void correlate(const CorrelateJob& job);

/// Sums of products of two sides, over all rows and their pixels q:
///   sums[t][a][v] += scalars[row][t][q * scalar_step + a] * vectors[row][t][q * vector_step + v]
/// for taps t of the filter, scalars a and lanes v of a few vectors. The side that is x has a pointer for
/// each tap, the other one is the same for all of them.
struct FilterJob {
  const float* const* scalars = nullptr;
  const float* const* vectors = nullptr;
  bool scalars_per_tap = true;
  index_t rows = 0, pixels = 0;
  index_t scalar_offset = 0, scalar_step = 0, vector_offset = 0,
          vector_step = 0;  ///< offsets are added to every pointer
  index_t taps = 0, scalar_count = 0, vector_count = 0;
  float* sums = nullptr;  ///< aligned
  index_t tap_sums_step = 0, scalar_sums_step = 0;
};
/// Most of each that a job may ask for; and taps * scalar_count * vector_count is at most the accumulators.
inline constexpr index_t kMostTaps = 3, kMostScalars = 12, kMostFilterVectors = 3;
void accumulate_filter(const FilterJob& job);

}  // namespace tapegrad::kernels
