#include "tapegrad/show/sheet.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/show/draw.h"

namespace tapegrad::inline v0 {
namespace {

constexpr double kMaxBytes = 0x1p28;
constexpr index_t kLabelGap = 6;  // pixels left and right of a label
constexpr double kSwatch = 12;    // pixels of a colour in a legend

void check_size(std::string_view op, double height, double width, int channels) {
  if (channels != 1 && channels != 3) fail(op, "an image must have 1 or 3 channels, got {}", channels);
  if (!(height >= 1 && width >= 1 && height * width * channels <= kMaxBytes))
    fail(
        op,
        "the image must have at least one pixel and at most {3} bytes, got {0} x {1} pixels with {2} channels",
        height, width, channels, kMaxBytes);
}

template <class T>
std::uint8_t to_byte(T value) {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return value;
  } else {  // NaN fails both comparisons and becomes 0
    return value >= 1  ? 255
           : value > 0 ? static_cast<std::uint8_t>(static_cast<double>(value) * 255 + 0.5)
                       : 0;
  }
}

void check_rows(std::string_view op, std::span<const Tensor> rows, const SheetOptions& options) {
  if (rows.empty()) fail(op, "there must be at least one tensor of images, got none");
  for (const Tensor& row : rows)
    if (!row.defined()) fail(op, "a tensor of images was never given a value");
  const Shape& shape = rows.front().shape();
  for (const Tensor& row : rows) {
    if (row.dtype() == DType::Int32)
      fail(op, "images must be UInt8, Float32 or Float64, got Int32: convert with cast()");
    if (row.rank() != 4 || row.size() == 0 || (row.shape()[3] != 1 && row.shape()[3] != 3))
      fail(op, "images must have the shape [n, height, width, channels] with 1 or 3 channels, got {}",
           row.shape());
    if (row.shape() != shape)
      fail(op, "the rows of a sheet must have the same shape, got {} and {}", shape, row.shape());
  }
  if (options.columns < 1 || options.scale < 1 || options.gap < 0)
    fail(op, "columns and scale must be at least 1 and gap at least 0, got {} columns, scale {} and gap {}",
         options.columns, options.scale, options.gap);
  if (!options.labels.empty() && options.labels.size() != rows.size())
    fail(op, "there must be one label for each row, got {} for {} rows", options.labels.size(), rows.size());
}

// Copies image number of images to (top, left), every pixel as a square.
void paste(Image& target, index_t top, index_t left, const Tensor& images, index_t number, int scale) {
  const index_t height = images.shape()[1], width = images.shape()[2], channels = images.shape()[3];
  dispatch(images.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T* pixel = images.data<T>() + number * height * width * channels;
    for (index_t y = 0; y < height; ++y)
      for (index_t x = 0; x < width; ++x, pixel += channels)
        for (index_t square = 0; square < index_t{scale} * scale; ++square) {
          std::uint8_t* to = target.at(static_cast<int>(top + y * scale + square / scale),
                                       static_cast<int>(left + x * scale + square % scale));
          for (index_t c = 0; c < target.channels; ++c) to[c] = to_byte(pixel[std::min(c, channels - 1)]);
        }
  });
}

// Blue below zero, red above, white between; value lies in [-1, 1]. The ends are those of ColorBrewer's RdBu,
// which colour-blind readers can tell apart.
Colour diverging(double value) {
  const Colour end = value < 0 ? Colour{33, 102, 172} : Colour{178, 24, 43};
  const auto mix = [&](std::uint8_t to) {
    return static_cast<std::uint8_t>(std::lround(255 + (to - 255) * std::abs(value)));
  };
  return {mix(end.red), mix(end.green), mix(end.blue)};
}

Colour ink_on(Colour background) {
  return background.brightness() < 128 ? kWhite : kBlack;
}

