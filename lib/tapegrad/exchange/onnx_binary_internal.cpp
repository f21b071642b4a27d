// Ops of ONNX on several tensors, element by element, with broadcasting.

#include <cmath>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/rounding.h"

namespace tapegrad::inline v0::onnx {
namespace {

using Pair = std::function<Tensor(const Tensor&, const Tensor&)>;

void require_same_type(const Value& a, const Value& b) {
  if (a.type != b.type)
    fail("load_onnx", "its inputs must have the same type, got {} and {}", name(a.type), name(b.type));
}

Value combined(const Value& a, const Value& b, const Pair& floating, const Pair& whole) {
  require_same_type(a, b);
  const auto [tensors, order] = aligned({a, b});
  const bool is_number = is_whole(a.type);
  const Tensor y = (is_number ? whole : floating)(tensors[0], tensors[1]);
  return {is_number ? wrapped(y, a.type) : y, a.type, order};
}

Compute arithmetic(Pair floating, Pair whole) {
  return [floating, whole](const Run& run) -> Results { return {combined(run[0], run[1], floating, whole)}; };
}

Compute comparison(Pair compare) {
  return [compare](const Run& run) -> Results {
    require_same_type(run[0], run[1]);
    const auto [tensors, order] = aligned({run[0], run[1]});
    return {{compare(tensors[0], tensors[1]), ElementType::Bool, order}};
  };
}

// Of one value after the other; `last` gets the result and the number of values.
Compute chain(Pair pair, std::function<Tensor(const Tensor&, double)> last = nullptr) {
  return [pair, last](const Run& run) -> Results {
    Value y = run[0];
    for (std::size_t i = 1; i < run.inputs.size(); ++i) y = combined(y, run[i], pair, pair);
    return {last ? y.with(last(y.tensor, static_cast<double>(run.inputs.size()))) : y};
  };
}

// Before opset 7 the second input's axes could begin at an axis of the first.
Compute from_axis(const Node& node, Compute compute) {
  if (node.opset() >= 7 || !node.has("axis")) return compute;
  return [axis = node.integer("axis", 0), compute](const Run& run) {
    const Value &a = run[0], &b = run[1];
    const int first = axis < 0 ? static_cast<int>(axis) + a.rank() : static_cast<int>(axis);
    std::vector<index_t> sizes = b.sizes();
    if (first < 0 || first + b.rank() > a.rank())
      fail("load_onnx", "axis {} is none for shapes {} and {}", axis, Shape(a.sizes()), Shape(sizes));
    sizes.resize(static_cast<std::size_t>(a.rank() - first), 1);
    const Value inputs[] = {a, value_of(reshape(natural(b), Shape(sizes)), b.type)};
    return compute({.inputs = inputs});
  };
}

Compute prepare_pow(const Node& node) {
  const Value* exponent = node.constant(1);
  if (exponent != nullptr && exponent->tensor.size() == 1 && exponent->rank() <= 1) {
    const double power = exponent->tensor.item();
    return [power](const Run& run) -> Results {
      const Value& x = run[0];
      if (x.rank() == 0 || !is_floating(x.type)) return {x.with(pow(x.tensor, power))};
      return {x.with(power == 2 ? square(x.tensor) : power == 0.5 ? sqrt(x.tensor) : pow(x.tensor, power))};
    };
  }
  return [](const Run& run) -> Results {
    const Value& x = run[0];
    const Value power{cast(run[1].tensor, x.tensor.dtype()), x.type, run[1].order};
    return {combined(
        x, power, [](const auto& a, const auto& b) { return pow(a, b); },
        [](const auto& a, const auto& b) { return trunc(pow(a, b)); })};
  };
}

Compute prepare_mod(const Node& node) {
  const bool as_fmod = node.integer("fmod", 0) != 0;
  const Pair truncated = [](const Tensor& a, const Tensor& b) { return a - b * trunc(a / b); };
  const Pair floored = [](const Tensor& a, const Tensor& b) { return a - b * floor(a / b); };
  return [=](const Run& run) -> Results {
    if (!as_fmod && is_floating(run[0].type)) fail("load_onnx", "floating types need fmod = 1");
    return {combined(run[0], run[1], truncated, as_fmod ? truncated : floored)};
  };
}

Results choose(const Run& run) {
  require_same_type(run[1], run[2]);
  const auto [tensors, order] = aligned({run[0], run[1], run[2]});
  const Tensor condition = tensors[0].dtype() == DType::UInt8 ? tensors[0] : not_equals(tensors[0], 0);
  return {{where(condition, tensors[1], tensors[2]), run[1].type, order}};
}

// Before opset 7 a slope of one axis was that of the channels.
Compute prepare_prelu(const Node& node) {
  const bool of_channels = node.opset() < 7;
  return [of_channels](const Run& run) -> Results {
    const Value& given = run[0];
    Value slope = run[1];
    require_same_type(given, slope);
    if (of_channels && slope.rank() == 1 && given.rank() > 2) {
      std::vector<index_t> sizes(static_cast<std::size_t>(given.rank()) - 1, 1);
      sizes[0] = slope.tensor.size();
      slope = value_of(reshape(slope.tensor, Shape(sizes)), slope.type);
    }
    const auto [tensors, order] = aligned({given, slope});
    const Tensor &x = tensors[0], &factor = tensors[1];
    if (broadcast("load_onnx", x.shape(), factor.shape()) != x.shape())
      fail("load_onnx", "the slope has shape {}, which cannot be broadcast to {}", Shape(slope.sizes()),
           Shape(given.sizes()));
    return {{maximum(x, 0) + factor * minimum(x, 0), given.type, order}};
  };
}

}  // namespace

void add_binary_ops(Ops& ops) {
  const auto add_pair = [&ops](const char* name, std::function<Compute()> make) {
    ops[name] = {.required = 2, .roles = "xx", .prepare = [make](const Node& node) {
                   return from_axis(node, make());
                 }};
  };
  const Pair sum = [](const auto& a, const auto& b) { return a + b; };
  const Pair difference = [](const auto& a, const auto& b) { return a - b; };
  const Pair product = [](const auto& a, const auto& b) { return a * b; };
  const Pair quotient = [](const auto& a, const auto& b) { return a / b; };
  const Pair whole_quotient = [](const auto& a, const auto& b) { return trunc(a / b); };
  add_pair("Add", [=] { return arithmetic(sum, sum); });
  add_pair("Sub", [=] { return arithmetic(difference, difference); });
  add_pair("Mul", [=] { return arithmetic(product, product); });
  add_pair("Div", [=] { return arithmetic(quotient, whole_quotient); });
  const std::pair<const char*, Tensor (*)(const Tensor&, const Tensor&)> comparisons[] = {
      {"Equal", equals},
      {"Less", less},
      {"LessOrEqual", less_equal},
      {"Greater", greater},
      {"GreaterOrEqual", greater_equal},
      {"And", logical_and},
      {"Or", logical_or},
      {"Xor", logical_xor}};
  for (const auto& [name, compare] : comparisons)
    add_pair(name, [compare = compare] { return comparison(compare); });
  const auto add_chain = [&ops](const char* name, Compute compute) {
    ops[name] = {.roles = "x*", .prepare = [compute](const Node&) { return compute; }, .folds = false};
  };
  add_chain("Sum", chain(sum));
  add_chain("Mean", chain(sum, [](const Tensor& x, double count) { return x / count; }));
  add_chain("Max", chain([](const auto& a, const auto& b) { return maximum(a, b); }));
  add_chain("Min", chain([](const auto& a, const auto& b) { return minimum(a, b); }));
  ops["Pow"] = {.required = 2, .roles = "xx", .prepare = [](const Node& node) {
                  return from_axis(node, prepare_pow(node));
                }};
  ops["Mod"] = {.required = 2, .roles = "xx", .prepare = prepare_mod};
  ops["Where"] = {.required = 3, .roles = "oxx", .prepare = [](const Node&) { return choose; }};
  ops["PRelu"] = {.required = 2, .roles = "xw", .prepare = prepare_prelu};
}

}  // namespace tapegrad::inline v0::onnx
