// Convolutions of ONNX, and their transposes.

#include <algorithm>

#include "tapegrad/exchange/onnx_window_internal.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::onnx {
namespace {

// A filter [kh, kw, ...] of [out, in, kh, kw], or of [out, in, kw] with the height 1.
Tensor filter_of(const Value& w) {
  if (w.rank() == 4) return in_order(w, {2, 3, 1, 0});
  if (w.rank() == 3) return expand_dims(in_order(w, {2, 1, 0}), 0);
  fail("load_onnx", "a filter must have three or four axes, got shape {}", Shape(w.sizes()));
}

Size2D size_of_image(const Tensor& image) {
  return {image.shape()[1], image.shape()[2]};
}

Size2D kernel_of(const Window& window, const Tensor& filter) {
  const Size2D size = {filter.shape()[0], filter.shape()[1]};
  if (window.kernel && *window.kernel != size)
    fail("load_onnx", "kernel_shape says {} x {}, but the filter has {} x {}", window.kernel->height,
         window.kernel->width, size.height, size.width);
  return size;
}

Tensor bias_of(const Run& run) {
  return run.has(2) ? natural(run[2]) : Tensor();
}

void require_alike(const Run& run) {
  if (run[0].rank() != run[1].rank())
    fail("load_onnx", "the input has shape {}, but the filter {}", Shape(run[0].sizes()),
         Shape(run[1].sizes()));
}

// Filter and bias with what is behind the convolution in eval mode. y = f (conv(x, w) + b - mean) + beta, with
// f = gamma / sqrt(variance + epsilon), is conv(x, f w) + f (b - mean) + beta.
struct Weights {
  Tensor filter, bias;
};
Weights weights_of(const Run& run, const Epilogue& epilogue, bool is_transpose) {
  Weights made{filter_of(run[1]), bias_of(run)};
  if (!epilogue.normalize || run.training) return made;
  const Tensor mean = natural(run[5]), factor = natural(run[3]) * rsqrt(natural(run[6]) + epilogue.epsilon);
  made.filter = made.filter * (is_transpose ? expand_dims(factor, 1) : factor);
  made.bias = factor * (made.bias.defined() ? made.bias - mean : -mean) + natural(run[4]);
  return made;
}

// What is left to do with the result: in training mode a batch norm is computed by itself.
Value finished(const Run& run, const Epilogue& epilogue, Value y, bool had_relu) {
  if (epilogue.normalize && run.training) {
    const Value inputs[] = {y, run[3], run[4], run[5], run[6]};
    y = epilogue.normalize({.inputs = inputs, .training = true, .dropouts = run.dropouts})[0];
  }
  return epilogue.relu && !had_relu ? y.with(relu(y.tensor)) : y;
}

Compute prepare_conv(const Node& node) {
  const Window window(node);
  const index_t groups = node.integer("group", 1);
  return [window, groups, epilogue = node.epilogue](const Run& run) -> Results {
    require_alike(run);
    const Tensor x = image_of(run[0]);
    const auto [w, bias] = weights_of(run, epilogue, false);
    const Window::Pads pads = window.pads(size_of_image(x), kernel_of(window, w));
    const bool with_relu = epilogue.relu && !(epilogue.normalize && run.training);
    const Tensor y = fused_conv2d(x, w, bias, {.relu = with_relu, .op = "conv2d"},
                                  {.strides = window.strides,
                                   .padding = pads.padding(),
                                   .dilations = window.dilations,
                                   .groups = groups});
    return {finished(run, epilogue, value_of_image(y, run[0]), with_relu)};
  };
}

// ---- The transposed convolution

// What is cut off the largest result along each axis, and the zeros that are added behind it.
struct Cut {
  index_t before[2] = {0, 0}, after[2] = {0, 0}, added[2] = {0, 0};
};

struct Transposed {
  Window window;
  index_t groups = 1;
  Size2D output_padding = 0;
  std::optional<Size2D> output_shape;
  Epilogue epilogue = {};

