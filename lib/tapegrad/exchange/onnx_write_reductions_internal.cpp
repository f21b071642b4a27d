// How reductions, ops along an axis and products of matrices are written in ONNX.

#include <algorithm>

#include "tapegrad/exchange/onnx_call_internal.h"

namespace tapegrad::inline v0::onnx {
namespace {

// The axes of a reduction, as they are in the file, and the order in which the file has the input.
struct Reduced {
  std::string x;
  Ints axes;
  bool keeps = false, is_nchw = false;
};

// `casts`: the result is computed in its own type.
Reduced reduced(Call& call, const std::vector<int>& axes, bool casts = true) {
  Reduced made;
  made.keeps = call.rank() == call.rank(0);
  const auto has = [&](int axis) { return std::ranges::find(axes, axis) != axes.end(); };
  // What is left of an image is in the same order in NCHW without its channels, or without its height and width.
  made.is_nchw = call.prefers_nchw(0) && (made.keeps || has(3) || (has(1) && has(2)));
  made.x = made.is_nchw ? call.in_nchw(0) : call.in(0);
  // ONNX Runtime reduces no UInt8.
  const DType dtype = call.dtype() == DType::UInt8 ? DType::Int32 : call.dtype();
  if (casts && call.dtype(0) != dtype) made.x = call.graph.cast(made.x, element_type(dtype));
  for (const int axis : axes) made.axes.push_back(file_axis(axis, made.is_nchw));
  std::ranges::sort(made.axes);
  return made;
}

std::string reduce(Call& call, const char* type, const std::string& x, const Ints& axes, bool keeps) {
  const AttributeProto keepdims = attribute("keepdims", std::int64_t{keeps});
  if (std::string_view(type) == "ReduceSum")
    return call.node(type, {x, call.graph.integers(axes)}, {keepdims});
  return call.node(type, {x}, {attribute("axes", axes), keepdims});
}

WriteOp reduction(const char* type) {
  return [type](Call& call) {
    const Reduced r = reduced(call, call.axes());
    std::string y = r.axes.empty() ? call.node("Identity", {r.x}) : reduce(call, type, r.x, r.axes, r.keeps);
    if (call.dtype() == DType::UInt8) y = call.graph.cast(y, ElementType::UInt8);
    call.result(y, r.is_nchw && r.keeps);
  };
}

// any() and all().
WriteOp truth(const char* type) {
  return [type](Call& call) {
    const Reduced r = reduced(call, call.axes(), false);
    const std::string is = call.graph.cast(call.graph.cast(r.x, ElementType::Bool), ElementType::Int32);
    const std::string y = r.axes.empty() ? is : reduce(call, type, is, r.axes, r.keeps);
    call.result(call.graph.cast(y, ElementType::UInt8), r.is_nchw && r.keeps);
  };
}

void write_var(Call& call) {
  const Reduced r = reduced(call, call.axes());
  const double correction = call.number("correction");
  if (r.axes.empty()) call.fail("is over no axis, which cannot be exported");
  double count = 1;
  for (const int axis : call.axes()) {
    const Size& size = call.sizes(0)[static_cast<std::size_t>(axis)];
    if (size.is_open() && correction != 0)
      call.fail("is over the batch, and has a correction of {}, which cannot be exported", correction);
    count *= static_cast<double>(size.number);
  }
  const std::string centred = call.node("Sub", {r.x, reduce(call, "ReduceMean", r.x, r.axes, true)});
  std::string y = reduce(call, "ReduceMean", call.node("Mul", {centred, centred}), r.axes, r.keeps);
  if (correction != 0) y = call.node("Mul", {y, call.constant(count / (count - correction))});
  call.result(y, r.is_nchw && r.keeps);
}

WriteOp place_of_extreme(const char* type) {
  return [type](Call& call) {
    Reduced r = reduced(call, {call.axis()}, false);
    if (call.dtype(0) == DType::UInt8) r.x = call.graph.cast(r.x, ElementType::Int32);
    const std::string at =
        call.node(type, {r.x}, {attribute("axis", r.axes[0]), attribute("keepdims", std::int64_t{r.keeps})});
    call.result(call.graph.cast(at, ElementType::Int32), r.is_nchw && r.keeps);
  };
}

// Along one axis; along several, exp(x - max) / sum.
void write_softmax(Call& call, bool is_log) {
  const bool is_nchw = call.prefers_nchw(0);
  Ints axes;
  for (const int axis : call.axes()) axes.push_back(file_axis(axis, is_nchw));
  std::ranges::sort(axes);
  const std::string x = is_nchw ? call.in_nchw(0) : call.in(0);
  if (axes.size() == 1)
    return call.result(call.node(is_log ? "LogSoftmax" : "Softmax", {x}, {attribute("axis", axes[0])}),
                       is_nchw);
  if (axes.empty()) call.fail("is over no axis, which cannot be exported");
  const std::string less = call.node("Sub", {x, reduce(call, "ReduceMax", x, axes, true)});
  const std::string power = call.node("Exp", {less});
  const std::string sum = reduce(call, "ReduceSum", power, axes, true);
  call.result(is_log ? call.node("Sub", {less, call.node("Log", {sum})}) : call.node("Div", {power, sum}),
              is_nchw);
}

void write_cumsum(Call& call) {
  const std::string axis = call.graph.number(call.axis(), DType::Int32);
  call.result(call.node("CumSum", {call.in(0), axis},
                        {attribute("exclusive", static_cast<std::int64_t>(call.number("exclusive"))),
                         attribute("reverse", static_cast<std::int64_t>(call.number("reverse")))}));
}

// The bias, [units], that alone is added to the result; nullptr for none.
const TwinOp* bias_behind(Call& call) {
  const TwinOp* next = call.only_use();
  if (next == nullptr || next->first->op != "add" || next->first->inputs.size() != 2) return nullptr;
  const std::vector<Tensor>& inputs = next->first->inputs;
  const bool is_bias = key_of(inputs[0]) == key_of(call.first().output) &&
                       call.exporter.is_given(inputs[1]) && inputs[1].shape() == Shape{inputs[0].shape()[-1]};
  return is_bias ? next : nullptr;
}

// A Dense layer, as PyTorch exports its Linear: the parameter is [units, features] in the file.
void write_dense(Call& call) {
  std::vector<std::string> inputs = {call.in(0), call.filter(1, {1, 0})};
  const TwinOp* bias = bias_behind(call);
  if (bias != nullptr)
    inputs.push_back(
        call.exporter.natural(call.exporter.value(bias->input(1), call.exporter.str(*bias->first))));
  const std::string y = call.node("Gemm", inputs, {attribute("transB", std::int64_t{1})});
  call.result(y);
  if (bias != nullptr) call.computes(*bias);
}

void write_matmul(Call& call) {
  const bool plain = call.number("transpose_a", 0) == 0 && call.number("transpose_b", 0) == 0;
  const bool is_dense =
      plain && call.rank(0) == 2 && call.rank(1) == 2 && call.first().inputs[1].is_parameter();
  if (is_dense && call.exporter.is_given(call.first().inputs[1])) return write_dense(call);
  std::string names[2];
  const char* const options[] = {"transpose_a", "transpose_b"};
  for (std::size_t i = 0; i < 2; ++i) {
    names[i] = call.in(i);
    if (call.number(options[i], 0) == 0 || call.rank(i) < 2) continue;
    std::vector<int> order;
    for (int axis = 0; axis < call.rank(i); ++axis) order.push_back(axis);
    std::swap(order[order.size() - 1], order[order.size() - 2]);
    names[i] = call.graph.transposed(names[i], order);
  }
  call.result(call.node("MatMul", {names[0], names[1]}));
}

}  // namespace

void add_reductions(OpTable& table) {
  table["sum"] = reduction("ReduceSum");
  // A median is the mean of those in the middle of what was sorted.
  table["mean"] = table["median"] = table["global_avg_pool2d"] = reduction("ReduceMean");
  table["max"] = reduction("ReduceMax");
  table["min"] = reduction("ReduceMin");
  table["prod"] = reduction("ReduceProd");
  table["norm"] = reduction("ReduceL2");
  table["logsumexp"] = reduction("ReduceLogSumExp");
  table["any"] = truth("ReduceMax");
  table["all"] = truth("ReduceMin");
  table["var"] = write_var;
  table["argmax"] = place_of_extreme("ArgMax");
  table["argmin"] = place_of_extreme("ArgMin");
  table["softmax"] = [](Call& call) { write_softmax(call, false); };
  table["log_softmax"] = [](Call& call) { write_softmax(call, true); };
  table["cumsum"] = write_cumsum;
  table["matmul"] = write_matmul;
}

}  // namespace tapegrad::inline v0::onnx
