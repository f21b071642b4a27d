// How convolutions, pooling, upsampling and normalizations of images are written in ONNX.

#include <algorithm>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/exchange/onnx_call_internal.h"
#include "tapegrad/ops/create.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::onnx {
namespace {

// HWIO to OIHW; and of a transpose to [in, out, h, w].
std::vector<int> filter_order() {
  return {3, 2, 0, 1};
}

std::vector<AttributeProto> window_attributes(const Conv2DGeometry& g, bool has_filter) {
  std::vector<AttributeProto> made = {
      attribute("kernel_shape", Ints{g.kernel_h, g.kernel_w}),
      attribute("pads", Ints{g.pad_top, g.pad_left, g.pad_bottom, g.pad_right}),
      attribute("strides", Ints{g.stride_h, g.stride_w})};
  if (!has_filter) return made;
  made.push_back(attribute("dilations", Ints{g.dilation_h, g.dilation_w}));
  made.push_back(attribute("group", std::int64_t{g.groups}));
  return made;
}

// Rows that a convolution's last window does not reach: what output_padding adds to the transpose.
index_t rest(index_t in, index_t out, index_t kernel, index_t stride, index_t dilation, index_t pads) {
  return in + pads - (stride * (out - 1) + dilation * (kernel - 1) + 1);
}

// A filter and a bias with a batch norm folded into them.
struct Folded {
  Tensor filter, bias;
  std::string bias_name;
};

// The batch norm that alone uses the result, and whose parameters are all known.
const TwinOp* norm_behind(Call& call) {
  const Exporter& exporter = call.exporter;
  const TwinOp* next = exporter.options.fold_batch_norm ? call.only_use() : nullptr;
  if (next == nullptr || next->first->op != "batch_norm" || next->first->inputs.size() != 5) return nullptr;
  const std::vector<Tensor>& inputs = next->first->inputs;
  const auto is_given = [&](const Tensor& x) { return exporter.is_given(x); };
  const bool is_norm = key_of(inputs[0]) == key_of(call.first().output) &&
                       std::all_of(inputs.begin() + 1, inputs.end(), is_given) &&
                       std::all_of(call.first().inputs.begin() + 1, call.first().inputs.end(), is_given);
  return is_norm ? next : nullptr;
}

// y = f (conv(x, w) + b - mean) + beta, with f = gamma / sqrt(variance + epsilon), is conv(x, f w) + f (b - mean) + beta.
Folded fold(const Call& call, const TracedOp& norm, const Conv2DGeometry& g, bool is_transpose) {
  const NoGrad no_grad;
  const std::vector<Tensor>& own = call.first().inputs;
  const Tensor w = stop_gradient(own[1]);
  const double epsilon = norm.options.at(0).values.at(0);
  const Tensor factor = norm.inputs[1] * rsqrt(norm.inputs[4] + epsilon);
  const Tensor bias = own.size() > 2 ? own[2] - norm.inputs[3] : negate(norm.inputs[3]);
  Folded made{Tensor(), factor * bias + norm.inputs[2], call.exporter.path_of(norm.inputs[2])};
  if (made.bias_name.empty()) made.bias_name = "bias";
  if (own.size() > 2 && !call.exporter.path_of(own[2]).empty())
    made.bias_name = call.exporter.path_of(own[2]);
  if (!is_transpose) {
    made.filter = w * factor;
    return made;
  }
  // The channels of a transpose's result are those of the convolution's input: axis 2 of the filter, in each group.
  Tensor factors = zeros({g.group_in(), g.out_channels}, w.dtype());
  for (index_t i = 0; i < g.group_in(); ++i)
    for (index_t o = 0; o < g.out_channels; ++o)
      factors.set({i, o}, factor.at({o / g.group_out() * g.group_in() + i}));
  made.filter = w * factors;
  return made;
}

void write_convolution(Call& call, bool is_transpose, bool has_relu) {
  const Conv2DGeometry& g = call.geometry();
  std::vector<AttributeProto> attributes = window_attributes(g, true);
  if (is_transpose)
    attributes.push_back(attribute(
        "output_padding",
        Ints{rest(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top + g.pad_bottom),
             rest(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left + g.pad_right)}));
  std::vector<std::string> inputs = {call.in_nchw(0)};
  const TwinOp* norm = has_relu ? nullptr : norm_behind(call);
  if (norm != nullptr) {
    const Folded made = fold(call, *norm->first, g, is_transpose);
    const std::string path = call.exporter.path_of(call.first().inputs[1]);
    inputs.push_back(call.graph.unique((path.empty() ? "filter" : path) + ".folded"));
    call.graph.initializer(inputs.back(), permute(made.filter, filter_order()));
    inputs.push_back(call.graph.unique(made.bias_name + ".folded"));
    call.graph.initializer(inputs.back(), made.bias);
  } else {
    inputs.push_back(call.filter(1, filter_order()));
    if (call.inputs() > 2) inputs.push_back(call.in(2));
  }
  std::string y = call.node(is_transpose ? "ConvTranspose" : "Conv", inputs, attributes);
  if (has_relu) y = call.node("Relu", {y});
  call.result_nchw(y);
  if (norm != nullptr) call.computes(*norm);
}

void write_fused(Call& call) {
  const bool is_transpose = call.number("transposed") != 0;
  write_convolution(call, is_transpose, call.number("relu") != 0);
}

void write_max_pool(Call& call) {
  (void)call.has("axis");  // of indices, which come first where a tape records
  call.result_nchw(
      call.node("MaxPool", {call.in_nchw(call.inputs() - 1)}, window_attributes(call.geometry(), false)));
}

void write_average_pool(Call& call) {
  std::vector<AttributeProto> attributes = window_attributes(call.geometry(), false);
  attributes.push_back(attribute("count_include_pad", std::int64_t{0}));
  call.result_nchw(call.node("AveragePool", {call.in_nchw(0)}, attributes));
}

WriteOp resize(const char* mode, const char* coordinates) {
  return [=](Call& call) {
    const std::vector<int> size = call.axes("size");
    const Tensor scales = tensor({1.0, 1.0, double(size.at(0)), double(size.at(1))});
    std::vector<AttributeProto> attributes = {attribute("mode", mode),
                                              attribute("coordinate_transformation_mode", coordinates)};
    if (std::string_view(mode) == "nearest") attributes.push_back(attribute("nearest_mode", "floor"));
    call.result_nchw(
        call.node("Resize", {call.in_nchw(0), "", call.graph.constant(scales)}, std::move(attributes)));
  };
}

// An initializer, which readers know by its place for a running average.
std::string average(Call& call, std::size_t i) {
  const std::string path = call.exporter.path_of(call.first().inputs[i]);
  if (path.empty() || call.exporter.values.contains(call.input(i).key())) return call.in(i);
  call.graph.initializer(path, call.first().inputs[i]);
  call.exporter.values[call.input(i).key()] = {call.exporter.runs.sizes(call.input(i), call.str()), path, ""};
  return path;
}

// In eval mode.
void write_batch_norm(Call& call) {
  const int rank = call.rank();
  std::vector<int> to_front = {0, rank - 1};
  std::vector<int> back = {0};
  for (int axis = 1; axis < rank - 1; ++axis) {
    to_front.push_back(axis);
    back.push_back(axis + 1);
  }
  back.push_back(1);
  const std::string x = rank == 4 ? call.in_nchw(0) : call.graph.transposed(call.in(0), to_front);
  const std::string y =
      call.node("BatchNormalization", {x, call.in(1), call.in(2), average(call, 3), average(call, 4)},
                {attribute("epsilon", call.number("epsilon"))});
  rank == 4 ? call.result_nchw(y) : call.result(call.graph.transposed(y, back));
}

// Without scale and shift: (x - mean) / sqrt(variance + epsilon) over some axes.
void write_normalize(Call& call) {
  const std::vector<int> axes = call.axes();
  const double epsilon = call.number("epsilon");
  constexpr std::int64_t kHasLayerNorm = 17;
  bool at_end = axes.back() == call.rank() - 1 && axes.front() == call.rank() - static_cast<int>(axes.size());
  if (call.first().op == "batch_norm")
    call.fail("normalizes with what it finds in the batch, as in training mode: call eval() before");
  for (const int axis : axes) at_end = at_end && !call.sizes(0)[static_cast<std::size_t>(axis)].is_open();
  if (at_end && call.graph.opset() >= kHasLayerNorm) {
    const Shape& shape = call.first().output.shape();
    const Shape last(std::span(shape.end() - static_cast<std::ptrdiff_t>(axes.size()), shape.end()));
    return call.result(
        call.node("LayerNormalization", {call.in(0), call.graph.constant(ones(last, call.dtype()))},
                  {attribute("axis", std::int64_t{axes.front()}), attribute("epsilon", epsilon)}));
  }
  const auto mean = [&](const std::string& x) {
    return call.node("ReduceMean", {x}, {attribute("axes", Ints(axes.begin(), axes.end()))});
  };
  const std::string x = call.in(0), centred = call.node("Sub", {x, mean(x)});
  const std::string variance = mean(call.node("Mul", {centred, centred}));
  const std::string deviation = call.node("Sqrt", {call.node("Add", {variance, call.constant(epsilon)})});
  call.result(call.node("Div", {centred, deviation}));
}

}  // namespace

void add_windows(OpTable& table) {
  table["conv2d"] = [](Call& call) { write_convolution(call, false, false); };
  table["conv2d_transpose"] =
      table["conv2d_backprop_input"] = [](Call& call) { write_convolution(call, true, false); };
  table["max_pool2d"] = write_max_pool;
  table["avg_pool2d"] = write_average_pool;
  table["upsample_nearest"] = resize("nearest", "asymmetric");
  table["upsample_bilinear"] = resize("linear", "half_pixel");
  table["batch_norm"] = [](Call& call) {
    call.inputs() == 5 ? write_batch_norm(call) : write_normalize(call);
  };
  table["layer_norm"] = table["group_norm"] = write_normalize;
}

const WriteOp* fused_writer(const TracedOp& op) {
  static const WriteOp fused = write_fused;
  const bool is_fused = op.geometry.has_value() &&
                        std::ranges::find(op.options, "transposed", &OpOption::name) != op.options.end();
  return is_fused ? &fused : nullptr;
}

}  // namespace tapegrad::inline v0::onnx
