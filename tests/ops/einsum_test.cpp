#include <gtest/gtest.h>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

constexpr index_t kLarge = index_t{1} << 40;

// Of empty operands some sizes may be so large that no product of them is a number of elements.
TEST(Einsum, OfNothingIsZeros) {
  EXPECT_EQ(einsum("abc,cd->abd", zeros({kLarge, 1, 0}), zeros({0, 0})).shape(), (Shape{kLarge, 1, 0}));
  EXPECT_EQ(einsum("ai,ib->ib", zeros({0, 3}), ones({3, 2})).shape(), (Shape{3, 2}));
  EXPECT_TRUE(equal(einsum("ai,ib->ib", zeros({0, 3}), ones({3, 2})), zeros({3, 2})));
  EXPECT_TRUE(equal(einsum("ai,ib->ab", zeros({2, 0}), zeros({0, 3})), zeros({2, 3})));
  for (const DType dtype : {DType::Float32, DType::Float64})
    EXPECT_EQ(einsum("ai,ib->ab", zeros({2, 0}, dtype), zeros({0, 3}, dtype)).dtype(), dtype);
  // It depends on both for a tape.
  Tape tape;
  const Tensor a = tape.watch(zeros({2, 0})), b = tape.watch(ones({3}));
  const Gradients g = tape.gradient(sum(einsum("ai,b->ab", a, b)), {a, b});
  EXPECT_TRUE(equal(g[0], zeros({2, 0})));
  EXPECT_TRUE(equal(g[1], zeros({3})));
}

TEST(Einsum, RefusesAResultThatIsTooLarge) {
  EXPECT_TRUE(refuses("einsum", {"more elements"}, [] {
    (void)einsum("ac,cb->ab", zeros({kLarge, 0}), zeros({0, kLarge}));
  }));
  EXPECT_TRUE(refuses("matmul", {"more elements"}, [] {
    (void)matmul(zeros({kLarge, 0}), zeros({0, kLarge}));
  }));
}

}  // namespace
}  // namespace tapegrad::testing
