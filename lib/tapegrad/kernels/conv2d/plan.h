#pragma once

// Plans of convolutions: how their work is cut for the tiles.

#include <algorithm>
#include <memory>
#include <vector>

#include "tapegrad/kernels/conv2d/correlation.h"
#include "tapegrad/kernels/conv2d/strips.h"
#include "tapegrad/kernels/conv2d/tiles.h"

namespace tapegrad::inline v0::kernels {

// All that can be known about a convolution before its numbers are: how its pixels, its filter and its work are cut
// for the tiles. A plan depends on the geometry and on the vectors alone, and outlives its call in a small cache.
//
// A packed filter outlives its call only where somebody knows that the filter is not written to meanwhile (packed_filter.h).
// Whoever keeps the pointer of mutable_data(), or has the memory of wrap(), may write elements without any version that could be
// compared; and comparing the elements with a copy reads as much memory as packing does.

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
  index_t phase;                       ///< number of the correlation's phase
  std::vector<Stretch> rows, columns;  ///< of output pixels; each pair of them is a rectangle
  index_t first_column, column_taps;   ///< the window's columns that these output columns touch
  bool narrow;                         ///< whether vectors have half of the width
  index_t lanes;                       ///< numbers in a vector
  index_t length;                      ///< numbers, neighbours in memory, that one run of taps reads
  index_t group;                       ///< numbers of one tap; the last tap of a run may have fewer
  index_t taps_in_row, taps;           ///< taps in a row of the window, and in the whole window
  index_t block;                       ///< channels in a full block
  index_t blocks;                      ///< blocks in a group of channels
  index_t vectors;                     ///< vectors in a full block
  /// Where this phase begins in the arrays that all phases share.
  index_t first_weight, first_bias, first_tap;

  index_t taps_in_run() const { return divide_up(length, group); }
  /// Where a tap's numbers begin in its group, if the tap begins with this number of the run: fewer than a group are the last
  /// of the group, unless the group fills a vector.
  index_t first_lane(index_t in_run) const {
    return group == lanes ? 0 : std::max<index_t>(0, group - (length - in_run));
  }
  index_t packed() const { return taps * vectors * lanes; }  ///< numbers in the packed filter of a block
};

/// The plan of a conv2d or of a conv2d_backprop_input.
struct CorrelationPlan {
  Correlation c;
  Family family = Family::Direct;
  // The rest is the direct family's; all of it is empty if there is nothing to compute.
  std::vector<PhasePlan> phases;
  std::vector<index_t> taps;        ///< where the taps of each phase are, from its first one on
  index_t weights = 0, biases = 0;  ///< numbers in the packed filter
  index_t rows = 0;                 ///< of an image, in the phase that has most
  index_t rows_in_cache = 0;        ///< rows whose inputs stay in the second cache
  index_t row_work = 0;             ///< multiplications of a row, of all lanes
  /// Blocks of all phases and groups, if they have no channels in common; else 0.
  index_t separate_blocks = 0;

  /// Whether there is so much to do that a second thread pays.
  bool shared() const { return c.g.batch * rows * row_work >= kSharedConvolution; }
  /// How the rows are shared by this many threads: each output is the same sum however they are.
  Strips strips(int threads) const;
  /// Whether these threads share the blocks instead, as there are too few rows: of the filter, each reads its own blocks only.
  bool by_blocks(int threads) const;

  /// The first channel of a block, the number of its channels, and of the vectors that the channels need: the last block of
  /// a group may have fewer. Vectors of single inputs are always full if a group has that many channels: its last block may
  /// begin within the block before, and the last vector of that block within the first one.
  index_t first_of(const PhasePlan& p, index_t block) const;
  index_t channels_of(const PhasePlan& p, index_t block) const;
  index_t vectors_of(const PhasePlan& p, index_t block) const;
};
CorrelationPlan plan_correlation(const Conv2DGeometry& g, bool transposed, Family family,
                                 const VectorTraits& traits);

/// The plan of a conv2d_backprop_filter: which of the two sides fills the vectors, and how the sums are laid out:
/// [group][run][scalar][vector]. A few chunks of strips, cut by sizes only, have sums of their own, which are added in the
/// order of the chunks.
struct FilterPlan {
  Correlation c;
  Family family = Family::Direct;
  VectorTraits traits{};
  // What only the direct family uses.
  bool vectors_from_x = false;  ///< whether x fills the vectors; otherwise dy does
  bool whole_rows = false;      ///< whether a row of the window is one run
  /// Whether sums are made tap by tap, not rectangle by rectangle; dy fills the vectors then.
  bool by_taps = false;
  index_t runs = 0, run = 0;         ///< runs of neighbours in x that a window has, and the length of a run
  index_t scalars = 0, vectors = 0;  ///< of a run: numbers of one side, and vectors of the other
  index_t sums = 0;                  ///< numbers in the sums of one group
  std::vector<index_t> offsets;      ///< where each run begins in x, from the first one on
  std::vector<Stretch> rows, columns;
  Strips strips;
  // What both families use.
  index_t size = 0;               ///< numbers in the sums of a chunk
  index_t chunk = 1, chunks = 0;  ///< strips (rows of dy, if depthwise) in a chunk, and chunks

  index_t run_step() const { return scalars * vectors * traits.lanes; }
};
FilterPlan plan_filter(const Conv2DGeometry& g, Family family, const VectorTraits& traits);

/// The plans of the family that is faster, from the cache of the thread if that has them.
std::shared_ptr<const CorrelationPlan> cached_correlation(const Conv2DGeometry& g, bool transposed,
                                                          const VectorTraits& traits);
std::shared_ptr<const FilterPlan> cached_filter(const Conv2DGeometry& g, const VectorTraits& traits);

}  // namespace tapegrad::inline v0::kernels
