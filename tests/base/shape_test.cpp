#include "tapegrad/base/shape.h"

#include <gtest/gtest.h>

#include <climits>
#include <cstdint>
#include <numeric>
#include <sstream>

#include "refuses.h"
#include "tapegrad/base/fmt.h"

namespace tapegrad {
namespace {

using testing::refuses;

TEST(Shape, OfAScalar) {
  const Shape shape;
  EXPECT_EQ(shape.rank(), 0);
  EXPECT_EQ(shape.size(), 1);
  EXPECT_EQ(shape.str(), "[]");
  EXPECT_EQ(shape.begin(), shape.end());
  EXPECT_EQ(shape, Shape(std::vector<index_t>{}));
}

TEST(Shape, KeepsItsSizes) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.size(), 24);
  EXPECT_EQ(shape.str(), "[2, 3, 4]");
  EXPECT_EQ(std::vector<index_t>(shape.begin(), shape.end()), (std::vector<index_t>{2, 3, 4}));
  EXPECT_EQ(Shape{7}.str(), "[7]");
}

TEST(Shape, IsTheSameFromEveryConstructor) {
  const std::vector<index_t> sizes{5, 1, 6};
  EXPECT_EQ(Shape(sizes), (Shape{5, 1, 6}));
  EXPECT_EQ(Shape(std::span<const index_t>(sizes)), (Shape{5, 1, 6}));
}

TEST(Shape, EqualMeansEveryAxis) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{6}));
  EXPECT_NE((Shape{1}), Shape{});
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{0, 3}), (Shape{3, 0}));
}

TEST(Shape, IndexCountsFromEitherEnd) {
  const Shape shape{2, 3, 4};
  for (int axis = 0; axis < 3; ++axis) {
    EXPECT_EQ(shape[axis], axis + 2);
    EXPECT_EQ(shape[axis - 3], axis + 2);
    EXPECT_EQ(shape.checked_axis(axis), axis);
    EXPECT_EQ(shape.checked_axis(axis - 3), axis);
  }
}

TEST(Shape, RefusesAnAxisThatIsNotThere) {
  const Shape shape{2, 3, 4};
  for (const int axis : {3, 4, -4, INT_MAX, INT_MIN}) {
    EXPECT_TRUE(refuses("shape", {std::to_string(axis), "[2, 3, 4]", "-3", "2"}, [&] { (void)shape[axis]; }));
    EXPECT_TRUE(refuses("shape", {std::to_string(axis)}, [&] { (void)shape.checked_axis(axis); }));
  }
  EXPECT_TRUE(refuses("shape", {"scalar"}, [] { (void)Shape{}[0]; }));
  EXPECT_TRUE(refuses("shape", {"scalar", "-1"}, [] { (void)Shape{}[-1]; }));
}

TEST(Shape, TakesEightAxesAndNotNine) {
  EXPECT_EQ((Shape{1, 2, 1, 2, 1, 2, 1, 2}).size(), 16);
  EXPECT_TRUE(refuses("shape", {"9", "8"}, [] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }));
  EXPECT_TRUE(refuses("shape", {"1000"}, [] { Shape(std::vector<index_t>(1000, 1)); }));
}

TEST(Shape, RefusesNegativeSizes) {
  EXPECT_TRUE(refuses("shape", {"negative", "[2, -3]"}, [] { Shape{2, -3}; }));
  EXPECT_TRUE(refuses("shape", {"negative"}, [] { Shape{0, -1}; }));
  EXPECT_TRUE(refuses("shape", {"negative"}, [] { Shape{-1, -1}; }));
  EXPECT_TRUE(refuses("shape", {"negative"}, [] { Shape{INT64_MIN}; }));
}

TEST(Shape, SizesOfZeroAreLegal) {
  EXPECT_EQ((Shape{0}).size(), 0);
  EXPECT_EQ((Shape{3, 0, 4}).size(), 0);
  EXPECT_EQ((Shape{3, 0, 4}).str(), "[3, 0, 4]");
}

