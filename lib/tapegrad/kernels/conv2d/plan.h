#pragma once

#include <memory>
#include <vector>

#include "tapegrad/kernels/conv2d/correlation.h"
#include "tapegrad/kernels/conv2d/strips.h"
#include "tapegrad/kernels/conv2d/tiles.h"

namespace tapegrad::inline v0::kernels {

// All that can be known about a convolution before its numbers are: how its pixels, its filter and its work are cut
// for the tiles. A plan depends on the geometry and on the vectors alone, and outlives its call in a small cache.
//
// A packed filter does not outlive its call. Whoever keeps the pointer of mutable_data(), or has the memory of wrap(),
// may write elements without any version that could be compared; and comparing the elements with a copy reads as much
// memory as packing does.

/// Which tiles run a plan.
enum class Family {
  Direct,    ///< any convolution
  Depthwise  ///< each channel by itself: vectors hold neighbouring channels, and the filter is not packed
};
/// The family that is faster: Depthwise where it is possible.
Family family_of(const Conv2DGeometry& g);

/// How the filter of one phase is cut into blocks of output channels, its window into taps, and its pixels
/// into rectangles that have the same taps inside of the image.
struct PhasePlan {
  index_t phase;  ///< of the correlation
  std::vector<Stretch> rows, columns;
  index_t first_column, column_taps;  ///< the window's columns that these output columns touch
  bool narrow;                        ///< vectors
  index_t lanes;                      ///< of a vector
  index_t length;                     ///< neighbours in memory that one run of taps reads
  index_t group;  ///< of them in one tap; if that is all lanes, the last tap of a run may have fewer
  index_t taps_in_row, taps;                    ///< of the window
  index_t block;                                ///< channels in a full block
  index_t blocks;                               ///< in a group of channels
  index_t vectors;                              ///< of a full block
  index_t first_weight, first_bias, first_tap;  ///< of this phase, in what all phases share

  index_t taps_in_run() const { return divide_up(length, group); }
  index_t packed() const { return taps * vectors * lanes; }  ///< numbers of a block's filter
};

/// conv2d and conv2d_backprop_input.
struct CorrelationPlan {
  Correlation c;
  Family family = Family::Direct;
  // Of the direct family; all empty if there is nothing to compute.
  std::vector<PhasePlan> phases;
  std::vector<index_t> taps;        ///< where the taps of each phase are, from its first one on
  index_t weights = 0, biases = 0;  ///< numbers in the packed filter
  Strips strips;
  index_t strips_in_piece = 1;

  /// The first channel of a block, its channels, and vectors that these need: the last block of a group may have fewer.
  /// Vectors of single inputs are always full if there are that many channels: the last block may begin within the one
  /// before, and its last vector within its first one.
  index_t first_of(const PhasePlan& p, index_t block) const;
  index_t channels_of(const PhasePlan& p, index_t block) const;
  index_t vectors_of(const PhasePlan& p, index_t block) const;
};
CorrelationPlan plan_correlation(const Conv2DGeometry& g, bool transposed, Family family,
                                 const VectorTraits& traits);

/// conv2d_backprop_filter: which of the two sides fills the vectors, and how the sums are laid out, [group][run][scalar]
/// [vector]. A few chunks of strips, cut by sizes only, have sums of their own, which are added in their order.
struct FilterPlan {
  Correlation c;
  Family family = Family::Direct;
  VectorTraits traits{};
  // Of the direct family.
  bool vectors_from_x = false;
  bool whole_rows = false;
  bool by_taps = false;       ///< tap by tap, not rectangle by rectangle: vectors are dy's
  index_t runs = 0, run = 0;  ///< of neighbours in x that the filter has, and the length of one
  index_t scalars = 0, vectors = 0;
  index_t sums = 0;              ///< numbers of one group
  std::vector<index_t> offsets;  ///< of the runs, in x
  std::vector<Stretch> rows, columns;
  Strips strips;
  // Of both.
  index_t size = 0;               ///< numbers in the sums of a chunk
  index_t chunk = 1, chunks = 0;  ///< strips (rows, if depthwise) in a chunk

  index_t run_step() const { return scalars * vectors * traits.lanes; }
};
FilterPlan plan_filter(const Conv2DGeometry& g, Family family, const VectorTraits& traits);

/// The same plans of the family that is faster, from the thread's cache if it has them.
std::shared_ptr<const CorrelationPlan> cached_correlation(const Conv2DGeometry& g, bool transposed,
                                                          const VectorTraits& traits);
std::shared_ptr<const FilterPlan> cached_filter(const Conv2DGeometry& g, const VectorTraits& traits);

}  // namespace tapegrad::inline v0::kernels
