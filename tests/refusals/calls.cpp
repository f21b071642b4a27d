#include "refusals/calls.h"

#include <type_traits>
#include <utility>

namespace tapegrad::testing {
namespace {

using In = const std::vector<Tensor>&;

Argument floats(const Shape& shape, std::string dtypes = "fd", std::vector<Shape> wrong = {}) {
  return {full(shape, 0.5), std::move(dtypes), std::move(wrong)};
}
Argument whole(const Shape& shape, std::vector<Shape> wrong = {}) {
  return {zeros(shape, DType::Int32), "i", std::move(wrong)};
}
Argument bytes(const Shape& shape, std::vector<Shape> wrong = {}) {
  return {ones(shape, DType::UInt8), "u", std::move(wrong)};
}

class CallTable {
 public:
  std::vector<RightCall> rows;

  template <class F>
  void add(std::string op, std::vector<Argument> arguments, F call) {
    add_row(std::move(op), std::move(arguments), stored(call), true);
  }
  // The result is a constant for a tape.
  template <class F>
  void add_constant(std::string op, std::vector<Argument> arguments, F call) {
    add_row(std::move(op), std::move(arguments), stored(call), false);
  }

 private:
  // Nearly all calls capture nothing: as pointers to functions they are compiled in a third of the time.
  template <class F>
  static std::function<void(In)> stored(const F& call) {
    if constexpr (std::is_empty_v<F>)
      return static_cast<void (*)(In)>([](In in) { F()(in); });
    else
      return call;
  }
  void add_row(std::string&& op, std::vector<Argument>&& arguments, std::function<void(In)>&& call,
               bool recorded) {
    rows.push_back({std::move(op), std::move(arguments), std::move(call), recorded});
  }
};

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);

void add_elementwise(CallTable& table) {
  const std::vector<std::pair<const char*, Unary>> of_floats = {{"exp", exp},
                                                                {"expm1", expm1},
                                                                {"log", log},
                                                                {"log1p", log1p},
                                                                {"log2", log2},
                                                                {"log10", log10},
                                                                {"sqrt", sqrt},
                                                                {"rsqrt", rsqrt},
                                                                {"reciprocal", reciprocal},
                                                                {"sin", sin},
                                                                {"cos", cos},
                                                                {"tan", tan},
                                                                {"tanh", tanh},
                                                                {"erf", erf},
                                                                {"erfc", erfc},
                                                                {"sigmoid", sigmoid},
                                                                {"relu", relu},
                                                                {"softplus", softplus},
                                                                {"leaky_relu", leaky_relu},
                                                                {"elu", elu},
                                                                {"selu", selu},
                                                                {"gelu", gelu},
                                                                {"gelu_tanh", gelu_tanh},
                                                                {"silu", silu},
                                                                {"square", square},
                                                                {"abs", abs},
                                                                {"sign", sign},
                                                                {"floor", floor},
                                                                {"ceil", ceil},
                                                                {"round", round},
                                                                {"trunc", trunc}};
  for (const auto& [op, f] : of_floats) table.add(op, {floats({2, 3})}, [f = f](In in) { return f(in[0]); });
  for (const auto& [op, f] :
       {std::pair{"softmax", Unary(softmax)}, std::pair{"log_softmax", Unary(log_softmax)}})
    table.add(op, {floats({2, 3}, "fd", {{}})}, [f = f](In in) { return f(in[0]); });
  table.add("negate", {floats({2, 3}, "fdiu")}, [](In in) { return -in[0]; });
  for (const auto& [op, f] :
       {std::pair{"isnan", Unary(isnan)}, std::pair{"isinf", Unary(isinf)},
        std::pair{"isfinite", Unary(isfinite)}, std::pair{"logical_not", Unary(logical_not)}})
    table.add_constant(op, {floats({2, 3}, "fdiu")}, [f = f](In in) { return f(in[0]); });

  const std::vector<std::pair<const char*, Binary>> arithmetic = {
      {"add", add},         {"subtract", subtract}, {"multiply", multiply}, {"divide", divide},
      {"maximum", maximum}, {"minimum", minimum},   {"pow", pow},           {"atan2", atan2}};
  const Argument x = floats({2, 3}, "f", {{2}, {3, 2}, {4, 1, 1, 4}});
  for (const auto& [op, f] : arithmetic) table.add(op, {x, x}, [f = f](In in) { return f(in[0], in[1]); });
  for (const auto& [op, f] :
       {std::pair{"less", Binary(less)}, std::pair{"less_equal", Binary(less_equal)},
        std::pair{"greater", Binary(greater)}, std::pair{"greater_equal", Binary(greater_equal)},
        std::pair{"equals", Binary(equals)}, std::pair{"not_equals", Binary(not_equals)}})
    table.add_constant(op, {x, x}, [f = f](In in) { return f(in[0], in[1]); });
  const Argument any_dtype = floats({2, 3}, "fdiu", {{2}, {3, 2}});
  for (const auto& [op, f] :
       {std::pair{"logical_and", Binary(logical_and)}, std::pair{"logical_or", Binary(logical_or)},
        std::pair{"logical_xor", Binary(logical_xor)}})
    table.add_constant(op, {any_dtype, any_dtype}, [f = f](In in) { return f(in[0], in[1]); });
  table.add_constant("isclose", {x, x}, [](In in) { return isclose(in[0], in[1]); });
  table.add_constant("allclose", {x, x}, [](In in) { return allclose(in[0], in[1]); });

  const Argument one = floats({2, 3});
  const Argument number = floats({2, 3}, "fdiu");
  table.add("add", {number}, [](In in) { return in[0] + 1.0; });
  table.add("subtract", {number}, [](In in) { return in[0] - 1.0; });
  table.add("subtract", {number}, [](In in) { return 1.0 - in[0]; });
  table.add("multiply", {number}, [](In in) { return in[0] * 2.0; });
  table.add("divide", {one}, [](In in) { return in[0] / 2.0; });
  table.add("divide", {one}, [](In in) { return 2.0 / in[0]; });
  table.add("maximum", {number}, [](In in) { return maximum(in[0], 1); });
  table.add("maximum", {number}, [](In in) { return maximum(1, in[0]); });
  table.add("minimum", {number}, [](In in) { return minimum(in[0], 1); });
  table.add("minimum", {number}, [](In in) { return minimum(1, in[0]); });
  table.add("pow", {one}, [](In in) { return pow(in[0], 2); });
  table.add("pow", {one}, [](In in) { return pow(2, in[0]); });
  table.add("clamp", {one}, [](In in) { return clamp(in[0], 0, 1); });
  table.add("leaky_relu", {one}, [](In in) { return leaky_relu(in[0], 0.1); });
  table.add("elu", {one}, [](In in) { return elu(in[0], 0.5); });
  table.add("softmax", {floats({2, 3}, "fd", {{}})}, [](In in) { return softmax(in[0], 0); });
  table.add("log_softmax", {floats({2, 3}, "fd", {{}})}, [](In in) { return log_softmax(in[0], 0); });
  table.add_constant("less", {number}, [](In in) { return in[0] < 1; });
  table.add_constant("less_equal", {number}, [](In in) { return in[0] <= 1; });
  table.add_constant("greater", {number}, [](In in) { return in[0] > 1; });
  table.add_constant("greater_equal", {number}, [](In in) { return in[0] >= 1; });
  table.add_constant("equals", {number}, [](In in) { return equals(in[0], 1); });
  table.add_constant("not_equals", {number}, [](In in) { return not_equals(in[0], 1); });
  const auto assigned = [&](const char* op, Tensor& (*f)(Tensor&, const Tensor&),
                            Tensor& (*g)(Tensor&, double)) {
    table.add(op, {x, x}, [f](In in) {
      Tensor a = in[0];
      f(a, in[1]);
    });
    table.add(op, {one}, [g](In in) {
      Tensor a = in[0];
      g(a, 2);
    });
    table.rows.back().arguments[0].dtypes = std::string(op) == "divide" ? "fd" : "fdiu";
  };
  assigned("add", operator+=, operator+=);
  assigned("subtract", operator-=, operator-=);
  assigned("multiply", operator*=, operator*=);
  assigned("divide", operator/=, operator/=);
  table.add("where", {bytes({2, 3}, {{2}, {3, 2}}), x, x}, [](In in) { return where(in[0], in[1], in[2]); });
  table.add("where", {bytes({2, 3}, {{2}, {3, 2}}), floats({2, 3}, "fdiu", {{2}, {3, 2}})},
            [](In in) { return where(in[0], in[1], 2); });
  table.add("where", {bytes({2, 3}, {{2}, {3, 2}}), floats({2, 3}, "fdiu", {{2}, {3, 2}})},
            [](In in) { return where(in[0], 2, in[1]); });
}

void add_reductions(CallTable& table) {
  const Argument x = floats({2, 3}), any_dtype = floats({2, 3}, "fdiu"),
                 along = floats({2, 3}, "fd", {{}, {3}}), any_along = floats({2, 3}, "fdiu", {{}, {3}});
  const auto both = [&](const char* op, auto whole_tensor, auto along_axis, const std::string& dtypes,
                        bool recorded, std::vector<Shape> empty = {}) {
    Argument all = x, one_axis = along;
    all.dtypes = one_axis.dtypes = dtypes;
    all.wrong = empty;
    for (const Shape& shape : empty) one_axis.wrong.push_back(shape);
    table.rows.push_back({op, {all}, [whole_tensor](In in) { whole_tensor(in[0]); }, recorded});
    table.rows.push_back({op, {one_axis}, [along_axis](In in) { along_axis(in[0]); }, recorded});
  };
  const std::vector<Shape> none = {{2, 0}};
  both(
      "sum", [](const Tensor& t) { return sum(t); }, [](const Tensor& t) { return sum(t, 1); }, "fdiu", true);
  both(
      "mean", [](const Tensor& t) { return mean(t); }, [](const Tensor& t) { return mean(t, 1); }, "fdiu",
      true, none);
  both(
      "prod", [](const Tensor& t) { return prod(t); }, [](const Tensor& t) { return prod(t, 1); }, "fd",
      true);
  both(
      "var", [](const Tensor& t) { return var(t); }, [](const Tensor& t) { return var(t, 1); }, "fd", true,
      none);
  both(
      "stddev", [](const Tensor& t) { return stddev(t); }, [](const Tensor& t) { return stddev(t, 1); }, "fd",
      true, none);
  both(
      "max", [](const Tensor& t) { return max(t); }, [](const Tensor& t) { return max(t, 1); }, "fdiu", true,
      none);
  both(
      "min", [](const Tensor& t) { return min(t); }, [](const Tensor& t) { return min(t, 1); }, "fdiu", true,
      none);
  both(
      "logsumexp", [](const Tensor& t) { return logsumexp(t); },
      [](const Tensor& t) { return logsumexp(t, 1); }, "fd", true);
  both(
      "norm", [](const Tensor& t) { return norm(t); }, [](const Tensor& t) { return norm(t, 1); }, "fd",
      true);
  both(
      "any", [](const Tensor& t) { return any(t); }, [](const Tensor& t) { return any(t, 1); }, "fdiu",
      false);
  both(
      "all", [](const Tensor& t) { return all(t); }, [](const Tensor& t) { return all(t, 1); }, "fdiu",
      false);
  both(
      "count_nonzero", [](const Tensor& t) { return count_nonzero(t); },
      [](const Tensor& t) { return count_nonzero(t, 1); }, "fdiu", false);
  both(
      "median", [](const Tensor& t) { return median(t); }, [](const Tensor& t) { return median(t, 1); }, "fd",
      true, none);
  table.add("cumsum", {along}, [](In in) { return cumsum(in[0], 1); });
  Argument chosen = any_along;
  chosen.wrong.push_back({2, 0});
  table.add_constant("argmax", {chosen}, [](In in) { return argmax(in[0], 1); });
  table.add_constant("argmin", {chosen}, [](In in) { return argmin(in[0], 1); });
  table.add("sort", {any_along}, [](In in) { return sort(in[0], 1); });
  table.add_constant("argsort", {any_along}, [](In in) { return argsort(in[0], 1); });
  table.add("topk", {chosen}, [](In in) { return topk(in[0], 2, 1); });
  table.add("broadcast_to", {floats({2, 3}, "fdiu", {{2}, {4, 2, 3, 1}})}, [](In in) {
    return broadcast_to(in[0], {4, 2, 3});
  });
  table.add("sum_to", {floats({2, 3}, "fdiu", {{2}, {2, 2}})}, [](In in) { return sum_to(in[0], {1, 3}); });
  table.add_constant("nonzero", {any_dtype}, [](In in) { return nonzero(in[0]); });
  table.add("masked_select", {floats({2, 3}, "fdiu", {{2, 2}, {}}), bytes({2, 3}, {{2}, {2, 3, 1}})},
            [](In in) { return masked_select(in[0], in[1]); });
}

void add_layout(CallTable& table) {
  const Argument x = floats({2, 3}, "fdiu"), matrix = floats({2, 3}, "fdiu", {{}, {3}});
  table.add("reshape", {floats({2, 3}, "fdiu", {{5}, {0}})}, [](In in) {
    return reshape(in[0], Shape{3, 2});
  });
  table.add("reshape", {floats({2, 3}, "fdiu", {{5}})}, [](In in) { return reshape(in[0], {-1, 2}); });
  table.add("permute", {floats({2, 3}, "fdiu", {{}, {3}, {2, 3, 4}})}, [](In in) {
    return permute(in[0], {1, 0});
  });
  table.add("transpose", {matrix}, [](In in) { return transpose(in[0]); });
  table.add("slice", {floats({2, 3}, "fdiu", {{}})}, [](In in) { return slice(in[0], 0, 1); });
  table.add("slice", {matrix}, [](In in) { return slice(in[0], {{0, 1}, {1, 3, 2}}); });
  table.add("row", {floats({2, 3}, "fdiu", {{}, {1, 3}})}, [](In in) { return row(in[0], 1); });
  table.add("flip", {matrix}, [](In in) { return flip(in[0], 1); });
  table.add("roll", {matrix}, [](In in) { return roll(in[0], 1, 1); });
  table.add("pad", {floats({2, 3}, "fdiu", {{}, {3}, {2, 3, 4}})}, [](In in) {
    return pad(in[0], {{1, 0}, {0, 1}});
  });
  table.add("zero_insert", {floats({2, 3}, "fdiu", {{}, {3}, {2, 3, 4}})}, [](In in) {
    return zero_insert(in[0], {1, 0});
  });
  table.add("squeeze", {floats({1, 3}, "fdiu", {{2, 3}, {}})}, [](In in) { return squeeze(in[0], 0); });
  table.add("squeeze", {x}, [](In in) { return squeeze(in[0]); });
  table.add("expand_dims", {floats({2, 3}, "fdiu", {{1, 1, 1, 1, 1, 1, 1, 1}})},
            [](In in) { return expand_dims(in[0], 0); });
  const Argument joined = floats({2, 3}, "f", {{}, {3}, {2, 4}, {2, 3, 1}});
  table.add("concat", {joined, joined}, [](In in) { return concat({in[0], in[1]}); });
  const Argument stacked = floats({2, 3}, "f", {{}, {3}, {2, 4}, {1, 3}});
  table.add("stack", {stacked, stacked}, [](In in) { return stack({in[0], in[1]}, 1); });
  table.add("split", {floats({2, 3}, "fdiu", {{}, {2, 4}})}, [](In in) { return split(in[0], {1, 2}, 1); });
  table.add("chunk", {floats({2, 3}, "fdiu", {{}, {3, 3}})}, [](In in) { return chunk(in[0], 2); });
  table.add("repeat", {floats({2, 3}, "fdiu", {{}, {3}})}, [](In in) { return repeat(in[0], 2, 1); });
  table.add("tile", {floats({2, 3}, "fdiu", {{}, {3}, {2, 3, 1}})}, [](In in) {
    return tile(in[0], {2, 1});
  });
  table.add("cast", {x}, [](In in) { return cast(in[0], DType::Float64); });
  table.add("copy", {x}, [](In in) { return copy(in[0]); });
  table.add("triu", {matrix}, [](In in) { return triu(in[0]); });
  table.add("tril", {matrix}, [](In in) { return tril(in[0]); });
  table.add("diag", {floats({2, 3}, "fdiu", {{}, {2, 3, 4}})}, [](In in) { return diag(in[0]); });
  const Argument at = whole({2, 3}, {{3}, {4, 3}});
  table.add("gather", {floats({2, 3}, "fdiu", {{}, {3}, {2, 0}}), whole({2, 3})},
            [](In in) { return gather(in[0], in[1], 1); });
  table.add("embedding", {floats({2, 3}, "fdiu", {{}, {3}, {0, 3}}), whole({2, 3})},
            [](In in) { return embedding(in[0], in[1]); });
  table.add("take_along_axis", {floats({2, 3}, "fdiu", {{}, {3}, {4, 3}}), at},
            [](In in) { return take_along_axis(in[0], in[1], 1); });
  const Tensor different = tensor({{0, 1, 2}, {2, 1, 0}}, DType::Int32);
  const Argument values = floats({2, 3}, "f", {{3}, {2, 2}});
  table.add("scatter_add", {floats({2, 3}, "f", {{}, {3}, {4, 3}}), at, values},
            [](In in) { return scatter_add(in[0], in[1], in[2], 1); });
  table.add("scatter", {floats({2, 3}, "f", {{}, {3}, {4, 3}}), {different, "i", {{3}, {4, 3}}}, values},
            [](In in) { return scatter(in[0], in[1], in[2], 1); });
  table.add_constant("one_hot", {whole({2, 3}, {{1, 1, 1, 1, 1, 1, 1, 1}})},
                     [](In in) { return one_hot(in[0], 3); });
  table.add_constant("full_like", {x}, [](In in) { return full_like(in[0], 1); });
  table.add_constant("zeros_like", {x}, [](In in) { return zeros_like(in[0]); });
  table.add_constant("ones_like", {x}, [](In in) { return ones_like(in[0]); });
  table.add_constant("parameter", {floats({2, 3})}, [](In in) { return parameter(in[0]); });
  table.add_constant("stop_gradient", {x}, [](In in) { return stop_gradient(in[0]); });
  table.add_constant("equal", {x, x}, [](In in) { return equal(in[0], in[1]); });
}

void add_products(CallTable& table) {
  table.add("matmul",
            {floats({2, 3}, "f", {{}, {2, 2}, {0, 4}}), floats({3, 2}, "f", {{}, {2, 2}, {4, 4, 3}})},
            [](In in) { return matmul(in[0], in[1]).shape()[1]; });
  table.add("matmul", {floats({2, 3}, "f", {{}, {2}, {2, 4}}), floats({2, 3}, "f", {{}, {3}, {2, 4}})},
            [](In in) { return matmul(in[0], in[1], {.transpose_b = true}); });
  table.add("dot", {floats({3}, "f", {{}, {2}, {3, 1}}), floats({3}, "f", {{}, {2}, {3, 1}})},
            [](In in) { return dot(in[0], in[1]); });
  table.add("einsum", {floats({2, 3}, "f", {{}, {3}, {2, 4}}), floats({3, 2}, "f", {{}, {3}, {4, 2}})},
            [](In in) { return einsum("ij,jk->ik", in[0], in[1]); });
  const Argument image = floats({1, 4, 4, 1}, "f", {{}, {4, 4}, {1, 4, 4, 2}, {1, 2, 2, 1}, {1, 1, 4, 4, 1}});
  const Argument filter = floats({3, 3, 1, 1}, "f", {{}, {3, 3}, {3, 3, 2, 1}, {5, 5, 1, 1}, {0, 3, 1, 1}});
  const Argument dy = floats({1, 2, 2, 1}, "f", {{}, {2, 2}, {1, 2, 2, 2}, {1, 3, 2, 1}});
  table.add("conv2d", {image, filter}, [](In in) { return conv2d(in[0], in[1]); });
  table.add("conv2d_backprop_input", {floats({3, 3, 1, 1}, "f", {{}, {3, 3}, {3, 3, 2, 1}}), dy}, [](In in) {
    return conv2d_backprop_input({1, 4, 4, 1}, in[0], in[1]);
  });
  table.add("conv2d_backprop_filter",
            {floats({1, 4, 4, 1}, "f", {{}, {4, 4}, {1, 4, 4, 2}, {1, 5, 4, 1}}), dy}, [](In in) {
              return conv2d_backprop_filter(in[0], {3, 3, 1, 1}, in[1]);
            });
  const Argument small = floats({1, 4, 4, 1}, "f", {{}, {4, 4}, {1, 4, 4, 2}}),
                 transposed = floats({3, 3, 1, 1}, "f", {{}, {3, 3}, {3, 3, 1, 2}, {0, 3, 1, 1}});
  table.add("conv2d_transpose", {small, transposed}, [](In in) { return conv2d_transpose(in[0], in[1]); });
  Argument bias = floats({1}, "f", {{}, {2}, {1, 1}});
  bias.may_be_undefined = true;
  table.add("fused_conv2d", {image, filter, bias},
            [](In in) { return fused_conv2d(in[0], in[1], in[2], {.relu = true}); });
  table.add("fused_conv2d_transpose", {small, transposed, bias},
            [](In in) { return fused_conv2d_transpose(in[0], in[1], in[2], {}); });
  table.add("unfold", {floats({1, 4, 4, 1}, "fd", {{}, {4, 4}, {1, 2, 2, 1}})},
            [](In in) { return unfold(in[0], 3); });
  table.add("fold", {floats({1, 2, 2, 9}, "fd", {{}, {2, 2, 9}, {1, 2, 2, 8}, {1, 3, 2, 9}})}, [](In in) {
    return fold(in[0], {1, 4, 4, 1}, 3);
  });
  table.add_constant("conv2d_matrix", {floats({3, 3, 1, 1}, "fd", {{}, {3, 3}, {3, 3, 2, 1}})}, [](In in) {
    return conv2d_matrix(in[0], conv2d_geometry({1, 4, 4, 1}, {3, 3, 1, 1}));
  });
  const Argument four = floats({1, 4, 4, 1}, "fdiu", {{}, {4, 4}, {1, 4, 4, 1, 1}});
  for (const auto& [op, f] :
       {std::pair{"nhwc_to_nchw", Unary(nhwc_to_nchw)}, std::pair{"nchw_to_nhwc", Unary(nchw_to_nhwc)},
        std::pair{"hwio_to_oihw", Unary(hwio_to_oihw)}, std::pair{"oihw_to_hwio", Unary(oihw_to_hwio)},
        std::pair{"hwoi_to_iohw", Unary(hwoi_to_iohw)}, std::pair{"iohw_to_hwoi", Unary(iohw_to_hwoi)}})
    table.add(op, {four}, [f = f](In in) { return f(in[0]); });
  table.add("rot180", {floats({3, 3, 1, 1}, "fdiu", {{}, {3}})}, [](In in) { return rot180(in[0]); });
  const Argument pooled = floats({1, 4, 4, 1}, "fd", {{}, {4, 4}, {1, 1, 1, 1}, {1, 4, 4, 1, 1}});
  table.add("max_pool2d", {pooled}, [](In in) { return max_pool2d(in[0]); });
  table.add("avg_pool2d", {pooled}, [](In in) { return avg_pool2d(in[0]); });
  const Argument all_pixels = floats({1, 4, 4, 1}, "fd", {{}, {4, 4}, {1, 0, 4, 1}, {1, 4, 4, 1, 1}});
  table.add("global_max_pool2d", {all_pixels}, [](In in) { return global_max_pool2d(in[0]); });
  table.add("global_avg_pool2d", {all_pixels}, [](In in) { return global_avg_pool2d(in[0]); });
  table.add("upsample_nearest", {floats({1, 4, 4, 1}, "fdiu", {{}, {4, 4}, {1, 4, 4, 1, 1}})},
            [](In in) { return upsample_nearest(in[0]); });
  table.add("upsample_bilinear", {floats({1, 4, 4, 1}, "fd", {{}, {4, 4}, {1, 4, 4, 1, 1}})},
            [](In in) { return upsample_bilinear(in[0]); });
}

void add_normalizations(CallTable& table) {
  const Argument x = floats({2, 3}, "f", {{}, {3}, {2, 4}, {0, 3}}),
                 three = floats({3}, "f", {{}, {2}, {1, 3}});
  table.add("batch_norm", {x, three, three}, [](In in) { return batch_norm(in[0], in[1], in[2]); });
  const Argument given = floats({2, 3}, "f", {{}, {3}, {2, 4}});
  table.add("batch_norm", {given, three, three, three, three},
            [](In in) { return batch_norm(in[0], in[1], in[2], in[3], in[4]); });
  const Argument last = floats({3}, "f", {{}, {2}});
  table.add("layer_norm", {floats({2, 3}, "f", {{}, {2, 4}}), last, last},
            [](In in) { return layer_norm(in[0], in[1], in[2]); });
  table.add("layer_norm", {floats({2, 3}, "fd", {{}})}, [](In in) { return layer_norm(in[0], 1); });
  const Argument four = floats({4}, "f", {{}, {2}, {1, 4}});
  table.add("group_norm", {floats({2, 4}, "f", {{}, {4}, {2, 3}}), four, four},
            [](In in) { return group_norm(in[0], 2, in[1], in[2]); });
  const Argument kept = floats({2, 3}, "fd", {{}});
  table.add("dropout", {kept}, [](In in) {
    Generator generator;
    return dropout(in[0], 0.5, generator);
  });
  table.add("dropout", {kept}, [](In in) { return dropout(in[0], 0.5, Generator()); });
  table.add("dropout", {kept}, [](In in) { return dropout(in[0], 0.5, Generator(), 3); });
}

void add_losses(CallTable& table) {
  const Argument x = floats({2, 3}, "f", {{}, {3}, {2, 1}, {2, 3, 1}}),
                 labels = whole({2}, {{}, {3}, {2, 1}});
  const auto two = [&](const char* op, auto f) { table.add(op, {x, x}, [f](In in) { f(in[0], in[1]); }); };
  two("mse_loss", [](const Tensor& a, const Tensor& b) { return mse_loss(a, b); });
  two("mae_loss", [](const Tensor& a, const Tensor& b) { return mae_loss(a, b); });
  two("huber_loss", [](const Tensor& a, const Tensor& b) { return huber_loss(a, b); });
  two("smooth_l1_loss", [](const Tensor& a, const Tensor& b) { return smooth_l1_loss(a, b); });
  two("binary_cross_entropy", [](const Tensor& a, const Tensor& b) { return binary_cross_entropy(a, b); });
  two("binary_cross_entropy_with_logits",
      [](const Tensor& a, const Tensor& b) { return binary_cross_entropy_with_logits(a, b); });
  two("kl_to_standard_normal", [](const Tensor& a, const Tensor& b) { return kl_to_standard_normal(a, b); });
  const Argument scores = floats({2, 3}, "fd", {{}, {3}, {3, 3}, {2, 0}});
  const Argument distributions = floats({2, 3}, "f", {{}, {3}, {2, 4}});
  table.add("cross_entropy", {scores, labels}, [](In in) { return cross_entropy(in[0], in[1]); });
  table.add("cross_entropy", {distributions, distributions},
            [](In in) { return cross_entropy(in[0], in[1]); });
  Argument logarithms = scores;
  logarithms.value = full({2, 3}, -1);
  table.add("nll_loss", {logarithms, labels}, [](In in) { return nll_loss(in[0], in[1]); });
  Argument given = distributions;
  given.value = full({2, 3}, -1);
  table.add("kl_divergence", {given, distributions}, [](In in) { return kl_divergence(in[0], in[1]); });
  Argument as_bytes = labels;
  as_bytes.dtypes = "iu";
  table.add_constant("accuracy", {floats({2, 3}, "fdiu", {{}, {3}, {3, 3}, {2, 0}}), as_bytes},
                     [](In in) { return accuracy(in[0], in[1]); });
}

}  // namespace

std::vector<RightCall> right_calls() {
  CallTable table;
  add_elementwise(table);
  add_reductions(table);
  add_layout(table);
  add_products(table);
  add_normalizations(table);
  add_losses(table);
  return std::move(table.rows);
}

}  // namespace tapegrad::testing
