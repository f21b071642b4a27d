#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "autograd/helpers.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/matmul.h"

namespace tapegrad {
namespace {

using testing::throws;

// What the rules of an op have saved before it failed is not counted for the op that comes next.
TEST(FailedOp, KeepsNothing) {
  Tape tape;
  const Tensor x = tape.watch(ones({1000}));
  const std::vector<std::function<void()>> failing = {
      [&] { (void)(x * ones({999})); },    [&] { (void)(x / ones({999})); },
      [&] { (void)matmul(x, ones({3})); }, [&] { (void)where(ones({1000}, DType::UInt8), x, ones({7})); },
      [&] { (void)pow(x, ones({999})); },  [&] { (void)maximum(x, ones({999})); },
  };
  for (const auto& fail : failing) {
    EXPECT_TRUE(throws({}, fail));
    (void)(x + 1.0);
    EXPECT_EQ(tape.graph().nodes.back().bytes, 0u);
    (void)square(x);
    EXPECT_EQ(tape.graph().nodes.back().bytes, 4000u);
  }
}

TEST(Watch, KeepParametersLeavesParametersAsTheyAre) {
  const Tensor p = parameter(ones({2})), x = ones({2}), stopped = stop_gradient(x);
  Tape tape;
  const std::vector<Tensor> watched = tape.watch({p, x, stopped}, Constants::KeepParameters);
  EXPECT_TRUE(watched[0].is_parameter());
  EXPECT_FALSE(watched[2].is_stopped());
  const Gradients g = tape.gradient(sum(p * watched[0] + watched[1] * watched[2] * 3.0), watched);
  EXPECT_TRUE(equal(g[0], tensor({2, 2})));  // one variable, whichever handle is used
  EXPECT_TRUE(equal(g[1], tensor({3, 3})));
  EXPECT_TRUE(equal(g[2], tensor({3, 3})));
  Tape other;
  EXPECT_TRUE(throws({"Int32"}, [&] {
    (void)other.watch({p, ones({2}, DType::Int32)}, Constants::KeepParameters);
  }));
}

}  // namespace
}  // namespace tapegrad
