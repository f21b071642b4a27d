// Convolutions and poolings of any geometry, through the public functions, against the definition in plain loops in double.
// Numbers are small and whole, so sums are exact in either dtype, with NaN and infinities among them: one that a result does
// not see never reaches it.

#include <hwy/targets.h>

#include <cmath>
#include <limits>

#include "fuzz.h"
#include "kernels/conv2d_loops.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/ops/pooling.h"

using namespace tapegrad;
using Numbers = std::vector<double>;

namespace {

struct Case {
  Shape x, w;
  Conv2DOptions options;
  DType dtype;
  fuzz::Stream numbers;
  bool planted;
};

// Whole numbers from -4 to 4, up to three of them replaced by NaN or an infinity.
Tensor draw_numbers(Case& c, const Shape& shape, bool may_plant = true) {
  Tensor made = zeros(shape, c.dtype);
  dispatch_floating(c.dtype, [&]<class T>(std::type_identity<T>) {
    std::span<T> values = made.mutable_values<T>();
    for (T& value : values) value = static_cast<T>(c.numbers.integer(-4, 4));
    constexpr T kPlanted[] = {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                              -std::numeric_limits<T>::infinity()};
    if (c.planted && may_plant && !values.empty())
      for (std::size_t count = c.numbers.below(4); count > 0; --count)
        values[c.numbers.below(values.size())] = kPlanted[c.numbers.below(3)];
  });
  return made;
}

Numbers numbers_of(const Tensor& x) {
  return dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto values = x.values<T>();
    return Numbers(values.begin(), values.end());
  });
}

std::string describe(const Case& c) {
  const Conv2DOptions& o = c.options;
  return "x " + c.x.str() + ", w " + c.w.str() + ", strides " + std::to_string(o.strides.height) + " " +
         std::to_string(o.strides.width) + ", dilations " + std::to_string(o.dilations.height) + " " +
         std::to_string(o.dilations.width) + ", padding " + o.padding.str() + ", groups " +
         std::to_string(o.groups) + ", " + to_string(c.dtype);
}

void require(bool good, const Case& c, const char* what) {
  if (!good) fuzz::found(std::string(what) + ": " + describe(c));
}

void compare(const Case& c, const char* what, const Shape& shape, const Numbers& expected,
             const Tensor& found, double tolerance = 0) {
  if (found.shape() != shape)
    fuzz::found(std::string(what) + " has shape " + found.shape().str() + ": " + describe(c));
  const Numbers numbers = numbers_of(found);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = expected[i], b = numbers[i];
    const bool same = std::isnan(a)   ? std::isnan(b)
                      : std::isinf(a) ? a == b
                                      : a == b || std::abs(a - b) <= tolerance * std::abs(a);
    if (!same)
      fuzz::found(std::string(what) + "[" + std::to_string(i) + "] is " + std::to_string(b) +
                  " and must be " + std::to_string(a) + ": " + describe(c));
  }
}

// The geometry as its documentation defines it; false if the filter does not fit.
bool resolve(const Case& c, Conv2DGeometry& g) {
  const Conv2DOptions& o = c.options;
  g = {.batch = c.x[0],
       .in_h = c.x[1],
       .in_w = c.x[2],
       .in_channels = c.x[3],
       .out_channels = c.w[3],
       .kernel_h = c.w[0],
       .kernel_w = c.w[1],
       .stride_h = o.strides.height,
       .stride_w = o.strides.width,
       .dilation_h = o.dilations.height,
       .dilation_w = o.dilations.width,
       .groups = o.groups};
  for (const int axis : {0, 1}) {
    const index_t size = axis == 0 ? g.in_h : g.in_w, stride = axis == 0 ? g.stride_h : g.stride_w;
    const index_t extent =
        axis == 0 ? (g.kernel_h - 1) * g.dilation_h + 1 : (g.kernel_w - 1) * g.dilation_w + 1;
    index_t before = o.padding.before(axis), after = o.padding.after(axis);
    if (o.padding.kind() == Padding::Kind::Full) before = after = extent - 1;
    if (o.padding.kind() == Padding::Kind::Same) {
      const index_t all = std::max<index_t>(0, ((size + stride - 1) / stride - 1) * stride + extent - size);
      before = all / 2;
      after = all - before;
    }
    if (size + before + after < extent) return false;
    (axis == 0 ? g.out_h : g.out_w) = (size + before + after - extent) / stride + 1;
    (axis == 0 ? g.pad_top : g.pad_left) = before;
    (axis == 0 ? g.pad_bottom : g.pad_right) = after;
  }
  return true;
}

// What a fused convolution does to a sum.
Numbers finished(Numbers sums, const Tensor& bias, bool relu) {
  const Numbers added = bias.defined() ? numbers_of(bias) : Numbers{};
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (!added.empty()) sums[i] += added[i % added.size()];
    if (relu && sums[i] < 0) sums[i] = 0;
  }
  return sums;
}

