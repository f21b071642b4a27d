#pragma once

// A convolution or its transpose as correlations, and which taps lie inside of the image.

#include <utility>
#include <vector>

#include "tapegrad/base/window.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {

// conv2d and its transpose are both correlations: every output pixel is a sum over the taps of a window that
// slides over the input.

/// Outputs that follow each other and have the same taps inside of the input.
struct Stretch {
  index_t begin, end;
  index_t first_tap, last_tap;  ///< the last one is excluded

  index_t size() const { return end - begin; }
  index_t taps() const { return last_tap - first_tap; }
};

/// Along one axis: output a reads the inputs a * stride + t * dilation - pad for the taps t < taps. Tap t is
/// row (or column) first + t * step of the filter.
struct TapAxis {
  index_t outputs, taps, stride, dilation, pad;
  index_t first, step;

  /// The taps that lie inside of an input of that size, when tap 0 lies at `at`.
  std::pair<index_t, index_t> inside(index_t at, index_t size) const;
  /// The outputs from first to last, cut wherever other taps lie inside of an input of that size.
  std::vector<Stretch> stretches(index_t size) const;
  /// The outputs whose tap t lies inside of an input of that size.
  std::pair<index_t, index_t> reaching(index_t t, index_t size) const;
};

/// conv2d is one phase. The transpose is one for each offset of an input pixel in the grid that the stride
/// makes, so that inserted zeros are never multiplied by: the outputs are pixels row + a * step, column + b *
/// step.
struct Phase {
  TapAxis h, w;
  index_t row, column;
};

struct Correlation {
  Conv2DGeometry g;
  index_t in_h, in_w, in_channels, group_in;      ///< of what is read
  index_t out_h, out_w, out_channels, group_out;  ///< of what is written
  Size2D step;                                    ///< between the output pixels of a phase
  bool transposed;
  std::vector<Phase> phases;
};

/// conv2d(x, w) and conv2d_backprop_input(dy, w).
Correlation forward_correlation(const Conv2DGeometry& g);
Correlation transposed_correlation(const Conv2DGeometry& g);

}  // namespace tapegrad::inline v0::kernels
