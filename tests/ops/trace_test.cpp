// What exporters hear of the ops: all inputs, so that nothing that depends on the data is taken for a constant.

#include "tapegrad/autograd/trace.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "ops/op_table.h"
#include "tapegrad/base/fmt.h"

namespace tapegrad::testing {
namespace {

// Tensors with the same elements and shape are the same value.
std::pair<const void*, std::string> key_of(const Tensor& x) {
  const void* elements =
      dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) -> const void* { return x.data<T>(); });
  return {elements, fmt::format("{} {}", x.dtype(), x.shape())};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  return std::memcmp(key_of(a).first, key_of(b).first,
                     static_cast<std::size_t>(a.size()) * size_of(a.dtype())) == 0;
}

// What y is made of beside these inputs.
std::vector<Tensor> constants_of(const OpRow& row, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> xs, constants;
  Tensor y;
  const Tape tape;
  for (const Tensor& x : inputs) xs.push_back(parameter(x));
  const std::vector<TracedOp> ops = trace_ops([&] { y = row.f(xs); });
  std::set<std::pair<const void*, std::string>> wanted = {key_of(y)}, known;
  for (const Tensor& x : xs) known.insert(key_of(x));
  for (auto op = ops.rbegin(); op != ops.rend(); ++op) {
    const auto own = key_of(op->output);
    if (wanted.count(own) == 0 || known.count(own) != 0) continue;
    wanted.erase(own);
    for (const Tensor& x : op->inputs) wanted.insert(key_of(x));
  }
  for (const TracedOp& op : ops)
    for (const Tensor& x : op.inputs)
      if (known.count(key_of(x)) == 0 && wanted.erase(key_of(x)) != 0) constants.push_back(x);
  if (wanted.count(key_of(y)) != 0 && known.count(key_of(y)) == 0) constants.push_back(y);
  return constants;
}

class TraceOfOps : public ::testing::TestWithParam<const OpRow*> {};

TEST_P(TraceOfOps, HidesNoInput) {
  const OpRow& row = *GetParam();
  // What is chosen by the values themselves: indices are made of them outside of any op.
  const std::set<std::string> chosen = {"max_pool2d"};
  const std::vector<Tensor> first = constants_of(row, row.draw(7)), second = constants_of(row, row.draw(8));
  const bool same =
      first.size() == second.size() && std::equal(first.begin(), first.end(), second.begin(), same_bits);
  EXPECT_EQ(same, chosen.count(row.op) == 0) << row.name() << ": " << first.size() << " constants";
}

INSTANTIATE_TEST_SUITE_P(Rows, TraceOfOps, ::testing::ValuesIn(op_rows()), [](const auto& row) {
  std::string name = row.param->name();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name + "_" + std::to_string(row.index);
});

// The last op that f computes.
TracedOp last_of(const std::function<Tensor()>& f) {
  Tensor y;
  return trace_ops([&] { y = f(); }).back();
}

std::vector<double> option_of(const TracedOp& op, const std::string& name) {
  for (const OpOption& option : op.options)
    if (option.name == name) return option.values;
  ADD_FAILURE() << op.op << " has no option " << name;
  return {};
}

using Numbers = std::vector<double>;

TEST(Trace, TellsOptions) {
  const Tensor x = ones({2, 3, 4});
  EXPECT_EQ(option_of(last_of([&] { return sum(x, {0, -1}); }), "axes"), (Numbers{0, 2}));
  EXPECT_EQ(option_of(last_of([&] { return permute(x, {2, 0, 1}); }), "order"), (Numbers{2, 0, 1}));
  EXPECT_EQ(option_of(last_of([&] { return clamp(x, -1, 6); }), "high"), Numbers{6});
  EXPECT_EQ(option_of(last_of([&] { return softmax(x, 1); }), "axes"), Numbers{1});
  EXPECT_EQ(option_of(last_of([&] { return x * 0.5; }), "number"), Numbers{0.5});
  const TracedOp reversed = last_of([&] { return 3.0 - x; });
  EXPECT_EQ(option_of(reversed, "number"), Numbers{3});
  EXPECT_EQ(option_of(reversed, "reversed"), Numbers{1});
  EXPECT_EQ(option_of(last_of([&] { return slice(x, {{}, {1, 3}}); }), "offset"), Numbers{4});
  EXPECT_EQ(option_of(last_of([&] { return argmax(x, 1); }), "axis"), Numbers{1});
  EXPECT_EQ(option_of(last_of([&] { return concat({x, x}, 1); }), "axis"), Numbers{1});
}

