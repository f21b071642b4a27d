#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/kernels/conv2d/geometry.h"

namespace tapegrad::testing {
namespace {

// How a case is judged: every tensor in this dtype within this tolerance.
struct Judgement {
  DType dtype;
  double tolerance;
};

std::string pads_of(const Conv2DGeometry& g) {
  std::ostringstream text;
  text << g.pad_top << " " << g.pad_bottom << " " << g.pad_left << " " << g.pad_right;
  return text.str();
}

std::string pads_of(const OracleCase& c) {
  std::string text;
  for (const std::string& pad : c.attributes.at("resolved_pads")) text += (text.empty() ? "" : " ") + pad;
  return text;
}

// f(x, w), and the gradients of sum(dy * f(x, w)), against the case's y, dx and dw.
void expect_function(const OracleCase& c, Judgement judge,
                     const std::function<Tensor(const Tensor&, const Tensor&)>& f) {
  Tape tape;
  const Tensor x = tape.watch(c.tensor("x", judge.dtype)), w = tape.watch(c.tensor("w", judge.dtype));
  const Tensor y = f(x, w);
  expect_close(y, c, "y", judge.tolerance);
  if (!c.has("dx")) return;
  const auto gradients = tape.gradient(y, {x, w}, {.output_gradient = c.tensor("dy", judge.dtype)});
  expect_close(gradients[0], c, "dx", judge.tolerance);
  expect_close(gradients[1], c, "dw", judge.tolerance);
}

// <y, dy> = <x, dx> = <w, dw>, to rounding of the terms of the sums.
void expect_trilinear(const OracleCase& c, const Tensor& y, const Tensor& dx, const Tensor& dw) {
  const Tensor x = c.tensor("x"), w = c.tensor("w"), dy = c.tensor("dy");
  const double value = inner_product(y, dy);
  const double scale =
      std::sqrt(inner_product(x, x) * inner_product(w, w) * inner_product(dy, dy)) * 1e-12 + 1e-300;
  EXPECT_NEAR(inner_product(x, dx), value, scale) << c.name;
  EXPECT_NEAR(inner_product(w, dw), value, scale) << c.name;
}

void check_conv2d(const OracleCase& c, Judgement judge) {
  const Conv2DOptions options = conv_options(c);
  const Tensor x = c.tensor("x", judge.dtype), w = c.tensor("w", judge.dtype),
               dy = c.tensor("dy", judge.dtype);
  if (dy.size() == 0 && x.size() != 0) {  // no result: TensorFlow refuses or gives nothing, we refuse
    EXPECT_TRUE(refuses("conv2d", {"larger than the image"}, [&] { (void)conv2d(x, w, options); })) << c.name;
    return;
  }
  EXPECT_EQ(pads_of(resolve_conv2d("conv2d", x.shape(), w.shape(), options)), pads_of(c)) << c.name;
  expect_function(c, judge, [&](const Tensor& a, const Tensor& b) { return conv2d(a, b, options); });
  if (!c.has("dx")) return;
  const Tensor dx = conv2d_backprop_input(x.shape(), w, dy, options);
  const Tensor dw = conv2d_backprop_filter(x, w.shape(), dy, options);
  expect_close(dx, c, "dx", judge.tolerance);
  expect_close(dw, c, "dw", judge.tolerance);
  if (judge.dtype == DType::Float64) expect_trilinear(c, conv2d(x, w, options), dx, dw);
}

void check_transpose(const OracleCase& c, Judgement judge) {
  const Tensor x = c.tensor("x", judge.dtype), w = c.tensor("w", judge.dtype),
               dy = c.tensor("dy", judge.dtype);
  const auto shape = c.integers("output_shape");
  const Conv2DOptions conv = conv_options(c);

  // Every way to ask for this size: [n, h, w, c], [h, w], and the one the case names.
  std::vector<Conv2DTransposeOptions> ways(2, transpose_options(c));
  ways[0].output_shape = shape;
  ways[1].output_shape = {shape.at(1), shape.at(2)};
  const std::string from = c.text("output_shape_from");
  if (from != "given") ways.push_back(transpose_options(c));
  if (from == "output_padding") ways.back().output_padding = size_attribute(c, "output_padding");
  for (const auto& options : ways)
    expect_function(c, judge,
                    [&](const Tensor& a, const Tensor& b) { return conv2d_transpose(a, b, options); });

  EXPECT_EQ(pads_of(resolve_conv2d_transpose("conv2d_transpose", x.shape(), w.shape(), conv,
                                             Size2D(shape.at(1), shape.at(2)), {})),
            pads_of(c))
      << c.name;
  if (x.size() == 0 && dy.size() != 0) return;  // conv2d leads to no empty image
  const Tensor y = conv2d_backprop_input(Shape(shape), w, x, conv);
  const Tensor dx = conv2d(dy, w, conv);
  const Tensor dw = conv2d_backprop_filter(dy, w.shape(), x, conv);
  expect_close(y, c, "y", judge.tolerance);
  if (!c.has("dx")) return;
  expect_close(dx, c, "dx", judge.tolerance);
  expect_close(dw, c, "dw", judge.tolerance);
  if (judge.dtype == DType::Float64) expect_trilinear(c, y, dx, dw);
}

void check_set(const std::string& set, std::size_t convolutions, std::size_t transposes, Judgement judge) {
  std::size_t found[2] = {};
  for (const OracleCase& c : read_oracle(set)) {
    SCOPED_TRACE(c.name + " in " + type_name(judge.dtype));
    const bool transpose = c.op == "conv2d_transpose";
    ++found[transpose];
    ASSERT_NO_THROW(transpose ? check_transpose(c, judge) : check_conv2d(c, judge));
  }
  EXPECT_EQ(found[0], convolutions);
  EXPECT_EQ(found[1], transposes);
}

TEST(Conv2DOracle, PyTorchFloat64) {
  check_set("conv_cases", 72, 62, {DType::Float64, 1e-12});
}

TEST(Conv2DOracle, PyTorchFloat32) {
  check_set("conv_cases", 72, 62, {DType::Float32, 1e-5});
}

// Whole numbers: any order of the sums gives the same bits.
TEST(Conv2DOracle, TensorFlowJsFloat64) {
  check_set("tfjs_conv", 60, 64, {DType::Float64, 0});
}

TEST(Conv2DOracle, TensorFlowJsFloat32) {
  check_set("tfjs_conv", 60, 64, {DType::Float32, 0});
}

// Sizes and paddings along one axis.

struct ShapeRule {
  index_t n, k, s, d;
  std::string padding;
  index_t results[3];  // conv: out, before, after; transpose: smallest, largest, natural size

