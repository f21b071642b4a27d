#include "tapegrad/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "at_the_edge.h"
#include "tapegrad/base/parallel.h"

namespace tapegrad::kernels {
namespace {

using testing::AtTheEdge;

template <class T>
std::vector<T> counted(const Shape& shape, int first) {
  std::vector<T> values(static_cast<std::size_t>(shape.size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>((static_cast<int>(i) * 7 + first) % 101);
  return values;
}

// Where element i of a result of shape `whole` is found in an operand of shape `part`, axis by axis.
std::size_t source(index_t i, const Shape& part, const Shape& whole) {
  index_t at = 0, step = 1;
  for (int from_end = 1; from_end <= whole.rank(); ++from_end) {
    const index_t index = i % whole[-from_end];
    i /= whole[-from_end];
    if (from_end > part.rank()) continue;
    if (part[-from_end] != 1) at += index * step;
    step *= part[-from_end];
  }
  return static_cast<std::size_t>(at);
}

template <class T>
void check_pair(const Shape& a_shape, const Shape& b_shape) {
  const Shape shape = broadcast("test", a_shape, b_shape);
  SCOPED_TRACE(a_shape.str() + " " + b_shape.str());
  const auto a = counted<T>(a_shape, 3), b = counted<T>(b_shape, 50);
  const auto f = [](T p, T q) { return static_cast<T>(p - 2 * q); };
  for (const bool with_one : {true, false})
    for (const bool first : {true, false}) {
      const AtTheEdge<T> a_edge(a, first), b_edge(b, first);
      AtTheEdge<T> y(std::vector<T>(static_cast<std::size_t>(shape.size()), T{77}), first);
      map(with_one ? pair_loop<T, T, T>(f) : loop<T, T, T>(f), shape, y.data(),
          {{a_edge.data(), a_shape}, {b_edge.data(), b_shape}});
      for (index_t i = 0; i < shape.size(); ++i)
        ASSERT_EQ(y.data()[i], f(a[source(i, a_shape, shape)], b[source(i, b_shape, shape)])) << i;
    }
}

TEST(Elementwise, BroadcastsAnyShapes) {
  // Rows shorter than a block of 1024 elements, as long, longer; with a remainder and without.
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{}, {}},
      {{5}, {}},
      {{}, {3000}},
      {{1, 5}, {5, 1}},
      {{7, 16}, {16}},
      {{1000, 16}, {16}},
      {{1000, 16}, {1000, 1}},
      {{3, 1024}, {3, 1}},
      {{3, 1024}, {1024}},
      {{3, 1025}, {3, 1}},
      {{2500}, {3, 1}},
      {{3, 700}, {700}},
      {{40, 2500}, {2500}},
      {{40, 2500}, {40, 1}},
      {{1, 32, 1, 16}, {3, 32, 16, 16}},
      {{3, 1, 5, 1}, {4, 1, 6}},
      {{2, 3, 4, 5, 6}, {3, 1, 5, 1}},
      {{1, 300, 1, 3}, {2, 1, 7, 1}},
      {{0, 4}, {4}},
      {{4, 0}, {1}},
      {{1, 1}, {0, 3}},
  };
  for (const auto& [a, b] : shapes) {
    check_pair<double>(a, b);
    check_pair<double>(b, a);
    check_pair<float>(a, b);
    check_pair<float>(b, a);
    check_pair<std::uint8_t>(a, b);
    check_pair<std::uint8_t>(b, a);
  }
}

TEST(Elementwise, ThreeInputsOfOtherTypes) {
  for (const Shape& shape : {Shape{6, 700}, Shape{600, 7}, Shape{1, 5000}}) {
    const Shape mask_shape = {shape[0], 1}, row_shape = {shape[1]};
    const auto mask = counted<std::uint8_t>(mask_shape, 0);
    const auto a = counted<double>(shape, 1), b = counted<double>(row_shape, 2);
    const auto f = [](std::uint8_t m, double p, double q) { return m % 2 == 0 ? p : q; };
    std::vector<float> y(a.size());
    map(loop<float, std::uint8_t, double, double>(f), shape, y.data(),
        {{mask.data(), mask_shape}, {a.data(), shape}, {b.data(), row_shape}});
    for (index_t i = 0; i < shape.size(); ++i)
      ASSERT_EQ(y[static_cast<std::size_t>(i)],
                static_cast<float>(f(mask[source(i, mask_shape, shape)], a[source(i, shape, shape)],
                                     b[source(i, row_shape, shape)])))
          << shape.str() << " " << i;
  }
}

TEST(Elementwise, InPlace) {
  std::vector<float> values(40000, 1.0f);
  const std::vector<float> added(values.size(), 2.0f);
  const float* const before = values.data();
  map(
      static_cast<index_t>(values.size()), values.data(), [](float a, float b) { return a + b; }, before,
      added.data());
  for (const float v : values) ASSERT_EQ(v, 3.0f);
}

TEST(Elementwise, CopiesAlongAnyStrides) {
  const Shape shape = {3, 4, 5};
  std::vector<std::int32_t> from(60);
  std::iota(from.begin(), from.end(), 0);
  // Transposed into a larger place, the middle axis backwards.
  const Strides to_strides = {{1, 10, 40}}, from_strides = {{20, -5, 1}};
  const std::vector<std::int32_t> before(2 + 30 + 160 + 1, -1);
  std::vector<std::int32_t> expected = before;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 4; ++j)
      for (std::size_t k = 0; k < 5; ++k) expected[i + 10 * j + 40 * k] = from[20 * i + 15 - 5 * j + k];
  for (const bool first : {true, false}) {
    const AtTheEdge<std::int32_t> from_edge(from, first);
    AtTheEdge<std::int32_t> to(before, first);
    copy_strided(shape, sizeof(std::int32_t), to.data(), to_strides, from_edge.data() + 15, from_strides);
    EXPECT_EQ(to.values(), expected);
  }
}

// Rows that lie together in both places, and one element for a whole row.
TEST(Elementwise, CopiesAndFillsRows) {
  const std::vector<float> from = counted<float>({2 * 7 + 5}, 1);
  for (const index_t step : {1, 0})
    for (const bool first : {true, false}) {
      const std::vector<float> read(from.begin(), from.end() - (step == 0 ? 4 : 0));
      const AtTheEdge<float> from_edge(read, first);
      AtTheEdge<float> to(std::vector<float>(15, -1), first);
      copy_strided({3, 5}, sizeof(float), to.data(), {{5, 1}}, from_edge.data(), {{7, step}});
      for (index_t i = 0; i < 15; ++i)
        ASSERT_EQ(to.data()[i], from[static_cast<std::size_t>(i / 5 * 7 + i % 5 * step)]) << step << " " << i;
    }
}

}  // namespace
}  // namespace tapegrad::kernels