void check_triad(Case& c, const Conv2DGeometry& g, fuzz::Draw& draw) {
  const testing::Loops loops(g);
  const Tensor x = draw_numbers(c, c.x), w = draw_numbers(c, c.w), dy = draw_numbers(c, g.out_shape());
  const bool relu = draw.chance(128), biased = draw.chance(128);
  const Conv2DTransposeOptions back = {.strides = c.options.strides,
                                       .padding = c.options.padding,
                                       .dilations = c.options.dilations,
                                       .groups = c.options.groups,
                                       .output_shape = {{c.x[1], c.x[2]}}};
  switch (draw.byte() % 5) {
    case 0:
      compare(c, "conv2d", g.out_shape(), loops.conv2d(numbers_of(x), numbers_of(w)),
              conv2d(x, w, c.options));
      break;
    case 1: {
      const Tensor bias = biased ? draw_numbers(c, Shape{g.out_channels}) : Tensor();
      compare(c, "fused_conv2d", g.out_shape(),
              finished(loops.conv2d(numbers_of(x), numbers_of(w)), bias, relu),
              fused_conv2d(x, w, bias, {.relu = relu}, c.options));
      break;
    }
    case 2:
      compare(c, "conv2d_backprop_filter", c.w, loops.backprop_filter(numbers_of(x), numbers_of(dy)),
              conv2d_backprop_filter(x, c.w, dy, c.options));
      break;
    case 3:
      compare(c, "conv2d_backprop_input", c.x, loops.backprop_input(numbers_of(dy), numbers_of(w)),
              conv2d_backprop_input(c.x, w, dy, c.options));
      break;
    default: {
      const Tensor bias = biased ? draw_numbers(c, Shape{g.in_channels}) : Tensor();
      const Numbers sums = loops.backprop_input(numbers_of(dy), numbers_of(w));
      if (!biased && !relu)
        compare(c, "conv2d_transpose", c.x, sums, conv2d_transpose(dy, w, back));
      else
        compare(c, "fused_conv2d_transpose", c.x, finished(sums, bias, relu),
                fused_conv2d_transpose(dy, w, bias, {.relu = relu}, back));
    }
  }
}

// The transposed convolution of the size that its documentation tells, of dy without output_shape.
void check_natural_size(Case& c, const Conv2DGeometry& g, fuzz::Draw& draw) {
  const Conv2DOptions& o = c.options;
  Conv2DTransposeOptions options = {
      .strides = o.strides, .padding = o.padding, .dilations = o.dilations, .groups = o.groups};
  if (draw.chance(128)) options.output_padding = Size2D(draw.integer(0, 3), draw.integer(0, 3));
  index_t sizes[2];
  for (const int axis : {0, 1}) {
    const index_t in = axis == 0 ? g.out_h : g.out_w, stride = axis == 0 ? g.stride_h : g.stride_w;
    const index_t extent =
        axis == 0 ? (g.kernel_h - 1) * g.dilation_h + 1 : (g.kernel_w - 1) * g.dilation_w + 1;
    index_t sides = o.padding.before(axis) + o.padding.after(axis);
    if (o.padding.kind() == Padding::Kind::Full) sides = 2 * (extent - 1);
    sizes[axis] = (in - 1) * stride + extent - sides;
    if (options.output_padding) {
      const index_t more = axis == 0 ? options.output_padding->height : options.output_padding->width;
      if (o.padding.kind() == Padding::Kind::Same) sizes[axis] -= 2 * (extent / 2);
      sizes[axis] += more;
    } else if (o.padding.kind() == Padding::Kind::Same) {
      sizes[axis] = in * stride;
    } else if (o.padding.kind() == Padding::Kind::Valid) {
      sizes[axis] = (in - 1) * stride + std::max(extent, stride);
    }
  }
  const Tensor w = draw_numbers(c, c.w), dy = draw_numbers(c, g.out_shape());
  Tensor y;
  const bool accepted = fuzz::accepts("conv2d_transpose", [&] { y = conv2d_transpose(dy, w, options); });
  Case whole = c;
  Conv2DGeometry back;
  bool leads_back = sizes[0] >= 1 && sizes[1] >= 1;
  if (options.output_padding)
    leads_back = leads_back && options.output_padding->height < g.stride_h &&
                 options.output_padding->width < g.stride_w;
  if (leads_back) {
    whole.x = {c.x[0], sizes[0], sizes[1], c.x[3]};
    leads_back = resolve(whole, back) && back.out_h == g.out_h && back.out_w == g.out_w;
  }
  require(accepted == leads_back, c,
          "conv2d_transpose accepts a size that does not lead back, or refuses one that does");
  if (accepted)
    compare(whole, "conv2d_transpose", whole.x,
            testing::Loops(back).backprop_input(numbers_of(dy), numbers_of(w)), y);
}