// Where the entries of a legend begin, side by side in as many lines as they need.
std::vector<Point> legend_places(const std::vector<LegendEntry>& legend, double width) {
  std::vector<Point> places;
  Point at{kLabelGap, kLabelGap};
  for (const LegendEntry& entry : legend) {
    const double length = std::ceil(kSwatch + text_width(entry.name) + 3 * kLabelGap);  // whole: sharp
    if (at.x > kLabelGap && at.x + length > width) at = {kLabelGap, at.y + text_height() + 2};
    places.push_back(at);
    at.x += length;
  }
  return places;
}

double legend_height(const std::vector<LegendEntry>& legend, double width) {
  return legend.empty() ? 0 : legend_places(legend, width).back().y + std::ceil(text_height()) + kLabelGap;
}

void draw_legend(Image& image, const std::vector<LegendEntry>& legend, double top, Colour background) {
  const std::vector<Point> places = legend_places(legend, image.width);
  for (std::size_t i = 0; i < legend.size(); ++i) {
    const double x = places[i].x, y = top + places[i].y,
                 swatch = std::round(y + (text_height() - kSwatch) / 2);
    draw_rectangle(image, {x, swatch}, {x + kSwatch, swatch + kSwatch}, legend[i].colour);
    draw_text(image, x + kSwatch + kLabelGap, y, legend[i].name, ink_on(background));
  }
}

bool is_grey(Colour colour) {
  return colour.red == colour.green && colour.green == colour.blue;
}

Image sheet_of(std::string_view op, std::span<const Tensor> rows, const SheetOptions& options) {
  check_rows(op, rows, options);
  const Shape& shape = rows.front().shape();
  const index_t count = shape[0], lines = static_cast<index_t>(rows.size());
  const index_t columns = std::min<index_t>(options.columns, count);
  const index_t blocks = (count - 1) / columns + 1;
  const index_t gap = options.gap, block_gap = lines > 1 ? 3 * gap : gap;

  index_t label_width = 0;
  for (const std::string& label : options.labels)
    label_width = std::max(label_width, static_cast<index_t>(std::ceil(text_width(label))) + 2 * kLabelGap);
  // In double, where no size can overflow; after the check everything fits an int.
  const double tile_height = static_cast<double>(shape[1]) * options.scale + static_cast<double>(gap);
  const double tile_width = static_cast<double>(shape[2]) * options.scale + static_cast<double>(gap);
  const double height = static_cast<double>(gap) + static_cast<double>(blocks * lines) * tile_height +
                        static_cast<double>((blocks - 1) * (block_gap - gap));
  const double width = static_cast<double>(label_width + gap) + static_cast<double>(columns) * tile_width;
  const Colour background = options.background;
  const bool grey = shape[3] == 1 && is_grey(background) && options.legend.empty();
  const double with_legend = height + legend_height(options.legend, width);
  check_size(op, with_legend, width, grey ? 1 : 3);
  Image made(static_cast<int>(with_legend), static_cast<int>(width), grey ? 1 : 3, background);
  draw_legend(made, options.legend, height, background);

  const auto step_y = static_cast<index_t>(tile_height), step_x = static_cast<index_t>(tile_width);
  for (index_t block = 0; block < blocks; ++block)
    for (index_t line = 0; line < lines; ++line) {
      const index_t top = gap + (block * lines + line) * step_y + block * (block_gap - gap);
      if (!options.labels.empty()) {
        const double middle = static_cast<double>(top) + static_cast<double>(step_y - gap) / 2;
        draw_text(made, static_cast<double>(kLabelGap), std::round(middle - text_height() / 2),
                  options.labels[static_cast<std::size_t>(line)], ink_on(background));
      }
      for (index_t column = 0; column < columns && block * columns + column < count; ++column)
        paste(made, top, label_width + gap + column * step_x, rows[static_cast<std::size_t>(line)],
              block * columns + column, options.scale);
    }
  return made;
}

}  // namespace

Image sheet(std::span<const Tensor> rows, const SheetOptions& options) {
  return sheet_of("sheet", rows, options);
}

