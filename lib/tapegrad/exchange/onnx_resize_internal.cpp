// Resize and Upsample of ONNX: along each axis, an element of the result is a weighted sum of a few of the input's.

#include <algorithm>
#include <array>
#include <cmath>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/resize.h"

namespace tapegrad::inline v0::onnx {
namespace {

struct Method {
  std::string mode = "nearest", coordinates = "half_pixel", nearest = "round_prefer_floor";
  double cubic_a = -0.75, extrapolation = 0;
  bool exclude_outside = false;
};

// One axis that gets another size.
struct Axis {
  index_t from = 0, to = 0;
  double scale = 1;
  double roi_begin = 0, roi_end = 1;
};

// An element of the result takes elements index[k] of the input, times weight[k].
struct Tap {
  std::vector<std::int32_t> index;
  std::vector<double> weight;
};

double coordinate(const Method& method, const Axis& axis, index_t i) {
  const auto at = static_cast<double>(i), to = static_cast<double>(axis.to),
             from = static_cast<double>(axis.from);
  const std::string& kind = method.coordinates;
  if (kind == "asymmetric") return at / axis.scale;
  if (kind == "align_corners") return axis.to == 1 ? 0 : at * (from - 1) / (to - 1);
  if (kind == "tf_half_pixel_for_nn") return (at + 0.5) / axis.scale;
  if (kind == "pytorch_half_pixel" && axis.to == 1) return 0;
  if (kind == "half_pixel_symmetric") {
    const double middle = from / 2, offset = middle * (1 - to / (from * axis.scale));
    return offset + (at + 0.5) / axis.scale - 0.5;
  }
  if (kind == "tf_crop_and_resize")
    return axis.to > 1
               ? axis.roi_begin * (from - 1) + at * (axis.roi_end - axis.roi_begin) * (from - 1) / (to - 1)
               : 0.5 * (axis.roi_begin + axis.roi_end) * (from - 1);
  return (at + 0.5) / axis.scale - 0.5;
}

double nearest(const std::string& kind, double x) {
  if (kind == "floor") return std::floor(x);
  if (kind == "ceil") return std::ceil(x);
  return kind == "round_prefer_ceil" ? std::floor(x + 0.5) : std::ceil(x - 0.5);
}

// Keys' weights of the four elements around a point that lies t behind the second.
std::array<double, 4> cubic(double a, double t) {
  const auto near = [a](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [a](double d) { return ((d - 5) * d + 8) * d * a - 4 * a; };
  return {far(1 + t), near(t), near(1 - t), far(2 - t)};
}

// The taps of all elements along an axis, tap by tap.
std::vector<Tap> taps_of(const Method& method, const Axis& axis) {
  const std::size_t count = method.mode == "nearest" ? 1 : method.mode == "linear" ? 2 : 4;
  std::vector<Tap> taps(count);
  const auto last = static_cast<double>(axis.from - 1);
  for (index_t i = 0; i < axis.to; ++i) {
    const double x = coordinate(method, axis, i);
    const double begin = count == 1 ? nearest(method.nearest, x) : std::floor(x) - (count == 4 ? 1 : 0);
    const double t = x - std::floor(x);
    std::array<double, 4> weights = {1, 0, 0, 0};
    if (count == 2) weights = {1 - t, t, 0, 0};
    if (count == 4) weights = cubic(method.cubic_a, t);
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const double at = begin + static_cast<double>(k);
      if (method.exclude_outside && (at < 0 || at > last)) weights[k] = 0;
      sum += weights[k];
      taps[k].index.push_back(static_cast<std::int32_t>(std::clamp(at, 0.0, last)));
    }
    const bool outside = method.coordinates == "tf_crop_and_resize" && (x < 0 || x > last);
    for (std::size_t k = 0; k < count; ++k)
      taps[k].weight.push_back(outside ? 0 : method.exclude_outside ? weights[k] / sum : weights[k]);
  }
  return taps;
}

Tensor along_axis(const std::vector<double>& numbers, const Tensor& x, int axis) {
  std::vector<index_t> sizes(static_cast<std::size_t>(x.rank()), 1);
  sizes[static_cast<std::size_t>(axis)] = static_cast<index_t>(numbers.size());
  return cast(reshape(tensor(numbers, static_cast<index_t>(numbers.size())), sizes), x.dtype());
}

Tensor resized(const Tensor& x, const Method& method, const Axis& axis, int stored) {
  const std::vector<Tap> taps = taps_of(method, axis);
  Tensor y;
  for (const Tap& tap : taps) {
    Tensor part = gather(x, tensor(tap.index, axis.to), stored);
    const auto is_one = [](double w) { return w == 1; };
    if (!std::ranges::all_of(tap.weight, is_one)) part = part * along_axis(tap.weight, part, stored);
    y = y.defined() ? y + part : part;
  }
  if (method.coordinates == "tf_crop_and_resize" && method.extrapolation != 0) {
    std::vector<double> outside;
    for (index_t i = 0; i < axis.to; ++i) {
      const double at = coordinate(method, axis, i);
      outside.push_back(at < 0 || at > static_cast<double>(axis.from - 1) ? 1 : 0);
    }
    const Tensor mask = along_axis(outside, y, stored);
    y = y * (1 - mask) + mask * method.extrapolation;
  }
  return y;
}

// The whole factors of an image that our own ops make larger in the same way.
std::optional<Size2D> whole_factors(const Value& x, const Method& method, const std::vector<Axis>& axes) {
  if (x.rank() != 4 || axes[0].from != axes[0].to || axes[1].from != axes[1].to) return std::nullopt;
  Size2D factors;
  for (const int i : {2, 3}) {
    const Axis& axis = axes[static_cast<std::size_t>(i)];
    const index_t factor = axis.to / axis.from;
    if (factor < 1 || axis.to % axis.from != 0 || axis.scale != static_cast<double>(factor))
      return std::nullopt;
    (i == 2 ? factors.height : factors.width) = factor;
    if (method.mode == "linear" &&
        (method.coordinates == "half_pixel" || method.coordinates == "pytorch_half_pixel"))
      continue;
    if (method.mode != "nearest") return std::nullopt;
    const std::vector<Tap> taps = taps_of(method, axis);
    for (index_t k = 0; k < axis.to; ++k)
      if (taps[0].index[static_cast<std::size_t>(k)] != k / factor) return std::nullopt;
  }
  return factors;
}

Value resized(const Value& x, const Method& method, const std::vector<Axis>& axes) {
  for (const Axis& axis : axes)
    if (axis.from < 1 || axis.to < 1 || axis.from >= 1 << 24 || axis.to >= 1 << 24)
      fail("load_onnx", "an axis of size {} cannot be given the size {}", axis.from, axis.to);
  if (const auto factors = whole_factors(x, method, axes)) {
    const Tensor image = in_order(x, channels_last(4));
    return {method.mode == "nearest" ? upsample_nearest(image, *factors) : upsample_bilinear(image, *factors),
            x.type, channels_last(4)};
  }
  Tensor y = x.tensor;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const Axis& axis = axes[i];
    const bool crops =
        method.coordinates == "tf_crop_and_resize" && (axis.roi_begin != 0 || axis.roi_end != 1);
    if (axis.from != axis.to || crops)
      y = resized(y, method, axis, x.stored_axis(static_cast<std::int64_t>(i)));
  }
  return x.with(y);
}

// The numbers of an input for the axes that a node resizes: one for each axis of x.
std::vector<double> numbers_of(const Value& value) {
  const Tensor x = cast(natural(value), DType::Float64);
  return {x.values<double>().begin(), x.values<double>().end()};
}

// The sizes of a result, from the scales or from the sizes of some axes.
std::vector<Axis> axes_of(const Value& x, const std::vector<std::int64_t>& which,
                          const std::vector<double>& scales, const std::vector<std::int64_t>& sizes,
                          const std::vector<double>& roi) {
  std::vector<Axis> axes;
  for (const index_t size : x.sizes()) axes.push_back({.from = size, .to = size});
  const std::size_t given = sizes.empty() ? scales.size() : sizes.size();
  if (given != which.size())
    fail("load_onnx", "it has {} scales or sizes for {} axes of shape {}", given, which.size(),
         Shape(x.sizes()));
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (which[i] < -x.rank() || which[i] >= x.rank()) fail("load_onnx", "it resizes axis {}", which[i]);
    Axis& axis = axes[static_cast<std::size_t>(which[i] < 0 ? which[i] + x.rank() : which[i])];
    if (!sizes.empty()) {
      axis.to = sizes[i];
      axis.scale = static_cast<double>(axis.to) / static_cast<double>(axis.from);
    } else {
      axis.scale = scales[i];
      const double to = std::floor(static_cast<double>(axis.from) * axis.scale);
      if (!(axis.scale > 0 && to < 0x1p31)) fail("load_onnx", "a scale is {}", axis.scale);
      axis.to = static_cast<index_t>(to);
    }
    if (roi.size() == 2 * which.size()) axis.roi_begin = roi[i], axis.roi_end = roi[i + which.size()];
  }
  return axes;
}

