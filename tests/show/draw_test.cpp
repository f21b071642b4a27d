#include "tapegrad/show/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>

namespace tapegrad {
namespace {

// The ink on a white grey image, in pixels' worth.
double ink(const Image& image) {
  return std::accumulate(image.pixels.begin(), image.pixels.end(), 0.0,
                         [](double sum, std::uint8_t byte) { return sum + (255 - byte) / 255.0; });
}

TEST(Draw, RectangleCoversWhatItTouches) {
  Image image(4, 4, 1, kWhite);
  draw_rectangle(image, {1, 1}, {3, 2.5}, kBlack);
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{255, 255, 255, 255,  //
                                                     255, 0, 0, 255,      //
                                                     255, 128, 128, 255,  //
                                                     255, 255, 255, 255}));
  draw_rectangle(image, {-1e300, -5}, {1e300, 100}, {255, 255, 255});
  EXPECT_EQ(ink(image), 0);
  draw_rectangle(image, {3, 3}, {1, 1}, kBlack);  // nothing lies between these
  draw_rectangle(image, {std::nan(""), 0}, {4, 4}, kBlack);
  EXPECT_EQ(ink(image), 0);
  draw_rectangle(image, {0, 0}, {4, 4}, kBlack, 0.5);
  EXPECT_EQ(image.pixels, std::vector<std::uint8_t>(16, 128));
}

TEST(Draw, ColoursOfBothKindsOfImage) {
  Image colour(1, 1, 3, kWhite), grey(1, 1, 1, kWhite);
  draw_rectangle(colour, {0, 0}, {1, 1}, {10, 20, 30});
  draw_rectangle(grey, {0, 0}, {1, 1}, {10, 20, 30});
  EXPECT_EQ(colour.pixels, (std::vector<std::uint8_t>{10, 20, 30}));
  EXPECT_EQ(grey.pixels.at(0), (77 * 10 + 150 * 20 + 29 * 30) / 256);
}

TEST(Draw, LinesHaveTheirWidthInEveryDirection) {
  for (const double width : {1.0, 2.0, 5.0})
    for (int degrees = 0; degrees < 360; degrees += 15) {
      Image image(120, 120, 1, kWhite);
      const double angle = degrees * 3.14159265358979 / 180, x = 45 * std::cos(angle),
                   y = 45 * std::sin(angle);
      const Point ends[] = {{60.3 - x, 60.1 - y}, {60.3 + x, 60.1 + y}};
      draw_polyline(image, ends, kBlack, width);
      const double expected = 90 * width + 3.14159265358979 * width * width / 4;
      EXPECT_NEAR(ink(image), expected, (width > 1 ? 0.02 : 0.08) * expected) << degrees << " " << width;
    }
}

TEST(Draw, ALineOnPixelCentresIsSharp) {
  Image image(3, 5, 1, kWhite);
  const Point ends[] = {{0.5, 1.5}, {4.5, 1.5}};
  draw_polyline(image, ends, kBlack, 1);
  for (int x = 0; x < 5; ++x) {
    EXPECT_EQ(*image.at(0, x), 255);
    EXPECT_EQ(*image.at(1, x), 0);
    EXPECT_EQ(*image.at(2, x), 255);
  }
}

TEST(Draw, JointsAreNotPaintedTwice) {
  Image once(20, 20, 1, kWhite), pieces(20, 20, 1, kWhite);
  const Point ends[] = {{3, 4}, {17, 11}};
  std::vector<Point> parts;
  for (int i = 0; i <= 10; ++i) parts.push_back({3 + 1.4 * i, 4 + 0.7 * i});
  draw_polyline(once, ends, kBlack, 2, 0.5);
  draw_polyline(pieces, parts, kBlack, 2, 0.5);
  for (std::size_t i = 0; i < once.pixels.size(); ++i) EXPECT_NEAR(once.pixels[i], pieces.pixels[i], 1);
}

TEST(Draw, PointsThatAreNotFiniteInterrupt) {
  Image gap(20, 40, 1, kWhite), dot(20, 20, 1, kWhite);
  const double nan = std::nan("");
  const Point points[] = {{2, 10},  {10, 10}, {nan, 0},
                          {30, 10}, {38, 10}, {0, std::numeric_limits<double>::infinity()}};
  draw_polyline(gap, points, kBlack, 2);
  for (int x = 12; x < 28; ++x) EXPECT_EQ(*gap.at(10, x), 255);
  EXPECT_EQ(*gap.at(10, 6), 0);
  EXPECT_EQ(*gap.at(10, 34), 0);
  const Point alone[] = {{10, 10}};
  draw_polyline(dot, alone, kBlack, 6);
  EXPECT_NEAR(ink(dot), 3.14159 * 9, 1);
  draw_polyline(dot, {}, kBlack);
}

TEST(Draw, WhatLiesOutsideIsCut) {
  Image image(10, 10, 3, kWhite);
  const Point far[] = {{-1e9, -1e9}, {1e9, 1e9}}, outside[] = {{20, 20}, {30, 30}};
  draw_polyline(image, outside, kBlack, 3);
  EXPECT_EQ(image.pixels, std::vector<std::uint8_t>(300, 255));
  draw_polyline(image, far, kBlack, 3);
  for (int i = 0; i < 10; ++i) EXPECT_LT(*image.at(i, i), 30);
  EXPECT_EQ(*image.at(0, 9), 255);
  draw_text(image, -5, -3, "cut off on all sides", kBlack, 2);
  draw_text(image, 1e6, 0, "not to be seen");
}

TEST(Draw, EveryGlyphIsItsOwnAndStaysInItsBox) {
  std::set<std::string> seen;
  for (int c = ' '; c <= '~' + 1; ++c) {
    const std::string text(1, static_cast<char>(c));
    const auto width = static_cast<int>(text_width(text));
    EXPECT_EQ(width, text_width(text));
    Image image(static_cast<int>(text_height()) + 20, width + 20, 1, kWhite);
    draw_text(image, 10, 10, text);
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) {
        const bool inside = y >= 10 && y < 26 && x >= 9 && x < width + 11;
        EXPECT_TRUE(inside || *image.at(y, x) > 200) << text << " " << y << " " << x;
      }
    EXPECT_EQ(ink(image) > 0, c != ' ') << text;
    EXPECT_TRUE(seen.emplace(image.pixels.begin(), image.pixels.end()).second) << text;
  }
}

TEST(Draw, TextIsAsWideAsItSays) {
  EXPECT_EQ(text_width(""), 0);
  EXPECT_EQ(text_width("ab"), text_width("a") + text_width("b"));
  EXPECT_EQ(text_width("ab", 2.5), 2.5 * text_width("ab"));
  EXPECT_EQ(text_height(2), 2 * text_height());
}

TEST(Draw, TextUpwardsIsTheSameTextTurned) {
  const std::string text = "Loss g";
  const auto width = static_cast<int>(text_width(text)), height = static_cast<int>(text_height());
  Image across(height, width, 1, kWhite), up(width, height, 1, kWhite);
  draw_text(across, 0, 0, text);
  draw_text_upwards(up, 0, width, text);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) EXPECT_NEAR(*across.at(y, x), *up.at(width - 1 - x, y), 1);
}

}  // namespace
}  // namespace tapegrad
