// Pooling of ONNX.

#include <limits>
#include <numeric>

#include "tapegrad/exchange/onnx_window_internal.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0::onnx {
namespace {

Window pooling_window(const Node& node) {
  Window window(node);
  if (!window.kernel) node.fail("lacks its attribute 'kernel_shape'");
  if (window.kernel->height < 1 || window.kernel->width < 1) node.fail("has a kernel_shape below 1");
  return window;
}

Tensor padded(const Tensor& image, const Window::Pads& pads, double value) {
  if (!pads.any()) return image;
  return pad(image, {{}, {pads.before[0], pads.after[0]}, {pads.before[1], pads.after[1]}, {}}, value);
}

// Windows with gaps, [n, out height, out width, pixels, channels].
Tensor windows_of(const Tensor& image, const Window& window) {
  const Size2D kernel = *window.kernel;
  const Tensor rows = unfold(image, kernel, {.strides = window.strides, .dilations = window.dilations});
  const Shape& shape = rows.shape();
  return reshape(rows, {shape[0], shape[1], shape[2], kernel.height * kernel.width, image.shape()[3]});
}

Compute prepare_max_pool(const Node& node) {
  const Window window = pooling_window(node);
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  node.ignore("storage_order");
  node.require_results(1, "the indices of the maxima, which are not computed");
  return [window, ceil_mode](const Run& run) -> Results {
    const Value& x = run[0];
    Tensor image = image_of(x);
    if (!tapegrad::is_floating(image.dtype())) fail("load_onnx", "it takes numbers, got {}", name(x.type));
    const Window::Pads pads = window.pads({image.shape()[1], image.shape()[2]}, *window.kernel, ceil_mode);
    if (window.dilations == Size2D(1))
      return {value_of_image(
          max_pool2d(image,
                     {.pool_size = *window.kernel, .strides = window.strides, .padding = pads.padding()}),
          x)};
    image = padded(image, pads, -std::numeric_limits<double>::infinity());
    return {value_of_image((max)(windows_of(image, window), 3), x)};
  };
}

Compute prepare_average_pool(const Node& node) {
  const Window window = pooling_window(node);
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  const bool counts_pads = node.integer("count_include_pad", 0) != 0;
  if (window.dilations != Size2D(1)) node.fail("has dilations, which an average is not computed with");
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    Tensor image = image_of(x);
    const Size2D size = {image.shape()[1], image.shape()[2]};
    Window::Pads pads = window.pads(size, *window.kernel, ceil_mode);
    if (counts_pads) {  // what ceil_mode adds behind them does not count
      const Window::Pads counted = window.pads(size, *window.kernel);
      image = padded(image, counted, 0);
      for (int axis = 0; axis < 2; ++axis) {
        pads.before[axis] = 0;
        pads.after[axis] -= counted.after[axis];
      }
    }
    return {value_of_image(
        avg_pool2d(image,
                   {.pool_size = *window.kernel, .strides = window.strides, .padding = pads.padding()}),
        x)};
  };
}

Compute global(Tensor (*reduce)(const Tensor&, const Axes&, const ReduceOptions&)) {
  return [reduce](const Run& run) -> Results {
    const Value& x = run[0];
    if (x.rank() < 3)
      fail("load_onnx", "an image must have three axes or more, got shape {}", Shape(x.sizes()));
    std::vector<int> axes;
    for (int axis = 2; axis < x.rank(); ++axis) axes.push_back(x.stored_axis(axis));
    return {x.with(reduce(x.tensor, axes, {.keepdims = true}))};
  };
}

}  // namespace

void add_pooling(Ops& ops) {
  ops["MaxPool"] = {.prepare = prepare_max_pool, .folds = false};
  ops["AveragePool"] = {.prepare = prepare_average_pool, .folds = false};
  ops["GlobalAveragePool"] = {.prepare = [](const Node&) { return global(mean); }};
  ops["GlobalMaxPool"] = {.prepare = [](const Node&) { return global((max)); }};
}

}  // namespace tapegrad::inline v0::onnx
