// Ops of ONNX on one tensor, element by element.

#include <cmath>
#include <limits>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/rounding.h"

namespace tapegrad::inline v0::onnx {
namespace {

using Map = std::function<Tensor(const Tensor&)>;

Compute floating_map(Map map) {
  return [map](const Run& run) -> Results {
    if (!is_floating(run[0].type)) fail("load_onnx", "it takes floating types, got {}", name(run[0].type));
    return {run[0].with(map(run[0].tensor))};
  };
}

// Of whole numbers as well.
Compute number_map(Map map) {
  return [map](const Run& run) -> Results {
    const Tensor y = map(run[0].tensor);
    return {run[0].with(is_whole(run[0].type) ? wrapped(y, run[0].type) : y)};
  };
}

Compute mask_map(Map map) {
  return [map](const Run& run) -> Results { return {{map(run[0].tensor), ElementType::Bool, run[0].order}}; };
}

Tensor asin_of(const Tensor& x) {
  return atan2(x, sqrt(1 - square(x)));
}
Tensor acos_of(const Tensor& x) {
  return atan2(sqrt(1 - square(x)), x);
}
Tensor atan_of(const Tensor& x) {
  return atan2(x, ones_like(x));
}
Tensor sinh_of(const Tensor& x) {
  return 0.5 * (expm1(x) - expm1(-x));
}
Tensor cosh_of(const Tensor& x) {
  return 0.5 * (exp(x) + exp(-x));
}
// asinh(|x|) = log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))) loses no digits near 0.
Tensor asinh_of(const Tensor& x) {
  const Tensor large = abs(x);
  return sign(x) * log1p(large + square(x) / (1 + sqrt(square(x) + 1)));
}
Tensor acosh_of(const Tensor& x) {
  return log(x + sqrt(square(x) - 1));
}
Tensor atanh_of(const Tensor& x) {
  return 0.5 * (log1p(x) - log1p(-x));
}

void add_maps(Ops& ops) {
  const std::pair<const char*, Tensor (*)(const Tensor&)> floating[] = {
      {"Exp", exp},
      {"Log", log},
      {"Sqrt", sqrt},
      {"Reciprocal", reciprocal},
      {"Sigmoid", sigmoid},
      {"Tanh", tanh},
      {"Softplus", softplus},
      {"Erf", erf},
      {"Floor", floor},
      {"Ceil", ceil},
      {"Round", round},
      {"Sin", sin},
      {"Cos", cos},
      {"Tan", tan},
      {"Asin", asin_of},
      {"Acos", acos_of},
      {"Atan", atan_of},
      {"Sinh", sinh_of},
      {"Cosh", cosh_of},
      {"Asinh", asinh_of},
      {"Acosh", acosh_of},
      {"Atanh", atanh_of},
      {"Softsign", [](const Tensor& x) { return x / (1 + abs(x)); }},
      {"HardSwish", [](const Tensor& x) { return x * clamp(x * (1.0 / 6) + 0.5, 0, 1); }},
      {"Mish", [](const Tensor& x) { return x * tanh(softplus(x)); }},
  };
  for (const auto& [name, map] : floating)
    ops[name] = {.prepare = [map = map](const Node&) { return floating_map(map); }};
  const std::pair<const char*, Tensor (*)(const Tensor&)> numbers[] = {
      {"Abs", abs}, {"Neg", negate}, {"Sign", sign}, {"Relu", relu}};
  for (const auto& [name, map] : numbers)
    ops[name] = {.prepare = [map = map](const Node&) { return number_map(map); }};
  ops["Not"] = {.prepare = [](const Node&) { return mask_map(logical_not); }};
  ops["IsNaN"] = {.prepare = [](const Node&) { return mask_map(isnan); }};
}

// alpha (exp(x / alpha) - 1) below 0
Compute prepare_celu(const Node& node) {
  const double alpha = node.number("alpha", 1);
  return floating_map([alpha](const Tensor& x) { return alpha * elu(x * (1 / alpha), 1); });
}

Compute prepare_selu(const Node& node) {
  const bool rounded = node.opset() < 6;
  const double alpha = node.number("alpha", rounded ? 1.6732 : 1.67326319217681884765625);
  const double gamma = node.number("gamma", rounded ? 1.0507 : 1.05070102214813232421875);
  return floating_map([alpha, gamma](const Tensor& x) { return gamma * elu(x, alpha); });
}

Compute prepare_hard_sigmoid(const Node& node) {
  const double alpha = node.number("alpha", 0.2), beta = node.number("beta", 0.5);
  return floating_map([alpha, beta](const Tensor& x) { return clamp(alpha * x + beta, 0, 1); });
}

Compute prepare_shrink(const Node& node) {
  const double bias = node.number("bias", 0), lambda = node.number("lambd", 0.5);
  return number_map([bias, lambda](const Tensor& x) {
    return where(x < -lambda, x + bias, where(x > lambda, x - bias, zeros_like(x)));
  });
}

Compute prepare_is_inf(const Node& node) {
  const bool negative = node.integer("detect_negative", 1) != 0;
  const bool positive = node.integer("detect_positive", 1) != 0;
  return mask_map([negative, positive](const Tensor& x) {
    Tensor found = isinf(x);
    if (!negative) found = logical_and(found, x > 0);
    if (!positive) found = logical_and(found, x < 0);
    return found;
  });
}

Compute prepare_clip(const Node& node) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool as_attributes = node.opset() < 11;
  const double low = as_attributes ? node.number("min", -kInfinity) : -kInfinity;
  const double high = as_attributes ? node.number("max", kInfinity) : kInfinity;
  return [low, high](const Run& run) -> Results {
    const double least = run.has(1) ? number(run[1]) : low, most = run.has(2) ? number(run[2]) : high;
    const Value& x = run[0];
    if (least == -kInfinity && most == kInfinity) return {x};
    if (most == kInfinity) return {x.with(least == 0 ? relu(x.tensor) : maximum(x.tensor, least))};
    if (least == -kInfinity) return {x.with(minimum(x.tensor, most))};
    // Of bounds that contradict each other the upper one counts.
    if (least > most) return {x.with(minimum(maximum(x.tensor, least), most))};
    return {x.with(clamp(x.tensor, least, most))};
  };
}

}  // namespace

