#include "tapegrad/exchange/onnx_window_internal.h"

#include <algorithm>

#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::onnx {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // so that no product of two overflows

// The pads before and after one axis.
std::pair<index_t, index_t> split_pads(index_t total, bool more_at_end) {
  total = std::max<index_t>(total, 0);
  const index_t less = total / 2, more = total - less;
  return more_at_end ? std::pair(less, more) : std::pair(more, less);
}

}  // namespace

Size2D as_size(const Node& node, std::string_view what, const std::vector<std::int64_t>& numbers) {
  for (const std::int64_t n : numbers)
    if (n < 0 || n >= kLargest) node.fail("has {} among its {}", n, what);
  if (numbers.size() == 1) return {1, numbers[0]};
  if (numbers.size() == 2) return {numbers[0], numbers[1]};
  node.fail("has {} {}: images have one or two spatial axes here", numbers.size(), what);
}

Window::Window(const Node& node)
    : auto_pad(node.one_of("auto_pad", "NOTSET", {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"})) {
  if (const auto shape = node.integers("kernel_shape")) kernel = as_size(node, "kernel_shape", *shape);
  if (const auto numbers = node.integers("strides")) strides = as_size(node, "strides", *numbers);
  if (const auto numbers = node.integers("dilations")) dilations = as_size(node, "dilations", *numbers);
  if (const auto numbers = node.integers("pads")) {
    if (numbers->size() % 2 != 0) node.fail("has {} pads", numbers->size());
    const auto middle = numbers->begin() + static_cast<std::ptrdiff_t>(numbers->size() / 2);
    std::vector<std::int64_t> begins(numbers->begin(), middle), ends(middle, numbers->end());
    if (begins.size() == 1) begins.insert(begins.begin(), 0), ends.insert(ends.begin(), 0);
    const Size2D first = as_size(node, "pads", begins), last = as_size(node, "pads", ends);
    given = {{first.height, first.width}, {last.height, last.width}};
  }
  if (strides.height < 1 || strides.width < 1 || dilations.height < 1 || dilations.width < 1)
    node.fail("has strides or dilations below 1");
}

Window::Pads Window::pads(Size2D image, Size2D size, bool ceil_mode) const {
  Pads made = auto_pad == "NOTSET" ? given : Pads{};
  const index_t images[] = {image.height, image.width}, sizes[] = {size.height, size.width};
  const index_t steps[] = {strides.height, strides.width}, gaps[] = {dilations.height, dilations.width};
  for (int axis = 0; axis < 2; ++axis) {
    const index_t extent = (sizes[axis] - 1) * gaps[axis] + 1, step = steps[axis];
    if (auto_pad.starts_with("SAME")) {
      const index_t results = (images[axis] + step - 1) / step;
      std::tie(made.before[axis], made.after[axis]) =
          split_pads((results - 1) * step + extent - images[axis], auto_pad == "SAME_UPPER");
    } else if (ceil_mode) {
      // Windows that would begin behind the image and the pads before it are left out, as PyTorch does.
      const index_t room = images[axis] + made.before[axis] + made.after[axis] - extent;
      index_t results = (std::max<index_t>(room, 0) + step - 1) / step + 1;
      if ((results - 1) * step >= images[axis] + made.before[axis]) --results;
      made.after[axis] += std::max<index_t>((results - 1) * step - room, 0);
    }
  }
  return made;
}

Tensor image_of(const Value& x) {
  if (x.rank() == 4) return in_order(x, channels_last(4));
  if (x.rank() == 3) return expand_dims(in_order(x, channels_last(3)), 1);
  fail("load_onnx", "an image must have three or four axes, got shape {}", Shape(x.sizes()));
}

Value value_of_image(const Tensor& image, const Value& x) {
  if (x.rank() == 4) return {image, x.type, channels_last(4)};
  return {squeeze(image, 1), x.type, channels_last(3)};
}

}  // namespace tapegrad::inline v0::onnx
