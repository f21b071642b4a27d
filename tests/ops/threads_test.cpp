// Results and gradients are the same bits for any number of threads: of tensors that are large enough to be cut.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Function = std::function<Tensor(const Tensor&)>;

struct Row {
  std::string name;
  Shape shape;
  Function f;
};

void PrintTo(const Row* row, std::ostream* out) {
  *out << row->name;
}

Tensor drawn(const Shape& shape, std::uint64_t seed = 2) {
  Generator generator(seed);
  return uniform(shape, -1, 1, generator);
}

// Whole numbers in [0, end), those at the beginning more often.
Tensor indices(const Shape& shape, index_t end) {
  Generator generator(3);
  Tensor drawn = zeros(shape, DType::Int32);
  for (auto& index : drawn.mutable_values<std::int32_t>()) {
    const double u = generator.uniform(0, 1);
    index = static_cast<std::int32_t>(u * u * static_cast<double>(end));
  }
  return drawn;
}

// Indices that are drawn when they are needed first: a program that runs one test makes the table for all.
class Indices {
 public:
  Indices(const Shape& shape, index_t end) : shape_(shape), end_(end) {}
  const Tensor& operator()() const {
    if (!drawn_->defined()) *drawn_ = indices(shape_, end_);
    return *drawn_;
  }

 private:
  Shape shape_;
  index_t end_;
  std::shared_ptr<Tensor> drawn_ = std::make_shared<Tensor>();
};

void add_poolings(std::vector<Row>& rows) {
  const Shape images{5, 63, 61, 13}, image{1, 129, 127, 17};
  for (const Shape& shape : {images, image}) {
    const std::string of = shape[0] == 1 ? ", one image" : ", images";
    rows.push_back({"max_pool2d" + of, shape, [](const Tensor& x) { return max_pool2d(x); }});
    rows.push_back({"max_pool2d, windows overlap" + of, shape, [](const Tensor& x) {
                      return max_pool2d(x, {.pool_size = 3, .strides = 2, .padding = Padding::Same});
                    }});
    rows.push_back({"avg_pool2d" + of, shape, [](const Tensor& x) { return avg_pool2d(x); }});
    rows.push_back({"avg_pool2d, windows overlap" + of, shape, [](const Tensor& x) {
                      return avg_pool2d(x, {.pool_size = 5, .strides = 2, .padding = Padding::Same});
                    }});
    rows.push_back({"avg_pool2d, gaps" + of, shape,
                    [](const Tensor& x) { return avg_pool2d(x, {.pool_size = 2, .strides = 3}); }});
    rows.push_back({"global_max_pool2d" + of, shape, [](const Tensor& x) { return global_max_pool2d(x); }});
    rows.push_back({"global_avg_pool2d" + of, shape, [](const Tensor& x) { return global_avg_pool2d(x); }});
    rows.push_back({"upsample_nearest" + of, shape, [](const Tensor& x) { return upsample_nearest(x, 2); }});
    rows.push_back(
        {"upsample_bilinear" + of, shape, [](const Tensor& x) { return upsample_bilinear(x, 2); }});
  }
}

void add_lookups(std::vector<Row>& rows) {
  for (const index_t features : {1, 8, 130})
    rows.push_back({"embedding of " + std::to_string(features),
                    {5000, features},
                    [at = Indices({40, 500}, 5000)](const Tensor& x) { return embedding(x, at()); }});
  rows.push_back({"gather of long rows", {3, 50000}, [at = Indices({20}, 3)](const Tensor& x) {
                    return gather(x, at(), 0);
                  }});
  rows.push_back({"gather along axis 1", {2, 3000, 20}, [at = Indices({9000}, 3000)](const Tensor& x) {
                    return gather(x, at(), 1);
                  }});
  for (const int axis : {0, 1, 2}) {
    const Shape shape{3, 300, 310};
    rows.push_back({"take_along_axis " + std::to_string(axis), shape,
                    [axis, at = Indices(shape, shape[axis])](const Tensor& x) {
                      return take_along_axis(x, at(), axis);
                    }});
    rows.push_back({"scatter_add " + std::to_string(axis), shape,
                    [axis, shape, at = Indices(shape, shape[axis])](const Tensor& x) {
                      return scatter_add(drawn(shape), at(), x, axis);
                    }});
    rows.push_back(
        {"sort " + std::to_string(axis), shape, [axis](const Tensor& x) { return sort(x, axis); }});
    rows.push_back({"topk " + std::to_string(axis), shape, [axis](const Tensor& x) {
                      return topk(x, std::min<index_t>(x.shape()[axis], 100), axis).values;
                    }});
    rows.push_back(
        {"median " + std::to_string(axis), shape, [axis](const Tensor& x) { return median(x, axis); }});
    rows.push_back(
        {"cumsum " + std::to_string(axis), shape, [axis](const Tensor& x) { return cumsum(x, axis); }});
    rows.push_back({"max " + std::to_string(axis), shape, [axis](const Tensor& x) { return max(x, axis); }});
  }
  rows.push_back({"scatter", {100000}, [](const Tensor& x) {
                    return scatter(drawn({300000}), argsort(drawn({100000}, 5)), x, 0);
                  }});
  rows.push_back({"sort of all", {200000}, [](const Tensor& x) { return sort(x); }});
  rows.push_back(
      {"masked_select", {200000}, [](const Tensor& x) { return masked_select(x, greater(x, 0)); }});
  rows.push_back({"diag", {700, 700}, [](const Tensor& x) { return diag(x); }});
  rows.push_back({"triu", {700, 300}, [](const Tensor& x) { return triu(x); }});
}