void add_elementwise_ops(Ops& ops) {
  add_maps(ops);
  ops["LeakyRelu"] = {.prepare = [](const Node& node) {
    return floating_map(
        [alpha = node.number("alpha", 0.01)](const Tensor& x) { return leaky_relu(x, alpha); });
  }};
  ops["Elu"] = {.prepare = [](const Node& node) {
    return floating_map([alpha = node.number("alpha", 1)](const Tensor& x) { return elu(x, alpha); });
  }};
  ops["ThresholdedRelu"] = {.prepare = [](const Node& node) {
    return floating_map(
        [alpha = node.number("alpha", 1)](const Tensor& x) { return where(x > alpha, x, 0); });
  }};
  ops["Gelu"] = {.prepare = [](const Node& node) {
    const bool by_tanh = node.one_of("approximate", "none", {"none", "tanh"}) == "tanh";
    return floating_map([by_tanh](const Tensor& x) { return by_tanh ? gelu_tanh(x) : gelu(x); });
  }};
  ops["Celu"] = {.prepare = prepare_celu};
  ops["Selu"] = {.prepare = prepare_selu};
  ops["HardSigmoid"] = {.prepare = prepare_hard_sigmoid};
  ops["Shrink"] = {.prepare = prepare_shrink};
  ops["IsInf"] = {.prepare = prepare_is_inf};
  ops["Clip"] = {.roles = "xoo", .prepare = prepare_clip};
}

}  // namespace tapegrad::inline v0::onnx