TEST(Trace, TellsGeometryInputsAndResults) {
  const Tensor x = ones({1, 5, 5, 2}), w = ones({3, 3, 2, 4});
  Tensor y;
  const auto ops = trace_ops([&] { y = relu(conv2d(x, w, {.strides = 2})); });
  ASSERT_EQ(ops.size(), 2u);
  EXPECT_EQ(ops[0].op, "conv2d");
  ASSERT_TRUE(ops[0].geometry.has_value());
  EXPECT_EQ(*ops[0].geometry, conv2d_geometry(x.shape(), w.shape(), {.strides = 2}));
  ASSERT_EQ(ops[0].inputs.size(), 2u);
  EXPECT_EQ(key_of(ops[0].inputs[1]), key_of(w));
  EXPECT_EQ(ops[1].op, "relu");
  EXPECT_FALSE(ops[1].geometry.has_value());
  EXPECT_EQ(key_of(ops[1].inputs[0]), key_of(ops[0].output));
  EXPECT_EQ(key_of(ops[1].output), key_of(y));
}

// Masks come before the op's other arguments; and so does all else that has no gradient.
TEST(Trace, TellsMasksAndIndices) {
  const Tensor x = tensor({1, -2, 3}), indices = tensor({2, 0}, DType::Int32);
  const auto chosen = trace_ops([&] { (void)where(greater(x, 0), x, 0.0); });
  ASSERT_EQ(chosen.size(), 2u);
  EXPECT_EQ(chosen[0].op, "greater");
  ASSERT_EQ(chosen[1].inputs.size(), 3u);
  EXPECT_EQ(key_of(chosen[1].inputs[0]), key_of(chosen[0].output));
  const TracedOp gathered = last_of([&] { return gather(x, indices, 0); });
  ASSERT_EQ(gathered.inputs.size(), 2u);
  EXPECT_EQ(key_of(gathered.inputs[0]), key_of(indices));
}

// What is made of other ops is told after them, with the same output.
TEST(Trace, TellsWhatOpsAreMadeOf) {
  const Tensor x = ones({2, 3, 4, 5}), channels = ones({5});
  const TracedOp normalized =
      last_of([&] { return batch_norm(x, channels, channels, channels, channels, 0.125); });
  EXPECT_EQ(normalized.op, "batch_norm");
  EXPECT_EQ(normalized.inputs.size(), 5u);
  EXPECT_EQ(option_of(normalized, "epsilon"), Numbers{0.125});
  const TracedOp larger = last_of([&] { return upsample_nearest(x, {2, 3}); });
  EXPECT_EQ(larger.op, "upsample_nearest");
  EXPECT_EQ(option_of(larger, "size"), (Numbers{2, 3}));
  EXPECT_EQ(option_of(last_of([&] { return upsample_bilinear(x, {1, 4}); }), "size"), (Numbers{1, 4}));
  EXPECT_EQ(option_of(last_of([&] { return prod(x, {1, -1}); }), "axes"), (Numbers{1, 3}));
  std::vector<std::string> sorting;
  for (const TracedOp& op : trace_ops([&] { (void)sort(x, 1, {.descending = true}); })) {
    sorting.push_back(op.op);
    if (op.op == "argsort") {
      EXPECT_EQ(option_of(op, "descending"), Numbers{1});
    }
    if (op.op != "sort") {
      EXPECT_EQ(option_of(op, "axis"), Numbers{1});
    }
  }
  EXPECT_EQ(sorting, (std::vector<std::string>{"argsort", "sort", "take_along_axis"}));
  const Tensor row = tensor({{1, 2, 3}}), at = tensor({{2, 0}}, DType::Int32), values = tensor({{5, 6}});
  for (const TracedOp& scattered : {last_of([&] { return scatter_add(row, at, values, -1); }),
                                    last_of([&] { return scatter(row, at, values, -1); })}) {
    EXPECT_EQ(scattered.inputs.size(), 3u) << scattered.op;
    EXPECT_EQ(option_of(scattered, "axis"), Numbers{1});
  }
}

TEST(Trace, TellsTheLayer) {
  Generator generator(1);
  Sequential net(Dense({.in_features = 2, .units = 3}, generator), ReLU());
  std::map<const Module*, std::string> paths;
  Visitor visitor([](const std::string&, Tensor&) {},
                  [&](const std::string& path, Module& module) { paths[&module] = path; });
  net.visit(visitor);
  std::vector<std::string> found;
  const Tensor x = ones({1, 2});
  for (const TracedOp& op : trace_ops([&] { (void)(exp(net(x)) + 1.0); }))
    found.push_back(op.op + " " + (op.layer == nullptr ? "outside" : paths.at(op.layer)));
  EXPECT_EQ(found, (std::vector<std::string>{"matmul 0", "add 0", "relu 1", "exp outside", "add outside"}));
}

TEST(Trace, HearsOfOpsUnderNoGradAndEndsWithItsFunction) {
  const Tensor x = ones({3});
  const auto ops = trace_ops([&] {
    const NoGrad no_grad;
    (void)(x + x);
    const auto inner = trace_ops([&] { (void)exp(x); });
    EXPECT_EQ(inner.size(), 1u);
  });
  ASSERT_EQ(ops.size(), 1u);
  EXPECT_EQ(ops[0].op, "add");
  EXPECT_THROW((void)trace_ops([&] { throw std::runtime_error("stop"); }), std::runtime_error);
  EXPECT_THROW((void)trace_ops({}), Error);
}

}  // namespace
}  // namespace tapegrad::testing
