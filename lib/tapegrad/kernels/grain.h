#pragma once

// How finely kernels cut their work for threads.

#include <algorithm>

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

// How much work makes a piece of a parallel loop worth handing to a thread: each some ten microseconds. Pieces are
// cut by sizes only, so changing a number of the second group changes the last bits of results. (Rooms that do not see
// the kernels have theirs: the filling of random tensors in tensor/.)

inline constexpr index_t kElementwisePiece = 16384;  ///< elements of a loop over elements, or that are copied
inline constexpr index_t kWindowPiece = 32768;       ///< pixels that poolings look at
inline constexpr index_t kSearchPiece = 32768;       ///< elements that a search compares
inline constexpr index_t kSoftmaxPiece = 8192;       ///< elements of rows that softmax takes
inline constexpr index_t kMatmulWork = 1 << 20;      ///< multiplications; fewer would pack b again and again
inline constexpr index_t kConvolutionWork = 1 << 17;  ///< multiplications of a convolution
/// Multiplications of a convolution that is shared at all: of a smaller one, half of the input and of the output would go from one
/// core's cache to another's for nothing.
inline constexpr index_t kSharedConvolution = 1 << 18;
inline constexpr index_t kPackedWeights = 1 << 13;   ///< numbers of a filter that are packed
inline constexpr index_t kAdditionsPiece = 1 << 16;  ///< additions of partial sums
inline constexpr index_t kSortPiece = 4096;          ///< elements of lanes that are sorted
inline constexpr index_t kMaskPiece = 8192;          ///< elements of a dropout's mask, which cost more each

inline constexpr index_t kReducePiece = 32768;           ///< elements that one partial result joins
inline constexpr index_t kReluBackwardPiece = 32768;     ///< elements that one partial sum adds
inline constexpr index_t kFilterGradientWork = 1 << 20;  ///< multiplications of one partial sum
/// As kFilterGradientWork, of the depthwise family.
inline constexpr index_t kDepthwiseGradientWork = 1 << 19;
inline constexpr index_t kLossElements = 4096;  ///< elements of a loss that one partial sum adds
inline constexpr index_t kLossPiece = 4;        ///< such partial sums

/// Units in a piece when each unit is `each` of the work that a piece should have.
constexpr index_t units_in_piece(index_t piece, index_t each) {
  return std::max<index_t>(1, piece / std::max<index_t>(1, each));
}

constexpr index_t divide_up(index_t a, index_t b) {
  return (a + b - 1) / b;
}

}  // namespace tapegrad::inline v0::kernels
