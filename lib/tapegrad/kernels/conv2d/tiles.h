#pragma once

// The innermost loops of direct convolutions.

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

// The innermost loops of the direct convolutions, written once for vectors of any width and compiled for each
// instruction set, for float and for double; the best set that the CPU has is chosen at run time.

/// Most vectors of output channels in one tile of correlate().
inline constexpr index_t kMostVectors = 2;

/// What the code knows about the vectors of the chosen instruction set.
struct VectorTraits {
  index_t lanes;  ///< numbers in a vector
  /// Numbers in half a vector on CPUs where half vectors are as fast; else equal to lanes.
  index_t narrow_lanes;
  index_t filter_sums;  ///< vectors of sums that a FilterJob may ask for
  index_t bytes;        ///< size of a number
  index_t tail_group;   ///< the largest group that may have a tail without filling a vector

  friend bool operator==(const VectorTraits&, const VectorTraits&) = default;
};
template <class T>
VectorTraits vector_traits();

/// A rectangle of output pixels in each of some images, all with the same taps inside of the image, as lines:
/// the rectangle's rows, or its columns.
///
///   y[...][p * y_pixel + o] = act(bias[o] + sum over taps t and k < group of x[... p * x_pixel + taps[t] -
///   taps[first tap] + k] * w[t][k][o])
///
/// for the pixels p of a line and the channels o of one block. The taps are tap_runs runs of tap_run taps,
/// from first_tap on and next_run apart.
///
/// A vector holds `group` inputs of each of lanes / group channels, so that few channels fill it as well:
/// lane o * group + k of packed vector t is w[t][k][o]. Group is 1 when there is more than one vector; then the last
/// vector holds the last channels, and may begin within the one before. If group is not 1, each run may end with one
/// more tap that has only `tail` inputs: they are the first of a group that fills all lanes, and the last of a smaller one,
/// of which a run has a whole one at least. The bias has the same layout: bias[o] in lane o * group, and zeros in the others.
template <class T>
struct CorrelateJob {
  const T* x = nullptr;  ///< the first tap of the first pixel
  T* y = nullptr;        ///< the first pixel
  index_t images = 0, lines = 0, pixels = 0;
  index_t x_image = 0, x_line = 0, x_pixel = 0;  ///< steps from one image, line or pixel to the next
  index_t y_image = 0, y_line = 0, y_pixel = 0;
  const index_t* taps = nullptr;
  index_t first_tap = 0, tap_runs = 0, tap_run = 0, next_run = 0;
  index_t tail = 0;
  const T* weights = nullptr;  ///< [tap][vectors * lanes], aligned
  const T* bias = nullptr;     ///< [vectors * lanes], aligned
  /// Whether a vector has narrow_lanes of vector_traits(): only one vector of group 1 may.
  bool narrow = false;
  index_t group = 1, vectors = 1, channels = 0;
  bool relu = false;
  const T* gate = nullptr;  ///< laid out as y, if there is one: where it is not positive, y is 0
};
template <class T>
void correlate(const CorrelateJob<T>& job);

/// A line of pixels: where the two sides of the first pixel's products are.
template <class T>
struct FilterLine {
  const T* scalars;
  const T* vectors;
};

/// Sums of products of two sides, over all lines and their pixels q:
///   sums[t][a][v] += scalars[q * scalar_step + a] * vectors[q * vector_step + v]
/// for taps t of the filter, scalars a and lanes v of a few vectors. One side is x, which is read taps[t] numbers further
/// on for tap t; the other side is the same for all taps.
template <class T>
struct FilterJob {
  const FilterLine<T>* lines = nullptr;
  index_t line_count = 0, pixels = 0;
  const index_t* taps = nullptr;
  index_t tap_count = 0;
  bool scalars_are_x = true;
  index_t scalar_step = 0, vector_step = 0;
  index_t scalar_offset = 0, vector_offset = 0;  ///< added to where each line begins
  index_t scalar_count = 0, vector_count = 0;
  index_t last_lanes = 0;  ///< lanes of the last vector that are added to the sums
  T* sums = nullptr;
  index_t tap_sums_step = 0, scalar_sums_step = 0;
};
/// The most taps, scalars and vectors that a job may ask for; tap_count * scalar_count * vector_count is at most
/// filter_sums. A job has one tap or kMostTaps.
inline constexpr index_t kMostTaps = 3, kMostScalars = 12, kMostFilterVectors = 3;
template <class T>
void accumulate_filter(const FilterJob<T>& job);

/// to[column * to_step + row] = from[row * from_step + column].
template <class T>
void transpose(index_t rows, index_t columns, const T* from, index_t from_step, T* to, index_t to_step);

/// The functions above, compiled for one instruction set.
template <class T>
struct DirectKernels {
  VectorTraits (*traits)();
  void (*correlate)(const CorrelateJob<T>&);
  void (*accumulate_filter)(const FilterJob<T>&);
  void (*transpose)(index_t rows, index_t columns, const T* from, index_t from_step, T* to, index_t to_step);
};

}  // namespace tapegrad::inline v0::kernels
