#include "tapegrad/show/sheet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "io/temporary.h"
#include "tapegrad/show/draw.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::error_of, testing::expect_contains;

Colour colour_at(const Image& image, int y, int x) {
  const std::uint8_t* pixel = image.at(y, x);
  return image.channels == 1 ? Colour{pixel[0], pixel[0], pixel[0]} : Colour{pixel[0], pixel[1], pixel[2]};
}

TEST(Sheet, PixelsAreWhereTheyBelong) {
  // Three images of 1 x 2 pixels, two columns, everything doubled, a gap of one.
  const Tensor images = tensor(std::vector<std::uint8_t>{10, 20, 30, 40, 50, 60}, {3, 1, 2, 1});
  const Image made = grid(images, {.columns = 2, .scale = 2, .gap = 1, .background = kWhite});
  EXPECT_EQ(made.channels, 1);
  EXPECT_EQ(made.height, 7);
  EXPECT_EQ(made.width, 11);
  const std::uint8_t w = 255;
  EXPECT_EQ(made.pixels, (Bytes{w, w,  w,  w,  w,  w, w,  w,  w,  w,  w,  //
                                w, 10, 10, 20, 20, w, 30, 30, 40, 40, w,  //
                                w, 10, 10, 20, 20, w, 30, 30, 40, 40, w,  //
                                w, w,  w,  w,  w,  w, w,  w,  w,  w,  w,  //
                                w, 50, 50, 60, 60, w, w,  w,  w,  w,  w,  //
                                w, 50, 50, 60, 60, w, w,  w,  w,  w,  w,  //
                                w, w,  w,  w,  w,  w, w,  w,  w,  w,  w}));
}

TEST(Sheet, FloatsAreClamped) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values{0, 1, 0.5, -3, 7, std::nan(""), kInfinity, -kInfinity};
  const Bytes expected{0, 255, 128, 0, 255, 0, 255, 0};
  EXPECT_EQ(grid(tensor(values, {1, 1, 8, 1}), {.gap = 0}).pixels, expected);
  EXPECT_EQ(grid(tensor(std::vector<float>(values.begin(), values.end()), {1, 1, 8, 1}), {.gap = 0}).pixels,
            expected);
  Tensor all = zeros({1, 16, 16, 1});
  for (index_t i = 0; i < 256; ++i) all.set({0, i / 16, i % 16, 0}, static_cast<double>(i) / 255);
  const Image image = grid(all, {.gap = 0});
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(image.pixels[i], i);
}

TEST(Sheet, RowsAreInterleaved) {
  // Five originals above five reconstructions, two columns: three blocks of two lines.
  const auto row = [](std::uint8_t first) {
    Tensor x = zeros({5, 1, 1, 1}, DType::UInt8);
    for (index_t i = 0; i < 5; ++i) x.set({i, 0, 0, 0}, static_cast<double>(first + i));
    return x;
  };
  const std::vector<Tensor> rows{row(10), row(20)};
  const Image made = sheet(rows, {.columns = 2, .gap = 1, .background = kBlack});
  EXPECT_EQ(made.width, 5);
  ASSERT_EQ(made.height, 17);
  const int lines[] = {1, 3, 7, 9, 13, 15};
  const int expected[6][2] = {{10, 11}, {20, 21}, {12, 13}, {22, 23}, {14, 0}, {24, 0}};
  int sum = 0;
  for (int line = 0; line < 6; ++line)
    for (int column = 0; column < 2; ++column) {
      EXPECT_EQ(*made.at(lines[line], 1 + 2 * column), expected[line][column]);
      sum += expected[line][column];
    }
  int total = 0;
  for (const std::uint8_t byte : made.pixels) total += byte;
  EXPECT_EQ(total, sum);  // and nothing else is drawn
}

TEST(Sheet, ColoursAndLabels) {
  const Tensor images = tensor(std::vector<std::uint8_t>{1, 2, 3}, {1, 1, 1, 3});
  const Image plain = grid(images, {.scale = 20, .gap = 1});
  EXPECT_EQ(plain.channels, 3);
  EXPECT_EQ(colour_at(plain, 1, 1), (Colour{1, 2, 3}));
  EXPECT_EQ(colour_at(grid(zeros({1, 1, 1, 1}), {.gap = 1, .background = {9, 8, 7}}), 0, 0),
            (Colour{9, 8, 7}));

  const Image labelled = grid(images, {.scale = 20, .gap = 1, .labels = {"hello"}});
  const int shift = labelled.width - plain.width;
  EXPECT_EQ(shift, 12 + static_cast<int>(std::ceil(text_width("hello"))));
  int ink = 0;
  for (int y = 0; y < labelled.height; ++y) {
    for (int x = 0; x < shift; ++x) ink += colour_at(labelled, y, x) != kWhite;
    for (int x = 0; x < plain.width; ++x)
      EXPECT_EQ(colour_at(labelled, y, shift + x), colour_at(plain, y, x));
  }
  EXPECT_GT(ink, 50);
}

