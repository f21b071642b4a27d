#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string_view>
#include <vector>

#include "refuses.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/dropout.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/normalize.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/ops/resize.h"
#include "tapegrad/tapegrad.h"

// What a person reads who calls an op with arguments that do not fit: the op, the shapes, the way out.

namespace tapegrad::testing {
namespace {

struct WrongCall {
  std::string_view op;
  std::vector<std::string_view> words;
  std::function<void()> call;
};

void check(const std::vector<WrongCall>& calls) {
  for (const WrongCall& wrong : calls)
    for (const std::string_view word : wrong.words) EXPECT_TRUE(refuses(wrong.op, {word}, wrong.call));
}

Tensor integers(const Shape& shape) {
  return ones(shape, DType::Int32);
}

TEST(OpRefusals, Compare) {
  const Tensor a = ones({2, 3}), b = ones({2}), yes = ones({2, 3}, DType::UInt8);
  check({
      {"less", {"[2, 3]", "[2]"}, [=] { less(a, b); }},
      {"equals",
       {"Float32 [2, 3]", "Int32 [2, 3]", "cast()"},
       [=] {
         equals(a, integers({2, 3}));
       }},
      {"greater", {"0.5 is not a value of Int32", "[2]"}, [=] { greater(integers({2}), 0.5); }},
      {"greater", {"300 is not a value of UInt8"}, [=] { greater(yes, 300); }},
      {"less", {"0.5"}, [=] { less(yes, 0.5); }},
      {"less_equal", {"0.5"}, [=] { less_equal(yes, 0.5); }},
      {"greater_equal", {"0.5"}, [=] { greater_equal(yes, 0.5); }},
      {"equals", {"0.5"}, [=] { equals(yes, 0.5); }},
      {"not_equals", {"0.5"}, [=] { not_equals(yes, 0.5); }},
      {"where",
       {"0.5 is not a value of Int32"},
       [=] {
         where(yes, 0.5, integers({2, 3}));
       }},
      {"where",
       {"0.5 is not a value of Int32"},
       [=] {
         where(yes, integers({2, 3}), 0.5);
       }},
      {"where", {"Float32 [2, 3]", "UInt8"}, [=] { where(a, a, a); }},
      {"where", {"[2, 3]", "[2]"}, [=] { where(yes, a, b); }},
      {"where", {"[2]", "[2, 3]"}, [=] { where(ones({2}, DType::UInt8), a, a); }},
      {"where",
       {"Float32", "Float64", "cast()"},
       [=] {
         where(yes, a, ones({2, 3}, DType::Float64));
       }},
  });
}

TEST(OpRefusals, Elementwise) {
  const Tensor a = ones({2, 3}), b = ones({2});
  check({
      {"maximum", {"[2, 3]", "[2]"}, [=] { maximum(a, b); }},
      {"minimum", {"Int32 [2]", "Float32", "cast()"}, [=] { minimum(integers({2}), b); }},
      {"maximum", {"0.5 is not a value of Int32"}, [=] { maximum(integers({2}), 0.5); }},
      {"minimum", {"0.5 is not a value of Int32"}, [=] { minimum(0.5, integers({2})); }},
      {"isclose", {"Int32 [2]", "Float32", "cast()"}, [=] { isclose(integers({2}), b); }},
      {"allclose", {"[2, 3]", "[2]"}, [=] { allclose(a, b); }},
      {"allclose", {"rtol must be at least 0, got -1"}, [=] { allclose(a, a, {.rtol = -1}); }},
      {"atan2", {"[2, 3]", "[2]"}, [=] { atan2(a, b); }},
      {"tan", {"Int32"}, [=] { tan(integers({2})); }},
      {"log2", {"Int32"}, [=] { log2(integers({2})); }},
      {"log10", {"Int32"}, [=] { log10(integers({2})); }},
      {"median", {"Int32"}, [=] { median(integers({2})); }},
      {"median",
       {"axis 0", "[0, 2]"},
       [=] {
         median(ones({0, 2}), 0);
       }},
      {"median", {"axis must be", "got 2", "[2, 3]"}, [=] { median(a, 2); }},
      {"roll", {"axis must be", "got 2", "[2, 3]"}, [=] { roll(a, 1, 2); }},
      {"diag", {"[]"}, [=] { diag(ones({})); }},
      {"diag", {"memory"}, [=] { diag(ones({2}), index_t{1} << 40); }},
      {"diag", {"memory"}, [=] { diag(ones({2}), -(index_t{1} << 40)); }},
      {"diag", {"too large"}, [=] { diag(ones({2}), std::numeric_limits<index_t>::max()); }},
      {"diag",
       {"[2, 3, 4]"},
       [=] {
         diag(ones({2, 3, 4}));
       }},
      {"diag", {"[2, 3]", "3"}, [=] { diag(a, 3); }},
      {"diag", {"[2, 3]", "-2"}, [=] { diag(a, -2); }},
      {"pow", {"[2, 3]", "[2]"}, [=] { pow(a, b); }},
      {"pow", {"Int32"}, [=] { pow(integers({2}), 2); }},
      {"expm1", {"not Int32 [2]", "cast()"}, [=] { expm1(integers({2})); }},
      {"erf", {"not Int32 [2]"}, [=] { erf(integers({2})); }},
      {"leaky_relu", {"not Int32 [2]"}, [=] { leaky_relu(integers({2})); }},
      {"elu", {"not Int32 [2]"}, [=] { elu(integers({2})); }},
      {"selu", {"not Int32 [2]"}, [=] { selu(integers({2})); }},
      {"gelu", {"not Int32 [2]"}, [=] { gelu(integers({2})); }},
      {"gelu_tanh", {"not Int32 [2]"}, [=] { gelu_tanh(integers({2})); }},
      {"silu", {"not UInt8 [2]"}, [=] { silu(ones({2}, DType::UInt8)); }},
      {"softmax", {"axis must be", "got 2", "[2, 3]"}, [=] { softmax(a, 2); }},
      {"log_softmax", {"axis -1", "[]"}, [=] { log_softmax(tensor(1)); }},
  });
}

TEST(OpRefusals, Reduce) {
  const Tensor x = ones({2, 3});
  const std::vector<int> twice = {1, -1};
  check({
      {"max", {"axis must be", "got 2", "[2, 3]"}, [=] { max(x, {2}); }},
      {"max",
       {"x must have elements to choose from", "[0, 3]"},
       [] {
         max(ones({0, 3}), {0});
       }},
      {"min", {"named twice", "[2, 3]"}, [=] { min(x, twice); }},
      {"prod", {"axis must be", "got -3"}, [=] { prod(x, {-3}); }},
      {"prod", {"not Int32"}, [] { prod(integers({2})); }},
      {"var", {"x must have elements to average, got shape [0]"}, [] { var(ones({0})); }},
      {"var",
       {"number of elements (1)", "got 1", "[1, 3]"},
       [] {
         var(ones({1, 3}), {0}, {.correction = 1});
       }},
      {"logsumexp", {"not UInt8"}, [] { logsumexp(ones({2}, DType::UInt8)); }},
      {"logsumexp", {"axis must be", "got 5"}, [=] { logsumexp(x, {5}); }},
      {"norm", {"named twice"}, [=] { norm(x, twice); }},
      {"cumsum", {"axis must be", "got 2", "[2, 3]"}, [=] { cumsum(x, 2); }},
      {"argmax", {"axis must be -2 to 1 for shape [2, 3], got 2"}, [=] { argmax(x, 2); }},
      {"argmin",
       {"x must have elements to choose from along axis 1", "[2, 0]"},
       [] {
         argmin(ones({2, 0}), 1);
       }},
      {"any", {"axis must be", "got 2"}, [=] { any(x, {2}); }},
      {"all", {"axis must be", "got 2"}, [=] { all(x, {2}); }},
  });
}

TEST(OpRefusals, Layout) {
  const Tensor x = ones({2, 3});
  check({
      {"squeeze", {"axis 1", "[2, 3]", "size 3"}, [=] { squeeze(x, {1}); }},
      {"squeeze", {"axis must be", "got 2"}, [=] { squeeze(x, {2}); }},
      {"squeeze",
       {"named twice"},
       [] {
         squeeze(ones({1, 3}), std::vector<int>{0, -2});
       }},
      {"expand_dims", {"3", "[2, 3]", "-3 to 2"}, [=] { expand_dims(x, 3); }},
      {"concat", {"there must be at least one tensor, got none"}, [] { concat({}); }},
      {"concat",
       {"[2, 3]", "[2, 4]", "axis 0"},
       [=] {
         concat({x, ones({2, 4})});
       }},
      {"concat",
       {"Float32 [2, 3]", "Int32 [1, 3]"},
       [=] {
         concat({x, integers({1, 3})});
       }},
      {"concat", {"axis must be", "got 2"}, [=] { concat({x}, 2); }},
      {"stack",
       {"[2, 3]", "[3, 2]"},
       [=] {
         stack({x, ones({3, 2})});
       }},
      {"stack", {"there must be at least one tensor, got none"}, [] { stack({}); }},
      {"stack",
       {"-3 to 2", "[2, 3]", "got 5"},
       [=] {
         stack({x, x}, 5);
       }},
      {"stack",
       {"Int32"},
       [=] {
         stack({x, integers({2, 3})});
       }},
      {"stack",
       {"never given a value"},
       [=] {
         stack({x, Tensor()});
       }},
      {"concat", {"never given a value"}, [] { concat({Tensor()}); }},
      {"tile", {"never given a value"}, [] { tile(Tensor(), {}); }},
      {"repeat", {"never given a value"}, [] { repeat(Tensor(), 1, 0); }},
      {"split",
       {"[1, 3]", "axis 1", "[2, 3]", "add up to 3"},
       [=] {
         split(x, {1, 3}, 1);
       }},
      {"split",
       {"[4, -1]"},
       [=] {
         split(x, {4, -1}, 1);
       }},
      {"chunk", {"axis 1", "2 equal parts", "split()"}, [=] { chunk(x, 2, 1); }},
      {"chunk", {"0 equal"}, [=] { chunk(x, 0, 1); }},
      {"repeat", {"axis must be", "got 2"}, [=] { repeat(x, 2, 2); }},
      {"repeat", {"at least 0, got -1"}, [=] { repeat(x, -1, 0); }},
      {"tile", {"1 entries", "2 axes"}, [=] { tile(x, {2}); }},
      {"tile",
       {"at least 0, got -1"},
       [=] {
         tile(x, {2, -1});
       }},
      {"pad",
       {"0.5", "Int32"},
       [] {
         pad(integers({2}), {{1, 1}}, 0.5);
       }},
  });
}

TEST(OpRefusals, Index) {
  const Tensor x = ones({2, 3}), indices = tensor({{0, 1}, {2, 3}}, DType::Int32);
  check({
      {"gather",
       {"index 3 at [1, 1]", "[2, 2]", "axis 1", "[2, 3]", "0 to 2"},
       [=] { gather(x, indices, 1); }},
      {"gather", {"index -1 at [0]"}, [=] { gather(x, tensor({-1}, DType::Int32)); }},
      {"gather", {"Float32 [2]", "Int32", "cast()"}, [=] { gather(x, ones({2})); }},
      {"gather", {"axis must be", "got 2"}, [=] { gather(x, indices, 2); }},
      {"embedding", {"index 2 at [1, 0]", "[2, 3]", "0 to 1"}, [=] { embedding(x, indices); }},
      {"embedding", {"[3]", "count, features"}, [=] { embedding(ones({3}), indices); }},
      {"one_hot", {"index 3 at [1, 1]", "depth", "3", "0 to 2"}, [=] { one_hot(indices, 3); }},
      {"one_hot", {"depth", "-1"}, [=] { one_hot(indices, -1); }},
  });
}

TEST(OpRefusals, MatmulAndEinsum) {
  const Tensor a = ones({2, 3}), b = ones({3, 4});
  check({
      {"matmul",
       {"[2]", "[5]", "axis -1", "2", "5"},
       [] {
         matmul(ones({2, 2, 3}), ones({5, 3, 4}));
       }},
      {"matmul",
       {"3 and 4", "[5, 2, 3]", "[5, 4, 2]"},
       [] {
         matmul(ones({5, 2, 3}), ones({5, 4, 2}));
       }},
      {"einsum",
       {"ij,jk->ik", "[2, 3]", "[2, 3]", "'j' is 3 in one and 2 in the other"},
       [=] { einsum("ij,jk->ik", a, a); }},
      {"einsum", {"'i' occurs twice in \"ii\""}, [=] { einsum("ii,jk->ik", a, b); }},
      {"einsum", {"'k' occurs twice"}, [=] { einsum("ij,jk->kk", a, b); }},
      {"einsum", {"'z' of the result"}, [=] { einsum("ij,jk->iz", a, b); }},
      {"einsum", {"a letter for each of its axes", "[3, 4]"}, [=] { einsum("ij,j->i", a, b); }},
      {"einsum", {"and the result"}, [=] { einsum("ij,jk", a, b); }},
      {"einsum", {"two operands"}, [=] { einsum("ij->i", a, b); }},
      {"einsum", {"ij,jk->ik"}, [=] { einsum("i.,jk->ik", a, b); }},
      {"einsum", {"ij,jk->ik"}, [=] { einsum("ij,jk-", a, b); }},
      {"einsum",
       {"Int32 [2, 3]"},
       [=] {
         einsum("ij,ij->", integers({2, 3}), integers({2, 3}));
       }},
  });
}

TEST(OpRefusals, Images) {
  const Tensor x = ones({1, 4, 5, 2}), flat = ones({4, 5});
  check({
      {"max_pool2d", {"[4, 5]", "[batch, height, width, channels]"}, [=] { max_pool2d(flat); }},
      {"avg_pool2d",
       {"0 x 2", "[1, 4, 5, 2]"},
       [=] {
         avg_pool2d(x, {.pool_size = {0, 2}});
       }},
      {"avg_pool2d", {"strides 1 x 0"}, [=] { avg_pool2d(x, {.strides = Size2D(1, 0)}); }},
      {"max_pool2d", {"height", "5", "4", "[1, 4, 5, 2]"}, [=] { max_pool2d(x, {.pool_size = 5}); }},
      {"max_pool2d",
       {"padding alone", "EXPLICIT{2,0,0,0}"},
       [=] { max_pool2d(x, {.padding = Padding::Explicit(2, 0, 0, 0)}); }},
      {"avg_pool2d", {"padding alone"}, [=] { avg_pool2d(x, {.padding = Padding::Explicit(0, 0, 0, 3)}); }},
      {"max_pool2d", {"padding alone"}, [=] { max_pool2d(x, {.padding = Padding::Explicit(0, 2, 0, 0)}); }},
      {"avg_pool2d",
       {"not Int32"},
       [] {
         avg_pool2d(integers({1, 4, 4, 1}));
       }},
      {"global_avg_pool2d", {"[4, 5]"}, [=] { global_avg_pool2d(flat); }},
      {"global_max_pool2d", {"[4, 5]"}, [=] { global_max_pool2d(flat); }},
      {"upsample_nearest", {"[4, 5]"}, [=] { upsample_nearest(flat); }},
      {"upsample_bilinear",
       {"0 x 2", "[1, 4, 5, 2]"},
       [=] {
         upsample_bilinear(x, {0, 2});
       }},
      {"upsample_bilinear",
       {"not Int32"},
       [] {
         upsample_bilinear(integers({1, 4, 4, 1}));
       }},
  });
}

TEST(OpRefusals, NormalizeAndDropout) {
  const Tensor x = ones({2, 3, 4}), four = ones({4}), three = ones({3});
  check({
      {"batch_norm", {"gamma", "[3]", "[4]", "[2, 3, 4]"}, [=] { batch_norm(x, three, four); }},
      {"batch_norm", {"beta", "[3]"}, [=] { batch_norm(x, four, three); }},
      {"batch_norm", {"the variance", "[3]"}, [=] { batch_norm(x, four, four, four, three); }},
      {"batch_norm",
       {"Float32 [2, 3, 4]", "Float64 [4]", "cast()"},
       [=] { batch_norm(x, ones({4}, DType::Float64), four); }},
      {"batch_norm", {"channels", "[4]"}, [=] { batch_norm(four, four, four); }},
      {"batch_norm",
       {"elements to average", "[0, 4]"},
       [=] {
         batch_norm(ones({0, 4}), four, four);
       }},
      {"layer_norm", {"gamma", "[3]", "[4]"}, [=] { layer_norm(x, three, three); }},
      {"layer_norm", {"axes must be 1 to 3", "got 4"}, [=] { layer_norm(x, 4); }},
      {"layer_norm", {"gamma", "[]"}, [=] { layer_norm(x, tensor(1), tensor(1)); }},
      {"group_norm", {"4 channels", "3 groups", "[2, 3, 4]"}, [=] { group_norm(x, 3, four, four); }},
      {"group_norm", {"0 groups"}, [=] { group_norm(x, 0, four, four); }},
      {"dropout", {"1", "[0, 1)"}, [=] { dropout(x, 1, Generator()); }},
      {"dropout", {"-0.5"}, [=] { dropout(x, -0.5, Generator()); }},
      {"dropout", {"scalar"}, [] { dropout(tensor(1), 0.5, Generator()); }},
      {"dropout", {"not Int32"}, [] { dropout(integers({2}), 0.5, Generator()); }},
  });
}

TEST(Refusals, AStackThatIsTooLargeIsNoConcat) {
  const Tensor none = zeros({0, index_t{1} << 58});
  EXPECT_TRUE(testing::refuses("stack", {}, [&] { (void)stack(std::vector<Tensor>(64, none), 1); }));
}

// Where there is no memory for the result, nothing is computed for it before.
TEST(Refusals, ImagesThatFitNowhereTakeNoMemoryOnTheWay) {
  const Tensor x = ones({1, 512, 512, 1});
  release_memory();
  EXPECT_THROW(upsample_bilinear(x, {64, 1 << 24}), Error);
  EXPECT_THROW(upsample_nearest(x, {64, 1 << 24}), Error);
  EXPECT_LT(cached_memory(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace tapegrad::testing
