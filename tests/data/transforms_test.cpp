#include "tapegrad/data/transforms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "refuses.h"
#include "tapegrad/base/random.h"

namespace tapegrad {
namespace {

using testing::refuses;

Tensor image(const Literal& values, DType dtype = DType::Float32) {
  return tensor(values, dtype);
}

// A different number in every element.
Tensor counting(const Shape& shape, DType dtype = DType::Float32) {
  Tensor x = zeros(shape, dtype);
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    T next = 1;
    for (T& value : x.mutable_values<T>()) value = next++;
  });
  return x;
}

// What the transform makes of x with a fixed generator.
Tensor transformed(const Transform& transform, const Tensor& x, std::uint64_t seed = 1) {
  Generator generator(seed);
  return transform(TensorAccess::clone(x), generator);
}

TEST(Transforms, NormalizeSubtractsAndDivides) {
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    const Tensor x = image({{{1, 2}, {3, 4}}}, dtype);
    EXPECT_TRUE(equal(transformed(normalize({1}, {2}), x), image({{{0, 0.5}, {1, 1.5}}}, dtype)));
    EXPECT_TRUE(equal(transformed(normalize({1, 2}, {2, 0.5}), x), image({{{0, 0}, {1, 4}}}, dtype)));
  }
  EXPECT_TRUE(refuses("normalize", {"2 means", "3 channels"}, [] {
    transformed(normalize({1, 2}, {1, 1}), zeros({2, 2, 3}));
  }));
  EXPECT_TRUE(refuses("normalize", {"UInt8"}, [] {
    transformed(normalize({1}, {1}), zeros({2, 2, 1}, DType::UInt8));
  }));
  EXPECT_TRUE(refuses("normalize", {"[2, 2]"}, [] { transformed(normalize({1}, {1}), zeros({2, 2})); }));
  EXPECT_TRUE(refuses("normalize", {"1 means and 2"}, [] { normalize({1}, {1, 1}); }));
  EXPECT_TRUE(refuses("normalize", {"0 means"}, [] { normalize({}, {}); }));
  EXPECT_TRUE(refuses("normalize", {"must be positive", "got 0"}, [] { normalize({1}, {0}); }));
  EXPECT_TRUE(refuses("normalize", {"nan"}, [] { normalize({1}, {std::nan("")}); }));
  EXPECT_TRUE(refuses("normalize", {"means", "nan"}, [] { normalize({std::nan("")}, {1}); }));
}

TEST(Transforms, NoiseHasItsDeviation) {
  const Tensor x = full({50, 50, 4}, 3.0, DType::Float64);
  const Tensor noisy = transformed(gaussian_noise(0.5), x);
  double sum = 0, squares = 0;
  for (const double value : noisy.values<double>()) {
    sum += value - 3;
    squares += (value - 3) * (value - 3);
  }
  EXPECT_NEAR(sum / 10000, 0, 0.02);  // four standard deviations of the mean of 10,000
  EXPECT_NEAR(squares / 10000, 0.25, 0.015);
  Generator generator(1);  // in the order of the elements
  EXPECT_EQ(noisy.values<double>()[0], 3 + 0.5 * generator.normal());
  EXPECT_EQ(noisy.values<double>()[1], 3 + 0.5 * generator.normal());
  EXPECT_TRUE(equal(transformed(gaussian_noise(0), x), x));
  EXPECT_TRUE(refuses("gaussian_noise", {"Int32"}, [] {
    transformed(gaussian_noise(1), zeros({1, 1, 1}, DType::Int32));
  }));
  EXPECT_TRUE(refuses("gaussian_noise", {"-1"}, [] { gaussian_noise(-1); }));
}

// The image x moved, by definition.
Tensor moved(const Tensor& x, index_t down, index_t right, double fill) {
  Tensor y = full(x.shape(), fill, x.dtype());
  for (index_t i = 0; i < x.shape()[0]; ++i)
    for (index_t k = 0; k < x.shape()[1]; ++k)
      for (index_t c = 0; c < x.shape()[2]; ++c)
        if (i + down >= 0 && i + down < x.shape()[0] && k + right >= 0 && k + right < x.shape()[1])
          y.set({i + down, k + right, c}, x.at({i, k, c}));
  return y;
}