  Conv2DOptions options_with(const ShapeRule& columns) const {
    return {.strides = {s, columns.s},
            .padding = padding == "SAME" ? Padding::Same : Padding::Valid,
            .dilations = {d, columns.d}};
  }
  Shape image_with(const ShapeRule& columns) const { return {1, n, columns.n, 1}; }
  Shape filter_with(const ShapeRule& columns) const { return {k, columns.k, 1, 1}; }
};

std::ostream& operator<<(std::ostream& stream, const ShapeRule& rule) {
  return stream << "n " << rule.n << ", k " << rule.k << ", s " << rule.s << ", d " << rule.d << ", "
                << rule.padding;
}

std::vector<ShapeRule> read_rules(const std::string& wanted) {
  std::ifstream file(fixture("shape_rules.txt"));
  std::vector<ShapeRule> rules;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    ShapeRule rule;
    if (!(words >> kind) || kind != wanted) continue;
    words >> rule.n >> rule.k >> rule.s >> rule.d >> rule.padding;
    for (index_t& result : rule.results) words >> result;
    EXPECT_TRUE(words) << line;
    rules.push_back(rule);
  }
  return rules;
}

// Rules i and i + 1 as rows and columns of one image, so that exchanged axes are seen.
void for_pairs(const std::vector<ShapeRule>& rules,
               const std::function<void(const ShapeRule&, const ShapeRule&)>& f) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    std::size_t next = (i + 1) % rules.size();
    while (rules[next].padding != rules[i].padding) next = (next + 1) % rules.size();
    f(rules[i], rules[next]);
  }
}

