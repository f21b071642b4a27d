// Wrong numbers: sizes that are negative or whose product is beyond all memory, axes that are not there, options that are NaN,
// labels and indices out of range. One test for each room; each row is one call.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "refusals/refused.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();
constexpr index_t kHuge = std::numeric_limits<index_t>::max(),
                  kLarge = index_t{1} << 40;  // two of them multiply to 0

using Given = const std::vector<Tensor>&;

// Rows about the same tensors.
class Rows {
 public:
  explicit Rows(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {}
  void refuse(std::string_view op, CallRef call, int line = __builtin_LINE(), const std::string& value = "") {
    EXPECT_TRUE(is_refused(op, tensors_, call)) << "values_test.cpp:" << line << " " << value;
  }
  // f(value) for each of the values.
  template <class T, class F>
  void refuse_each(std::string_view op, const std::vector<T>& values, const F& f,
                   int line = __builtin_LINE()) {
    for (const T& value : values)
      refuse(
          op, [&](Given in) { f(in, value); }, line, ::testing::PrintToString(value));
  }

 private:
  std::vector<Tensor> tensors_;
};

const std::vector<double> kNotFinite = {kNan, kInf, -kInf};
const std::vector<double> kNoRate = {kNan, kInf, -kInf, -1.0, 1.0, 2.0};
const std::vector<double> kNotPositive = {kNan, kInf, -kInf, -1.0, 0.0};
const std::vector<double> kNegative = {kNan, kInf, -kInf, -1.0};
const std::vector<index_t> kNoCount = {-1, -kHuge, kLarge * 64, kHuge};
const std::vector<int> kNoAxis = {2, 8, -3, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()};

TEST(WrongNumbers, OfNewTensors) {
  Generator g(1);
  const Generator::Position before = g.position();
  Rows rows({ones({2, 3})});
  // Impossible shapes are refused where they are made.
  const std::vector<std::vector<index_t>> shapes = {
      {-1}, {2, -3}, {kLarge, kLarge}, {kHuge}, {kLarge, kLarge, 0, kLarge}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};
  rows.refuse_each("shape", shapes, [](Given, const auto& sizes) { return Shape(sizes); });
  rows.refuse_each("shape", kNoAxis, [](Given in, int axis) { return in[0].shape()[axis]; });
  rows.refuse_each("shape", std::vector<index_t>{-1, 6, kHuge},
                   [](Given in, index_t i) { return in[0].shape().position(i); });
  // Possible ones that no machine has memory for.
  const Shape vast = {kLarge, 1 << 10};
  rows.refuse("zeros", [&](Given) { return zeros(vast); });
  rows.refuse("ones", [&](Given) { return ones(vast); });
  rows.refuse("full", [&](Given) { return full(vast, 2); });
  rows.refuse("uniform", [&](Given) { return uniform(vast, 0, 1, g); });
  rows.refuse("normal", [&](Given) { return normal(vast, 0, 1, g); });
  rows.refuse("randint", [&](Given) { return randint(vast, 0, 2, g); });
  rows.refuse("full", [](Given) { return full({2}, 300, DType::UInt8); });
  rows.refuse("full", [](Given) { return full({2}, kNan, DType::Int32); });
  rows.refuse("full_like", [](Given in) { return full_like(cast(in[0], DType::Int32), 0.5); });
  rows.refuse("tensor", [](Given) { return tensor({{1, 2}, {3}}); });
  rows.refuse("tensor", [](Given) { return tensor({256}, DType::UInt8); });
  rows.refuse("tensor", [](Given) { return tensor({kNan}, DType::Int32); });
  rows.refuse("tensor", [](Given) { return tensor(std::vector<float>(5), {2, 3}); });
  rows.refuse("tensor", [](Given) { return tensor(std::vector<float>(0), Shape{}); });
  rows.refuse_each("arange", std::vector<double>{0.0, kNan},
                   [](Given, double step) { return arange(0, 1, step); });
  rows.refuse_each("arange", kNotFinite, [](Given, double stop) { return arange(stop); });
  rows.refuse_each("arange", std::vector<double>{kNan, -kInf},
                   [](Given, double start) { return arange(start, 1); });
  rows.refuse("arange", [](Given) { return arange(0, 1e15, 1); });
  rows.refuse("arange", [](Given) { return arange(0, 1e300, 1); });
  rows.refuse("arange", [](Given) { return arange(0, 1e10, 1e9, DType::Int32); });
  rows.refuse_each("linspace", kNoCount, [](Given, index_t n) { return linspace(0, 1, n); });
  rows.refuse("linspace", [](Given) { return linspace(0, 1, 3, DType::Int32); });
  rows.refuse_each("eye", kNoCount, [](Given, index_t n) { return eye(n); });
  rows.refuse("eye", [](Given) { return eye(kLarge, 3); });
  rows.refuse("eye", [](Given) { return eye(3, -1); });
  rows.refuse_each("uniform", kNotFinite, [&](Given, double low) { return uniform({2}, low, 1, g); });
  rows.refuse_each("uniform", kNotFinite, [&](Given, double high) { return uniform({2}, 0, high, g); });
  rows.refuse("uniform", [&](Given) { return uniform({2}, 1, 0, g); });
  rows.refuse("uniform", [&](Given) { return uniform({2}, 0, 1, g, DType::Int32); });
  rows.refuse_each("normal", kNotFinite, [&](Given, double mean) { return normal({2}, mean, 1, g); });
  rows.refuse_each("normal", kNegative,
                   [&](Given, double deviation) { return normal({2}, 0, deviation, g); });
  rows.refuse("normal", [&](Given) { return normal({2}, 0, 1, g, DType::UInt8); });
  rows.refuse("randint", [&](Given) { return randint({2}, 5, 5, g); });
  rows.refuse("randint", [&](Given) { return randint({2}, 0, kHuge, g); });
  rows.refuse("randint", [&](Given) { return randint({2}, -1, 5, g, DType::UInt8); });
  rows.refuse_each("randperm", kNoCount, [&](Given, index_t n) { return randperm(n, g); });
  rows.refuse("generator", [&](Given) { return g.integer(0); });
  rows.refuse_each("uniform", kNotFinite, [&](Given, double high) { return g.uniform(0, high); });
  rows.refuse_each("normal", kNegative, [&](Given, double deviation) { return g.normal(0, deviation); });
  rows.refuse("cast", [](Given in) { return cast(in[0] * kNan, DType::Int32); });
  rows.refuse("cast", [](Given in) { return cast(in[0] * 1e10, DType::Int32); });
  rows.refuse("cast", [](Given in) { return cast(in[0] * -1.0, DType::UInt8); });
  EXPECT_EQ(g.position(), before) << "a call that was refused has drawn numbers";
}

TEST(WrongNumbers, OfTensorsThemselves) {
  Rows rows({ones({2, 3}), Tensor(), ones({2}, DType::UInt8), tensor({1})});
  rows.refuse("at", [](Given in) { return in[0].at({2, 0}); });
  rows.refuse("at", [](Given in) { return in[0].at({-3, 0}); });
  rows.refuse("at", [](Given in) { return in[0].at({0}); });
  rows.refuse("at", [](Given in) { return in[1].at({0}); });
  rows.refuse("item", [](Given in) { return in[0].item(); });
  rows.refuse("item", [](Given in) { return in[1].item(); });
  rows.refuse("set", [](Given in) { Tensor(in[0]).set({0, 3}, 1); });
  rows.refuse("set", [](Given in) { Tensor(in[2]).set({0}, 300); });
  rows.refuse("set", [](Given in) { Tensor(in[2]).set({0}, 0.5); });
  rows.refuse("set", [](Given in) { Tensor(in[2]).set({0}, kNan); });
  rows.refuse("set", [](Given in) { Tensor(in[1]).set({0}, 1); });
  rows.refuse("values", [](Given in) { return in[0].values<double>(); });
  rows.refuse("values", [](Given in) { return in[1].values<float>(); });
  rows.refuse("mutable_values", [](Given in) { Tensor(in[0]).mutable_values<std::int32_t>(); });
  rows.refuse("mutable_values", [](Given in) { Tensor(in[1]).mutable_values<float>(); });
  rows.refuse("shape", [](Given in) { return in[1].shape(); });
  rows.refuse("rank", [](Given in) { return in[1].rank(); });
  rows.refuse("size", [](Given in) { return in[1].size(); });
  rows.refuse("dtype", [](Given in) { return in[1].dtype(); });
  const float constants[2] = {};
  rows.refuse("mutable_values", [&](Given) { Tensor::wrap(constants, {2}).mutable_values<float>(); });
  rows.refuse("set", [&](Given) { Tensor::wrap(constants, {2}).set({0}, 1); });
  Tape tape;
  const Tensor recorded = 2.0 * tape.watch(ones({2}));
  rows.refuse("mutable_values", [&](Given) { Tensor(recorded).mutable_values<float>(); });
}

TEST(WrongNumbers, OfAxes) {
  const Tensor x = ones({2, 3});
  Rows rows({x, zeros({2, 3}, DType::Int32)});
  using Along = void (*)(const Tensor&, int);
  const std::vector<std::pair<const char*, Along>> functions = {
      {"sum", [](const Tensor& t, int a) { (void)sum(t, a); }},
      {"mean", [](const Tensor& t, int a) { (void)mean(t, a); }},
      {"prod", [](const Tensor& t, int a) { (void)prod(t, a); }},
      {"var", [](const Tensor& t, int a) { (void)var(t, a); }},
      {"stddev", [](const Tensor& t, int a) { (void)stddev(t, a); }},
      {"max", [](const Tensor& t, int a) { (void)max(t, a); }},
      {"min", [](const Tensor& t, int a) { (void)min(t, a); }},
      {"logsumexp", [](const Tensor& t, int a) { (void)logsumexp(t, a); }},
      {"norm", [](const Tensor& t, int a) { (void)norm(t, a); }},
      {"cumsum", [](const Tensor& t, int a) { (void)cumsum(t, a); }},
      {"argmax", [](const Tensor& t, int a) { (void)argmax(t, a); }},
      {"argmin", [](const Tensor& t, int a) { (void)argmin(t, a); }},
      {"any", [](const Tensor& t, int a) { (void)any(t, a); }},
      {"all", [](const Tensor& t, int a) { (void)all(t, a); }},
      {"count_nonzero", [](const Tensor& t, int a) { (void)count_nonzero(t, a); }},
      {"sort", [](const Tensor& t, int a) { (void)sort(t, a); }},
      {"argsort", [](const Tensor& t, int a) { (void)argsort(t, a); }},
      {"topk", [](const Tensor& t, int a) { (void)topk(t, 1, a); }},
      {"median", [](const Tensor& t, int a) { (void)median(t, a); }},
      {"softmax", [](const Tensor& t, int a) { (void)softmax(t, a); }},
      {"log_softmax", [](const Tensor& t, int a) { (void)log_softmax(t, a); }},
      {"flip", [](const Tensor& t, int a) { (void)flip(t, a); }},
      {"roll", [](const Tensor& t, int a) { (void)roll(t, 1, a); }},
      {"squeeze", [](const Tensor& t, int a) { (void)squeeze(t, a); }},
      {"concat",
       [](const Tensor& t, int a) {
         (void)concat({t, t}, a);
       }},
      {"split",
       [](const Tensor& t, int a) {
         (void)split(t, {1, 1}, a);
       }},
      {"chunk", [](const Tensor& t, int a) { (void)chunk(t, 1, a); }},
      {"repeat", [](const Tensor& t, int a) { (void)repeat(t, 2, a); }},
      {"permute",
       [](const Tensor& t, int a) {
         (void)permute(t, {0, a});
       }},
      {"gather", [](const Tensor& t, int a) { (void)gather(t, zeros({1}, DType::Int32), a); }},
      {"take_along_axis",
       [](const Tensor& t, int a) {
         (void)take_along_axis(t, zeros({2, 3}, DType::Int32), a);
       }},
      {"scatter",
       [](const Tensor& t, int a) {
         (void)scatter(t, zeros({2, 3}, DType::Int32), t, a);
       }},
      {"scatter_add",
       [](const Tensor& t, int a) {
         (void)scatter_add(t, zeros({2, 3}, DType::Int32), t, a);
       }},
  };
  for (const auto& [op, f] : functions)
    rows.refuse_each(op, kNoAxis, [f = f](Given in, int axis) { f(in[0], axis); });
  for (const int axis : {3, -4, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
    rows.refuse("expand_dims", [=](Given in) { return expand_dims(in[0], axis); });
    rows.refuse("stack", [=](Given in) { return stack({in[0], in[0]}, axis); });
  }
}

TEST(WrongNumbers, OfSizesAndIndices) {
  const Tensor x = ones({2, 3});
  Rows rows({x, tensor({0, 3, -1}, DType::Int32), ones({1, 4, 4, 1}), ones({3, 3, 1, 1}),
             zeros({2}, DType::Int32)});
  rows.refuse("reshape", [](Given in) { return reshape(in[0], {-1, -1}); });
  rows.refuse("reshape", [](Given in) { return reshape(in[0], {-2, 3}); });
  rows.refuse("reshape", [](Given in) { return reshape(in[0], {-1, 0}); });
  rows.refuse("reshape", [](Given in) { return reshape(in[0], {kLarge, kLarge, -1}); });
  rows.refuse("reshape", [](Given in) { return reshape(in[0], {kHuge}); });
  rows.refuse("reshape", [](Given in) { return reshape(in[0], {1, 1, 1, 1, 1, 1, 1, 2, 3}); });
  rows.refuse_each("row", std::vector<index_t>{2, -3, kHuge, -kHuge},
                   [](Given in, index_t i) { return row(in[0], i); });
  rows.refuse_each("slice", std::vector<index_t>{0, -1, -kHuge}, [](Given in, index_t step) {
    return slice(in[0], {{0, 2, step}});
  });
  rows.refuse("slice", [](Given in) { return slice(in[0], {{}, {}, {}}); });
  rows.refuse_each("pad", std::vector<index_t>{-1, kLarge * 64, kHuge}, [](Given in, index_t n) {
    return pad(in[0], {{n, 0}, {0, 0}});
  });
  rows.refuse("pad", [](Given in) { return pad(in[0], {{kHuge, kHuge}, {0, 0}}); });
  rows.refuse_each("zero_insert", kNoCount, [](Given in, index_t n) { return zero_insert(in[0], {n, 0}); });
  rows.refuse_each("repeat", kNoCount, [](Given in, index_t n) { return repeat(in[0], n, 0); });
  rows.refuse_each("tile", kNoCount, [](Given in, index_t n) { return tile(in[0], {1, n}); });
  rows.refuse("split", [](Given in) { return split(in[0], {-1, 3}); });
  rows.refuse("split", [](Given in) { return split(in[0], {kHuge, kHuge, 4}); });
  rows.refuse_each("chunk", std::vector<index_t>{0, -1, 3, kHuge},
                   [](Given in, index_t n) { return chunk(in[0], n); });
  rows.refuse_each("topk", std::vector<index_t>{-1, 4, kHuge},
                   [](Given in, index_t n) { return topk(in[0], n); });
  rows.refuse_each("diag", std::vector<index_t>{3, -2, kHuge, -kHuge},
                   [](Given in, index_t k) { return diag(in[0], k); });
  rows.refuse_each("one_hot", kNoCount, [](Given in, index_t depth) { return one_hot(in[4], depth); });
  rows.refuse("one_hot", [](Given in) { return one_hot(in[1], 3); });
  rows.refuse("gather", [](Given in) { return gather(in[0], in[1], 1); });
  rows.refuse("embedding", [](Given in) { return embedding(in[0], in[1]); });
  rows.refuse("take_along_axis", [](Given in) { return take_along_axis(in[0], reshape(in[1], {1, 3}), 0); });
  rows.refuse("scatter_add", [](Given in) {
    return scatter_add(in[0], reshape(in[1], {1, 3}), ones({1, 3}), 0);
  });
  rows.refuse("scatter", [](Given in) { return scatter(in[0], reshape(in[1], {1, 3}), ones({1, 3}), 0); });
  rows.refuse("scatter", [](Given in) { return scatter(in[0], zeros({2, 3}, DType::Int32), in[0], 1); });
  rows.refuse("permute", [](Given in) { return permute(in[0], {0, 0}); });
  rows.refuse("permute", [](Given in) { return permute(in[0], {0}); });
  rows.refuse("sum", [](Given in) { return sum(in[0], {0, 0}); });
  rows.refuse("broadcast_to", [](Given in) { return broadcast_to(in[0], {kLarge, 1 << 10, 2, 3}); });
  rows.refuse("sum", [](Given) { return sum(full({3}, 2e9, DType::Int32)); });
  rows.refuse("matmul", [](Given) {
    return matmul(zeros({index_t{1} << 40, 0}), zeros({0, index_t{1} << 40}));
  });
  rows.refuse("matmul", [](Given) {
    return matmul(zeros({index_t{1} << 30, 0}), zeros({0, index_t{1} << 30}));
  });
  rows.refuse("einsum", [](Given) { return einsum("ia,aj->ij", zeros({kLarge, 0}), zeros({0, kLarge})); });
  rows.refuse("sort", [](Given) { return sort(Tensor(), 0); });

  // Convolutions and pooling.
  const std::vector<index_t> no_step = {0, -1, -kHuge}, no_window = {0, -1, 9, kHuge, -kHuge};
  rows.refuse_each("conv2d", no_step,
                   [](Given in, index_t n) { return conv2d(in[2], in[3], {.strides = n}); });
  rows.refuse_each("conv2d", std::vector<index_t>{0, -1, 3, kHuge, -kHuge},
                   [](Given in, index_t n) { return conv2d(in[2], in[3], {.dilations = n}); });
  rows.refuse_each("conv2d", std::vector<index_t>{0, -1, 2, kHuge},
                   [](Given in, index_t n) { return conv2d(in[2], in[3], {.groups = n}); });
  rows.refuse_each("padding", std::vector<index_t>{-1, -kHuge},
                   [](Given, index_t n) { return Padding::Explicit(n); });
  rows.refuse("conv2d_backprop_input", [](Given in) {
    return conv2d_backprop_input({1, kLarge, 4, 1}, in[3], in[2]);
  });
  rows.refuse("conv2d_backprop_input", [](Given in) { return conv2d_backprop_input({4, 4}, in[3], in[2]); });
  rows.refuse("conv2d_backprop_filter", [](Given in) {
    return conv2d_backprop_filter(in[2], {3, 3}, in[2]);
  });
  rows.refuse("conv2d_backprop_filter", [](Given in) {
    return conv2d_backprop_filter(in[2], {0, 3, 1, 1}, in[2]);
  });
  rows.refuse_each("conv2d_transpose", std::vector<index_t>{0, -1, kLarge, kHuge},
                   [](Given in, index_t n) { return conv2d_transpose(in[2], in[3], {.strides = n}); });
  rows.refuse_each("conv2d_transpose", std::vector<index_t>{-1, 1, kHuge}, [](Given in, index_t n) {
    return conv2d_transpose(in[2], in[3], {.output_padding = Size2D(n)});
  });
  rows.refuse_each(
      "conv2d_transpose",
      std::vector<std::vector<index_t>>{{}, {6}, {6, -6}, {kHuge, kHuge}, {1, 6, 6}, {7, 7}},
      [](Given in, const auto& shape) { return conv2d_transpose(in[2], in[3], {.output_shape = shape}); });
  rows.refuse_each("unfold", no_window, [](Given in, index_t n) { return unfold(in[2], n); });
  rows.refuse("unfold", [](Given in) { return unfold(in[2], 3, {.groups = 2}); });
  rows.refuse_each("fold", no_window, [](Given in, index_t n) { return fold(in[2], {1, 4, 4, 1}, n); });
  rows.refuse("conv2d_matrix", [](Given in) { return conv2d_matrix(in[3], Conv2DGeometry{}); });
  rows.refuse("conv2d_geometry", [](Given) { return conv2d_geometry({1, 4, 4}, {3, 3, 1, 1}).out_h; });
  for (const auto& [op, f] : {std::pair{"max_pool2d", &max_pool2d}, std::pair{"avg_pool2d", &avg_pool2d}}) {
    rows.refuse_each(op, no_window, [f = f](Given in, index_t n) { return f(in[2], {.pool_size = n}); });
    rows.refuse_each(op, no_step, [f = f](Given in, index_t n) { return f(in[2], {.strides = Size2D(n)}); });
  }
  rows.refuse_each("upsample_nearest", std::vector<index_t>{0, -1, kLarge, kHuge},
                   [](Given in, index_t n) { return upsample_nearest(in[2], n); });
  rows.refuse_each("upsample_bilinear", std::vector<index_t>{0, -1, kLarge, kHuge},
                   [](Given in, index_t n) { return upsample_bilinear(in[2], n); });
}

// The error is that of the function that was called, though others may have asked for the memory.
TEST(WrongNumbers, OfResultsThatThereIsNoMemoryFor) {
  constexpr index_t kSide = index_t{1} << 24;  // a square of these is beyond what a process can address
  const Tensor column = zeros({kSide, 1}), row = zeros({1, kSide}), flat = reshape(row, kSide);
  const Tensor bits = zeros({1, kSide}, DType::UInt8), numbers = zeros({kSide}, DType::Int32);
  const std::vector<Tensor> in = {column, row, flat, bits, numbers};
  Rows rows({});  // those are too large to be compared for each row
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const std::vector<std::pair<const char*, Binary>> binary = {{"add", add},
                                                              {"subtract", subtract},
                                                              {"multiply", multiply},
                                                              {"divide", divide},
                                                              {"pow", pow},
                                                              {"maximum", maximum},
                                                              {"minimum", minimum},
                                                              {"atan2", atan2},
                                                              {"less", less},
                                                              {"equals", equals},
                                                              {"greater_equal", greater_equal},
                                                              {"logical_or", logical_or}};
  for (const auto& [op, f] : binary) rows.refuse(op, [&, f = f](Given) { return f(in[0], in[1]); });
  rows.refuse("isclose", [&](Given) { return isclose(in[0], in[1]); });
  rows.refuse("where", [&](Given) { return where(in[3], in[0], in[0]); });
  rows.refuse("matmul", [&](Given) { return matmul(in[0], in[1]); });
  rows.refuse("matmul",
              [&](Given) { return matmul(in[1], in[0], {.transpose_a = true, .transpose_b = true}); });
  // Of no elements: not even a table of where each matrix begins.
  const Tensor none = matmul(zeros({kSide * kSide, 0, 3}), zeros({kSide * kSide, 3, 0}));
  EXPECT_EQ(none.shape(), Shape({kSide * kSide, 0, 0}));
  rows.refuse("einsum", [&](Given) { return einsum("i,j->ij", in[2], in[2]); });
  rows.refuse("einsum", [&](Given) { return einsum("i,j->ji", in[2], in[2]); });
  rows.refuse("diag", [&](Given) { return diag(in[2]); });
  rows.refuse("diag", [&](Given) { return diag(in[2], -3); });
  rows.refuse("one_hot", [&](Given) { return one_hot(in[4], kSide); });
  rows.refuse("pad", [&](Given) { return pad(in[0], {{0, 0}, {0, kSide}}); });
  rows.refuse("pad", [&](Given) { return pad(in[0], {{0, 0}, {0, kSide}}, 1); });
  rows.refuse("zero_insert", [&](Given) { return zero_insert(in[1], {0, kSide}); });
  rows.refuse("repeat", [&](Given) { return repeat(in[0], kSide, 1); });
  rows.refuse("repeat", [&](Given) { return repeat(in[0], kSide, 0); });
  rows.refuse("tile", [&](Given) { return tile(in[0], {1, kSide}); });
  rows.refuse("tile", [&](Given) { return tile(in[1], {kSide, 1}); });
  rows.refuse("upsample_nearest", [&](Given) {
    return upsample_nearest(reshape(in[2], {1, kSide, 1, 1}), {1, kSide});
  });
  rows.refuse("upsample_bilinear", [&](Given) {
    return upsample_bilinear(reshape(in[2], {1, kSide, 1, 1}), {1, kSide});
  });
  rows.refuse("conv2d", [&](Given) {
    return conv2d(reshape(in[2], {kSide, 1, 1, 1}), reshape(in[2], {1, 1, 1, kSide}));
  });
  rows.refuse("unfold", [&](Given) {
    return unfold(reshape(in[2], {1, 1, kSide, 1}), {1, kSide / 2}, {.padding = Padding::Same});
  });
  rows.refuse("gather", [&](Given) { return gather(in[0], in[4], 1); });
  rows.refuse("embedding", [&](Given) { return embedding(in[1], in[4]); });
  rows.refuse("broadcast_to", [&](Given) { return broadcast_to(in[0], {kSide, kSide}); });
  for (const DType dtype : {DType::Float32, DType::UInt8}) {
    rows.refuse("zeros", [&](Given) { return zeros({kSide, kSide}, dtype); });
    rows.refuse("ones", [&](Given) { return ones({kSide, kSide}, dtype); });
    rows.refuse("full", [&](Given) { return full({kSide, kSide}, 3, dtype); });
    rows.refuse("eye", [&](Given) { return eye(kSide, dtype); });
  }
  rows.refuse("arange", [](Given) { return arange(0x1p50); });
  rows.refuse("linspace", [](Given) { return linspace(0, 1, kSide * kSide); });
  Generator g(1);
  // Their elements do not exist, and are not asked for: the result has no memory.
  float number = 0;
  std::int32_t label = 0;
  const Tensor all = Tensor::wrap(&number, {kSide, kSide});
  const Tensor labels = Tensor::wrap(&label, {kSide, kSide});
  using Unary = Tensor (*)(const Tensor&);
  const std::vector<std::pair<const char*, Unary>> unary = {{"negate", negate},
                                                            {"exp", exp},
                                                            {"log", log},
                                                            {"sqrt", sqrt},
                                                            {"rsqrt", rsqrt},
                                                            {"square", square},
                                                            {"reciprocal", reciprocal},
                                                            {"abs", abs},
                                                            {"sign", sign},
                                                            {"sin", sin},
                                                            {"tan", tan},
                                                            {"tanh", tanh},
                                                            {"sigmoid", sigmoid},
                                                            {"softplus", softplus},
                                                            {"relu", relu},
                                                            {"selu", selu},
                                                            {"gelu", gelu},
                                                            {"gelu_tanh", gelu_tanh},
                                                            {"silu", silu},
                                                            {"log_softmax", log_softmax},
                                                            {"floor", floor},
                                                            {"isnan", isnan},
                                                            {"logical_not", logical_not},
                                                            {"copy", copy},
                                                            {"parameter", parameter},
                                                            {"zeros_like", zeros_like},
                                                            {"ones_like", ones_like}};
  for (const auto& [op, f] : unary) rows.refuse(op, [&, f = f](Given) { return f(all); });
  rows.refuse("full_like", [&](Given) { return full_like(all, 2); });
  rows.refuse("add", [&](Given) { return all + 1.0; });
  rows.refuse("subtract", [&](Given) { return 1.0 - all; });
  rows.refuse("pow", [&](Given) { return pow(all, 2); });
  rows.refuse("clamp", [&](Given) { return clamp(all, 0, 1); });
  rows.refuse("leaky_relu", [&](Given) { return leaky_relu(all); });
  rows.refuse("elu", [&](Given) { return elu(all); });
  rows.refuse("softmax", [&](Given) { return softmax(all, 0); });
  rows.refuse("softmax", [&](Given) { return softmax(all, 1); });
  rows.refuse("cumsum", [&](Given) { return cumsum(all, 0); });
  rows.refuse("flip", [&](Given) { return flip(all, {0}); });
  rows.refuse("roll", [&](Given) { return roll(all, 1, 0); });
  rows.refuse("transpose", [&](Given) { return transpose(all); });
  rows.refuse("permute", [&](Given) { return permute(all, {1, 0}); });
  rows.refuse("slice", [&](Given) { return slice(all, {{1, Range::kToEnd}, {1, Range::kToEnd}}); });
  rows.refuse("split", [&](Given) { return split(all, {kSide - 1, 1}, 1); });
  rows.refuse("chunk", [&](Given) { return chunk(all, 2, 1); });
  rows.refuse("stack", [&](Given) { return stack({all, all}); });
  rows.refuse("concat", [&](Given) { return concat({all, all}, 1); });
  rows.refuse("cast", [&](Given) { return cast(labels, DType::Float32); });
  rows.refuse("cast", [&](Given) { return cast(all, DType::Float32); });
  rows.refuse("tril", [&](Given) { return tril(all); });
  rows.refuse("count_nonzero", [&](Given) { return count_nonzero(all); });
  rows.refuse("nonzero", [&](Given) { return nonzero(all); });
  rows.refuse("layer_norm", [&](Given) { return layer_norm(reshape(all, {kSide * kSide, 1}), 1); });

  rows.refuse("dropout", [&](Given) { return dropout(all, 0.5, Generator(1), 0); });
  rows.refuse("mse_loss", [&](Given) { return mse_loss(all, all, {.reduction = Reduction::PerElement}); });
  rows.refuse("mae_loss", [&](Given) { return mae_loss(all, all); });
  rows.refuse("huber_loss", [&](Given) { return huber_loss(all, all); });
  rows.refuse("uniform", [&](Given) { return uniform({kSide, kSide}, 0, 1, g); });
  rows.refuse("normal", [&](Given) { return normal({kSide, kSide}, 0, 1, g); });
  rows.refuse("randint", [&](Given) { return randint({kSide, kSide}, 0, 2, g); });
}

TEST(WrongNumbers, OfOptionsOfOps) {
  const Tensor x = full({2, 3}, 0.5), three = ones({3});
  Rows rows({x, three, zeros({2}, DType::Int32), tensor({0, 3}, DType::Int32)});
  Generator g(1);
  rows.refuse_each("dropout", kNoRate, [&](Given in, double rate) { return dropout(in[0], rate, g); });
  rows.refuse_each("dropout", kNoRate,
                   [](Given in, double rate) { return dropout(in[0], rate, Generator(), 1); });
  rows.refuse_each("clamp", std::vector<double>{kNan},
                   [](Given in, double low) { return clamp(in[0], low, 1); });
  rows.refuse("clamp", [](Given in) { return clamp(in[0], 1, 0); });
  rows.refuse_each("batch_norm", kNegative,
                   [](Given in, double e) { return batch_norm(in[0], in[1], in[1], e).y; });
  rows.refuse_each("batch_norm", kNegative,
                   [](Given in, double e) { return batch_norm(in[0], in[1], in[1], in[1], in[1], e); });
  rows.refuse_each("layer_norm", kNegative, [](Given in, double e) { return layer_norm(in[0], 1, e); });
  rows.refuse_each("layer_norm", kNegative,
                   [](Given in, double e) { return layer_norm(in[0], in[1], in[1], e); });
  rows.refuse_each("layer_norm", std::vector<int>{0, -1, 3},
                   [](Given in, int axes) { return layer_norm(in[0], axes); });
  rows.refuse_each("group_norm", kNegative,
                   [](Given in, double e) { return group_norm(in[0], 3, in[1], in[1], e); });
  rows.refuse_each("group_norm", std::vector<index_t>{0, -1, 2, kHuge},
                   [](Given in, index_t groups) { return group_norm(in[0], groups, in[1], in[1]); });
  for (const bool absolute : {false, true})
    rows.refuse_each("isclose", std::vector<double>{kNan, -1.0}, [=](Given in, double tolerance) {
      return isclose(in[0], in[0],
                     absolute ? CloseOptions{.atol = tolerance} : CloseOptions{.rtol = tolerance});
    });
  rows.refuse_each("var", std::vector<double>{kNan, kInf, 3.0, 4.0},
                   [](Given in, double c) { return var(in[0], 1, {.correction = c}); });
  rows.refuse_each("stddev", std::vector<double>{kNan, kInf, 3.0, 4.0},
                   [](Given in, double c) { return stddev(in[0], 1, {.correction = c}); });
  // Losses.
  rows.refuse_each("huber_loss", std::vector<double>{kNan, -kInf, -1.0, 0.0},
                   [](Given in, double d) { return huber_loss(in[0], in[0], {.delta = d}); });
  rows.refuse_each("smooth_l1_loss", kNotPositive,
                   [](Given in, double b) { return smooth_l1_loss(in[0], in[0], {.beta = b}); });
  rows.refuse_each("cross_entropy", std::vector<double>{kNan, kInf, -0.1, 1.1},
                   [](Given in, double s) { return cross_entropy(in[0], in[2], {.label_smoothing = s}); });
  rows.refuse("cross_entropy", [](Given in) { return cross_entropy(in[0], in[3]); });
  rows.refuse("cross_entropy", [](Given in) { return cross_entropy(in[0], in[2] - 1.0); });
  rows.refuse("nll_loss", [](Given in) { return nll_loss(-in[0], in[3]); });
  rows.refuse("nll_loss", [](Given in) { return nll_loss(in[0], in[2]); });
  rows.refuse("accuracy", [](Given in) { return accuracy(in[0], in[3]); });
  rows.refuse("accuracy", [](Given in) { return accuracy(in[0], in[2] - 1.0); });
  rows.refuse("accuracy", [](Given) { return accuracy(ones({0, 3}), zeros({0}, DType::Int32)); });
  for (const double t : {-0.5, 1.5, kInf, -kInf}) {  // a NaN goes on into the loss, for check_finite
    rows.refuse("binary_cross_entropy", [=](Given in) {
      return binary_cross_entropy(in[0], full({2, 3}, t));
    });
    rows.refuse("binary_cross_entropy", [=](Given in) {
      return binary_cross_entropy(full({2, 3}, t), in[0]);
    });
    rows.refuse("binary_cross_entropy_with_logits", [=](Given in) {
      return binary_cross_entropy_with_logits(in[0], full({2, 3}, t));
    });
    rows.refuse("cross_entropy", [=](Given in) { return cross_entropy(in[0], full({2, 3}, t)); });
    rows.refuse("kl_divergence", [=](Given in) { return kl_divergence(-in[0], full({2, 3}, t)); });
  }
  rows.refuse("kl_divergence", [](Given in) { return kl_divergence(in[0], in[0]); });
  const Tensor nothing = ones({0, 3});
  rows.refuse("mse_loss", [&](Given) { return mse_loss(nothing, nothing); });
  rows.refuse("mae_loss", [&](Given) { return mae_loss(nothing, nothing); });
  rows.refuse("huber_loss", [&](Given) { return huber_loss(nothing, nothing); });
  rows.refuse("smooth_l1_loss", [&](Given) { return smooth_l1_loss(nothing, nothing); });
  rows.refuse("binary_cross_entropy", [&](Given) { return binary_cross_entropy(nothing, nothing); });
  rows.refuse("binary_cross_entropy_with_logits",
              [&](Given) { return binary_cross_entropy_with_logits(nothing, nothing); });
  rows.refuse("cross_entropy", [&](Given) { return cross_entropy(nothing, nothing); });
  rows.refuse("nll_loss", [&](Given) { return nll_loss(nothing, zeros({0}, DType::Int32)); });
  rows.refuse("kl_divergence", [&](Given) { return kl_divergence(nothing, nothing); });
  rows.refuse("kl_to_standard_normal", [&](Given) { return kl_to_standard_normal(nothing, nothing); });
}

}  // namespace
}  // namespace tapegrad::testing