TEST(Shape, RefusesProductsThatCannotBeAddressed) {
  const index_t two32 = index_t{1} << 32;
  const std::vector<index_t> too_large[] = {
      {two32, two32 / 2},                      // 2^63
      {two32, two32},                          // 2^64, which wraps to 0
      {two32, two32 - 1}, {3, INT64_MAX / 3},  // fits into 63 bits, but not as bytes of doubles
      {INT64_MAX},        {INT64_MAX, INT64_MAX}, {0, two32, two32},  // empty, and still not a shape
      {two32, 0, two32},  {two32, two32, 0},      std::vector<index_t>(8, index_t{1} << 9),
  };
  for (const auto& sizes : too_large)
    EXPECT_TRUE(refuses("shape", {std::to_string(sizes.front())}, [&] { Shape{sizes}; }));
  EXPECT_EQ((Shape{index_t{1} << 29, index_t{1} << 29}).size(), index_t{1} << 58);
}

TEST(Shape, PositionOfEveryElement) {
  const Shape shape{2, 1, 3};
  std::vector<std::vector<index_t>> positions;
  for (index_t i = 0; i < shape.size(); ++i) positions.push_back(shape.position(i));
  EXPECT_EQ(positions, (std::vector<std::vector<index_t>>{
                           {0, 0, 0}, {0, 0, 1}, {0, 0, 2}, {1, 0, 0}, {1, 0, 1}, {1, 0, 2}}));
  EXPECT_TRUE(Shape{}.position(0).empty());
  EXPECT_EQ((Shape{3, index_t{1} << 40}.position(index_t{5} << 38)),
            (std::vector<index_t>{1, index_t{1} << 38}));
}

TEST(Shape, PositionOutsideIsRefused) {
  for (const index_t i : {index_t{-1}, index_t{6}})
    EXPECT_TRUE(refuses("shape", {"[2, 3]", "0 to 5", std::to_string(i)}, [&] { Shape{2, 3}.position(i); }));
  EXPECT_THROW((Shape{0, 3}.position(0)), Error);
  EXPECT_THROW(Shape{}.position(1), Error);
}

TEST(Shape, IsWrittenAsItsText) {
  std::ostringstream stream;
  stream << Shape{2, 3} << Shape{};
  EXPECT_EQ(stream.str(), "[2, 3][]");
  EXPECT_EQ(fmt::format("{}", Shape{4, 0}), "[4, 0]");
}

TEST(Broadcast, StretchesOnesAndAlignsAtTheLastAxis) {
  const struct {
    Shape a, b, result;
  } cases[] = {
      {{}, {}, {}},
      {{}, {3}, {3}},
      {{2, 3}, {2, 3}, {2, 3}},
      {{2, 3}, {3}, {2, 3}},
      {{2, 3}, {2, 1}, {2, 3}},
      {{4, 1}, {3}, {4, 3}},
      {{1}, {1, 1, 1}, {1, 1, 1}},
      {{5, 1, 4, 1}, {3, 1, 2}, {5, 3, 4, 2}},
      {{1}, {0}, {0}},
      {{2, 0}, {1}, {2, 0}},
      {{2, 1}, {0}, {2, 0}},
      {{1, 1, 1, 1, 1, 1, 1, 1}, {2}, {1, 1, 1, 1, 1, 1, 1, 2}},
  };
  for (const auto& [a, b, result] : cases) {
    EXPECT_EQ(broadcast("add", a, b), result) << a.str() << " and " << b.str();
    EXPECT_EQ(broadcast("add", b, a), result) << b.str() << " and " << a.str();
  }
}

TEST(Broadcast, RefusalNamesTheOpAndBothShapes) {
  const auto refused = [](const Shape& a, const Shape& b) {
    EXPECT_TRUE(refuses("subtract", {a.str(), b.str()}, [&] { broadcast("subtract", a, b); }));
    EXPECT_TRUE(refuses("subtract", {a.str(), b.str()}, [&] { broadcast("subtract", b, a); }));
  };
  refused({2, 3}, {2});
  refused({3}, {2});
  refused({2, 3}, {3, 2});
  refused({0}, {2});
  refused({4, 2, 3}, {4, 1, 2});
  EXPECT_TRUE(refuses("add", {"axis -2", "2", "5"}, [] { broadcast("add", {2, 3}, {5, 3}); }));
}

TEST(Broadcast, RefusesAResultThatIsTooLarge) {
  const index_t many = index_t{1} << 40;
  EXPECT_THROW(broadcast("add", {many, 1}, {1, many}), Error);
}

}  // namespace
}  // namespace tapegrad
