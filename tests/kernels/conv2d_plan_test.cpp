#include <gtest/gtest.h>

#include <memory>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/kernels/conv2d/plan.h"

namespace tapegrad::kernels {
namespace {

// Plans are memory that a thread keeps for reuse, as its freed tensors are.
TEST(Conv2DPlanCache, IsReleased) {
  const Conv2DGeometry g = resolve_conv2d("test", {1, 9, 9, 3}, {3, 3, 3, 5}, {});
  const VectorTraits traits = vector_traits<float>();
  std::weak_ptr<const CorrelationPlan> correlation = cached_correlation(g, false, traits);
  std::weak_ptr<const FilterPlan> filter = cached_filter(g, traits);
  ASSERT_FALSE(correlation.expired() || filter.expired());
  EXPECT_EQ(cached_correlation(g, false, traits), correlation.lock());
  const auto in_use = cached_correlation(g, true, traits);
  release_memory();
  EXPECT_TRUE(correlation.expired());
  EXPECT_TRUE(filter.expired());
  EXPECT_NE(in_use, nullptr);  // a plan that is in use stays
  EXPECT_NE(cached_correlation(g, true, traits), in_use);
}

}  // namespace
}  // namespace tapegrad::kernels