TEST(Sheet, HasALegendBelow) {
  const Tensor x = zeros({3, 20, 60, 1});
  const Image plain = sheet({x, x}),
              with = sheet({x, x}, {.legend = {{"a class", {200, 0, 0}}, {"another", {0, 0, 200}}}});
  EXPECT_EQ(with.channels, 3);
  EXPECT_EQ(with.width, plain.width);
  EXPECT_GT(with.height, plain.height + 15);
  for (const Colour colour : {Colour{200, 0, 0}, Colour{0, 0, 200}}) {
    int count = 0;
    for (int y = 0; y < with.height; ++y)
      for (int at = 0; at < with.width; ++at)
        if (colour_at(with, y, at) == colour) {
          EXPECT_GE(y, plain.height);
          ++count;
        }
    EXPECT_EQ(count, 144);
  }
  // Narrow: one below the other.
  const Image narrow =
      sheet({zeros({1, 20, 90, 1})}, {.legend = {{"a class", {200, 0, 0}}, {"another", {0, 0, 200}}}});
  EXPECT_GT(narrow.height, 24 + 2 * 15);
}

TEST(Sheet, MistakesAreNamed) {
  const Tensor x = zeros({2, 3, 3, 1});
  const auto refused = [](const std::vector<Tensor>& rows, const SheetOptions& options = {}) {
    return error_of("sheet", [&] { sheet(rows, options); });
  };
  refused({});
  expect_contains(refused({x, zeros({2, 3, 4, 1})}), "[2, 3, 3, 1] and [2, 3, 4, 1]");
  refused({zeros({2, 3, 3})});
  refused({zeros({2, 3, 3, 2})});
  refused({zeros({0, 3, 3, 1})});
  refused({zeros({2, 3, 3, 1}, DType::Int32)});
  refused({x}, {.columns = 0});
  refused({x}, {.scale = 0});
  refused({x}, {.gap = -1});
  expect_contains(refused({x}, {.labels = {"a", "b"}}), "one label for each row, got 2 for 1 rows");
  refused({x}, {.scale = std::numeric_limits<int>::max()});
  refused({x}, {.gap = std::numeric_limits<int>::max()});
  EXPECT_THROW(grid(Tensor()), Error);
  expect_contains(error_of("grid", [] { grid(zeros({4})); }), "got [4]");
}

TEST(Filters, ColoursAreSymmetricAndEachTileHasItsOwnScale) {
  // [1, 2, 1, 4]: the tiles (1, -1), (0.01, 0.005), (0, 0), (nan, 2); scaled by one, one line of two, twice.
  const std::vector<double> w{1, 0.01, 0, std::nan(""), -1, 0.005, 0, 2};
  const Image image = filters_image(tensor(w, {1, 2, 1, 4}), 1, 1);
  EXPECT_EQ(image.height, 5);
  EXPECT_EQ(image.width, 7);
  const Colour red{178, 24, 43}, blue{33, 102, 172}, pink{217, 140, 149};
  EXPECT_EQ(colour_at(image, 1, 1), red);
  EXPECT_EQ(colour_at(image, 1, 2), blue);
  EXPECT_EQ(colour_at(image, 1, 4), red);
  EXPECT_EQ(colour_at(image, 1, 5), pink);
  EXPECT_EQ(colour_at(image, 3, 1), kWhite);
  EXPECT_EQ(colour_at(image, 3, 4), kWhite);
  EXPECT_EQ(colour_at(image, 3, 5), red);
  EXPECT_EQ(colour_at(image, 0, 0), (Colour{96, 96, 96}));
}

TEST(Filters, AreLargeEnoughToLookAt) {
  for (const Shape& shape : {Shape{3, 3, 1, 16}, Shape{5, 5, 1, 1}, Shape{3, 3, 2, 4}}) {
    Tensor w = zeros(shape);
    w.set({0, 0, 0, 0}, 1);
    const Image image = filters_image(w);
    EXPECT_GE(image.width, 200);
    EXPECT_LE(image.width, 600);
    int red = 0, blue = 0;  // the legend has both ends of the scale
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) {
        red += colour_at(image, y, x) == Colour{178, 24, 43};
        blue += colour_at(image, y, x) == Colour{33, 102, 172};
      }
    EXPECT_GT(blue, 5);
    EXPECT_GT(red, 64);
  }
}

TEST(Filters, InputsAreLinesOfTheirOutputs) {
  Tensor w = zeros({1, 1, 2, 3}, DType::Float64);
  w.set({0, 0, 1, 2}, -1);
  const Image image = filters_image(w, 2, 1);
  EXPECT_EQ(image.height, 7);
  EXPECT_EQ(image.width, 10);
  EXPECT_EQ(colour_at(image, 4, 7), (Colour{33, 102, 172}));
  EXPECT_EQ(colour_at(image, 4, 4), kWhite);
  EXPECT_EQ(colour_at(image, 1, 7), kWhite);
  error_of("filters_image", [] { filters_image(zeros({3, 3, 1})); });
  error_of("filters_image", [] { filters_image(zeros({3, 3, 1, 1}, DType::UInt8)); });
  error_of("filters_image", [] { filters_image(zeros({3, 3, 0, 1})); });
}

}  // namespace
}  // namespace tapegrad
