// Reductions of ONNX.

#include <algorithm>
#include <numeric>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/rounding.h"

namespace tapegrad::inline v0::onnx {
namespace {

using Reduce = Tensor (*)(const Tensor&, const Axes&, const ReduceOptions&);

// The order of a value without these stored axes.
Order without(const Order& order, std::vector<int> stored) {
  if (order.empty()) return {};
  Order left;
  for (std::size_t i = 0; i < order.size(); ++i)
    if (std::ranges::find(stored, static_cast<int>(i)) == stored.end()) left.push_back(order[i]);
  Order sorted = left;
  std::ranges::sort(sorted);
  if (left == sorted) return {};
  for (int& axis : left) axis = static_cast<int>(std::ranges::find(sorted, axis) - sorted.begin());
  return left;
}

std::vector<int> stored_axes(const Value& x, const std::vector<std::int64_t>& axes) {
  std::vector<int> stored;
  for (const std::int64_t axis : axes) {
    stored.push_back(x.stored_axis(axis));
    if (std::ranges::count(stored, stored.back()) > 1) fail("load_onnx", "axis {} is named twice", axis);
  }
  return stored;
}

Compute prepare_reduction(const Node& node, std::int64_t input_since, Reduce reduce) {
  const bool keepdims = node.integer("keepdims", 1) != 0;
  const bool none_is_none = node.opset() >= input_since && node.integer("noop_with_empty_axes", 0) != 0;
  const AxesOf given = axes_of(node, input_since, 1);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const std::vector<std::int64_t> axes = given(run).value_or(std::vector<std::int64_t>{});
    std::vector<int> stored = stored_axes(x, axes);
    if (axes.empty() && none_is_none) return {x};
    if (axes.empty()) {
      stored.resize(static_cast<std::size_t>(x.rank()));
      std::iota(stored.begin(), stored.end(), 0);
    }
    const Tensor y = reduce(x.tensor, stored, {.keepdims = keepdims});
    return {{is_whole(x.type) ? wrapped(trunc(y), x.type) : y, x.type,
             keepdims ? x.order : without(x.order, stored)}};
  };
}

// The last of several extremes is the first of the reversed axis.
Compute prepare_extreme(const Node& node, Tensor (*extreme)(const Tensor&, int, const ReduceOptions&)) {
  const bool keepdims = node.integer("keepdims", 1) != 0, last = node.integer("select_last_index", 0) != 0;
  const std::int64_t axis = node.integer("axis", 0);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const int at = x.stored_axis(axis);
    const ReduceOptions options{.keepdims = keepdims};
    Tensor y = cast(extreme(last ? flip(x.tensor, at) : x.tensor, at, options), DType::Float64);
    if (last) y = static_cast<double>(x.tensor.shape()[at] - 1) - y;
    return {{y, ElementType::Int64, keepdims ? x.order : without(x.order, {at})}};
  };
}

Compute prepare_cumsum(const Node& node) {
  const CumsumOptions options{.reverse = node.integer("reverse", 0) != 0,
                              .exclusive = node.integer("exclusive", 0) != 0};
  return [options](const Run& run) -> Results {
    const Value& x = run[0];
    const std::vector<std::int64_t> axis = integers(run[1]);
    if (axis.size() != 1) fail("load_onnx", "the axis must be a single number");
    return {x.with(cumsum(x.tensor, x.stored_axis(axis[0]), options))};
  };
}

}  // namespace

void add_reductions(Ops& ops) {
  constexpr std::int64_t kOfSum = 13, kOfOthers = 18;  // the opset that made the axes an input
  const std::pair<const char*, Reduce> kinds[] = {
      {"ReduceSum", sum},
      {"ReduceMean", mean},
      {"ReduceProd", prod},
      {"ReduceMax", (max)},
      {"ReduceMin", (min)},
      {"ReduceL2", norm},
      {"ReduceLogSumExp", logsumexp},
      {"ReduceL1", [](const Tensor& x, const Axes& axes,
                      const ReduceOptions& options) { return sum(abs(x), axes, options); }},
      {"ReduceSumSquare", [](const Tensor& x, const Axes& axes,
                             const ReduceOptions& options) { return sum(square(x), axes, options); }},
      {"ReduceLogSum", [](const Tensor& x, const Axes& axes,
                          const ReduceOptions& options) { return log(sum(x, axes, options)); }},
  };
  for (const auto& [name, reduce] : kinds) {
    const std::int64_t since = std::string_view(name) == "ReduceSum" ? kOfSum : kOfOthers;
    ops[name] = {.roles = "xo", .prepare = [since, reduce = reduce](const Node& node) {
                   return prepare_reduction(node, since, reduce);
                 }};
  }
  ops["ArgMax"] = {.prepare = [](const Node& node) { return prepare_extreme(node, argmax); }};
  ops["ArgMin"] = {.prepare = [](const Node& node) { return prepare_extreme(node, argmin); }};
  ops["CumSum"] = {.required = 2, .roles = "xo", .prepare = prepare_cumsum};
}

}  // namespace tapegrad::inline v0::onnx