// unfold and fold: the windows as they are defined, and added back.
void check_windows(Case& c, const Conv2DGeometry& g) {
  const Size2D kernel = {g.kernel_h, g.kernel_w};
  const Shape shape = {g.batch, g.out_h, g.out_w, g.kernel_h * g.kernel_w * g.in_channels};
  const Tensor x = draw_numbers(c, c.x), columns = draw_numbers(c, shape);
  const Numbers from = numbers_of(x), back = numbers_of(columns);
  Numbers unfolded(back.size(), 0.0), folded(from.size(), 0.0);
  std::size_t at = 0;
  for (index_t n = 0; n < g.batch; ++n)
    for (index_t p = 0; p < g.out_h; ++p)
      for (index_t q = 0; q < g.out_w; ++q)
        for (index_t i = 0; i < g.kernel_h; ++i)
          for (index_t j = 0; j < g.kernel_w; ++j)
            for (index_t k = 0; k < g.in_channels; ++k, ++at) {
              const index_t row = p * g.stride_h + i * g.dilation_h - g.pad_top,
                            column = q * g.stride_w + j * g.dilation_w - g.pad_left;
              if (row < 0 || row >= g.in_h || column < 0 || column >= g.in_w) continue;
              const auto pixel =
                  static_cast<std::size_t>(((n * g.in_h + row) * g.in_w + column) * g.in_channels + k);
              unfolded[at] = from[pixel];
              folded[pixel] += back[at];
            }
  compare(c, "unfold", shape, unfolded, unfold(x, kernel, c.options));
  compare(c, "fold", c.x, folded, fold(columns, c.x, kernel, c.options));
}

// Poolings and their gradients: of equal pixels the first one takes the gradient.
void check_pooling(Case& c, const Conv2DGeometry& g, bool largest) {
  const Pool2DOptions options = {
      .pool_size = {g.kernel_h, g.kernel_w}, .strides = c.options.strides, .padding = c.options.padding};
  const Shape shape = {g.batch, g.out_h, g.out_w, g.in_channels};
  const Tensor x = draw_numbers(c, c.x, !largest), dy = draw_numbers(c, shape, false);
  const Numbers from = numbers_of(x), slopes = numbers_of(dy);
  Numbers pooled(slopes.size(), 0.0), dx(from.size(), 0.0);
  bool empty = false;
  for (index_t at = 0; at < shape.size(); ++at) {
    const std::vector<index_t> place = shape.position(at);
    std::vector<std::size_t> window;
    for (index_t i = 0; i < g.kernel_h; ++i)
      for (index_t j = 0; j < g.kernel_w; ++j) {
        const index_t row = place[1] * g.stride_h + i - g.pad_top,
                      column = place[2] * g.stride_w + j - g.pad_left;
        if (row >= 0 && row < g.in_h && column >= 0 && column < g.in_w)
          window.push_back(static_cast<std::size_t>(
              ((place[0] * g.in_h + row) * g.in_w + column) * g.in_channels + place[3]));
      }
    if (window.empty()) {
      empty = true;
      break;
    }
    double& result = pooled[static_cast<std::size_t>(at)];
    const double slope = slopes[static_cast<std::size_t>(at)];
    if (largest) {
      std::size_t best = window.front();
      for (const std::size_t pixel : window)
        if (from[pixel] > from[best]) best = pixel;
      result = from[best];
      dx[best] += slope;
    } else {
      for (const std::size_t pixel : window) result += from[pixel];
      result /= static_cast<double>(window.size());
      for (const std::size_t pixel : window) dx[pixel] += slope / static_cast<double>(window.size());
    }
  }
  const char* const op = largest ? "max_pool2d" : "avg_pool2d";
  Tape tape;
  const Tensor in = tape.watch(x);
  Tensor y;
  const bool accepted =
      fuzz::accepts(op, [&] { y = largest ? max_pool2d(in, options) : avg_pool2d(in, options); });
  // Nothing is pooled of no images, whatever the windows are.
  if (g.batch > 0 && g.in_channels > 0)
    require(accepted != empty, c, "a window on padding only is accepted, or a good one refused");
  if (!accepted || empty) return;
  const double tolerance = largest ? 0 : c.dtype == DType::Float32 ? 4e-6 : 1e-14;
  compare(c, op, shape, pooled, y, tolerance);
  const Tensor found = tape.gradient(y, in, {.zeros_for_unreached = true, .output_gradient = dy});
  const Numbers gradient = numbers_of(found);
  for (std::size_t i = 0; i < dx.size(); ++i)
    if (!(std::abs(gradient[i] - dx[i]) <= (largest ? 0 : c.dtype == DType::Float32 ? 2e-5 : 1e-13)))
      fuzz::found(std::string("the gradient of ") + op + "[" + std::to_string(i) + "] is " +
                  std::to_string(gradient[i]) + " and must be " + std::to_string(dx[i]) + ": " + describe(c));
}