TEST(Conv2DShapeRules, Convolution) {
  const std::vector<ShapeRule> all = read_rules("conv");
  EXPECT_EQ(all.size(), 640u);
  std::vector<ShapeRule> legal, refused;
  // A result of no pixels is TensorFlow's kernel's choice; its shape check, and ours, refuse a filter that
  // does not fit.
  for (const ShapeRule& rule : all)
    (rule.results[0] < 0 || (rule.results[0] == 0 && rule.padding != "SAME") ? refused : legal)
        .push_back(rule);
  EXPECT_GT(refused.size(), 20u);
  EXPECT_GT(legal.size(), 400u);
  for_pairs(legal, [](const ShapeRule& rows, const ShapeRule& columns) {
    const auto g = resolve_conv2d("test", rows.image_with(columns), rows.filter_with(columns),
                                  rows.options_with(columns));
    EXPECT_EQ(std::vector({g.out_h, g.pad_top, g.pad_bottom}), std::vector(rows.results, rows.results + 3))
        << rows;
    EXPECT_EQ(std::vector({g.out_w, g.pad_left, g.pad_right}),
              std::vector(columns.results, columns.results + 3))
        << columns;
  });
  const ShapeRule easy{.n = 5, .k = 1, .s = 1, .d = 1, .padding = "VALID", .results = {5, 0, 0}};
  for (const ShapeRule& rule : refused)
    for (const auto& [rows, columns] : {std::pair(rule, easy), std::pair(easy, rule)})
      EXPECT_TRUE(refuses("test", {"larger than the image", "pad more"}, [&, rows = rows, columns = columns] {
        (void)resolve_conv2d("test", rows.image_with(columns), rows.filter_with(columns),
                             rows.options_with(columns));
      })) << rule;
}

TEST(Conv2DShapeRules, EveryLegalOutputShape) {
  const std::vector<ShapeRule> rules = read_rules("transpose");
  EXPECT_EQ(rules.size(), 408u);
  const auto sizes_of = [](const ShapeRule& rows, const ShapeRule& columns,
                           std::optional<std::vector<index_t>> asked) {
    const Conv2DOptions o = rows.options_with(columns);
    const Tensor y = conv2d_transpose(
        ones(rows.image_with(columns)), ones(rows.filter_with(columns)),
        {.strides = o.strides, .padding = o.padding, .dilations = o.dilations, .output_shape = asked});
    return std::vector({y.shape()[1], y.shape()[2]});
  };
  for_pairs(rules, [&](const ShapeRule& rows, const ShapeRule& columns) {
    EXPECT_EQ(sizes_of(rows, columns, {}), std::vector({rows.results[2], columns.results[2]})) << rows;
    const auto [smallest, largest, natural] = rows.results;
    for (index_t size = smallest; size <= largest; ++size) {
      const std::vector<index_t> asked = {size, columns.results[1]};
      EXPECT_EQ(sizes_of(rows, columns, asked), asked) << rows;
    }
    const std::string possible =
        smallest == largest ? "only possible one is " + std::to_string(smallest)
                            : "possible are " + std::to_string(smallest) + " to " + std::to_string(largest);
    for (const index_t size : {smallest - 1, largest + 1}) {
      EXPECT_TRUE(refuses("conv2d_transpose", {"height", possible},
                          [&] {
                            (void)sizes_of(rows, columns, std::vector<index_t>{size, columns.results[0]});
                          }))
          << rows << ", asked for " << size;
      EXPECT_TRUE(refuses("conv2d_transpose", {"width", possible},
                          [&] {
                            (void)sizes_of(columns, rows, std::vector<index_t>{columns.results[0], size});
                          }))
          << rows << ", asked for " << size;
    }
  });
}

TEST(Conv2DShapeRules, RefusedCalls) {
  const auto cases = read_oracle("refused_calls");
  EXPECT_EQ(cases.size(), 19u);
  for (const OracleCase& c : cases) {
    const Tensor x = ones(Shape(c.integers("x"))), w = ones(Shape(c.integers("w")));
    EXPECT_TRUE(refuses(c.op, {x.shape().str(), w.shape().str()},
                        [&] {
                          if (c.op == "conv2d") {
                            Conv2DOptions options = conv_options(c);
                            // TensorFlow finds the groups from the channels: r14 means two.
                            if (x.rank() == 4 && w.rank() == 4 && x.shape()[3] == 2 * w.shape()[2])
                              options.groups = 2;
                            (void)conv2d(x, w, options);
                          } else {
                            Conv2DTransposeOptions options = transpose_options(c);
                            options.output_shape = c.integers("output_shape");
                            (void)conv2d_transpose(x, w, options);
                          }
                        }))
        << c.name << ": " << c.text("why");
  }
}

// Published examples, all in whole numbers or halves.

OracleCase worked_example(const std::string& name) {
  for (const OracleCase& c : read_oracle("worked_examples"))
    if (c.name == name) return c;
  throw std::runtime_error("no example " + name);
}

class WorkedExamples : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, WorkedExamples, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return type_name(dtype.param); });

