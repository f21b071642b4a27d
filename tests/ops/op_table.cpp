#include "ops/op_table.h"

#include <cmath>

namespace tapegrad::testing {
namespace {

// Linear in each input, or of the second degree: central differences are exact at any distance.
constexpr GradcheckOptions kExact{.tolerance = 1e-11, .step = 1};
// The same for numbers that must stay in [0, 1].
constexpr GradcheckOptions kInside{.tolerance = 1e-10, .step = 0.1};
constexpr GradcheckOptions kSmooth{.tolerance = 1e-8};

Draw numbers(const Shape& shape, double low = -1.5, double high = 1.5) {
  return [=](Generator& generator) { return uniform(shape, low, high, generator, DType::Float64); };
}

// Numbers from -1.5 to 1.5, none nearer to a kink than 0.1: there the derivative does not exist.
Draw numbers_away_from(const std::vector<double>& kinks, const Shape& shape) {
  return [=](Generator& generator) {
    Tensor x = zeros(shape, DType::Float64);
    for (double& value : x.mutable_values<double>()) {
      const auto too_near = [&] {
        for (const double kink : kinks)
          if (std::abs(value - kink) < 0.1) return true;
        return false;
      };
      do value = generator.uniform(-1.5, 1.5);
      while (too_near());
    }
    return x;
  };
}

// Multiples of 0.5 from -1 to 1.
Draw halves(const Shape& shape) {
  return [=](Generator& generator) {
    Tensor x = zeros(shape, DType::Float64);
    for (double& value : x.mutable_values<double>())
      value = 0.5 * static_cast<double>(generator.integer(5)) - 1;
    return x;
  };
}

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);
using Inputs = const std::vector<Tensor>&;

TensorFunction of_one(const std::function<Tensor(const Tensor&)>& f) {
  return [f](Inputs in) { return f(in[0]); };
}

TensorFunction of_two(Binary f) {
  return [f](Inputs in) { return f(in[0], in[1]); };
}

void add_elementwise(std::vector<OpRow>& rows) {
  struct Pair {
    const char* op;
    Binary f;
    GradcheckOptions check;
    double low, high;  // of the second operand
  };
  for (const auto& [op, f, check, low, high] :
       {Pair{"add", add, kExact, -1.5, 1.5}, Pair{"subtract", subtract, kExact, -1.5, 1.5},
        Pair{"multiply", multiply, kExact, -1.5, 1.5}, Pair{"divide", divide, kSmooth, 0.5, 2}}) {
    struct Shapes {
      const char* variant;
      Shape a, b;
    };
    for (const auto& [variant, a, b] :
         {Shapes{"equal shapes", {2, 3}, {2, 3}}, Shapes{"row", {2, 3}, {3}},
          Shapes{"column", {2, 1}, {2, 3}}, Shapes{"both stretched", {2, 1, 3}, {4, 1}},
          Shapes{"scalar", {}, {2, 2}}, Shapes{"middle axis", {2, 3, 2}, {1, 3, 1}}})
      rows.push_back({op, variant, {numbers(a), numbers(b, low, high)}, of_two(f), check});
  }
  rows.push_back({"add", "with itself", {numbers({2, 3})}, [](Inputs in) { return in[0] + in[0]; }, kExact});
  rows.push_back(
      {"multiply", "with itself", {numbers({2, 3})}, [](Inputs in) { return in[0] * in[0]; }, kExact});
  const auto number = [&](const char* op, const char* variant,
                          const std::function<Tensor(const Tensor&)>& f) {
    const bool linear = std::string(op) != "divide";
    rows.push_back({op, variant, {numbers({2, 3}, 0.5, 2)}, of_one(f), linear ? kExact : kSmooth});
  };
  number("add", "number", [](const Tensor& x) { return add(x, 0.75); });
  number("add", "2 + x", [](const Tensor& x) { return 2.0 + x; });
  number("subtract", "x - 2", [](const Tensor& x) { return x - 2.0; });
  number("subtract", "2 - x", [](const Tensor& x) { return 2.0 - x; });
  number("multiply", "number", [](const Tensor& x) { return multiply(x, -0.75); });
  number("multiply", "2 x", [](const Tensor& x) { return 2.0 * x; });
  number("divide", "x / 3", [](const Tensor& x) { return x / 3.0; });
  number("divide", "number by tensor", [](const Tensor& x) { return divide(-2.5, x); });
  number("divide", "2 / x", [](const Tensor& x) { return 2.0 / x; });

  const auto unary = [&](const char* op, Unary f, const Draw& input,
                         const GradcheckOptions& check = kSmooth) {
    rows.push_back({op, "", {input}, [f](Inputs in) { return f(in[0]); }, check});
  };
  const Draw any = numbers({3, 4}), positive = numbers({3, 4}, 0.5, 2);
  unary("negate", negate, any, kExact);
  unary("exp", exp, any);
  unary("log", log, positive);
  unary("sqrt", sqrt, positive);
  unary("square", square, any, kExact);
  unary("abs", abs, numbers_away_from({0}, {3, 4}));
  unary("sin", sin, any);
  unary("cos", cos, any);
  unary("tanh", tanh, any);
  unary("sigmoid", sigmoid, any);
  // With a saturated element, where rules read their inputs.
  const Draw wide = numbers({3, 4}, -6, 6);
  rows.push_back({"sigmoid", "saturated", {wide}, [](Inputs in) { return sigmoid(in[0]); }, kSmooth});
  rows.push_back({"tanh", "saturated", {wide}, [](Inputs in) { return tanh(in[0]); }, kSmooth});
  unary("relu", relu, numbers_away_from({0}, {3, 4}));
  unary("softplus", softplus, any);
  rows.push_back({"clamp",
                  "",
                  {numbers_away_from({-0.5, 0.75}, {3, 4})},
                  of_one([](const Tensor& x) { return clamp(x, -0.5, 0.75); }),
                  kSmooth});
}

void add_activations(std::vector<OpRow>& rows) {
  const auto one = [&](const char* op, const char* variant, const Draw& input,
                       const std::function<Tensor(const Tensor&)>& f,
                       const std::vector<std::string>& recorded_as = {}) {
    rows.push_back({op, variant, {input}, of_one(f), kSmooth, recorded_as});
  };
  const Draw any = numbers({3, 4}), positive = numbers({3, 4}, 0.5, 2),
             kinked = numbers_away_from({0}, {3, 4});
  one("expm1", "", any, expm1);
  one("log2", "", positive, log2);
  one("log10", "", positive, log10);
  one("tan", "", numbers({3, 4}, -1, 1), tan);
  rows.push_back({"atan2", "", {numbers_away_from({0}, {2, 3}), numbers({2, 3})}, of_two(atan2), kSmooth});
  one("log1p", "", positive, log1p);
  one("rsqrt", "", positive, rsqrt);
  one("reciprocal", "", positive, reciprocal);
  one("erf", "", any, erf);
  one("erfc", "", any, erfc);
  one("sign", "", kinked, [](const Tensor& x) { return sign(x) * x; }, {"multiply"});
  one("pow", "a number", positive, [](const Tensor& x) { return pow(x, -1.5); });
  one("pow", "a whole number", any, [](const Tensor& x) { return pow(x, 3); });
  one("pow", "0", any, [](const Tensor& x) { return pow(x, 0) * x; }, {"multiply", "pow"});
  one("leaky_relu", "", kinked, [](const Tensor& x) { return leaky_relu(x); });
  // The derivative is 0: what is tested is that of the factor.
  const Draw fractions = numbers_away_from({-1.5, -1, -0.5, 0, 0.5, 1, 1.5}, {3, 4});
  one("floor", "", fractions, [](const Tensor& x) { return (floor(x) + 0.25) * x; }, {"multiply"});
  one("ceil", "", fractions, [](const Tensor& x) { return (ceil(x) + 0.25) * x; }, {"multiply"});
  one("round", "", fractions, [](const Tensor& x) { return (round(x) + 0.25) * x; }, {"multiply"});
  one("trunc", "", fractions, [](const Tensor& x) { return (trunc(x) + 0.25) * x; }, {"multiply"});
  one("leaky_relu", "alpha", kinked, [](const Tensor& x) { return leaky_relu(x, -0.5); });
  one("elu", "", kinked, [](const Tensor& x) { return elu(x); });
  one("elu", "alpha", kinked, [](const Tensor& x) { return elu(x, 0.3); });
  one("selu", "", kinked, selu);
  one("gelu", "", any, gelu);
  one("gelu_tanh", "", any, gelu_tanh);
  one("silu", "", any, silu);
  one("softmax", "", any, [](const Tensor& x) { return softmax(x); });
  one("softmax", "first axis", any, [](const Tensor& x) { return softmax(x, 0); });
  one("log_softmax", "", any, [](const Tensor& x) { return log_softmax(x); });
  one("log_softmax", "first axis", any, [](const Tensor& x) { return log_softmax(x, 0); });

  // No pair is so close that a step would exchange the larger and the smaller.
  const Draw low = numbers({2, 3}, -1, 1), apart = numbers_away_from({-1, -0.5, 0, 0.5, 1}, {3});
  const Draw grid = halves({2, 3});
  rows.push_back({"maximum", "", {grid, apart}, of_two(maximum), kSmooth});
  rows.push_back({"minimum", "", {grid, apart}, of_two(minimum), kSmooth});
  rows.push_back({"maximum",
                  "scalar",
                  {grid, [](Generator&) { return tensor(0.3, DType::Float64); }},
                  of_two(maximum),
                  kSmooth});
  rows.push_back(
      {"maximum", "a number", {grid}, of_one([](const Tensor& x) { return maximum(x, 0.25); }), kSmooth});
  rows.push_back(
      {"maximum", "number first", {grid}, of_one([](const Tensor& x) { return maximum(0.25, x); }), kSmooth});
  rows.push_back(
      {"minimum", "a number", {grid}, of_one([](const Tensor& x) { return minimum(x, 0.25); }), kSmooth});
  rows.push_back(
      {"minimum", "number first", {grid}, of_one([](const Tensor& x) { return minimum(0.25, x); }), kSmooth});
  rows.push_back({"pow",
                  "number to the power of a tensor",
                  {low},
                  of_one([](const Tensor& x) { return pow(2.5, x); }),
                  kSmooth});
  rows.push_back({"pow", "", {numbers({2, 3}, 0.5, 2), low}, of_two(pow), kSmooth});
  rows.push_back({"pow", "row", {numbers({3}, 0.5, 2), low}, of_two(pow), kSmooth});
  const Tensor chosen = tensor({1, 0, 1}, DType::UInt8);
  rows.push_back({"where", "", {low, low}, [=](Inputs in) { return where(chosen, in[0], in[1]); }, kExact});
  rows.push_back({"where",
                  "stretched",
                  {numbers({2, 1}), numbers({})},
                  [=](Inputs in) { return where(chosen, in[0], in[1]); },
                  kExact});
  rows.push_back(
      {"where", "a number", {low}, of_one([=](const Tensor& x) { return where(chosen, x, 2); }), kExact});
  rows.push_back(
      {"where", "number first", {low}, of_one([=](const Tensor& x) { return where(chosen, 2, x); }), kExact});
  rows.push_back({"dropout",
                  "the key and the number of a sample",
                  {numbers({3, 4})},
                  of_one([](const Tensor& x) { return dropout(x, 0.4, Generator(3), 7); }),
                  kExact});
  rows.push_back({"dropout",
                  "a generator that moves on",
                  {numbers({3, 4})},
                  of_one([](const Tensor& x) {
                    Generator generator(4);
                    return dropout(x, 0.4, generator);
                  }),
                  kExact});
  rows.push_back({"dropout",
                  "",
                  {numbers({3, 4})},
                  of_one([](const Tensor& x) { return dropout(x, 0.4, Generator(3)); }),
                  kExact});
}

void add_reductions(std::vector<OpRow>& rows) {
  const Shape cube = {2, 3, 2};
  const auto one = [&](const char* op, const char* variant, const Draw& input,
                       const std::function<Tensor(const Tensor&)>& f,
                       const std::vector<std::string>& recorded_as = {}) {
    rows.push_back({op, variant, {input}, of_one(f), kSmooth, recorded_as});
  };
  const Draw any = numbers(cube), distinct = [cube](Generator&generator) {
    Tensor x = arange(static_cast<double>(cube.size()), DType::Float64);
    generator.shuffle(x.mutable_values<double>());
    return reshape(0.25 * x - 1.0, cube);
  };
  one("prod", "all", any, [](const Tensor& x) { return prod(x); });
  one("prod", "middle axis", any, [](const Tensor& x) { return prod(x, {1}); });
  one("prod", "outer axes kept", any, [](const Tensor& x) { return prod(x, {0, -1}, {.keepdims = true}); });
  one(
      "prod", "zeros",
      [](Generator&) {
        return tensor({{0, 2, -1, 0.5, 3}, {0, 4, 2, 0, 1}}, DType::Float64);
      },
      [](const Tensor& x) { return prod(x, {1}); });
  one("var", "all", any, [](const Tensor& x) { return var(x); });
  one("var", "axes kept, unbiased", any, [](const Tensor& x) {
    return var(x, {0, 2}, {.keepdims = true, .correction = 1});
  });
  one("stddev", "all", any, [](const Tensor& x) { return stddev(x); });
  one("stddev", "axis kept, unbiased", any,
      [](const Tensor& x) { return stddev(x, 1, {.keepdims = true, .correction = 1}); });
  one("max", "all", distinct, [](const Tensor& x) { return max(x); });
  one("sort", "", distinct, [](const Tensor& x) { return sort(x, 1); });
  one("sort", "descending", distinct, [](const Tensor& x) { return sort(x, -1, {.descending = true}); });
  one("topk", "", distinct, [](const Tensor& x) { return topk(x, 2, 1).values; });
  one("topk", "smallest", distinct, [](const Tensor& x) { return topk(x, 1, 0, {.smallest = true}).values; });
  one("median", "of an odd number", distinct, [](const Tensor& x) { return median(x, 1); });
  one("median", "of an even number, kept", distinct,
      [](const Tensor& x) { return median(x, 0, {.keepdims = true}); });
  one("median", "all", distinct, [](const Tensor& x) { return median(x); });
  one("max", "middle axis", distinct, [](const Tensor& x) { return max(x, {1}); });
  one("min", "all", distinct, [](const Tensor& x) { return min(x); });
  one("min", "outer axes kept", distinct, [](const Tensor& x) {
    return min(x, {0, -1}, {.keepdims = true});
  });
  one("logsumexp", "all", any, [](const Tensor& x) { return logsumexp(x); });
  one("logsumexp", "outer axes kept", any, [](const Tensor& x) {
    return logsumexp(x, {0, -1}, {.keepdims = true});
  });
  one("logsumexp", "middle axis", any, [](const Tensor& x) { return logsumexp(x, {1}); });
  one("logsumexp", "a masked row", any, [](const Tensor& x) {
    const Tensor masked = full({1, 3, 2}, -std::numeric_limits<double>::infinity(), x.dtype());
    return slice(logsumexp(concat({x, masked}), {1}), 0, 2);
  });
  rows.back().only_this = false;
  one("prod", "of nothing", any, [](const Tensor& x) { return prod(slice(x, 0, 0), 0) + x; }, {"multiply"});
  one("norm", "all", any, [](const Tensor& x) { return norm(x); });
  one("norm", "middle axis", any, [](const Tensor& x) { return norm(x, {1}); });
  one("norm", "outer axes kept", any, [](const Tensor& x) { return norm(x, {0, -1}, {.keepdims = true}); });
}

void add_images(std::vector<OpRow>& rows) {
  // No two numbers alike, and none that a step could make the largest of its window.
  const auto distinct = [](const Shape& shape) -> Draw {
    return [shape](Generator& generator) {
      Tensor x = arange(static_cast<double>(shape.size()), DType::Float64);
      generator.shuffle(x.mutable_values<double>());
      return reshape(0.05 * x - 1.0, shape);
    };
  };
  struct Windows {
    const char* variant;
    Shape x;
    Pool2DOptions options;
  };
  for (const auto& [variant, x, options] :
       {Windows{"plain", {2, 4, 6, 2}, {}},
        Windows{"overlapping, Same", {1, 5, 4, 2}, {.pool_size = 3, .strides = 2, .padding = Padding::Same}},
        Windows{
            "gaps, Same", {1, 5, 7, 1}, {.pool_size = 2, .strides = Size2D(3, 2), .padding = Padding::Same}},
        Windows{"sides",
                {1, 3, 4, 1},
                {.pool_size = Size2D(2, 3), .strides = 1, .padding = Padding::Explicit(1, 0, 2, 1)}}}) {
    const Pool2DOptions o = options;
    rows.push_back({"max_pool2d",
                    variant,
                    {distinct(x)},
                    of_one([o](const Tensor& in) { return max_pool2d(in, o); }),
                    kSmooth});
    rows.push_back({"avg_pool2d",
                    variant,
                    {numbers(x)},
                    of_one([o](const Tensor& in) { return avg_pool2d(in, o); }),
                    kExact});
  }
  const Shape images = {2, 3, 2, 2};
  rows.push_back({"global_max_pool2d",
                  "",
                  {distinct(images)},
                  of_one([](const Tensor& x) { return global_max_pool2d(x); }),
                  kSmooth});
  const auto linear = [&](const char* op, const char* variant,
                          const std::function<Tensor(const Tensor&)>& f) {
    rows.push_back({op, variant, {numbers(images)}, of_one(f), kExact});
  };
  linear("global_avg_pool2d", "", [](const Tensor& x) { return global_avg_pool2d(x, {.keepdims = true}); });
  linear("upsample_nearest", "", [](const Tensor& x) { return upsample_nearest(x); });
  linear("upsample_nearest", "2 x 3", [](const Tensor& x) { return upsample_nearest(x, {2, 3}); });
  linear("upsample_bilinear", "", [](const Tensor& x) { return upsample_bilinear(x); });
  linear("upsample_bilinear", "3 x 1", [](const Tensor& x) { return upsample_bilinear(x, {3, 1}); });
}

void add_normalizations(std::vector<OpRow>& rows) {
  const Draw x = numbers({2, 3, 4}), scale = numbers({4}, 0.5, 2), shift = numbers({4});
  rows.push_back(
      {"layer_norm", "plain", {x}, of_one([](const Tensor& in) { return layer_norm(in, 2); }), kSmooth});
  rows.push_back({"layer_norm",
                  "scaled",
                  {x, scale, shift},
                  [](Inputs in) { return layer_norm(in[0], in[1], in[2], 1e-5); },
                  kSmooth});
  rows.push_back({"group_norm",
                  "",
                  {x, scale, shift},
                  [](Inputs in) { return group_norm(in[0], 2, in[1], in[2]); },
                  kSmooth});
  rows.push_back({"layer_norm",
                  "of numbers whose squares overflow",
                  {x},
                  of_one([](const Tensor& in) {
                    const double far = in.dtype() == DType::Float32 ? 1e25 : 1e200;
                    return layer_norm(in * far, 2, 0);
                  }),
                  kSmooth,
                  {"layer_norm", "multiply"},
                  false});
  rows.push_back({"batch_norm",
                  "training",
                  {x, scale, shift},
                  [](Inputs in) { return batch_norm(in[0], in[1], in[2]).y; },
                  kSmooth});
  rows.push_back({"batch_norm",
                  "inference",
                  {x, scale, shift, shift, scale},
                  [](Inputs in) { return batch_norm(in[0], in[1], in[2], in[3], in[4]); },
                  kSmooth});
}

void add_linear(std::vector<OpRow>& rows) {
  const auto linear = [&](const char* op, const char* variant, const Shape& shape,
                          const std::function<Tensor(const Tensor&)>& f) {
    rows.push_back({op, variant, {numbers(shape)}, of_one(f), kExact});
  };
  linear("sum", "all", {2, 3, 2}, [](const Tensor& x) { return sum(x); });
  linear("sum", "middle axis", {2, 3, 2}, [](const Tensor& x) { return sum(x, {1}); });
  linear("sum", "two axes kept", {2, 3, 2}, [](const Tensor& x) {
    return sum(x, {0, -1}, {.keepdims = true});
  });
  linear("sum", "no axis", {2, 3}, [](const Tensor& x) { return sum(x, std::vector<int>{}); });
  linear("mean", "all", {2, 3, 2}, [](const Tensor& x) { return mean(x); });
  linear("mean", "outer axes", {2, 3, 2}, [](const Tensor& x) { return mean(x, {0, 2}); });
  linear("mean", "last axis kept", {2, 3}, [](const Tensor& x) { return mean(x, {-1}, {.keepdims = true}); });
  linear("broadcast_to", "", {3, 1}, [](const Tensor& x) { return broadcast_to(x, {2, 3, 4}); });
  linear("broadcast_to", "same shape", {3, 1}, [](const Tensor& x) { return broadcast_to(x, {3, 1}); });
  linear("sum_to", "", {2, 3, 4}, [](const Tensor& x) { return sum_to(x, {3, 1}); });
  linear("sum_to", "same shape", {2, 3}, [](const Tensor& x) { return sum_to(x, {2, 3}); });

  linear("reshape", "shape", {2, 6}, [](const Tensor& x) { return reshape(x, Shape{3, 4}); });
  linear("reshape", "sizes", {2, 6}, [](const Tensor& x) { return reshape(x, std::vector<index_t>{3, -1}); });
  linear("reshape", "braces", {2, 6}, [](const Tensor& x) { return reshape(x, {-1, 2, 2}); });
  linear("reshape", "one size", {2, 6}, [](const Tensor& x) { return reshape(x, -1); });
  linear("permute", "", {2, 3, 4}, [](const Tensor& x) { return permute(x, {2, 0, 1}); });
  linear("permute", "a vector", {2, 3, 4}, [](const Tensor& x) {
    return permute(x, std::vector<int>{2, 0, 1});
  });
  linear("transpose", "", {2, 3, 4}, [](const Tensor& x) { return transpose(x); });
  linear("slice", "first axis, a view", {5, 2}, [](const Tensor& x) { return slice(x, {{1, 4}}); });
  linear("slice", "inner, a copy", {3, 5}, [](const Tensor& x) { return slice(x, {{0, 2}, {1, -1}}); });
  linear("slice", "steps", {5, 6}, [](const Tensor& x) { return slice(x, {{1, 5, 3}, {0, 6, 2}}); });
  linear("slice", "a vector", {3, 5}, [](const Tensor& x) {
    return slice(x, std::vector<Range>{{0, 2}, {1, -1}});
  });
  linear("slice", "begin and end", {5, 2}, [](const Tensor& x) { return slice(x, -3, -1); });
  linear("row", "", {3, 4}, [](const Tensor& x) { return row(x, -2); });
  linear("flip", "", {2, 3, 2}, [](const Tensor& x) { return flip(x, {0, -1}); });
  linear("pad", "", {2, 3}, [](const Tensor& x) { return pad(x, {{1, 0}, {2, 3}}); });
  linear("pad", "a value", {2, 3}, [](const Tensor& x) { return pad(x, {{1, 0}, {2, 3}}, 1.5); });
  linear("pad", "a vector", {2, 3}, [](const Tensor& x) {
    return pad(x, std::vector<Margin>{{1, 0}, {2, 3}});
  });
  linear("squeeze", "an axis", {2, 1, 3, 1}, [](const Tensor& x) { return squeeze(x, {-1}); });
  linear("squeeze", "all", {2, 1, 3, 1}, [](const Tensor& x) { return squeeze(x); });
  linear("expand_dims", "", {2, 3}, [](const Tensor& x) { return expand_dims(x, -2); });
  linear("repeat", "", {2, 3}, [](const Tensor& x) { return repeat(x, 3, -1); });
  linear("tile", "", {2, 3}, [](const Tensor& x) { return tile(x, {2, 3}); });
  linear("tile", "a vector", {2, 3}, [](const Tensor& x) { return tile(x, std::vector<index_t>{2, 3}); });
  linear("cumsum", "", {2, 3, 2}, [](const Tensor& x) { return cumsum(x, 1); });
  linear("cumsum", "from the end", {2, 3}, [](const Tensor& x) { return cumsum(x, -1, {.reverse = true}); });
  linear("cumsum", "exclusive", {2, 3, 2}, [](const Tensor& x) { return cumsum(x, 1, {.exclusive = true}); });
  linear("cumsum", "exclusive, from the end", {2, 3},
         [](const Tensor& x) { return cumsum(x, -1, {.reverse = true, .exclusive = true}); });
  linear("roll", "", {2, 3, 2}, [](const Tensor& x) { return roll(x, 1, 1); });
  linear("roll", "back, first axis", {5, 2}, [](const Tensor& x) { return roll(x, -7, 0); });
  linear("diag", "of a matrix", {3, 4}, [](const Tensor& x) { return diag(x); });
  linear("diag", "below", {3, 4}, [](const Tensor& x) { return diag(x, -1); });
  linear("diag", "of a vector", {3}, [](const Tensor& x) { return diag(x); });
  linear("diag", "of a vector, above", {3}, [](const Tensor& x) { return diag(x, 2); });
  linear("diag", "of a vector, below", {3}, [](const Tensor& x) { return diag(x, -1); });
  linear("chunk", "", {4, 3}, [](const Tensor& x) { return chunk(x, 2)[1]; });
  linear("split", "", {2, 6}, [](const Tensor& x) {
    const auto parts = split(x, {1, 3, 2}, -1);
    return parts[0] + 2.0 * sum(parts[1], {1}, {.keepdims = true}) + sum(parts[2]);
  });
  rows.back().only_this = false;
  const Tensor indices = tensor({{3, 0}, {1, 3}, {3, 3}}, DType::Int32);
  linear("gather", "", {2, 4, 2}, [=](const Tensor& x) { return gather(x, indices, 1); });
  linear("gather", "a vector", {4}, [=](const Tensor& x) { return gather(x, indices); });
  linear("embedding", "", {4, 3}, [=](const Tensor& x) { return embedding(x, indices); });
  const Tensor along = tensor({{3, 0}, {1, 3}, {3, 2}}, DType::Int32);
  linear("take_along_axis", "", {4, 2}, [=](const Tensor& x) { return take_along_axis(x, along, 0); });
  linear("take_along_axis", "last axis", {3, 4},
         [=](const Tensor& x) { return take_along_axis(x, along, -1); });
  rows.push_back({"scatter_add",
                  "",
                  {numbers({4, 2}), numbers({3, 2})},
                  [=](Inputs in) { return scatter_add(in[0], along, in[1], 0); },
                  kExact});
  const Tensor apart = tensor({{3, 0}, {1, 3}, {0, 2}}, DType::Int32);
  rows.push_back({"scatter",
                  "",
                  {numbers({4, 2}), numbers({3, 2})},
                  [=](Inputs in) { return scatter(in[0], apart, in[1], 0); },
                  kExact});
  const Tensor chosen = tensor({{1, 0, 1}, {0, 0, 1}}, DType::UInt8);
  linear("masked_select", "", {2, 3}, [=](const Tensor& x) { return masked_select(x, chosen); });
  linear("triu", "", {2, 3, 3}, [](const Tensor& x) { return triu(x); });
  linear("triu", "above", {2, 4}, [](const Tensor& x) { return triu(x, 1); });
  linear("tril", "", {3, 3}, [](const Tensor& x) { return tril(x); });
  linear("tril", "below", {4, 3}, [](const Tensor& x) { return tril(x, -1); });
  rows.push_back({"concat",
                  "",
                  {numbers({2, 1, 3}), numbers({2, 2, 3})},
                  [](Inputs in) {
                    return concat({in[1], in[0], in[1]}, -2);
                  },
                  kExact});
  rows.push_back(
      {"stack", "", {numbers({2, 3}), numbers({2, 3})}, [](Inputs in) { return stack(in, -1); }, kExact});
  linear("zero_insert", "", {2, 3}, [](const Tensor& x) { return zero_insert(x, {1, 2}); });
  linear("zero_insert", "a vector", {2, 3}, [](const Tensor& x) {
    return zero_insert(x, std::vector<index_t>{1, 2});
  });
  rows.push_back({"concat",
                  "a vector",
                  {numbers({2, 1, 3}), numbers({2, 2, 3})},
                  [](Inputs in) { return concat(in, 1); },
                  kExact});
  rows.push_back({"stack",
                  "braces",
                  {numbers({2, 3}), numbers({2, 3})},
                  [](Inputs in) {
                    return stack({in[1], in[0]}, 0);
                  },
                  kExact});
  linear("cast", "same type", {2, 3}, [](const Tensor& x) { return cast(x, DType::Float64); });
  linear("copy", "", {2, 3}, [](const Tensor& x) { return copy(x); });
  // Eighths are exact in Float32; the output gradient is not.
  rows.push_back({"cast",
                  "to Float32 and back",
                  {[](Generator& generator) {
                    Tensor x = zeros({2, 3}, DType::Float64);
                    for (double& v : x.mutable_values<double>())
                      v = static_cast<double>(generator.integer(16)) / 8 - 1;
                    return x;
                  }},
                  of_one([](const Tensor& x) { return cast(cast(x, DType::Float32), DType::Float64); }),
                  {.tolerance = 1e-6, .step = 1}});

  rows.push_back({"dot", "", {numbers({3}), numbers({3})}, of_two(dot), kExact});
  struct Vectors {
    const char* variant;
    Shape a, b;
    MatmulOptions options;
  };
  for (const auto& [variant, a, b, options] :
       {Vectors{"two vectors", {3}, {3}, {}}, Vectors{"matrix and vector", {2, 3}, {3}, {}},
        Vectors{"vector and matrix, transposed", {3}, {2, 3}, {.transpose_b = true}},
        Vectors{"batch and vector", {2, 2, 3}, {3}, {}}, Vectors{"vector and batch", {3}, {2, 3, 2}, {}}}) {
    const MatmulOptions o = options;
    rows.push_back({"matmul",
                    variant,
                    {numbers(a), numbers(b)},
                    [o](Inputs in) { return matmul(in[0], in[1], o); },
                    kExact});
  }

  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const std::string variant = std::string(ta ? "a transposed" : "a") + (tb ? ", b transposed" : ", b");
      rows.push_back({"matmul",
                      variant,
                      {numbers(ta ? Shape{3, 2} : Shape{2, 3}), numbers(tb ? Shape{4, 3} : Shape{3, 4})},
                      [=](Inputs in) { return matmul(in[0], in[1], {.transpose_a = ta, .transpose_b = tb}); },
                      kExact});
    }