void add_layouts(std::vector<Row>& rows) {
  const Shape shape{7, 50, 31, 13};
  rows.push_back({"slice with steps", {200001}, [](const Tensor& x) { return slice(x, {{1, 200000, 3}}); }});
  rows.push_back({"slice", shape, [](const Tensor& x) { return slice(x, {{0, 7}, {3, 47}, {1, 30, 2}}); }});
  rows.push_back({"flip", {100001}, [](const Tensor& x) { return flip(x, 0); }});
  rows.push_back({"flip of columns", shape, [](const Tensor& x) { return flip(x, 2); }});
  rows.push_back({"roll", shape, [](const Tensor& x) { return roll(x, 3, 1); }});
  rows.push_back({"permute", shape, [](const Tensor& x) { return permute(x, {0, 3, 1, 2}); }});
  rows.push_back({"pad", shape, [](const Tensor& x) { return pad(x, {{1, 0}, {1, 1}, {0, 2}, {0, 0}}); }});
  rows.push_back({"zero_insert", shape, [](const Tensor& x) { return zero_insert(x, {0, 1, 2, 0}); }});
  rows.push_back({"concat of batches", shape, [](const Tensor& x) { return concat({x, x}); }});
  rows.push_back({"concat of channels", shape, [](const Tensor& x) { return concat({x, x}, 3); }});
  rows.push_back({"stack", shape, [](const Tensor& x) { return stack({x, x}, 1); }});
  rows.push_back({"tile", shape, [](const Tensor& x) { return tile(x, {2, 1, 3, 1}); }});
  rows.push_back({"repeat", shape, [](const Tensor& x) { return repeat(x, 3, 1); }});
  rows.push_back({"broadcast_to", {50, 1, 13}, [](const Tensor& x) {
                    return broadcast_to(x, {200, 50, 31, 13});
                  }});
  rows.push_back({"split", shape, [](const Tensor& x) { return split(x, {13, 18}, 2)[1]; }});
  rows.push_back({"copy", shape, [](const Tensor& x) { return copy(x); }});
}

void add_others(std::vector<Row>& rows) {
  const Shape shape{40, 50, 70};
  for (const int axis : {0, 1, 2}) {
    const std::string at = " " + std::to_string(axis);
    rows.push_back({"softmax" + at, shape, [axis](const Tensor& x) { return softmax(x, axis); }});
    rows.push_back({"sum" + at, shape, [axis](const Tensor& x) { return sum(x, axis); }});
    rows.push_back({"var" + at, shape, [axis](const Tensor& x) { return var(x, axis); }});
    rows.push_back({"prod" + at, shape, [axis](const Tensor& x) { return prod(x, axis); }});
  }
  rows.push_back({"layer_norm", shape, [](const Tensor& x) { return layer_norm(x, 1); }});
  rows.push_back({"matmul", shape, [](const Tensor& x) { return matmul(x, drawn({70, 90})); }});
  rows.push_back({"multiplication by a row", shape, [](const Tensor& x) { return x * slice(x, 0, 1); }});
  rows.push_back(
      {"batch_norm", shape, [](const Tensor& x) { return batch_norm(x, ones({70}), zeros({70})).y; }});
  rows.push_back({"group_norm", {6, 30, 31, 12}, [](const Tensor& x) {
                    return group_norm(x, 4, ones({12}), zeros({12}));
                  }});
  rows.push_back({"dropout", shape, [](const Tensor& x) { return dropout(x, 0.3, Generator(1)); }});
  rows.push_back(
      {"cross_entropy", {20000, 11}, [](const Tensor& x) { return cross_entropy(x, indices({20000}, 11)); }});
  rows.push_back({"mse_loss", shape, [](const Tensor& x) { return mse_loss(x, x * 0.5); }});
}

