#pragma once

// Pictures of tensors: images side by side, and the filters of a convolution.

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "tapegrad/io/image.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// An entry of a legend: a colour and its meaning.
struct LegendEntry {
  std::string name;  ///< what the colour means
  Colour colour;     ///< of the square in front of the name
};

struct SheetOptions {
  int columns = 10;                   ///< number of images side by side
  int scale = 1;                      ///< every pixel becomes a square of scale x scale
  int gap = 2;                        ///< pixels between images and around them, after scaling
  std::vector<std::string> labels{};  ///< labels at the left of the rows: none, or one for each tensor
  Colour background = kWhite;         ///< colour of the gaps and around the labels
  std::vector<LegendEntry> legend{};  ///< legend below the images; a sheet with a legend is in colour
};

/// Tiles images into one picture, to compare several versions of them. Each tensor of rows holds one version, [n, h, w,
/// c] with c = 1 or 3, all of the same shape: Float32 or Float64 with 0 black and 1 white (values are clamped, NaN is
/// black), or UInt8. The first line shows the first `columns` images of rows[0], the line below it the same images of
/// rows[1], and so on; the next images follow below a wider gap. Throws for other shapes and dtypes, for no images, and
/// for a sheet of more than 2^28 bytes.
[[nodiscard]] Image sheet(std::span<const Tensor> rows, const SheetOptions& options = {});
[[nodiscard]] inline Image sheet(std::initializer_list<Tensor> rows, const SheetOptions& options = {}) {
  return sheet(std::span<const Tensor>(rows.begin(), rows.size()), options);
}

/// Tiles the images of one tensor, line by line: sheet() with a single row.
[[nodiscard]] Image grid(const Tensor& images, const SheetOptions& options = {});

/// A picture of the filters of a convolution, w: [kh, kw, in, out], Float32 or Float64. One tile for each pair of
/// channels: negative weights blue, positive weights red, zero white, each tile scaled to its own largest magnitude.
/// Each line shows one input channel with all output channels; tiles of a single input channel are arranged in a
/// square. A weight becomes scale x scale pixels; with scale 0 the picture is about 480 pixels wide, with a legend
/// below. Throws for other ranks and dtypes.
[[nodiscard]] Image filters_image(const Tensor& w, int scale = 0, int gap = 2);

}  // namespace v0
}  // namespace tapegrad
