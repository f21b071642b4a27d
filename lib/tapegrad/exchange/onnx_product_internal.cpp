// Products of matrices of ONNX, and softmax.

#include <algorithm>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/matmul.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0::onnx {
namespace {

// A factor of matmul(): stored with its last two axes exchanged, it is not copied.
struct Factor {
  Tensor tensor;
  bool transposed = false;
};

Factor factor_of(const Value& value) {
  Order exchanged(static_cast<std::size_t>(value.rank()));
  for (std::size_t i = 0; i < exchanged.size(); ++i) exchanged[i] = static_cast<int>(i);
  if (exchanged.size() > 1) std::swap(exchanged.end()[-1], exchanged.end()[-2]);
  if (!value.order.empty() && value.order == exchanged) return {value.tensor, true};
  return {natural(value), false};
}

Results multiply(const Run& run) {
  const Factor a = factor_of(run[0]), b = factor_of(run[1]);
  Tensor y = matmul(a.tensor, b.tensor, {.transpose_a = a.transposed, .transpose_b = b.transposed});
  return {value_of(is_whole(run[0].type) ? wrapped(y, run[0].type) : y, run[0].type)};
}

Compute prepare_gemm(const Node& node) {
  const double alpha = node.number("alpha", 1), beta = node.number("beta", 1);
  const bool transpose_a = node.integer("transA", 0) != 0, transpose_b = node.integer("transB", 0) != 0;
  return [=](const Run& run) -> Results {
    if (run[0].rank() != 2 || run[1].rank() != 2)
      fail("load_onnx", "it takes matrices, got shapes {} and {}", Shape(run[0].sizes()),
           Shape(run[1].sizes()));
    const Factor a = factor_of(run[0]), b = factor_of(run[1]);
    Tensor y =
        matmul(a.tensor, b.tensor,
               {.transpose_a = a.transposed != transpose_a, .transpose_b = b.transposed != transpose_b});
    if (alpha != 1) y = y * alpha;
    if (run.has(2) && beta != 0) {
      const Tensor c = natural(run[2]);
      if (broadcast("load_onnx", y.shape(), c.shape()) != y.shape())
        fail("load_onnx", "C has shape {}, which cannot be broadcast to {}", c.shape(), y.shape());
      y = y + (beta == 1 ? c : c * beta);
    }
    return {value_of(y, run[0].type)};
  };
}

using Softmax = Tensor (*)(const Tensor&, int);

// Before opset 13 all axes from `axis` on are one.
Compute prepare_softmax(const Node& node, Softmax softmax_of) {
  const bool one_axis = node.opset() >= 13;
  const std::int64_t axis = node.integer("axis", one_axis ? -1 : 1);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    if (one_axis) return {x.with(softmax_of(x.tensor, x.stored_axis(axis)))};
    const Tensor tensor = natural(x);
    const std::int64_t from = axis < 0 ? axis + x.rank() : axis;
    if (from < 0 || from > x.rank())
      fail("load_onnx", "axis {} is not one of shape {}", axis, tensor.shape());
    index_t row = 1;
    for (int i = static_cast<int>(from); i < x.rank(); ++i) row *= tensor.shape()[i];
    if (tensor.size() == 0) return {value_of(tensor, x.type)};
    return {value_of(reshape(softmax_of(reshape(tensor, {-1, row}), 1), tensor.shape()), x.type)};
  };
}

// 1 at the first maximum along an axis, 0 elsewhere.
Tensor hardmax(const Tensor& x, int axis) {
  const Tensor rows = one_hot(argmax(x, axis), x.shape()[axis], x.dtype());
  std::vector<int> order;
  for (int i = 0; i + 1 < x.rank(); ++i) order.push_back(i);
  order.insert(order.begin() + x.shape().checked_axis(axis), x.rank() - 1);
  return permute(rows, order);
}

// The result that an equation means if it names none: the letters that occur once, in the order of the alphabet.
std::string with_result(std::string equation) {
  std::erase(equation, ' ');
  if (equation.find("->") != std::string::npos) return equation;
  std::string result;
  for (char letter = 'A'; letter <= 'z'; ++letter)
    if (letter != ',' && std::ranges::count(equation, letter) == 1) result += letter;
  return equation + "->" + result;
}

Compute prepare_einsum(const Node& node) {
  std::string equation = with_result(node.text("equation", ""));
  const std::size_t count = node.proto().inputs.size();
  if (count > 2) node.fail("has {} inputs; einsum() takes two", count);
  if (equation.find('.') != std::string::npos)
    node.fail("has '...' in its equation: einsum() needs a letter for each axis");
  if (count == 1) equation.insert(equation.find("->"), ",");
  return [equation, count](const Run& run) -> Results {
    const Tensor x = natural(run[0]);
    return {value_of(einsum(equation, x, count == 2 ? natural(run[1]) : ones({}, x.dtype())), run[0].type)};
  };
}

}  // namespace

void add_products(Ops& ops) {
  ops["MatMul"] = {
      .required = 2, .roles = "xw", .prepare = [](const Node&) { return multiply; }, .folds = false};
  ops["Gemm"] = {.required = 2, .roles = "xgw", .prepare = prepare_gemm, .folds = false};
  ops["Einsum"] = {.roles = "xw", .prepare = prepare_einsum, .folds = false};
  const std::pair<const char*, Softmax> kinds[] = {
      {"Softmax", softmax}, {"LogSoftmax", log_softmax}, {"Hardmax", hardmax}};
  for (const auto& [name, kind] : kinds)
    ops[name] = {.prepare = [kind = kind](const Node& node) { return prepare_softmax(node, kind); }};
}

}  // namespace tapegrad::inline v0::onnx
