#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "oracle.h"

namespace tapegrad::testing {
namespace {

// One convolution: what the user writes, and the geometry it stands for.
struct Convolution {
  Shape x, w;
  Conv2DOptions options;
  Conv2DGeometry g;
  std::uint64_t seed;

  // Random tensors of these shapes; different streams are independent.
  Tensor draw(const Shape& shape, std::uint64_t stream, DType dtype = DType::Float64) const {
    Generator generator(seed, stream);
    return cast(normal(shape, 0, 1, generator, DType::Float64), dtype);
  }
  Tensor image(DType dtype = DType::Float64) const { return draw(x, 1, dtype); }
  Tensor filter(DType dtype = DType::Float64) const { return draw(w, 2, dtype); }
  Tensor output_gradient(DType dtype = DType::Float64) const { return draw(g.out_shape(), 3, dtype); }
  Tensor transposed(const Tensor& dy, const Tensor& filter) const {
    return conv2d_transpose(dy, filter,
                            {.strides = options.strides,
                             .padding = options.padding,
                             .dilations = options.dilations,
                             .groups = options.groups,
                             .output_shape = {{x[0], x[1], x[2], x[3]}}});
  }
  index_t extent(int axis) const { return (w[axis] - 1) * (axis == 0 ? g.dilation_h : g.dilation_w) + 1; }