const std::vector<Row>& table() {
  static const std::vector<Row> table = [] {
    std::vector<Row> rows;
    add_poolings(rows);
    add_lookups(rows);
    add_layouts(rows);
    add_others(rows);
    return rows;
  }();
  return table;
}

std::vector<const Row*> rows() {
  std::vector<const Row*> rows;
  for (const Row& row : table()) rows.push_back(&row);
  return rows;
}

struct Found {
  Tensor y, gradient, of_sum;
};

// y, and the gradient by x of a function of y; and of a sum to which y's gradient is added in place.
Found found(const Row& row, int threads) {
  const ThreadCountScope scope(threads);
  const Tensor at = drawn(row.shape);
  const auto gradient = [&](bool twice) {
    Tape tape;
    const Tensor x = tape.watch(at), y = row.f(x);
    Tensor loss = sum(y * y * (y + 0.7));
    if (twice) loss = sum(x * x) + loss + sum(row.f(x) * 0.3);
    return tape.gradient(loss, x);
  };
  return {row.f(at), gradient(false), gradient(true)};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data<float>(), b.data<float>(),
                                               static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
}

class Threads : public ::testing::TestWithParam<const Row*> {};

TEST_P(Threads, ChangeNoBit) {
  const Found alone = found(*GetParam(), 1);
  for (const int threads : {2, 3, 8}) {
    const Found shared = found(*GetParam(), threads);
    EXPECT_TRUE(same_bits(shared.y, alone.y)) << threads << " threads: the result";
    EXPECT_TRUE(same_bits(shared.gradient, alone.gradient)) << threads << " threads: the gradient";
    EXPECT_TRUE(same_bits(shared.of_sum, alone.of_sum)) << threads << " threads: a sum of gradients";
  }
}

std::string test_name(const ::testing::TestParamInfo<const Row*>& row) {
  std::string name;
  for (const char c : row.param->name)
    if (c != ',') name += c == ' ' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(OfLargeTensors, Threads, ::testing::ValuesIn(rows()), test_name);

// What is added up is right, against the definition.
TEST(LargeGradients, OfAnEmbedding) {
  const Tensor at = indices({3000}, 50), weights = drawn({3000, 130}), table = drawn({50, 130});
  Tensor expected = zeros({50, 130}, DType::Float64);
  for (index_t i = 0; i < 3000; ++i)
    for (index_t c = 0; c < 130; ++c)
      expected.set({static_cast<index_t>(at.at({i})), c},
                   expected.at({static_cast<index_t>(at.at({i})), c}) + weights.at({i, c}));
  for (const int threads : {1, 3}) {
    const ThreadCountScope scope(threads);
    Tape tape;
    const Tensor x = tape.watch(table);
    const Tensor g = tape.gradient(sum(embedding(x, at) * weights), x);
    for (index_t i = 0; i < 50; ++i)
      for (index_t c = 0; c < 130; ++c) ASSERT_NEAR(g.at({i, c}), expected.at({i, c}), 1e-4);
  }
}

// Against a mean of windows that is made of slices.
TEST(LargeGradients, OfMeansOfWindows) {
  const Tensor image = drawn({1, 129, 127, 17}), factors = drawn({1, 63, 62, 17});
  const auto by_slices = [](const Tensor& x) {
    Tensor total = zeros({1, 63, 62, 17});
    for (index_t i = 0; i < 4; ++i)
      for (index_t j = 0; j < 4; ++j) total = total + slice(x, {{0, 1}, {i, i + 125, 2}, {j, j + 123, 2}});
    return total / 16;
  };
  const auto pooled = [](const Tensor& x) { return avg_pool2d(x, {.pool_size = 4, .strides = 2}); };
  const auto gradient = [&](const Function& f) {
    const ThreadCountScope scope(3);
    Tape tape;
    const Tensor x = tape.watch(image);
    return tape.gradient(sum(f(x) * factors), x);
  };
  const Tensor right = gradient(by_slices), g = gradient(pooled);
  EXPECT_LT(max(abs(g - right)).item(), 1e-6);
}

}  // namespace
}  // namespace tapegrad::testing
