// How ops that work element by element are written in ONNX.

#include <cmath>
#include <numbers>

#include "tapegrad/exchange/onnx_call_internal.h"

namespace tapegrad::inline v0::onnx {
namespace {

using Strings = std::vector<std::string>;

// The inputs from `first` on, in the order of axes in which the op is computed.
Strings operands(Call& call, bool is_nchw, std::size_t first = 0) {
  Strings names;
  for (std::size_t i = first; i < call.inputs(); ++i)
    names.push_back(is_nchw ? call.in_beside_nchw(i) : call.in(i));
  return names;
}

// Of a function of one tensor.
WriteOp unary(std::function<std::string(Call&, const std::string&)> f) {
  return [f](Call& call) {
    const bool is_nchw = call.any_prefers_nchw();
    call.result(f(call, operands(call, is_nchw)[0]), is_nchw);
  };
}

// ONNX Runtime computes with UInt8 rarely: INT32 takes its place.
std::string arithmetic(Call& call, const char* type, Strings operands) {
  if (call.dtype() != DType::UInt8) return call.node(type, operands);
  for (std::string& name : operands) name = call.graph.cast(name, ElementType::Int32);
  return call.graph.cast(call.node(type, operands), ElementType::UInt8);
}

WriteOp node(const char* type) {
  return unary([type](Call& call, const std::string& x) { return arithmetic(call, type, {x}); });
}

// Of two tensors, or of a tensor and a number.
WriteOp binary(const char* type) {
  return [type](Call& call) {
    const bool is_nchw = call.any_prefers_nchw();
    Strings names = operands(call, is_nchw);
    if (call.has("number")) names.push_back(call.constant(call.number("number")));
    if (call.number("reversed", 0) != 0) std::swap(names[0], names[1]);
    call.result(arithmetic(call, type, names), is_nchw);
  };
}

WriteOp comparison(const char* type, bool negated = false) {
  return [type, negated](Call& call) {
    const bool is_nchw = call.any_prefers_nchw();
    Strings names = operands(call, is_nchw);
    if (call.dtype(0) == DType::UInt8)
      for (std::string& name : names) name = call.graph.cast(name, ElementType::Int32);
    std::string is = call.node(type, names);
    if (negated) is = call.node("Not", {is});
    call.bool_result(is, is_nchw);
  };
}

// x * factor, and the like.
std::string with_number(Call& call, const char* type, const std::string& x, double number) {
  return call.node(type, {x, call.constant(number)});
}

void write_where(Call& call) {
  const bool is_nchw = call.any_prefers_nchw();
  Strings names = operands(call, is_nchw);
  names[0] = call.graph.cast(names[0], ElementType::Bool);
  call.result(call.node("Where", names), is_nchw);
}

void write_clamp(Call& call) {
  const bool is_nchw = call.any_prefers_nchw();
  const double low = call.number("low"), high = call.number("high");
  Strings names = operands(call, is_nchw);
  names.push_back(std::isinf(low) ? "" : call.constant(low));
  if (!std::isinf(high)) names.push_back(call.constant(high));
  call.result(call.node("Clip", names), is_nchw);
}

void write_with_slope(Call& call, const char* type, const char* option) {
  const bool is_nchw = call.any_prefers_nchw();
  const double alpha = call.number(option);
  call.result(call.node(type, {operands(call, is_nchw)[0]}, {attribute("alpha", alpha)}), is_nchw);
}

// x / 2 (1 + erf(x / sqrt(2)))
std::string gelu(Call& call, const std::string& x) {
  const std::string part = call.node("Erf", {with_number(call, "Mul", x, std::numbers::sqrt2 / 2)});
  return call.node("Mul", {with_number(call, "Mul", x, 0.5), with_number(call, "Add", part, 1)});
}

// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
std::string gelu_tanh(Call& call, const std::string& x) {
  const std::string square = call.node("Mul", {x, x});
  const std::string factor = with_number(call, "Add", with_number(call, "Mul", square, 0.044715), 1);
  const std::string inner =
      with_number(call, "Mul", call.node("Mul", {x, factor}), std::sqrt(2 / std::numbers::pi));
  const std::string part = with_number(call, "Add", call.node("Tanh", {inner}), 1);
  return call.node("Mul", {with_number(call, "Mul", x, 0.5), part});
}

// Rounds towards 0.
std::string trunc(Call& call, const std::string& x) {
  return call.node("Mul", {call.node("Sign", {x}), call.node("Floor", {call.node("Abs", {x})})});
}

// The input, as a floating tensor.
std::string floating(Call& call, const std::string& x) {
  return is_floating(call.dtype(0)) ? x : call.graph.cast(x, ElementType::Float);
}

// Of one tensor, whether it is not 0; of two, what joins that.
WriteOp logical(const char* type) {
  return [type](Call& call) {
    const bool is_nchw = call.any_prefers_nchw();
    Strings names = operands(call, is_nchw);
    for (std::string& name : names) name = call.graph.cast(name, ElementType::Bool);
    call.bool_result(names.size() == 1 ? names[0] : call.node(type, names), is_nchw);
  };
}

void write_tests(OpTable& table) {
  const auto is = [](const char* type) {
    return [type](Call& call) {
      const bool is_nchw = call.any_prefers_nchw();
      call.bool_result(call.node(type, {floating(call, operands(call, is_nchw)[0])}), is_nchw);
    };
  };
  table["isnan"] = is("IsNaN");
  table["isinf"] = is("IsInf");
  table["isfinite"] = [](Call& call) {
    const bool is_nchw = call.any_prefers_nchw();
    const std::string x = floating(call, operands(call, is_nchw)[0]);
    const std::string bad = call.node("Or", {call.node("IsNaN", {x}), call.node("IsInf", {x})});
    call.bool_result(call.node("Not", {bad}), is_nchw);
  };
  table["logical_not"] = [](Call& call) {
    const bool is_nchw = call.any_prefers_nchw();
    const std::string x = call.graph.cast(operands(call, is_nchw)[0], ElementType::Bool);
    call.bool_result(call.node("Not", {x}), is_nchw);
  };
  table["logical_and"] = logical("And");
  table["logical_or"] = logical("Or");
  table["logical_xor"] = logical("Xor");
  table["less"] = comparison("Less");
  table["less_equal"] = comparison("LessOrEqual");
  table["greater"] = comparison("Greater");
  table["greater_equal"] = comparison("GreaterOrEqual");
  table["equals"] = comparison("Equal");
  table["not_equals"] = comparison("Equal", true);
}

}  // namespace

void add_elementwise(OpTable& table) {
  for (const auto& [op, type] : std::map<const char*, const char*>{{"add", "Add"},
                                                                   {"subtract", "Sub"},
                                                                   {"multiply", "Mul"},
                                                                   {"divide", "Div"},
                                                                   {"pow", "Pow"},
                                                                   {"maximum", "Max"},
                                                                   {"minimum", "Min"}})
    table[op] = binary(type);
  for (const auto& [op, type] : std::map<const char*, const char*>{{"negate", "Neg"},
                                                                   {"exp", "Exp"},
                                                                   {"log", "Log"},
                                                                   {"sqrt", "Sqrt"},
                                                                   {"abs", "Abs"},
                                                                   {"sign", "Sign"},
                                                                   {"sin", "Sin"},
                                                                   {"cos", "Cos"},
                                                                   {"tan", "Tan"},
                                                                   {"tanh", "Tanh"},
                                                                   {"sigmoid", "Sigmoid"},
                                                                   {"erf", "Erf"},
                                                                   {"relu", "Relu"},
                                                                   {"softplus", "Softplus"},
                                                                   {"floor", "Floor"},
                                                                   {"ceil", "Ceil"},
                                                                   {"round", "Round"},
                                                                   {"copy", "Identity"}})
    table[op] = node(type);
  table["square"] = unary([](Call& call, const std::string& x) { return arithmetic(call, "Mul", {x, x}); });
  table["rsqrt"] = unary(
      [](Call& call, const std::string& x) { return call.node("Reciprocal", {call.node("Sqrt", {x})}); });
  table["expm1"] = unary(
      [](Call& call, const std::string& x) { return with_number(call, "Sub", call.node("Exp", {x}), 1); });
  table["log1p"] = unary(
      [](Call& call, const std::string& x) { return call.node("Log", {with_number(call, "Add", x, 1)}); });
  table["log2"] = unary([](Call& call, const std::string& x) {
    return with_number(call, "Mul", call.node("Log", {x}), std::numbers::log2e);
  });
  table["log10"] = unary([](Call& call, const std::string& x) {
    return with_number(call, "Mul", call.node("Log", {x}), std::numbers::log10e);
  });
  table["erfc"] = unary([](Call& call, const std::string& x) {
    return call.node("Sub", {call.constant(1), call.node("Erf", {x})});
  });
  table["silu"] = unary([](Call& call, const std::string& x) {
    return call.node("Mul", {x, call.node("Sigmoid", {x})});
  });
  table["gelu"] = unary(gelu);
  table["gelu_tanh"] = unary(gelu_tanh);
  table["trunc"] = unary(trunc);
  table["cast"] =
      unary([](Call& call, const std::string& x) { return call.graph.cast(x, element_type(call.dtype())); });
  table["leaky_relu"] = [](Call& call) { write_with_slope(call, "LeakyRelu", "negative_slope"); };
  table["elu"] = [](Call& call) { write_with_slope(call, "Elu", "alpha"); };
  table["where"] = write_where;
  table["clamp"] = write_clamp;
  write_tests(table);
}

}  // namespace tapegrad::inline v0::onnx