  struct Batches {
    const char* variant;
    Shape a, b;
    MatmulOptions options;
  };
  for (const auto& [variant, a, b, options] :
       {Batches{"batches", {3, 2, 4}, {3, 4, 2}, {}}, Batches{"batches of a alone", {2, 2, 3, 4}, {4, 2}, {}},
        Batches{"batches of a alone, b transposed", {2, 3, 4}, {2, 4}, {.transpose_b = true}},
        Batches{"batches of b alone", {2, 3}, {2, 3, 2}, {}},
        Batches{"both stretched", {2, 1, 2, 3}, {3, 2, 3}, {.transpose_b = true}},
        Batches{
            "batches, both transposed", {2, 3, 2}, {1, 2, 3}, {.transpose_a = true, .transpose_b = true}}}) {
    const MatmulOptions o = options;
    rows.push_back({"matmul",
                    variant,
                    {numbers(a), numbers(b)},
                    [o](Inputs in) { return matmul(in[0], in[1], o); },
                    kExact});
  }
  struct Equation {
    const char* letters;
    Shape a, b;
  };
  for (const auto& [letters, a, b] :
       {Equation{"ij,jk->ik", {2, 3}, {3, 4}}, Equation{"ij,ij->", {2, 3}, {2, 3}},
        Equation{"bij,bkj->kbi", {2, 3, 2}, {2, 4, 2}}, Equation{"aib,ijc->ja", {2, 3, 2}, {3, 2, 2}}}) {
    const std::string equation = letters;
    rows.push_back({"einsum",
                    letters,
                    {numbers(a), numbers(b)},
                    [equation](Inputs in) { return einsum(equation, in[0], in[1]); },
                    kExact});
  }