  Cut cut(Size2D image, Size2D kernel) const {
    Cut made;
    const index_t images[] = {image.height, image.width}, kernels[] = {kernel.height, kernel.width};
    const index_t steps[] = {window.strides.height, window.strides.width};
    const index_t gaps[] = {window.dilations.height, window.dilations.width};
    const index_t extra[] = {output_padding.height, output_padding.width};
    const index_t wanted[] = {output_shape ? output_shape->height : 0,
                              output_shape ? output_shape->width : 0};
    const bool same = window.auto_pad.starts_with("SAME");
    for (int axis = 0; axis < 2; ++axis) {
      const index_t largest = (images[axis] - 1) * steps[axis] + (kernels[axis] - 1) * gaps[axis] + 1;
      made.added[axis] = extra[axis];
      if (output_shape || same) {
        const index_t target = output_shape ? wanted[axis] : images[axis] * steps[axis];
        const index_t total = largest + extra[axis] - target;
        const index_t less = std::max<index_t>(total, 0) / 2, more = std::max<index_t>(total, 0) - less;
        made.before[axis] = window.auto_pad == "SAME_UPPER" ? less : more;
        made.after[axis] = window.auto_pad == "SAME_UPPER" ? more : less;
        made.added[axis] += std::max<index_t>(-total, 0);
      } else if (window.auto_pad == "NOTSET") {
        made.before[axis] = window.given.before[axis];
        made.after[axis] = window.given.after[axis];
      }
      // Zeros that would be cut off again.
      const index_t both = std::min(made.after[axis], made.added[axis]);
      made.after[axis] -= both, made.added[axis] -= both;
    }
    return made;
  }
};

// Without output_padding, which conv2d_transpose() restricts to what a convolution leads back from: pads that it takes
// are its own, and zeros are put behind its result.
Results run_transposed(const Transposed& op, const Run& run) {
  require_alike(run);
  const Tensor x = image_of(run[0]);
  const auto [w, bias] = weights_of(run, op.epilogue, true);
  const Size2D kernel = kernel_of(op.window, w);
  const Cut cut = op.cut(size_of_image(x), kernel);
  const bool grows = cut.added[0] + cut.added[1] > 0;
  const Padding padding = Padding::Explicit(cut.before[0], cut.after[0], cut.before[1], cut.after[1]);
  const bool with_relu = op.epilogue.relu && !grows && !(op.epilogue.normalize && run.training);
  Tensor y =
      fused_conv2d_transpose(x, w, grows ? Tensor() : bias, {.relu = with_relu, .op = "conv2d_transpose"},
                             {.strides = op.window.strides,
                              .padding = padding,
                              .dilations = op.window.dilations,
                              .groups = op.groups,
                              .output_padding = Size2D(0)});
  if (grows) {
    y = pad(y, {{}, {0, cut.added[0]}, {0, cut.added[1]}, {}});
    if (bias.defined()) y = y + bias;
  }
  return {finished(run, op.epilogue, value_of_image(y, run[0]), with_relu)};
}

Compute prepare_conv_transpose(const Node& node) {
  Transposed op{.window = Window(node),
                .groups = node.integer("group", 1),
                .output_padding = 0,
                .output_shape = {},
                .epilogue = node.epilogue};
  if (const auto numbers = node.integers("output_padding"))
    op.output_padding = numbers->size() == 1 ? Size2D(0, as_size(node, "output_padding", *numbers).width)
                                             : as_size(node, "output_padding", *numbers);
  if (auto numbers = node.integers("output_shape")) {
    if (numbers->size() > 2)
      numbers->erase(numbers->begin(), numbers->begin() + 2);  // [n, c, ...] of before opset 11
    op.output_shape = as_size(node, "output_shape", *numbers);
  }
  return [op](const Run& run) { return run_transposed(op, run); };
}

}  // namespace

void add_convolutions(Ops& ops) {
  ops["Conv"] = {.required = 2, .roles = "xfw", .prepare = prepare_conv, .folds = false};
  ops["ConvTranspose"] = {.required = 2, .roles = "xfw", .prepare = prepare_conv_transpose, .folds = false};
}

}  // namespace tapegrad::inline v0::onnx
