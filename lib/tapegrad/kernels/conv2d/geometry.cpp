#include "tapegrad/kernels/conv2d/geometry.h"

#include <algorithm>
#include <limits>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kAxisNames[2] = {"height", "width"};

// One axis of a convolution: filter size k, dilated to ke.
struct Axis {
  index_t k, stride, dilation, ke;
};

// How an image of `size` pixels is padded; and how many results it has, by floor division, below 1 when it
// has none.
struct Window {
  index_t before, after, out;
};

index_t floor_divide(index_t a, index_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

Window window(const Axis& axis, const Padding& padding, int which, index_t size) {
  index_t before = 0, after = 0;
  switch (padding.kind()) {
    case Padding::Kind::Same: {
      const index_t out = (size + axis.stride - 1) / axis.stride;
      const index_t total = std::max<index_t>((out - 1) * axis.stride + axis.ke - size, 0);
      return {total / 2, total - total / 2, out};
    }
    case Padding::Kind::Full:
      before = after = axis.ke - 1;
      break;
    case Padding::Kind::Explicit:
      before = padding.before(which);
      after = padding.after(which);
      break;
    case Padding::Kind::Valid:
      break;
  }
  return {before, after, floor_divide(size + before + after - axis.ke, axis.stride) + 1};
}

// Checks all that conv2d and conv2d_transpose have in common.
std::array<Axis, 2> checked_axes(std::string_view op, const Shape& x, std::string_view x_layout,
                                 const Shape& w, std::string_view w_layout, const Conv2DOptions& options) {
  if (x.rank() != 4)
    fail(op, "the image has {} axes (x: {}; w: {}) but must have four, {}: reshape it", x.rank(), x, w,
         x_layout);
  if (w.rank() != 4)
    fail(op, "the filter has {} axes (w: {}; x: {}) but must have four, {}: reshape it", w.rank(), w, x,
         w_layout);
  const auto check = [&](std::string_view what, Size2D size) {
    if (size.height < 1 || size.width < 1)
      fail(op, "{} are {} x {} but must be at least 1 (x: {}, {}; w: {}, {})", what, size.height, size.width,
           x, x_layout, w, w_layout);
  };
  check("strides", options.strides);
  check("dilations", options.dilations);
  if (w[0] < 1 || w[1] < 1)
    fail(op, "the filter has no taps (w: {}, {}; x: {}, {}): its height and width must be at least 1", w,
         w_layout, x, x_layout);
  if (options.groups < 1)
    fail(op, "groups is {} but must be at least 1 (x: {}, {}; w: {}, {})", options.groups, x, x_layout, w,
         w_layout);
  const auto axis = [&](index_t k, index_t stride, index_t dilation, int which) {
    // So that no sum or product of sizes below can overflow.
    constexpr index_t kLargest = std::numeric_limits<std::int32_t>::max();
    if (k > kLargest || stride > kLargest || dilation > kLargest || (k - 1) * dilation + 1 > kLargest)
      fail(op,
           "a filter of {} taps with stride {} and dilation {} along the {} is too large (w: {}, {}; x: {}, "
           "{})",
           k, stride, dilation, kAxisNames[which], w, w_layout, x, x_layout);
    return Axis{k, stride, dilation, (k - 1) * dilation + 1};
  };
  for (const index_t pixels : {x[1], x[2]})
    if (pixels > std::numeric_limits<std::int32_t>::max())
      fail(op, "an image {} pixels long is too large (x: {}, {}; w: {}, {})", pixels, x, x_layout, w,
           w_layout);
  return {axis(w[0], options.strides.height, options.dilations.height, 0),
          axis(w[1], options.strides.width, options.dilations.width, 1)};
}

// Of numbers that are not negative. The largest one in place of one that is larger: nobody has so many channels.
index_t times(index_t a, index_t b) {
  constexpr index_t kLargest = std::numeric_limits<index_t>::max();
  return b != 0 && a > kLargest / b ? kLargest : a * b;
}

// The way out where channels do not fit but would if the image, the filter or both were in PyTorch's layout:
// x_channels and taken are what image and filter have, nchw_channels and foreign_taken what they would have (kNoKernel
// if the filter's last two axes are not those of a square kernel).
constexpr index_t kNoKernel = -1;
struct LayoutHint {
  index_t x_channels, nchw_channels, taken, foreign_taken;
  std::string_view filter_layout, convert_filter;

  // Made for an error only: it takes memory.
  std::string str() const {
    const std::string x_hint = "if x is NCHW, convert it with nchw_to_nhwc(x)";
    const std::string w_hint =
        fmt::format("if w is {}, convert it with {}(w)", filter_layout, convert_filter);
    if (x_channels == taken) return "";
    if (nchw_channels == taken) return "; " + x_hint;
    if (x_channels == foreign_taken) return "; " + w_hint;
    return nchw_channels == foreign_taken ? "; " + x_hint + "; " + w_hint : "";
  }
};

void check_groups(std::string_view op, index_t channels, std::string_view what, const Shape& x,
                  std::string_view x_layout, const Shape& w, std::string_view w_layout, index_t groups,
                  const LayoutHint* hint = nullptr) {
  if (channels % groups != 0)
    fail(op, "{} {} channels cannot be cut into {} groups (x: {}, {}; w: {}, {}){}", channels, what, groups,
         x, x_layout, w, w_layout, hint == nullptr ? "" : hint->str());
}

// in is [batch, height, width, channels] of the larger side. Throws when a result would have more elements
// than can be addressed.
Conv2DGeometry assemble(std::string_view op, const std::array<index_t, 4>& in, const Shape& w, index_t out_h,
                        index_t out_w, const std::array<Axis, 2>& axes, const Window& rows,
                        const Window& columns, index_t groups) {
  try {
    (void)Shape(std::span<const index_t>(in));
    (void)Shape{in[0], out_h, out_w, w[3]};
  } catch (const Error& error) {
    fail(op, "the result for w: {} is too large: {}", w, error.message());
  }
  return {.batch = in[0],
          .in_h = in[1],
          .in_w = in[2],
          .in_channels = in[3],
          .out_h = out_h,
          .out_w = out_w,
          .out_channels = w[3],
          .kernel_h = w[0],
          .kernel_w = w[1],
          .stride_h = axes[0].stride,
          .stride_w = axes[1].stride,
          .dilation_h = axes[0].dilation,
          .dilation_w = axes[1].dilation,
          .pad_top = rows.before,
          .pad_bottom = rows.after,
          .pad_left = columns.before,
          .pad_right = columns.after,
          .groups = groups};
}

}  // namespace

