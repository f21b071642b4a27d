#include "tapegrad/kernels/conv2d/packed_filter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/window.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/geometry.h"

namespace tapegrad::kernels {
namespace {

CorrelationPlan plan_of(index_t batch, index_t size, bool transposed = false) {
  const Conv2DGeometry g =
      resolve_conv2d("conv2d", {batch, size, size, 5}, {3, 3, 5, 7}, {.padding = Padding::Same});
  return plan_correlation(g, transposed, Family::Direct, vector_traits<float>());
}

// The first number of the form, and how many forms were packed so far.
struct Packer {
  PackedFilter filter;
  int packed = 0;
  template <class T = float>
  T first(const CorrelationPlan& plan) {
    const T* form = filter.get<T>(plan, [&](T* memory) { memory[0] = static_cast<T>(++packed); });
    return form == nullptr ? T{-1} : form[0];
  }
};

TEST(PackedFilter, IsPackedOnceForEachForm) {
  Packer packer;
  EXPECT_EQ(packer.first(plan_of(1, 9)), 1);
  EXPECT_EQ(packer.first(plan_of(4, 9)), 1);  // the form does not depend on the number of images
  EXPECT_EQ(packer.first(plan_of(1, 9, true)), 2);
  EXPECT_EQ(packer.first(plan_of(1, 8)), 3);
  EXPECT_EQ(packer.first<double>(plan_of(1, 9)), 4);
  EXPECT_EQ(packer.first(plan_of(1, 7)), -1);  // no place for one more
  EXPECT_EQ(packer.first(plan_of(1, 9)), 1);
  EXPECT_EQ(packer.first(plan_of(3, 9, true)), 2);
}

TEST(PackedFilter, IsPackedAnewOnceTheFilterMayHaveChanged) {
  Packer packer;
  EXPECT_EQ(packer.first(plan_of(1, 9)), 1);
  EXPECT_EQ(packer.first(plan_of(1, 9, true)), 2);
  packer.filter.forget();
  EXPECT_EQ(packer.first(plan_of(1, 9, true)), 3);
  EXPECT_EQ(packer.first(plan_of(1, 9, true)), 3);
  packer.filter.forget();  // the first form was not asked for since: its place is free
  for (const index_t size : {4, 5, 6}) EXPECT_EQ(packer.first(plan_of(1, size)), size);
  EXPECT_EQ(packer.first(plan_of(1, 9, true)), 7);
  EXPECT_EQ(packer.first(plan_of(1, 9)), -1);
}

TEST(PackedFilter, IsPackedAgainAfterAnException) {
  PackedFilter filter;
  const CorrelationPlan plan = plan_of(1, 9);
  EXPECT_THROW(filter.get<float>(plan, [](float*) { throw std::runtime_error("no"); }), std::runtime_error);
  const float* form = filter.get<float>(plan, [](float* memory) { memory[0] = 2; });
  ASSERT_NE(form, nullptr);
  EXPECT_EQ(form[0], 2);
}

TEST(PackedFilter, IsSharedByThreads) {
  const Conv2DGeometry g = resolve_conv2d("conv2d", {1, 6, 6, 8}, {3, 3, 8, 16}, {.padding = Padding::Same});
  std::vector<float> x(6 * 6 * 8), w(3 * 3 * 8 * 16), right(6 * 6 * 16), back(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8;
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 13) - 6;
  conv2d(g, x.data(), w.data(), right.data());
  conv2d_backprop_input(g, right.data(), w.data(), back.data());
  const ThreadCountScope threads(8);
  for (int again = 0; again < 50; ++again) {
    PackedFilter kept;
    std::atomic<int> wrong{0};
    parallel_for(64, 1, [&](index_t, index_t) {
      std::vector<float> y(right.size()), dx(back.size());
      conv2d(g, x.data(), w.data(), y.data(), {}, &kept);
      conv2d_backprop_input(g, y.data(), w.data(), dx.data(), {}, &kept);
      if (y != right || dx != back) ++wrong;
    });
    ASSERT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace tapegrad::kernels
