#pragma once

// Pictures made of tensors: images side by side, and the filters of a convolution.

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "tapegrad/io/image.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// What a colour in a picture means.
struct LegendEntry {
  std::string name;
  Colour colour;
};

struct SheetOptions {
  int columns = 10;                   ///< images side by side
  int scale = 1;                      ///< every pixel becomes a square of scale x scale
  int gap = 2;                        ///< pixels between images and around them, after scaling
  std::vector<std::string> labels{};  ///< what stands left of each row; none, or one for each tensor
  Colour background = kWhite;         ///< of the gaps and labels
  std::vector<LegendEntry> legend{};  ///< stands below the images; the sheet is in colour if there is one
};

/// Tiles images into one picture, to compare sets of them: each tensor of rows is [n, h, w, c], all of one
/// shape, Float32 or Float64 with 0 black and 1 white (values outside are clamped, NaN is black) or UInt8, c
/// = 1 or 3. The first line shows the first `columns` images of rows[0], the line below it the same of
/// rows[1] and so on; then come the next images, below a wider gap. Throws for other shapes and dtypes, no
/// images, and a sheet of more than 2^28 bytes.
[[nodiscard]] Image sheet(std::span<const Tensor> rows, const SheetOptions& options = {});
[[nodiscard]] inline Image sheet(std::initializer_list<Tensor> rows, const SheetOptions& options = {}) {
  return sheet(std::span<const Tensor>(rows.begin(), rows.size()), options);
}

/// Tiles the images of one tensor, line by line: sheet() of one row.
[[nodiscard]] Image grid(const Tensor& images, const SheetOptions& options = {});

/// The filters of a convolution, w: [kh, kw, in, out], Float32 or Float64: one tile for each pair of
/// channels, negative values blue, positive ones red, zero white, each tile scaled to its own largest
/// magnitude. Each input channel is a line of all its outputs; a single input channel is wrapped into a
/// square. A weight becomes scale x scale pixels; with scale 0 the picture is about 480 pixels wide, with a legend below.
/// Throws for other ranks and dtypes.
[[nodiscard]] Image filters_image(const Tensor& w, int scale = 0, int gap = 2);

}  // namespace v0
}  // namespace tapegrad