Image grid(const Tensor& images, const SheetOptions& options) {
  return sheet_of("grid", {&images, 1}, options);
}

namespace {

constexpr std::string_view kFilters = "filters_image";

// Below the picture: which colour is what.
Image with_scale_of_colours(const Image& picture, Colour background) {
  constexpr double kBar = 120;
  const std::string_view low = "negative", high = "positive", note = "each filter in its own scale";
  const double line = std::ceil(text_height()), bar_left = 2.0 * kLabelGap + text_width(low);
  const double right = bar_left + kBar + kLabelGap + text_width(high) + kLabelGap;
  const double width =
      std::max({static_cast<double>(picture.width), right, text_width(note) + 2 * kLabelGap});
  check_size(kFilters, picture.height + 2 * line + 3 * kLabelGap, width, 3);
  Image made(static_cast<int>(picture.height + 2 * line + 3 * kLabelGap), static_cast<int>(std::ceil(width)),
             3, background);
  for (int y = 0; y < picture.height; ++y)
    std::copy_n(picture.at(y, 0), static_cast<std::ptrdiff_t>(3) * picture.width, made.at(y, 0));
  const double top = picture.height + kLabelGap;
  const Colour ink = ink_on(background);
  draw_text(made, kLabelGap, top, low, ink);
  for (int x = 0; x < static_cast<int>(kBar); ++x)
    draw_rectangle(made, {std::ceil(bar_left) + x, top + 3}, {std::ceil(bar_left) + x + 1, top + line - 2},
                   diverging(2 * x / (kBar - 1) - 1));
  draw_text(made, bar_left + kBar + kLabelGap, top, high, ink);
  draw_text(made, kLabelGap, top + line + kLabelGap, note, ink);
  return made;
}

}  // namespace

Image filters_image(const Tensor& w, int scale, int gap) {
  if (!w.defined()) fail(kFilters, "the filters were never given a value");
  if (!is_floating(w.dtype()) || w.rank() != 4 || w.size() == 0)
    fail(kFilters, "filters must be Float32 or Float64 of shape [kh, kw, in, out], got {} of shape {}",
         w.dtype(), w.shape());
  const index_t area = w.shape()[0] * w.shape()[1], in = w.shape()[2], out = w.shape()[3], filters = in * out;
  Tensor tiles = TensorAccess::empty({filters, w.shape()[0], w.shape()[1], 3}, DType::UInt8);
  std::uint8_t* tile = tiles.mutable_data<std::uint8_t>();
  dispatch(w.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T* weights = w.data<T>();
    for (index_t filter = 0; filter < filters; ++filter) {
      double largest = 0;
      const auto weight = [&](index_t place) {
        const auto value = static_cast<double>(weights[place * filters + filter]);
        return std::isfinite(value) ? value : 0.0;
      };
      for (index_t place = 0; place < area; ++place) largest = std::max(largest, std::abs(weight(place)));
      for (index_t place = 0; place < area; ++place, tile += 3) {
        const Colour colour = diverging(largest > 0 ? weight(place) / largest : 0.0);
        tile[0] = colour.red, tile[1] = colour.green, tile[2] = colour.blue;
      }
    }
  });
  const index_t columns = in > 1 ? out : static_cast<index_t>(std::ceil(std::sqrt(static_cast<double>(out))));
  const Colour background{96, 96, 96};
  // Without a scale: about so wide, for looking at.
  constexpr index_t kWide = 480, kLeast = 8, kMost = 32;
  const bool automatic = scale == 0;
  if (automatic) scale = static_cast<int>(std::clamp(kWide / (columns * w.shape()[1]), kLeast, kMost));
  const Image picture = sheet_of(kFilters, {&tiles, 1},
                                 {.columns = static_cast<int>(std::min<index_t>(columns, 1 << 20)),
                                  .scale = scale,
                                  .gap = gap,
                                  .background = background});
  return automatic ? with_scale_of_colours(picture, background) : picture;
}

}  // namespace tapegrad::inline v0