Compute prepare_resize(const Node& node) {
  Method method;
  method.mode = node.one_of("mode", "nearest", {"nearest", "linear", "cubic"});
  const bool old = node.opset() < 11;  // X and scales
  if (old) {
    method.coordinates = "asymmetric";
    method.nearest = "floor";
  } else {
    method.coordinates = node.one_of("coordinate_transformation_mode", "half_pixel",
                                     {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners",
                                      "tf_half_pixel_for_nn", "tf_crop_and_resize", "half_pixel_symmetric"});
    method.nearest = node.one_of("nearest_mode", "round_prefer_floor",
                                 {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
    method.cubic_a = node.number("cubic_coeff_a", -0.75);
    method.exclude_outside = node.integer("exclude_outside", 0) != 0;
    method.extrapolation = node.number("extrapolation_value", 0);
    if (node.integer("antialias", 0) != 0) node.fail("has antialias = 1, which is not computed");
    node.one_of("keep_aspect_ratio_policy", "stretch", {"stretch"});
  }
  const auto given_axes = node.opset() >= 18 ? node.integers("axes") : std::nullopt;
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    std::vector<std::int64_t> which = given_axes.value_or(std::vector<std::int64_t>{});
    if (!given_axes)
      for (int axis = 0; axis < x.rank(); ++axis) which.push_back(axis);
    const std::size_t at = old ? 1 : 2;
    const bool by_sizes = !old && run.has(3) && run[3].tensor.size() > 0;
    const std::vector<double> roi = !old && run.has(1) ? numbers_of(run[1]) : std::vector<double>{};
    return {resized(x, method,
                    axes_of(x, which, by_sizes ? std::vector<double>{} : numbers_of(run[at]),
                            by_sizes ? integers(run[3]) : std::vector<std::int64_t>{}, roi))};
  };
}

// Resize of before opset 11, whose scales were an attribute before opset 9.
Compute prepare_upsample(const Node& node) {
  Method method{.mode = node.one_of("mode", "nearest", {"nearest", "linear"}),
                .coordinates = "asymmetric",
                .nearest = "floor"};
  if (node.opset() >= 10) node.fail("belongs to opsets 7 to 9: later ones have Resize");
  const auto scales = node.opset() < 9 ? node.numbers("scales") : std::nullopt;
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    std::vector<std::int64_t> which;
    for (int axis = 0; axis < x.rank(); ++axis) which.push_back(axis);
    const std::vector<double> factors =
        scales ? std::vector<double>(scales->begin(), scales->end()) : numbers_of(run[1]);
    return {resized(x, method, axes_of(x, which, factors, {}, {}))};
  };
}

}  // namespace

void add_resizing(Ops& ops) {
  ops["Resize"] = {.roles = "xooo", .prepare = prepare_resize, .folds = false};
  ops["Upsample"] = {.roles = "xo", .prepare = prepare_upsample, .folds = false};
}

}  // namespace tapegrad::inline v0::onnx