  const Shape four = {2, 3, 4, 5};
  linear("nhwc_to_nchw", "", four, nhwc_to_nchw);
  linear("nchw_to_nhwc", "", four, nchw_to_nhwc);
  linear("hwio_to_oihw", "", four, hwio_to_oihw);
  linear("oihw_to_hwio", "", four, oihw_to_hwio);
  linear("hwoi_to_iohw", "", four, hwoi_to_iohw);
  linear("iohw_to_hwoi", "", four, iohw_to_hwoi);
  linear("rot180", "", {3, 2, 2, 2}, rot180);
}

void add_convolutions(std::vector<OpRow>& rows) {
  struct Geometry {
    const char* variant;
    Shape x, w;
    Conv2DOptions options;
  };
  const std::vector<Geometry> geometries = {
      {"plain", {2, 4, 5, 2}, {3, 2, 2, 3}, {}},
      {"stride 2, Same", {1, 5, 6, 2}, {3, 3, 2, 2}, {.strides = 2, .padding = Padding::Same}},
      {"even kernel, Same", {1, 4, 5, 1}, {2, 4, 1, 2}, {.padding = Padding::Same}},
      {"strides 1 and 3", {1, 4, 8, 1}, {2, 2, 1, 2}, {.strides = {1, 3}}},
      {"dilations 2 and 1, Full",
       {1, 4, 3, 1},
       {2, 3, 1, 2},
       {.padding = Padding::Full, .dilations = {2, 1}}},
      {"four different sides",
       {1, 4, 3, 2},
       {3, 2, 2, 2},
       {.strides = {2, 1}, .padding = Padding::Explicit(2, 0, 1, 3)}},
      {"two groups", {1, 4, 4, 4}, {2, 3, 2, 6}, {.strides = {1, 2}, .padding = Padding::Same, .groups = 2}},
      {"depthwise", {2, 3, 4, 3}, {3, 2, 1, 6}, {.padding = Padding::Same, .dilations = {1, 2}, .groups = 3}},
      {"pixels never read", {1, 5, 7, 1}, {1, 2, 1, 2}, {.strides = {2, 4}}}};
  for (const auto& [variant, x, w, options] : geometries) {
    const Conv2DOptions o = options;
    const Shape y = conv2d_geometry(x, w, o).out_shape();
    rows.push_back({"conv2d",
                    variant,
                    {numbers(x), numbers(w)},
                    [o](Inputs in) { return conv2d(in[0], in[1], o); },
                    kExact});
    rows.push_back({"conv2d_backprop_input",
                    variant,
                    {numbers(w), numbers(y)},
                    [o, x = x](Inputs in) { return conv2d_backprop_input(x, in[0], in[1], o); },
                    kExact});
    rows.push_back({"conv2d_backprop_filter",
                    variant,
                    {numbers(x), numbers(y)},
                    [o, w = w](Inputs in) { return conv2d_backprop_filter(in[0], w, in[1], o); },
                    kExact});
    const Conv2DTransposeOptions t = {.strides = o.strides,
                                      .padding = o.padding,
                                      .dilations = o.dilations,
                                      .groups = o.groups,
                                      .output_shape = {{x[1], x[2]}}};
    rows.push_back({"conv2d_transpose",
                    variant,
                    {numbers(y), numbers(w)},
                    [t](Inputs in) { return conv2d_transpose(in[0], in[1], t); },
                    kExact});
    for (const bool with_relu : {false, true}) {
      // Biases of 0.05 to 0.15 and products of halves: no sum is near relu's kink.
      const Draw bias = numbers({w[3]}, 0.05, 0.15), t_bias = numbers({x[3]}, 0.05, 0.15);
      const std::string name = std::string(variant) + (with_relu ? ", relu" : "");
      rows.push_back(
          {"fused_conv2d",
           name,
           {halves(x), halves(w), bias},
           [o, with_relu](Inputs in) { return fused_conv2d(in[0], in[1], in[2], {.relu = with_relu}, o); },
           with_relu ? kSmooth : kExact});
      rows.push_back({"fused_conv2d_transpose",
                      name,
                      {halves(y), halves(w), t_bias},
                      [t, with_relu](Inputs in) {
                        return fused_conv2d_transpose(in[0], in[1], in[2], {.relu = with_relu}, t);
                      },
                      with_relu ? kSmooth : kExact});
    }
    if (o.groups != 1) continue;
    const Size2D kernel = {w[0], w[1]};
    rows.push_back({"unfold",
                    variant,
                    {numbers(x)},
                    [o, kernel](Inputs in) { return unfold(in[0], kernel, o); },
                    kExact});
    rows.push_back({"fold",
                    variant,
                    {numbers({y[0], y[1], y[2], w[0] * w[1] * x[3]})},
                    [o, kernel, x = x](Inputs in) { return fold(in[0], x, kernel, o); },
                    kExact});
  }
  rows.push_back({"conv2d_transpose",
                  "natural size",
                  {numbers({1, 2, 3, 2}), numbers({2, 2, 3, 2})},
                  [](Inputs in) { return conv2d_transpose(in[0], in[1], {.strides = 3}); },
                  kExact});
  rows.push_back({"conv2d_transpose",
                  "output_padding",
                  {numbers({1, 2, 3, 1}), numbers({3, 3, 2, 1})},
                  [](Inputs in) {
                    return conv2d_transpose(
                        in[0], in[1],
                        {.strides = 2, .padding = Padding::Same, .output_padding = Size2D(1, 0)});
                  },
                  kExact});
}