void choose_instructions([[maybe_unused]] fuzz::Draw& draw) {
#if !defined(HWY_COMPILE_ONLY_STATIC)
  constexpr std::int64_t kTargets[] = {0, HWY_AVX3, HWY_AVX2, HWY_SSE4};
  static std::int64_t chosen = 0;
  hwy::SetSupportedTargetsForTest(0);
  const std::int64_t wanted = draw.one_of(kTargets);
  const std::int64_t next = (wanted & hwy::SupportedTargets()) != 0 ? wanted : 0;
  hwy::SetSupportedTargetsForTest(next);
  if (next != chosen) hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  chosen = next;
#endif
}

Case draw_case(fuzz::Draw& draw) {
  constexpr index_t kChannels[] = {1, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 8, 9, 15, 16, 16, 17, 24, 31, 32, 33, 48};
  Case c{.x = {},
         .w = {},
         .options = {},
         .dtype = draw.chance(128) ? DType::Float32 : DType::Float64,
         .numbers = fuzz::Stream(draw.bits<std::uint32_t>()),
         .planted = draw.chance(128)};
  Conv2DOptions& o = c.options;
  index_t in = draw.one_of(kChannels), out = draw.one_of(kChannels);
  switch (draw.byte() % 4) {
    case 0:
      o.groups = draw.integer(2, 4);
      break;
    case 1:  // depthwise, or nearly
      o.groups = draw.one_of(kChannels);
      in = 1;
      out = draw.integer(1, 2);
      break;
  }
  // Now and then what does not divide, or is empty.
  const index_t odd = draw.chance(4) ? 1 : 0;
  c.x = {draw.chance(8) ? 0 : draw.integer(1, 3), draw.integer(1, 12), draw.integer(1, 24),
         in * o.groups + odd};
  const bool large = draw.chance(48);
  c.w = {draw.integer(1, large ? 7 : 3), draw.integer(1, large ? 7 : 3), in, out * o.groups};
  o.strides = {draw.integer(1, 4), draw.integer(1, 4)};
  o.dilations = {draw.chance(160) ? 1 : draw.integer(1, 4), draw.chance(160) ? 1 : draw.integer(1, 4)};
  switch (draw.byte() % 4) {
    case 0:
      o.padding = Padding::Same;
      break;
    case 1:
      o.padding = Padding::Full;
      break;
    case 2: {
      const index_t top = draw.integer(0, 5), bottom = draw.integer(0, 5), left = draw.integer(0, 5);
      o.padding = Padding::Explicit(top, bottom, left, draw.integer(0, 5));
      break;
    }
  }
  return c;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Draw draw({data, size});
  choose_instructions(draw);
  const ThreadCountScope threads(static_cast<int>(draw.integer(1, 2)));
  Case c = draw_case(draw);
  Conv2DGeometry expected, g;
  const bool fits = c.x[3] == c.w[2] * c.options.groups && resolve(c, expected);
  const bool accepted = fuzz::accepts("", [&] { g = conv2d_geometry(c.x, c.w, c.options); });
  require(accepted == fits, c, "conv2d_geometry accepts what does not fit, or refuses what does");
  if (!accepted) {
    const Tensor x = draw_numbers(c, c.x), w = draw_numbers(c, c.w);
    if (fuzz::accepts("conv2d", [&] { (void)conv2d(x, w, c.options); }))
      require(false, c, "conv2d accepts what does not fit");
    return 0;
  }
  require(g == expected, c, "conv2d_geometry gives another geometry");
  if (g.out_shape().size() * g.window() > 60'000 || g.in_shape().size() > 20'000) return 0;
  ++fuzz::judged;
  switch (draw.byte() % 8) {
    case 0:
      check_natural_size(c, g, draw);
      break;
    case 1:
      if (c.options.groups == 1 && g.out_shape().size() / g.out_channels * g.window() < 60'000)
        check_windows(c, g);
      break;
    case 2:
      if (c.options.dilations == Size2D(1)) check_pooling(c, g, draw.chance(128));
      break;
    default:
      check_triad(c, g, draw);
  }
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  Stream stream(5);
  for (int i = 0; i < 40; ++i) {
    Bytes file(40);
    for (std::uint8_t& b : file) b = static_cast<std::uint8_t>(stream.bits() >> 24);
    made.emplace_back("draw" + std::to_string(i), file);
  }
  return made;
}