  std::string str() const {
    std::ostringstream text;
    text << "x " << x.str() << ", w " << w.str() << ", strides " << g.stride_h << " " << g.stride_w
         << ", dilations " << g.dilation_h << " " << g.dilation_w << ", padding " << options.padding.str()
         << ", groups " << g.groups << ", seed " << seed;
    return text.str();
  }
};

// Any legal geometry: small images, all paddings, kernels larger than the image where padding allows it.
Convolution random_convolution(std::uint64_t seed) {
  Generator generator(seed);
  const auto between = [&](index_t low, index_t high) {
    return low + static_cast<index_t>(generator.integer(static_cast<std::uint64_t>(high - low + 1)));
  };
  const auto small_kernel = [&] { return generator.uniform() < 0.7 ? between(1, 3) : between(4, 7); };
  for (;;) {
    Convolution c;
    c.seed = seed;
    c.options.groups = generator.uniform() < 0.6 ? 1 : between(2, 4);
    const index_t group_in = generator.uniform() < 0.4 ? 1 : between(1, 3), group_out = between(1, 3);
    const index_t batch = generator.uniform() < 0.05 ? 0 : between(1, 3);
    c.x = {batch, between(1, 9), between(1, 9), group_in * c.options.groups};
    c.w = {small_kernel(), small_kernel(), group_in, group_out * c.options.groups};
    c.options.strides = {between(1, 4), between(1, 4)};
    c.options.dilations = {between(1, 3), between(1, 3)};
    const index_t kind = between(0, 4);
    if (kind == 1) c.options.padding = Padding::Same;
    if (kind == 2) c.options.padding = Padding::Full;
    if (kind >= 3)
      c.options.padding = Padding::Explicit(between(0, 4), between(0, 4), between(0, 4), between(0, 4));
    try {
      c.g = conv2d_geometry(c.x, c.w, c.options);
      return c;
    } catch (const Error&) {  // the filter does not fit
    }
  }
}

constexpr std::uint64_t kGeometries = 2500;

// Runs check on that many random geometries; a wrong kernel fails on hundreds, a few of them are enough to
// read.
void for_geometries(const std::function<void(const Convolution&)>& check) {
  for (std::uint64_t seed = 1; seed <= kGeometries; ++seed) {
    const Convolution c = random_convolution(seed);
    SCOPED_TRACE(c.str());
    check(c);
    if (::testing::Test::HasFailure()) return;
  }
}

double length(const Tensor& x) {
  return std::sqrt(inner_product(x, x));
}

// |a - b| <= tolerance * scale in every element.
void expect_near(const Tensor& a, const Tensor& b, double tolerance_times_scale) {
  ASSERT_EQ(a.shape().str(), b.shape().str());
  for (index_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a.data<double>()[i], b.data<double>()[i], tolerance_times_scale) << "at element " << i;
}

TEST(Conv2DProperty, TheGeometriesAreVaried) {
  int empty = 0, grouped = 0, depthwise = 0, larger = 0, lopsided = 0, unread = 0, one_pixel = 0, beyond = 0,
      kinds[4] = {};
  for_geometries([&](const Convolution& c) {
    const Conv2DGeometry& g = c.g;
    empty += g.batch == 0;
    grouped += g.groups > 1;
    depthwise += g.groups > 1 && g.group_in() == 1;
    larger += c.extent(0) > g.in_h || c.extent(1) > g.in_w;
    lopsided += g.pad_top != g.pad_bottom && g.pad_left != g.pad_right;
    unread += (g.out_h - 1) * g.stride_h + c.extent(0) < g.in_h + g.pad_top + g.pad_bottom;
    one_pixel += g.in_h == 1 && g.in_w == 1;
    beyond += g.pad_top > c.extent(0) - 1;  // windows that lie outside of the image altogether
    ++kinds[static_cast<int>(c.options.padding.kind())];
  });
  for (const int seen : {empty, grouped, depthwise, larger, lopsided, unread, one_pixel, beyond, kinds[0],
                         kinds[1], kinds[2], kinds[3]})
    EXPECT_GT(seen, 20);
}

// The definition, loop by loop, with paddings worked out here.
Tensor convolve_by_definition(const Convolution& c, const Tensor& x, const Tensor& w) {
  const index_t strides[2] = {c.options.strides.height, c.options.strides.width};
  const index_t dilations[2] = {c.options.dilations.height, c.options.dilations.width};
  index_t before[2], out[2];
  for (const int axis : {0, 1}) {
    const index_t size = c.x[axis + 1], extent = c.extent(axis), stride = strides[axis];
    index_t after = 0;
    before[axis] = 0;
    switch (c.options.padding.kind()) {
      case Padding::Kind::Same: {
        const index_t total =
            std::max<index_t>(((size + stride - 1) / stride - 1) * stride + extent - size, 0);
        before[axis] = total / 2;
        after = total - total / 2;
        break;
      }
      case Padding::Kind::Full:
        before[axis] = after = extent - 1;
        break;
      case Padding::Kind::Explicit:
        before[axis] = c.options.padding.before(axis);
        after = c.options.padding.after(axis);
        break;
      case Padding::Kind::Valid:
        break;
    }
    out[axis] = (size + before[axis] + after - extent) / stride + 1;
  }
  const index_t groups = c.options.groups, group_in = c.w[2], group_out = c.w[3] / groups;
  Tensor y = zeros({c.x[0], out[0], out[1], c.w[3]}, DType::Float64);
  double* to = y.mutable_data<double>();
  const double *px = x.data<double>(), *pw = w.data<double>();
  for (index_t n = 0; n < c.x[0]; ++n)
    for (index_t p = 0; p < out[0]; ++p)
      for (index_t q = 0; q < out[1]; ++q)
        for (index_t o = 0; o < c.w[3]; ++o, ++to)
          for (index_t i = 0; i < c.w[0]; ++i)
            for (index_t j = 0; j < c.w[1]; ++j) {
              const index_t row = p * strides[0] + i * dilations[0] - before[0];
              const index_t column = q * strides[1] + j * dilations[1] - before[1];
              if (row < 0 || row >= c.x[1] || column < 0 || column >= c.x[2]) continue;
              for (index_t k = 0; k < group_in; ++k)
                *to += px[((n * c.x[1] + row) * c.x[2] + column) * c.x[3] + o / group_out * group_in + k] *
                       pw[((i * c.w[1] + j) * group_in + k) * c.w[3] + o];
            }
  return y;
}

TEST(Conv2DProperty, IsItsDefinition) {
  for_geometries([](const Convolution& c) {
    const Tensor x = c.image(), w = c.filter();
    expect_near(conv2d(x, w, c.options), convolve_by_definition(c, x, w),
                1e-13 * length(w) * (1 + length(x)));
  });
}

TEST(Conv2DProperty, TrilinearIdentity) {
  for_geometries([](const Convolution& c) {
    const Tensor x = c.image(), w = c.filter(), dy = c.output_gradient();
    const double value = inner_product(conv2d(x, w, c.options), dy);
    const double scale = 1e-12 * length(x) * length(w) * length(dy);
    const Tensor dx = conv2d_backprop_input(c.x, w, dy, c.options);
    const Tensor dw = conv2d_backprop_filter(x, c.w, dy, c.options);
    ASSERT_EQ(dx.shape().str(), c.x.str());
    ASSERT_EQ(dw.shape().str(), c.w.str());
    EXPECT_NEAR(inner_product(x, dx), value, scale);
    EXPECT_NEAR(inner_product(w, dw), value, scale);
    EXPECT_TRUE(equal(c.transposed(dy, w), dx));
  });
}

// x with zeros before and after along an axis; a negative number of them crops.
Tensor pad_or_crop(const Tensor& x, int axis, index_t before, index_t after) {
  std::vector<Margin> margins(4);
  margins[static_cast<std::size_t>(axis)] = {std::max<index_t>(before, 0), std::max<index_t>(after, 0)};
  std::vector<Range> ranges(4);
  ranges[static_cast<std::size_t>(axis)] = {std::max<index_t>(-before, 0),
                                            x.shape()[axis] + std::max<index_t>(before, 0) + after};
  return slice(pad(x, margins), ranges);
}

// The recipe: zeros between the pixels, zeros around them, the filter turned by 180 degrees with its channels
// exchanged, and an ordinary convolution with stride 1.
TEST(Conv2DProperty, TransposeIsAConvolutionOfAWiderImage) {
  for_geometries([](const Convolution& c) {
    const Conv2DGeometry& g = c.g;
    const Tensor w = c.filter(), dy = c.output_gradient();
    const index_t groups = g.groups, in = g.group_in(), out = g.group_out();
    // [kh, kw, in, (group, out)] -> [kh, kw, out, (group, in)]
    const Tensor exchanged =
        reshape(permute(reshape(w, {g.kernel_h, g.kernel_w, in, groups, out}), {0, 1, 4, 3, 2}),
                {g.kernel_h, g.kernel_w, out, groups * in});
    Tensor wide = zero_insert(dy, {0, g.stride_h - 1, g.stride_w - 1, 0});
    const index_t before[2] = {c.extent(0) - 1 - g.pad_top, c.extent(1) - 1 - g.pad_left};
    for (const int axis : {0, 1}) {
      const index_t needed = c.x[axis + 1] + c.extent(axis) - 1;
      wide = pad_or_crop(wide, axis + 1, before[axis], needed - wide.shape()[axis + 1] - before[axis]);
    }
    const Tensor dx =
        conv2d(wide, rot180(exchanged), {.dilations = c.options.dilations, .groups = c.options.groups});
    expect_near(c.transposed(dy, w), dx, 1e-13 * length(w) * (1 + length(dy)));
  });
}

TEST(Conv2DProperty, IsTheMatrixAndItsTranspose) {
  int run = 0;
  for_geometries([&](const Convolution& c) {
    const Shape in = c.x, out = c.g.out_shape();
    const index_t n = in[0], columns = in[1] * in[2] * in[3], rows = out[1] * out[2] * out[3];
    if (rows * columns > 30000) return;
    ++run;
    const Tensor x = c.image(), w = c.filter(), dy = c.output_gradient();
    const Tensor matrix = conv2d_matrix(w, c.g);
    ASSERT_EQ(matrix.shape().str(), (Shape{rows, columns}).str());
    const double scale = 1e-13 * length(w);
    const Tensor y = matmul(reshape(x, {n, columns}), matrix, {.transpose_b = true});
    expect_near(conv2d(x, w, c.options), reshape(y, out), scale * (1 + length(x)));
    const Tensor dx = matmul(reshape(dy, {n, rows}), matrix);
    expect_near(conv2d_backprop_input(in, w, dy, c.options), reshape(dx, in), scale * (1 + length(dy)));
  });
  EXPECT_GT(run, 1000);
}

TEST(Conv2DProperty, UnfoldAndMatmulAndFold) {
  int run = 0;
  for_geometries([&](const Convolution& c) {
    if (c.options.groups != 1) return;
    ++run;
    const Size2D kernel = {c.w[0], c.w[1]};
    const Tensor x = c.image(), w = c.filter();
    const Tensor windows = unfold(x, kernel, c.options);
    const Shape out = c.g.out_shape();
    const index_t pixels = out[0] * out[1] * out[2], window = c.g.window();
    ASSERT_EQ(windows.shape().str(), (Shape{out[0], out[1], out[2], window}).str());
    const Tensor y = matmul(reshape(windows, {pixels, window}), reshape(w, {window, c.w[3]}));
    expect_near(conv2d(x, w, c.options), reshape(y, out), 1e-13 * length(w) * (1 + length(x)));
    const Tensor columns = c.draw(windows.shape(), 4);
    EXPECT_NEAR(inner_product(windows, columns), inner_product(x, fold(columns, c.x, kernel, c.options)),
                1e-12 * length(windows) * length(columns));
  });
  EXPECT_GT(run, 1000);
}

// The three functions and the three others that share their loops, on the same random tensors.
std::vector<Tensor> all_results(const Convolution& c, DType dtype) {
  const Tensor x = c.image(dtype), w = c.filter(dtype), dy = c.output_gradient(dtype);
  std::vector<Tensor> results = {conv2d(x, w, c.options), conv2d_backprop_input(c.x, w, dy, c.options),
                                 conv2d_backprop_filter(x, c.w, dy, c.options)};
  if (c.options.groups == 1) {
    const Tensor windows = unfold(x, {c.w[0], c.w[1]}, c.options);
    results.push_back(windows);
    results.push_back(fold(c.draw(windows.shape(), 4, dtype), c.x, {c.w[0], c.w[1]}, c.options));
  }
  return results;
}

TEST(Conv2DProperty, Float32AgreesWithFloat64) {
  for_geometries([](const Convolution& c) {
    const auto exact = all_results(c, DType::Float64), rounded = all_results(c, DType::Float32);
    for (std::size_t i = 0; i < exact.size(); ++i)
      expect_close(rounded[i], exact[i], 1e-5, "result " + std::to_string(i));
  });
}

TEST(Conv2DProperty, EmptyBatch) {
  Convolution c;
  c.x = {0, 5, 6, 4};
  c.w = {3, 2, 2, 6};
  c.options = {.strides = 2, .padding = Padding::Same, .groups = 2};
  c.g = conv2d_geometry(c.x, c.w, c.options);
  c.seed = 1;
  const auto results = all_results(c, DType::Float32);
  EXPECT_EQ(results[0].shape().str(), "[0, 3, 3, 6]");
  EXPECT_EQ(results[1].shape().str(), "[0, 5, 6, 4]");
  EXPECT_TRUE(equal(results[2], zeros(c.w)));
}

// Large enough to be cut into pieces in every loop.
TEST(Conv2DProperty, TheSameBitsForAnyNumberOfThreads) {
  struct Large {
    Shape x, w;
    Conv2DOptions options;
  };
  const Large cases[] = {
      {{6, 30, 31, 8}, {3, 3, 8, 16}, {.padding = Padding::Same}},
      {{9, 24, 20, 12},
       {3, 5, 3, 8},
       {.strides = {2, 1}, .padding = Padding::Explicit(0, 2, 3, 1), .groups = 4}},
      {{1, 90, 64, 3}, {5, 5, 3, 7}, {.strides = 2, .padding = Padding::Full, .dilations = {1, 2}}},
      {{4, 28, 28, 24}, {3, 3, 1, 24}, {.padding = Padding::Same, .groups = 24}},
  };
  for (const auto& [x, w, options] : cases) {
    const Convolution c{x, w, options, conv2d_geometry(x, w, options), 11};
    SCOPED_TRACE(c.str());
    for (const DType dtype : {DType::Float32, DType::Float64}) {
      std::vector<Tensor> alone;
      for (const int threads : {1, 2, 3, 8, 1}) {
        const ThreadCountScope scope(threads);
        const std::vector<Tensor> results = all_results(c, dtype);
        if (alone.empty()) alone = results;
        for (std::size_t i = 0; i < results.size(); ++i)
          EXPECT_TRUE(equal(results[i], alone[i])) << "result " << i << " with " << threads << " threads";
      }
    }
    // And they are right: blocks, and images within them, are put together as they should be.
    const Tensor image = c.image(), filter = c.filter(), dy = c.output_gradient();
    const Tensor y = conv2d(image, filter, options);
    expect_near(y, convolve_by_definition(c, image, filter), 1e-13 * length(filter) * length(image));
    const double scale = 1e-14 * length(image) * length(filter) * length(dy);
    EXPECT_NEAR(inner_product(image, conv2d_backprop_input(x, filter, dy, options)), inner_product(y, dy),
                scale);
    EXPECT_NEAR(inner_product(filter, conv2d_backprop_filter(image, w, dy, options)), inner_product(y, dy),
                scale);
  }
}

// Every element is where the name of the layout says: axis i of the result is the input's axis order[i].
TEST(Conv2DLayouts, AreWhatTheirNamesSay) {
  struct Layout {
    const char* name;
    Tensor (*convert)(const Tensor&);
    std::vector<int> order;
  };
  const Tensor x = reshape(arange(2 * 3 * 4 * 5), {2, 3, 4, 5});
  for (const auto& [name, convert, order] : {Layout{"nhwc_to_nchw", nhwc_to_nchw, {0, 3, 1, 2}},
                                             Layout{"nchw_to_nhwc", nchw_to_nhwc, {0, 2, 3, 1}},
                                             Layout{"hwio_to_oihw", hwio_to_oihw, {3, 2, 0, 1}},
                                             Layout{"oihw_to_hwio", oihw_to_hwio, {2, 3, 1, 0}},
                                             Layout{"hwoi_to_iohw", hwoi_to_iohw, {3, 2, 0, 1}},
                                             Layout{"iohw_to_hwoi", iohw_to_hwoi, {2, 3, 1, 0}}}) {
    SCOPED_TRACE(name);
    const Tensor y = convert(x);
    index_t index[4];
    for (index[0] = 0; index[0] < 2; ++index[0])
      for (index[1] = 0; index[1] < 3; ++index[1])
        for (index[2] = 0; index[2] < 4; ++index[2])
          for (index[3] = 0; index[3] < 5; ++index[3])
            ASSERT_EQ(y.at({index[order[0]], index[order[1]], index[order[2]], index[order[3]]}),
                      x.at({index[0], index[1], index[2], index[3]}));
  }
}

}  // namespace
}  // namespace tapegrad::testing