void add_losses(std::vector<OpRow>& rows) {
  const Shape shape = {2, 3};
  const auto loss = [&](const char* op, const char* variant, const Draw& prediction, const Draw& target,
                        const TensorFunction& f, const GradcheckOptions& check) {
    rows.push_back({op, variant, {prediction, target}, f, check});
  };
  const Draw any = numbers(shape), chance = numbers(shape, 0.2, 0.8);
  // No difference is 0 or 1, where the slope changes.
  const Draw even = halves(shape);
  const Draw odd = numbers_away_from({-1.5, -1, -0.5, 0, 0.5, 1, 1.5}, shape);
  struct Way {
    const char* variant;
    Reduction reduction;
  };
  for (const auto& [variant, reduction] :
       {Way{"", Reduction::Mean}, Way{"sum", Reduction::Sum}, Way{"single losses", Reduction::PerElement}}) {
    const Reduction r = reduction;
    loss(
        "mse_loss", variant, any, any, [r](Inputs in) { return mse_loss(in[0], in[1], {r}); }, kExact);
    loss(
        "binary_cross_entropy_with_logits", variant, any, chance,
        [r](Inputs in) { return binary_cross_entropy_with_logits(in[0], in[1], {r}); }, kSmooth);
    const Tensor labels = tensor({{2, 0}, {1, 1}}, DType::Int32);
    rows.push_back({"nll_loss",
                    variant,
                    {numbers({2, 2, 3}, -2, -0.5)},
                    of_one([=](const Tensor& x) { return nll_loss(x, labels, {r}); }),
                    kSmooth});
    for (const double smoothing : {0.0, 0.1}) {
      const CrossEntropyOptions o = {.label_smoothing = smoothing, .reduction = r};
      rows.push_back({"cross_entropy",
                      std::string(smoothing == 0 ? "labels " : "labels, smoothed ") + variant,
                      {numbers({2, 2, 3})},
                      of_one([=](const Tensor& x) { return cross_entropy(x, labels, o); }),
                      kSmooth});
    }
  }
  // Without a gradient for the other one, and of a single loss.
  const Tensor half = full(shape, 0.25, DType::Float64);
  rows.push_back({"mse_loss",
                  "the target alone",
                  {any},
                  of_one([=](const Tensor& t) { return mse_loss(cast(half, t.dtype()), t); }),
                  kExact});
  rows.push_back(
      {"binary_cross_entropy_with_logits",
       "the target alone",
       {chance},
       of_one([=](const Tensor& t) { return binary_cross_entropy_with_logits(cast(half, t.dtype()), t); }),
       kInside});
  loss(
      "mse_loss", "numbers", numbers({}), numbers({}), [](Inputs in) { return mse_loss(in[0], in[1]); },
      kExact);
  rows.push_back({"cross_entropy",
                  "a single label",
                  {numbers({3})},
                  of_one([](const Tensor& x) {
                    return cross_entropy(x, full({}, 1, DType::Int32), {.reduction = Reduction::PerElement});
                  }),
                  kSmooth});
  loss(
      "mae_loss", "", even, odd, [](Inputs in) { return mae_loss(in[0], in[1]); }, kSmooth);
  loss(
      "huber_loss", "", even, odd, [](Inputs in) { return huber_loss(in[0], in[1]); }, kSmooth);
  loss(
      "smooth_l1_loss", "", even, odd, [](Inputs in) { return smooth_l1_loss(in[0], in[1], {.beta = 0.5}); },
      kSmooth);
  loss(
      "binary_cross_entropy", "", chance, chance,
      [](Inputs in) { return binary_cross_entropy(in[0], in[1]); }, kSmooth);
  loss(
      "cross_entropy", "distributions", any, chance, [](Inputs in) { return cross_entropy(in[0], in[1]); },
      kSmooth);
  loss(
      "kl_divergence", "", numbers(shape, -2, -0.5), chance,
      [](Inputs in) { return kl_divergence(in[0], in[1]); }, kSmooth);
  loss(
      "kl_to_standard_normal", "", any, any, [](Inputs in) { return kl_to_standard_normal(in[0], in[1]); },
      kSmooth);
}

}  // namespace

const std::vector<OpRow>& op_table() {
  static const std::vector<OpRow> table = [] {
    std::vector<OpRow> rows;
    add_elementwise(rows);
    add_activations(rows);
    add_reductions(rows);
    add_images(rows);
    add_normalizations(rows);
    add_linear(rows);
    add_convolutions(rows);
    add_losses(rows);
    return rows;
  }();
  return table;
}

std::vector<const OpRow*> op_rows() {
  std::vector<const OpRow*> rows;
  for (const OpRow& row : op_table()) rows.push_back(&row);
  return rows;
}

}  // namespace tapegrad::testing
