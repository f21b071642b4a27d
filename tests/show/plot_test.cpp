#include "tapegrad/show/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "io/temporary.h"

namespace tapegrad {
namespace {

using testing::error_of, testing::expect_contains;

constexpr Colour kFirst{0, 114, 178}, kSecond{213, 94, 0};

// The box of the pixels of a colour: the first and last row and column.
struct Box {
  int top = 1 << 20, bottom = -1, left = 1 << 20, right = -1, count = 0;
};
Box box_of(const Image& image, Colour colour) {
  Box box;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const std::uint8_t* pixel = image.at(y, x);
      if (Colour{pixel[0], pixel[1], pixel[2]} != colour) continue;
      box = {std::min(box.top, y), std::max(box.bottom, y), std::min(box.left, x), std::max(box.right, x),
             box.count + 1};
    }
  return box;
}

Image chart(std::vector<double> x, std::vector<double> y, ChartOptions options = {.scale = 1}) {
  const Series series{"", std::move(x), std::move(y)};
  return line_chart({&series, 1}, options);
}

TEST(Plot, HasTheSizeAskedFor) {
  const Image once = chart({0, 1}, {0, 1}),
              twice = chart({0, 1}, {0, 1}, {.width = 300, .height = 200, .scale = 2});
  EXPECT_EQ(once.width, 800);
  EXPECT_EQ(once.height, 450);
  EXPECT_EQ(twice.width, 600);
  EXPECT_EQ(twice.height, 400);
  EXPECT_EQ(once.channels, 3);
}

TEST(Plot, TakesSeriesAsTheyAreWritten) {
  const Series a{"a", {0, 1}, {1, 2}}, b{"b", {0, 1}, {2, 1}};
  const std::vector<Series> both{a, b};
  EXPECT_EQ(line_chart({a, b}, {.title = "t"}).pixels, line_chart(both, {.title = "t"}).pixels);
  EXPECT_EQ(line_chart({{"a", {0, 1}, {1, 2}}}).pixels, line_chart({a}).pixels);
}

TEST(Plot, SameDataSamePicture) {
  EXPECT_EQ(chart({0, 1, 2}, {3, 1, 2}).pixels, chart({0, 1, 2}, {3, 1, 2}).pixels);
}

TEST(Plot, LinesRunWhereTheNumbersSay) {
  // A line that rises touches the lower left and the upper right of its box; one that falls does not.
  const auto corner = [](const Image& image, bool lower_left) {
    const Box box = box_of(image, kFirst);
    int near = 0;
    for (int y = 0; y < 12; ++y)
      for (int x = 0; x < 12; ++x) {
        const std::uint8_t* pixel = image.at(lower_left ? box.bottom - y : box.top + y, box.left + x);
        near += pixel[0] == kFirst.red;
      }
    return near > 10;
  };
  const Image rising = chart({0, 1}, {0, 1}), falling = chart({0, 1}, {1, 0});
  EXPECT_TRUE(corner(rising, true));
  EXPECT_FALSE(corner(rising, false));
  EXPECT_TRUE(corner(falling, false));
  EXPECT_FALSE(corner(falling, true));
  const Box box = box_of(rising, kFirst);
  EXPECT_GT(box.right - box.left, 600);
  EXPECT_GT(box.bottom - box.top, 300);
}

TEST(Plot, LogarithmicAxisMakesExponentialsStraight) {
  std::vector<double> x, y;
  for (int i = 0; i <= 50; ++i) {
    x.push_back(i);
    y.push_back(std::pow(10, -0.1 * i));
  }
  const Image image = chart(x, y, {.log_y = true, .scale = 1});
  const Box box = box_of(image, kFirst);
  // In the middle of its columns a straight line is in the middle of its rows.
  const int middle = (box.left + box.right) / 2;
  int row = -1;
  for (int at = box.top; at <= box.bottom; ++at)
    if (image.at(at, middle)[0] == kFirst.red) row = at;
  EXPECT_NEAR(row, (box.top + box.bottom) / 2.0, 4);
}

TEST(Plot, EverySeriesHasItsColour) {
  const Series series[] = {{"one", {0, 1}, {0, 0}}, {"two", {0, 1}, {1, 1}}};
  const Image image = line_chart(series, {.scale = 1});
  EXPECT_GT(box_of(image, kFirst).count, 500);
  EXPECT_GT(box_of(image, kSecond).count, 500);
  // The legend: both colours above the plot as well.
  EXPECT_LT(box_of(image, kFirst).top, 40);
  EXPECT_LT(box_of(image, kSecond).top, 40);
}

TEST(Plot, LabelsTakePlaceAndInk) {
  const auto dark = [](const ChartOptions& options) {
    return box_of(chart({0, 1}, {0, 1}, options), {38, 38, 38}).count;
  };
  EXPECT_EQ(dark({.scale = 2}), 0);
  EXPECT_GT(dark({.title = "A title", .scale = 2}), 100);
  EXPECT_GT(dark({.x_label = "epoch", .scale = 2}), 50);
  EXPECT_GT(dark({.y_label = "loss", .scale = 2}), 50);
}

TEST(Plot, UnusualNumbersAreDrawn) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = HUGE_VAL;
  const double largest = std::numeric_limits<double>::max();
  for (const bool log_y : {false, true})
    for (const auto& y : std::vector<std::vector<double>>{{1},
                                                          {5, 5, 5},
                                                          {kNan, 1, kNan, 2},
                                                          {kInfinity, 1, -kInfinity},
                                                          {largest, 1, -largest},
                                                          {1e300, 1e-300},
                                                          {-1e300, 1e300},
                                                          {1e16, 1e16 + 2},
                                                          {5e-324, 1e-310},
                                                          {1e-9, 2e-9},
                                                          {0, 0, 1e-300},
                                                          {123456789, 123456790},
                                                          {-5, 3, 0}}) {
      std::vector<double> x;
      for (std::size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i));
      EXPECT_GT(box_of(chart(x, y, {.log_y = log_y, .scale = 1}), kFirst).count, 0);
      EXPECT_GT(
          box_of(chart(y, std::vector<double>(y.size(), 1), {.log_y = log_y, .scale = 1}), kFirst).count, 0);
    }
}

TEST(Plot, ManyPointsAndManySeries) {
  std::vector<Series> many(30, Series{"a series with quite a long name", {}, {}});
  for (std::size_t k = 0; k < many.size(); ++k)
    for (int i = 0; i < 1000; ++i) {
      many[k].x.push_back(i);
      many[k].y.push_back((i * 7919 + static_cast<int>(k)) % 101);
    }
  EXPECT_EQ(line_chart(many, {.scale = 1}).width, 800);
}

TEST(Plot, MistakesAreNamed) {
  const auto refused = [](std::vector<double> x, std::vector<double> y, ChartOptions options = {}) {
    return error_of("line_chart", [&] { chart(x, y, options); });
  };
  expect_contains(refused({1, 2}, {1}), "2 x and 1 y");
  refused({}, {});
  refused({std::nan("")}, {1});
  expect_contains(refused({1}, {-1}, {.log_y = true}), "logarithmic");
  refused({1}, {1}, {.width = 199});
  refused({1}, {1}, {.height = 149});
  refused({1}, {1}, {.scale = 0});
  error_of("line_chart", [] { chart({1}, {1}, {.scale = 1000}); });
  error_of("line_chart", [] { line_chart({}); });
}

}  // namespace
}  // namespace tapegrad
