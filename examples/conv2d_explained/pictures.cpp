#include "pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <string_view>

#include "common/options.h"
#include "recipes.h"
#include "tapegrad/io/image.h"
#include "tapegrad/show/draw.h"

namespace conv2d_explained {
namespace {

using tg::Colour;
using tg::Image;
using tg::Point;

constexpr Colour kInk{40, 40, 40}, kLine{170, 170, 170}, kFaint{242, 242, 242}, kBetween{255, 243, 196};
// One for each stamp; told apart by colour-blind readers too (Okabe and Ito, "Color universal design", 2008).
constexpr std::array<Colour, 4> kStampColours{{{230, 120, 0}, {0, 140, 100}, {190, 70, 150}, {0, 110, 190}}};

/// How a cell looks: its colour, and whether its number is written.
struct Look {
  Colour fill;
  bool number = true;
};
using LookOf = std::function<Look(index_t row, index_t column)>;

/// A table of numbers in a picture.
struct Board {
  Point at;
  double cell_width, cell_height;
  index_t rows, columns;

  Point corner(index_t row, index_t column) const {
    return {at.x + static_cast<double>(column) * cell_width, at.y + static_cast<double>(row) * cell_height};
  }
  double right() const { return corner(0, columns).x; }
  double bottom() const { return corner(rows, 0).y; }
  double middle() const { return (at.y + bottom()) / 2; }
};

struct Cell {
  double width = 62, height = 44, text = 1.3;
};

void text(Image& image, Point at, std::string_view line, double scale = 1.5, Colour colour = kInk) {
  tg::draw_text(image, at.x, at.y, line, colour, scale);
}

void centred_text(Image& image, Point centre, std::string_view line, double scale, Colour colour = kInk) {
  text(image, {centre.x - tg::text_width(line, scale) / 2, centre.y - tg::text_height(scale) / 2}, line,
       scale, colour);
}

void title(Image& image, std::string_view line) {
  text(image, {50, 36}, line, 2.2);
}

void caption(Image& image, const Board& board, std::string_view line, Colour colour = kInk) {
  text(image, {board.at.x, board.at.y - 32}, line, 1.5, colour);
}

void line(Image& image, Point from, Point to, Colour colour, double width) {
  tg::draw_polyline(image, std::array{from, to}, colour, width);
}

/// An arrow, drawn to its tip.
void arrow(Image& image, Point from, Point to, Colour colour = kInk) {
  const double length = std::hypot(to.x - from.x, to.y - from.y);
  const double dx = 12 * (to.x - from.x) / length, dy = 12 * (to.y - from.y) / length;
  line(image, from, to, colour, 3);
  tg::draw_polyline(image,
                    std::array{Point{to.x - dx - dy / 2, to.y - dy + dx / 2}, to,
                               Point{to.x - dx + dy / 2, to.y - dy - dx / 2}},
                    colour, 3);
}

/// A frame around some cells, `inset` pixels inside of their edge.
void frame(Image& image, const Board& board, index_t row, index_t column, index_t rows, index_t columns,
           Colour colour, double inset = 0) {
  const Point from = board.corner(row, column), to = board.corner(row + rows, column + columns);
  const double left = from.x + inset, top = from.y + inset, right = to.x - inset, bottom = to.y - inset;
  tg::draw_polyline(image,
                    std::array{Point{left, top}, Point{right, top}, Point{right, bottom}, Point{left, bottom},
                               Point{left, top}},
                    colour, 4);
}

/// Red for positive and blue for negative values, stronger the larger they are.
Colour heat(double value, double largest) {
  const double strength = largest > 0 ? 0.65 * std::sqrt(std::abs(value) / largest) : 0;
  const Colour full = value < 0 ? Colour{40, 100, 230} : Colour{230, 60, 40};
  const auto mix = [&](std::uint8_t to) {
    return static_cast<std::uint8_t>(std::lround(255 + strength * (to - 255)));
  };
  return {mix(full.red), mix(full.green), mix(full.blue)};
}

double largest_magnitude(const tg::Tensor& x) {
  double largest = 0;
  for (const float value : x.values<float>()) largest = std::max(largest, std::abs(double{value}));
  return largest;
}

LookOf heat_of(const tg::Tensor& plane) {
  return [plane, largest = largest_magnitude(plane)](index_t i, index_t j) {
    return Look{heat(plane.at({i, j}), largest)};
  };
}

Board draw_board(Image& image, Point at, const tg::Tensor& plane, const LookOf& look, const Cell& cell = {}) {
  const Board board{at, cell.width, cell.height, plane.shape()[0], plane.shape()[1]};
  for (index_t i = 0; i < board.rows; ++i)
    for (index_t j = 0; j < board.columns; ++j) {
      const Point from = board.corner(i, j), to = board.corner(i + 1, j + 1);
      const auto [fill, number] = look(i, j);
      tg::draw_rectangle(image, from, to, fill);
      if (number)
        centred_text(image, {(from.x + to.x) / 2, (from.y + to.y) / 2}, fmt::format("{}", plane.at({i, j})),
                     cell.text);
    }
  for (index_t i = 0; i <= board.rows; ++i)
    line(image, board.corner(i, 0), board.corner(i, board.columns), kLine, 1);
  for (index_t j = 0; j <= board.columns; ++j)
    line(image, board.corner(0, j), board.corner(board.rows, j), kLine, 1);
  return board;
}

Board draw_board(Image& image, Point at, const tg::Tensor& plane, const Cell& cell = {}) {
  return draw_board(image, at, plane, heat_of(plane), cell);
}

/// [1, h, w, 1] or [h, w, 1, 1] as [h, w].
tg::Tensor as_plane(const tg::Tensor& x) {
  return x.shape()[0] == 1 ? tg::reshape(x, {x.shape()[1], x.shape()[2]})
                           : tg::reshape(x, {x.shape()[0], x.shape()[1]});
}

/// The colour of pixel (k / 2, k % 2) of the 2 x 2 image, and of its stamp.
Colour stamp_colour(index_t k) {
  return kStampColours[static_cast<std::size_t>(k)];
}

void draw_operands(Image& image, const Example& example) {
  const Board x = draw_board(image, {60, 150}, as_plane(example.x));
  caption(image, x, "x");
  for (index_t k = 0; k < 4; ++k) frame(image, x, k / 2, k % 2, 1, 1, stamp_colour(k), 3);
  const Board w = draw_board(image, {280, 150}, as_plane(example.w));
  caption(image, w, "w");
  text(image, {560, 156}, "A pixel of x stamps w, times its own value, onto the result.");
  text(image, {560, 206}, "The stride, 2, is how far apart the stamps are. They are 3 wide,");
  text(image, {560, 236}, "so neighbours share a row or a column. There they add up.");
}

/// The stamp of one pixel on an empty result.
Board draw_stamp(Image& image, Point at, const Example& example, index_t k) {
  const index_t i = k / 2, j = k % 2;
  const tg::Tensor plane = as_plane(stamp(example.x, example.w, i, j, 2));
  const auto look = [=, heat = heat_of(plane)](index_t row, index_t column) {
    const bool covered = row >= 2 * i && row < 2 * i + 3 && column >= 2 * j && column < 2 * j + 3;
    return covered ? heat(row, column) : Look{kFaint, false};
  };
  const Board board = draw_board(image, at, plane, look);
  caption(image, board, fmt::format("{} w", example.x.at({0, i, j, 0})), stamp_colour(k));
  frame(image, board, 2 * i, 2 * j, 3, 3, stamp_colour(k));
  return board;
}

Image draw_stamps(const Example& example) {
  Image image(1040, 1500, 3, tg::kWhite);
  title(image, "conv2d_transpose: every pixel of x stamps the filter");
  draw_operands(image, example);

  const Board y =
      draw_board(image, {530, 730}, as_plane(example.y), {.width = 88, .height = 54, .text = 1.5});
  for (index_t k = 0; k < 4; ++k) {
    const Board one = draw_stamp(image, {60 + 360 * static_cast<double>(k), 390}, example, k);
    if (k < 3) centred_text(image, {one.right() + 25, one.middle()}, "+", 2);
    const double centre = (one.at.x + one.right()) / 2, target = y.corner(0, k + 1).x;
    arrow(image, {centre + 0.1 * (target - centre), one.bottom() + 16}, {target, y.at.y - 14},
          stamp_colour(k));
    frame(image, y, k / 2 * 2, k % 2 * 2, 3, 3, stamp_colour(k), 2 + 2 * static_cast<double>(k % 2 + k / 2));
  }

  const double first_row = (y.at.y + y.corner(1, 0).y) / 2;
  text(image, {60, first_row - 12}, "The first element is");
  text(image, {60, first_row + 18}, "-67 * -1 = 67: only the first stamp");
  text(image, {60, first_row + 48}, "covers it, with the first tap of w.");
  arrow(image, {60 + tg::text_width("The first element is", 1.5) + 12, first_row}, {y.at.x - 12, first_row});
  text(image, {1000, first_row - 12}, "y, the sum of the four stamps");
  text(image, {1000, first_row + 60}, "In the middle all four stamps meet:");
  text(image, {1000, first_row + 90}, "603 + 539 + 351 + 127 = 1620.");
  text(image, {1000, first_row + 140}, "603 = -67 * -9 is the first stamp's");
  text(image, {1000, first_row + 170}, "last tap: no element of its own,");
  text(image, {1000, first_row + 200}, "but a part of this one.");
  return image;
}

void explain_windows(Image& image, const Board& around, const Board& y) {
  const Colour first = kStampColours[0], middle = kStampColours[1];
  frame(image, around, 0, 0, 3, 3, first, -1);
  frame(image, y, 0, 0, 1, 1, first, 1);
  frame(image, around, 2, 2, 3, 3, middle, 1);
  frame(image, y, 2, 2, 1, 1, middle, 1);
  text(image, {50, 510}, "The first window:", 1.5, first);
  text(image, {300, 510},
       "-67 lies in its last corner and meets the last tap of the turned filter, -1. That makes 67.");
  text(image, {300, 540}, "Had the filter not been turned, it would meet -9. That would make 603.");
  text(image, {50, 595}, "The middle window:", 1.5, middle);
  text(image, {300, 595},
       "all four pixels lie in its corners: -67 * -9 + -77 * -7 + -117 * -3 + -127 * -1 = 1620.");
}

Image draw_zero_inserted(const Example& example) {
  Image image(670, 1760, 3, tg::kWhite);
  title(image, "The same as a plain convolution: zeros between, zeros around, the filter turned");
  constexpr double kMiddle = 300;
  const Cell cell{.width = 58, .height = 44, .text = 1.25};
  const auto centred = [&](double left, const tg::Tensor& plane, const LookOf& look) {
    const double height = cell.height * static_cast<double>(plane.shape()[0]);
    return draw_board(image, {left, kMiddle - height / 2}, plane, look, cell);
  };
  const auto step = [&](const Board& from, const Board& to, std::string_view above, std::string_view below) {
    const double centre = (from.right() + to.at.x) / 2;
    arrow(image, {from.right() + 14, kMiddle}, {to.at.x - 14, kMiddle});
    centred_text(image, {centre, kMiddle - 24}, above, 1.25);
    centred_text(image, {centre, kMiddle + 24}, below, 1.25);
  };
  const auto sign = [&](const Board& from, const Board& to, std::string_view symbol) {
    centred_text(image, {(from.right() + to.at.x) / 2, kMiddle}, symbol, 2.5);
  };

  const tg::Tensor plane = as_plane(example.x);
  const Board x = centred(50, plane, heat_of(plane));
  caption(image, x, "x");

  const tg::Tensor spaced = tg::zero_insert(plane, {1, 1});
  const LookOf spaced_look = [heat = heat_of(spaced)](index_t i, index_t j) {
    return i % 2 == 0 && j % 2 == 0 ? heat(i, j) : Look{kBetween};
  };
  const Board between = centred(330, spaced, spaced_look);
  step(x, between, "1. between:", "stride - 1 = 1");

  const tg::Tensor padded = tg::pad(spaced, {{2, 2}, {2, 2}});
  const Board around = centred(665, padded, [&](index_t i, index_t j) {
    const bool inside = i >= 2 && i < 5 && j >= 2 && j < 5;
    return inside ? spaced_look(i - 2, j - 2) : Look{kFaint};
  });
  step(between, around, "2. around:", "kernel - 1 = 2");

  const tg::Tensor turned = tg::rot180(as_plane(example.w));
  const Board filter = centred(1140, turned, heat_of(turned));
  caption(image, filter, "3. w turned");
  sign(around, filter, "*");

  const tg::Tensor result = as_plane(tg::conv2d(as_image(padded), as_filter(turned)));
  const Board y = centred(1400, result, heat_of(result));
  caption(image, y, "4. conv2d, stride 1: y");
  sign(filter, y, "=");
  explain_windows(image, around, y);
  return image;
}

/// Where the filter does not lie, the matrix is zero whatever the filter is: no number there.
LookOf matrix_look(const tg::Tensor& matrix) {
  return [matrix, heat = heat_of(matrix)](index_t i, index_t j) {
    return matrix.at({i, j}) == 0 ? Look{kFaint, false} : heat(i, j);
  };
}

void draw_c(Image& image, const tg::Tensor& c) {
  const Board board =
      draw_board(image, {130, 190}, c, matrix_look(c), {.width = 52, .height = 40, .text = 1.25});
  text(image, {130, 112},
       "C: a row for each of the 4 windows, a column for each of the 25 pixels of the large image (the gaps "
       "are zeros)");
  for (index_t row = 0; row < 5; ++row) {
    line(image, board.corner(0, 5 * row), board.corner(4, 5 * row), kInk, 2);
    centred_text(image, {board.corner(0, 5 * row).x + 2.5 * board.cell_width, 170},
                 fmt::format("row {}", row), 1.25);
  }
  for (index_t k = 0; k < 4; ++k) {
    text(image, {40, board.corner(k, 0).y + 9}, fmt::format("[{}, {}]", k / 2, k % 2), 1.4, stamp_colour(k));
    frame(image, board, k, 0, 1, 25, stamp_colour(k), 2);
  }
}

/// C^T x = y, and y as an image.
void draw_transposed(Image& image, const tg::Tensor& ct, const tg::Tensor& pixels) {
  const Board left =
      draw_board(image, {130, 480}, ct, matrix_look(ct), {.width = 56, .height = 34, .text = 1.15});
  caption(image, left, "C^T");
  const double middle = left.middle();
  const Board x = draw_board(image, {430, middle - 88}, pixels, {.width = 66, .height = 44, .text = 1.3});
  caption(image, x, "x");
  const tg::Tensor result = tg::matmul(ct, pixels);
  const Board y = draw_board(image, {570, 480}, result, {.width = 80, .height = 34, .text = 1.25});
  caption(image, y, "C^T x");
  centred_text(image, {(left.right() + x.at.x) / 2, middle}, "*", 2.5);
  centred_text(image, {(x.right() + y.at.x) / 2, middle}, "=", 2.5);

  for (index_t row = 0; row < 5; ++row) {
    text(image, {50, left.corner(5 * row + 2, 0).y + 6}, fmt::format("row {}", row), 1.25);
    for (const Board& board : {left, y})
      line(image, board.corner(5 * row, 0), board.corner(5 * row, board.columns), kInk, 2);
  }
  for (index_t k = 0; k < 4; ++k) {
    frame(image, left, 0, k, 25, 1, stamp_colour(k), 2);
    frame(image, x, k, 0, 1, 1, stamp_colour(k), 3);
  }

  const Board last = draw_board(image, {860, middle - 110}, tg::reshape(result, {5, 5}),
                                {.width = 76, .height = 44, .text = 1.4});
  caption(image, last, "the same, as an image of 5 x 5");
  arrow(image, {y.right() + 20, middle}, {last.at.x - 20, middle});
  text(image, {860, last.bottom() + 40}, "A row of C is a window, laid out in one line:");
  text(image, {860, last.bottom() + 70}, "conv2d gathers what lies in it into one number.");
  text(image, {860, last.bottom() + 120}, "The same line is a column of C^T, a stamp:");
  text(image, {860, last.bottom() + 150}, "the transpose puts one number back where it");
  text(image, {860, last.bottom() + 180}, "was gathered, and stamps add up.");
}

Image draw_matrix(const Example& example) {
  Image image(1370, 1540, 3, tg::kWhite);
  title(image, "conv2d is a matrix C, conv2d_transpose is its transpose");
  const tg::Tensor c =
      tg::conv2d_matrix(example.w, tg::conv2d_geometry(example.y.shape(), example.w.shape(), {.strides = 2}));
  draw_c(image, c);
  draw_transposed(image, tg::transpose(c), tg::reshape(example.x, {4, 1}));
  return image;
}

}  // namespace

void draw_pictures(const std::filesystem::path& folder) {
  common::make_folder(folder, "--pictures");
  const Example example = overlapping_example();
  const auto write = [&](const char* name, const Image& image) {
    tg::write_png(folder / name, image);
    fmt::print("{}\n", (folder / name).string());
  };
  write("stamps.png", draw_stamps(example));
  write("zero_inserted.png", draw_zero_inserted(example));
  write("matrix.png", draw_matrix(example));
}

}  // namespace conv2d_explained