Conv2DGeometry resolve_conv2d(std::string_view op, const Shape& x, const Shape& w,
                              const Conv2DOptions& options) {
  constexpr std::string_view kImage = "NHWC", kFilter = "HWIO";
  const auto axes = checked_axes(op, x, kImage, w, kFilter, options);
  const index_t taken = times(w[2], options.groups);
  const LayoutHint hint = {
      x[3], x[1], taken, w[2] == w[3] ? times(w[1], options.groups) : kNoKernel, "OIHW", "oihw_to_hwio"};
  check_groups(op, x[3], "input", x, kImage, w, kFilter, options.groups, &hint);
  check_groups(op, w[3], "output", x, kImage, w, kFilter, options.groups, &hint);
  if (x[3] != taken)
    fail(op, "input has {} channels (x: {}, {}) but the filter takes {}{} (w: {}, {}){}", x[3], x, kImage,
         taken, options.groups > 1 ? fmt::format(", {} in each of {} groups", w[2], options.groups) : "", w,
         kFilter, hint.str());
  Window windows[2];
  for (int i = 0; i < 2; ++i) {
    windows[i] = window(axes[static_cast<std::size_t>(i)], options.padding, i, x[i + 1]);
    if (windows[i].out < (options.padding.kind() == Padding::Kind::Same ? 0 : 1))
      fail(
          op,
          "the filter is larger than the image: its {} is {} (with dilation), the image's {} + {} + {} of padding "
          "(x: {}, {}; w: {}, {}; padding {}); pad more, or use a smaller filter",
          kAxisNames[i], axes[static_cast<std::size_t>(i)].ke, x[i + 1], windows[i].before, windows[i].after,
          x, kImage, w, kFilter, options.padding.str());
  }
  return assemble(op, {x[0], x[1], x[2], x[3]}, w, windows[0].out, windows[1].out, axes, windows[0],
                  windows[1], options.groups);
}

namespace {

constexpr std::string_view kTransposedFilter = "HWOI: [kh, kw, out / groups, in]";

// A transposed convolution before its output's size is known.
struct Transposed {
  std::string_view op;
  const Shape &x, &w;
  const Conv2DOptions& options;
  const std::optional<Size2D>&output_size, &output_padding;