TEST(Transforms, ShiftMovesWholePixelsEverywhere) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::UInt8, DType::Int32}) {
    const Tensor x = counting({3, 4, 2}, dtype);
    std::set<std::pair<index_t, index_t>> seen;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const Tensor y = transformed(random_shift(2, 7), x, seed);
      index_t matches = 0;
      for (index_t down = -2; down <= 2; ++down)
        for (index_t right = -2; right <= 2; ++right)
          if (equal(y, moved(x, down, right, 7))) {
            ++matches;
            seen.insert({down, right});
          }
      EXPECT_EQ(matches, 1);
    }
    EXPECT_EQ(seen.size(), 25u);
  }
  const Tensor x = counting({2, 2, 1});
  EXPECT_TRUE(equal(transformed(random_shift(0), x), x));
  for (std::uint64_t seed = 0; seed < 20; ++seed)  // farther than the image is wide
    EXPECT_EQ(transformed(random_shift(1 << 20), x, seed).shape(), x.shape());
  EXPECT_TRUE(refuses("random_shift", {"-1"}, [] { random_shift(-1); }));
  EXPECT_TRUE(refuses("random_shift", {"[4]"}, [] { transformed(random_shift(1), zeros({4})); }));
  EXPECT_TRUE(refuses("random_shift", {"fill_value", "UInt8", "0.5"}, [] {
    transformed(random_shift(1, 0.5), zeros({4, 4, 1}, DType::UInt8));
  }));
}

TEST(Transforms, FlipMirrorsOneAxis) {
  const Tensor x = image({{{1, 2}, {3, 4}, {5, 6}}, {{7, 8}, {9, 10}, {11, 12}}});
  EXPECT_TRUE(
      equal(transformed(random_flip(1), x), image({{{5, 6}, {3, 4}, {1, 2}}, {{11, 12}, {9, 10}, {7, 8}}})));
  EXPECT_TRUE(equal(transformed(random_flip(1, 0), x),
                    image({{{7, 8}, {9, 10}, {11, 12}}, {{1, 2}, {3, 4}, {5, 6}}})));
  EXPECT_TRUE(equal(transformed(random_flip(0), x), x));
  int flipped = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed)
    flipped += equal(transformed(random_flip(0.25), x, seed), x) ? 0 : 1;
  EXPECT_NEAR(flipped, 250, 55);  // four standard deviations
  EXPECT_TRUE(refuses("random_flip", {"1.5"}, [] { random_flip(1.5); }));
  EXPECT_TRUE(refuses("random_flip", {"axis must be", "got 2"}, [] { random_flip(0.5, 2); }));
}

TEST(Transforms, CropCutsAWindow) {
  const Tensor x = counting({4, 5, 2});
  std::set<std::pair<index_t, index_t>> seen;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Tensor y = transformed(random_crop(3, 2, 1, -1), x, seed);
    ASSERT_EQ(y.shape(), (Shape{3, 2, 2}));
    index_t matches = 0;
    for (index_t top = -1; top <= 2; ++top)
      for (index_t left = -1; left <= 4; ++left) {
        bool same = true;
        for (index_t i = 0; i < 3; ++i)
          for (index_t k = 0; k < 2; ++k)
            for (index_t c = 0; c < 2; ++c) {
              const index_t row = top + i, column = left + k;
              const bool inside = row >= 0 && row < 4 && column >= 0 && column < 5;
              same = same && y.at({i, k, c}) == (inside ? x.at({row, column, c}) : -1);
            }
        if (!same) continue;
        ++matches;
        seen.insert({top, left});
      }
    EXPECT_EQ(matches, 1);
  }
  EXPECT_EQ(seen.size(), 24u);
  EXPECT_TRUE(equal(transformed(random_crop(4, 5), x), x));
  EXPECT_TRUE(refuses("random_crop", {"5 x 5", "[4, 5, 2]"}, [&] { transformed(random_crop(5, 5), x); }));
  EXPECT_TRUE(refuses("random_crop", {"pixels", "got 0"}, [] { random_crop(0, 5); }));
  EXPECT_TRUE(refuses("random_crop", {"pixels", "got 0"}, [] { random_crop(5, 0); }));
  EXPECT_TRUE(refuses("random_crop", {"pixels", "got -1"}, [] { random_crop(3, 3, -1); }));
  EXPECT_TRUE(refuses("random_shift", {"pixels", "got -1"}, [] { random_shift(-1); }));
  for (const double fill : {0.5, 256.0, -1.0, std::nan("")})
    EXPECT_TRUE(refuses("random_crop", {"fill_value", std::isnan(fill) ? "finite" : "UInt8"}, [&] {
      transformed(random_crop(4, 4, 1, fill), zeros({4, 4, 1}, DType::UInt8));
    }));
}

TEST(Transforms, ComposeIsOneAfterTheOther) {
  const Tensor x = image({{{2}, {4}}});
  const Transform both = compose({random_flip(1), normalize({2}, {2})});
  EXPECT_TRUE(equal(transformed(both, x), image({{{1}, {0}}})));
  EXPECT_TRUE(equal(transformed(compose({}), x), x));
  // They draw from one generator, one after the other.
  const Tensor grey = zeros({1, 1, 1}, DType::Float64);
  Generator generator(1);
  const double first = generator.normal(), second = generator.normal();
  EXPECT_EQ(transformed(compose({gaussian_noise(1), gaussian_noise(1)}), grey).item(), first + second);
  EXPECT_TRUE(refuses("compose", {"empty"}, [] { compose({Transform()}); }));
}

}  // namespace
}  // namespace tapegrad