TEST_P(WorkedExamples, GiveTheExpectedNumbers) {
  int run = 0;
  for (const OracleCase& c : read_oracle("worked_examples")) {
    if (c.has("activations")) continue;
    const Tensor x = c.tensor("input", GetParam()), w = c.tensor("filter", GetParam());
    if (c.op == "conv2d") {
      expect_close(conv2d(x, w, conv_options(c)), c, "expected", 0);
    } else {
      Conv2DTransposeOptions options = transpose_options(c);
      options.output_shape = c.integers("output_shape");
      expect_close(conv2d_transpose(x, w, options), c, "expected", 0);
    }
    ++run;
  }
  EXPECT_EQ(run, 10);
}

// The natural size of Conv2DTranspose(64, (2, 2), strides=(2, 2)) on [1, 3, 5, 1] is [1, 6, 10, 64].
TEST_P(WorkedExamples, NaturalSizeOfTheUpsamplingLayer) {
  const OracleCase c = worked_example("nearest_neighbour_ones_2x2_stride2_64_filters");
  expect_close(
      conv2d_transpose(c.tensor("input", GetParam()), c.tensor("filter", GetParam()), {.strides = 2}), c,
      "expected", 0);
}

TEST_P(WorkedExamples, FilterPrintedInAnotherLayout) {
  const OracleCase c = worked_example("four_channels_two_kernels_stride2_same");
  const Tensor image = c.tensor("document_input", GetParam());  // [c, h, w]
  const Tensor x = nchw_to_nhwc(reshape(image, {1, 4, 3, 3}));
  EXPECT_TRUE(equal(x, c.tensor("input", GetParam())));
  // Printed [out, in, kh, kw] and not turned; the transposed convolution takes it turned, [kh, kw, out, in].
  const Tensor hwio = oihw_to_hwio(c.tensor("document_filter", GetParam()));
  const Tensor w = rot180(transpose(hwio));
  EXPECT_TRUE(equal(w, c.tensor("filter", GetParam())));
  const Tensor y = conv2d_transpose(x, w, {.strides = 2, .padding = Padding::Same});
  expect_close(reshape(nhwc_to_nchw(y), {2, 6, 6}), c, "document_expected", 0);
}

// conv2d_transpose, conv2d with turned and exchanged weights, and conv2d_backprop_input are the same for an
// odd kernel, stride 1 and Same.
TEST_P(WorkedExamples, ThreeWaysToTransposeAConvolution) {
  const OracleCase c = worked_example("mnist_shapes_three_ways");
  const Tensor x = c.tensor("input", GetParam()), w = c.tensor("filter", GetParam());
  const Conv2DOptions same{.padding = Padding::Same};
  const Tensor activations = conv2d(x, w, same);
  expect_close(activations, c, "activations", 0);
  expect_close(conv2d_transpose(activations, w, {.padding = Padding::Same}), c, "expected", 0);
  expect_close(conv2d(activations, rot180(transpose(w)), same), c, "expected", 0);
  expect_close(conv2d_backprop_input(x.shape(), w, activations, same), c, "expected", 0);
}

// With an even kernel they are not: the odd pixel of padding is on the other side.
TEST_P(WorkedExamples, EvenKernelWithTurnedWeightsIsSomethingElse) {
  const OracleCase c = worked_example("same_even_kernel_turned_conv_differs");
  const Tensor turned = rot180(transpose(c.tensor("filter", GetParam())));
  const Tensor x = c.tensor("input", GetParam());
  expect_close(conv2d(x, turned, {.padding = Padding::Same}), c, "recipe_result", 0);
  expect_close(conv2d(x, turned, {.padding = Padding::Explicit(1, 0, 1, 0)}), c, "expected", 0);
}

TEST_P(WorkedExamples, GradientsAsConvolutions) {
  const OracleCase c = worked_example("gradients_as_convolutions");
  const Tensor x = c.tensor("input", GetParam()), w = c.tensor("filter", GetParam());
  const Tensor dy = c.tensor("d_out", GetParam());
  expect_close(conv2d_backprop_input(x.shape(), w, dy), c, "d_input", 0);
  expect_close(conv2d(dy, rot180(w), {.padding = Padding::Full}), c, "d_input", 0);
  expect_close(conv2d_transpose(dy, w), c, "d_input", 0);
  expect_close(conv2d_backprop_filter(x, w.shape(), dy), c, "d_filter", 0);
  expect_close(reshape(conv2d(x, reshape(dy, {3, 5, 1, 1})), w.shape()), c, "d_filter", 0);
}

}  // namespace
}  // namespace tapegrad::testing