  bool same() const { return options.padding.kind() == Padding::Kind::Same; }
};

index_t along(const Size2D& size, int which) {
  return which == 0 ? size.height : size.width;
}

// The output's size along an axis as it was asked for; `pads` is what Full or Explicit adds.
index_t asked_size(const Transposed& t, const Axis& axis, int which, index_t pads) {
  const index_t n = t.x[which + 1], s = axis.stride, ke = axis.ke;
  if (t.output_size) return along(*t.output_size, which);
  if (t.output_padding) {
    const index_t extra = along(*t.output_padding, which);
    if (extra < 0 || extra >= s)
      fail(
          t.op,
          "output_padding is {} along the {} but must lie in 0 to {}, below the stride (x: {}, NHWC; w: {}, {}): leave "
          "output_padding out for the natural size, or give the size itself as output_shape",
          extra, kAxisNames[which], s - 1, t.x, t.w, kTransposedFilter);
    return (n - 1) * s + ke - (t.same() ? ke / 2 * 2 : pads) + extra;
  }
  if (t.same()) return n * s;
  return (n - 1) * s + (t.options.padding.kind() == Padding::Kind::Valid ? std::max(ke, s) : ke - pads);
}

[[noreturn]] void refuse_size(const Transposed& t, const Axis& axis, int which, index_t size,
                              index_t smallest, index_t largest) {
  const std::string_view asked = t.output_size      ? "output_shape"
                                 : t.output_padding ? "output_padding"
                                                    : "the natural size";
  const std::string possible = largest < smallest ? "there is none"
                               : largest == smallest
                                   ? fmt::format("the only possible one is {}", smallest)
                                   : fmt::format("possible are {} to {}", smallest, largest);
  const std::string_view way_out =
      largest < smallest || t.output_size ? ""
      : t.output_padding
          ? ": leave output_padding out for the natural size, or give one of these as output_shape"
          : ": give one of these as output_shape";
  fail(
      t.op,
      "{} asks for an output {} of {}, but no convolution with kernel {}, stride {}, dilation {} and {} padding leads "
      "from there back to {} (x: {}, NHWC; w: {}, {}): {}{}",
      asked, kAxisNames[which], size, axis.k, axis.stride, axis.dilation, t.options.padding.str(),
      t.x[which + 1], t.x, t.w, kTransposedFilter, possible, way_out);
}

index_t transposed_size(const Transposed& t, const Axis& axis, int which) {
  const index_t n = t.x[which + 1], s = axis.stride, ke = axis.ke;
  // What Full and Explicit add does not depend on the size. What Same adds does: Same has a rule of its own.
  const Window fixed = t.same() ? Window{} : window(axis, t.options.padding, which, 0);
  const index_t pads = fixed.before + fixed.after;
  // A convolution of m pixels has n results for exactly s values of m, those that are sizes at all.
  const index_t smallest =
      std::max<index_t>(t.same() ? (n - 1) * s + 1 : (n - 1) * s + ke - pads, n == 0 ? 0 : 1);
  const index_t largest = t.same() ? n * s : n * s + ke - pads - 1;
  const index_t size = asked_size(t, axis, which, pads);
  if (size < smallest || size > largest) refuse_size(t, axis, which, size, smallest, largest);
  return size;
}

}  // namespace

Conv2DGeometry resolve_conv2d_transpose(std::string_view op, const Shape& x, const Shape& w,
                                        const Conv2DOptions& options,
                                        const std::optional<Size2D>& output_size,
                                        const std::optional<Size2D>& output_padding) {
  constexpr std::string_view kImage = "NHWC", kFilter = kTransposedFilter;
  const auto axes = checked_axes(op, x, kImage, w, kFilter, options);
  const LayoutHint hint = {x[3], x[1], w[3], w[2] == w[3] ? w[0] : kNoKernel, "IOHW", "iohw_to_hwoi"};
  if (x[3] != w[3])
    fail(op, "input has {} channels (x: {}, {}) but the filter takes {} (w: {}, {}){}", x[3], x, kImage, w[3],
         w, kFilter, hint.str());
  check_groups(op, x[3], "input", x, kImage, w, kFilter, options.groups);
  if (output_size && output_padding)
    fail(
        op,
        "output_shape and output_padding were both given (x: {}, {}; w: {}, {}): each says how large the result is, "
        "leave one out",
        x, kImage, w, kFilter);
  const Transposed t = {op, x, w, options, output_size, output_padding};
  Window windows[2];
  index_t sizes[2];
  for (int i = 0; i < 2; ++i) {
    const Axis& axis = axes[static_cast<std::size_t>(i)];
    sizes[i] = transposed_size(t, axis, i);
    windows[i] = window(axis, options.padding, i, sizes[i]);
  }
  return assemble(op, {x[0], sizes[0], sizes[1], times(w[2], options.groups)}, w, x[1], x[2], axes,
                  windows[0], windows[1], options.groups);
}

}  // namespace tapegrad::inline v0
