#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "json.h"
#include "playground.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
using tg::index_t;

namespace playground {
namespace {

constexpr index_t kInputSide = 7, kKernelSide = 4, kResultSide = 27;

struct Settings {
  bool transpose = false;
  index_t size = 4, kernel = 3, stride = 1, padding = 0, dilation = 1, output_padding = -1;
};

/// One product x[.] w[.] y[.] of the sum <conv2d(x, w), y>: a pixel of the image that conv2d reads, a pixel of the map that conv2d
/// makes, and the tap of the kernel between the two. Each number of the page is the sum of such products, without one of the three.
struct Term {
  index_t image, map, tap;
};

struct Scene {
  tg::Tensor x, w, g, y, dx, dw, matrix;
  tg::Conv2DOptions options;
  tg::Conv2DGeometry geometry;  // of the conv2d: in a scene of the transpose, it leads from y back to x
  std::vector<Term> terms;
  bool transpose = false;

  const tg::Tensor& stamped() const { return transpose ? x : g; }
  tg::Shape image_shape() const { return geometry.in_shape(); }
};

struct Fields {
  std::array<double, kInputSide * kInputSide> x{};
  std::array<double, kKernelSide * kKernelSide> w{};
  std::array<double, kResultSide * kResultSide> g{};
};

// What a page has one of.
Fields fields;
std::optional<Scene> scene;
std::string answer;

// The upper left corner of a field whose rows have `side` numbers.
tg::Tensor corner(const double* field, index_t side, index_t rows, index_t columns, const tg::Shape& shape) {
  tg::Tensor result = tg::zeros(shape, tg::DType::Float64);
  const auto values = result.mutable_values<double>();
  for (index_t row = 0; row < rows; ++row)
    std::copy_n(field + row * side, columns, values.begin() + row * columns);
  return result;
}

tg::Padding padding_of(index_t padding) {
  if (padding == kPaddingSame) return tg::Padding::Same;
  if (padding == kPaddingFull) return tg::Padding::Full;
  return padding == kPaddingValid ? tg::Padding::Valid : tg::Padding::Explicit(padding);
}

// From the definition of conv2d, without the library's kernels.
std::vector<Term> terms_of(const tg::Conv2DGeometry& c) {
  std::vector<Term> terms;
  for (index_t p = 0; p < c.out_h; ++p)
    for (index_t q = 0; q < c.out_w; ++q)
      for (index_t i = 0; i < c.kernel_h; ++i)
        for (index_t j = 0; j < c.kernel_w; ++j) {
          const index_t row = p * c.stride_h + i * c.dilation_h - c.pad_top;
          const index_t column = q * c.stride_w + j * c.dilation_w - c.pad_left;
          if (row >= 0 && row < c.in_h && column >= 0 && column < c.in_w)
            terms.push_back({row * c.in_w + column, p * c.out_w + q, i * c.kernel_w + j});
        }
  return terms;
}

Scene make_scene(const Settings& s) {
  Scene result;
  result.transpose = s.transpose;
  result.options = {.strides = s.stride, .padding = padding_of(s.padding), .dilations = s.dilation};
  result.x = corner(fields.x.data(), kInputSide, s.size, s.size, {1, s.size, s.size, 1});
  result.w = corner(fields.w.data(), kKernelSide, s.kernel, s.kernel, {s.kernel, s.kernel, 1, 1});
  tg::Tape tape;
  const tg::Tensor x = tape.watch(result.x), w = tape.watch(result.w);
  if (s.transpose) {
    tg::Conv2DTransposeOptions options{
        .strides = s.stride, .padding = result.options.padding, .dilations = s.dilation};
    if (s.output_padding >= 0) options.output_padding = s.output_padding;
    result.y = tg::conv2d_transpose(x, w, options);
  } else {
    result.y = tg::conv2d(x, w, result.options);
  }
  const tg::Shape& y = result.y.shape();
  result.g = corner(fields.g.data(), kResultSide, y[1], y[2], y);
  const std::vector<tg::Tensor> gradients = tape.gradient(result.y, {x, w}, {.output_gradient = result.g});
  result.dx = gradients[0], result.dw = gradients[1];
  result.geometry =
      tg::conv2d_geometry((s.transpose ? result.y : result.x).shape(), result.w.shape(), result.options);
  result.matrix = tg::conv2d_matrix(result.w, result.geometry);
  result.terms = terms_of(result.geometry);
  return result;
}

bool close(double a, double b, double scale) {
  return std::abs(a - b) <= 1e-12 * std::max(1.0, scale);
}

bool close(const tg::Tensor& a, const tg::Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  double scale = 0;
  for (const double value : x) scale = std::max(scale, std::abs(value));
  for (std::size_t i = 0; i < x.size() && x.size() == y.size(); ++i)
    if (!close(x[i], y[i], scale)) return false;
  return x.size() == y.size();
}

// Whether the terms of each number add up to what the library says. Where they do not, the page must say so.
void check_terms(const Scene& s, const char* name, const tg::Tensor& result, index_t Term::*at,
                 const tg::Tensor& a, index_t Term::*at_a, const tg::Tensor& b, index_t Term::*at_b,
                 std::vector<std::string>& wrong) {
  const auto values = result.values<double>(), x = a.values<double>(), y = b.values<double>();
  std::vector<double> sums(values.size()), sizes(values.size());
  for (const Term& term : s.terms) {
    const double product = x[static_cast<std::size_t>(term.*at_a)] * y[static_cast<std::size_t>(term.*at_b)];
    sums[static_cast<std::size_t>(term.*at)] += product;
    sizes[static_cast<std::size_t>(term.*at)] += std::abs(product);
  }
  for (std::size_t i = 0; i < sums.size(); ++i)
    if (!close(sums[i], values[i], sizes[i]))
      wrong.push_back(std::string(name) + " number " + std::to_string(i) + ": the terms add up to " +
                      std::to_string(sums[i]) + ", the library says " + std::to_string(values[i]));
}

// C has w's tap where there is a term, and zeros elsewhere.
void check_matrix(const Scene& s, std::vector<std::string>& wrong) {
  std::vector<double> expected(static_cast<std::size_t>(s.matrix.size()));
  const auto w = s.w.values<double>(), c = s.matrix.values<double>();
  for (const Term& term : s.terms)
    expected[static_cast<std::size_t>(term.map * s.matrix.shape()[1] + term.image)] +=
        w[static_cast<std::size_t>(term.tap)];
  if (!std::equal(expected.begin(), expected.end(), c.begin(), c.end()))
    wrong.emplace_back("C: the taps stand elsewhere in the library's matrix");
}

std::vector<std::string> check_scene(const Scene& s) {
  std::vector<std::string> wrong;
  const auto y_at = s.transpose ? &Term::image : &Term::map, x_at = s.transpose ? &Term::map : &Term::image;
  check_terms(s, "y", s.y, y_at, s.x, x_at, s.w, &Term::tap, wrong);
  check_terms(s, "dx", s.dx, x_at, s.g, y_at, s.w, &Term::tap, wrong);
  check_terms(s, "dw", s.dw, &Term::tap, s.x, x_at, s.g, y_at, wrong);
  check_matrix(s, wrong);
  return wrong;
}

double inner_product(const tg::Tensor& a, const tg::Tensor& b) {
  return tg::sum(a * b).item();
}

// The same numbers by other functions of the library.
void add_claims(const Scene& s, Json& json) {
  const auto claim = [&](const char* text, const tg::Tensor& a, const tg::Tensor& b) {
    json.open("").add("text", std::string_view(text)).add("holds", close(a, b)).close();
  };
  const auto times = [&](const tg::Tensor& v, bool transpose_c) {
    return tg::matmul(s.matrix, tg::reshape(v, {-1, 1}), {.transpose_a = transpose_c});
  };
  json.open("claims", '[');
  if (s.transpose) {
    claim("y = conv2d_backprop_input(shape of y, w, x)", s.y,
          tg::conv2d_backprop_input(s.image_shape(), s.w, s.x, s.options));
    claim("y = Cᵀ x", s.y, times(s.x, true));
    claim("dx = conv2d(g, w)", s.dx, tg::conv2d(s.g, s.w, s.options));
    claim("dx = C g", s.dx, times(s.g, false));
    claim("dw = conv2d_backprop_filter(g, shape of w, x)", s.dw,
          tg::conv2d_backprop_filter(s.g, s.w.shape(), s.x, s.options));
  } else {
    claim("y = C x", s.y, times(s.x, false));
    claim("dx = conv2d_backprop_input(shape of x, w, g)", s.dx,
          tg::conv2d_backprop_input(s.image_shape(), s.w, s.g, s.options));
    claim("dx = conv2d_transpose(g, w), in the shape of x", s.dx,
          tg::conv2d_transpose(s.g, s.w,
                               {.strides = s.options.strides,
                                .padding = s.options.padding,
                                .dilations = s.options.dilations,
                                .output_shape = {{s.geometry.in_h, s.geometry.in_w}}}));
    claim("dx = Cᵀ g", s.dx, times(s.g, true));
    claim("dw = conv2d_backprop_filter(x, shape of w, g)", s.dw,
          tg::conv2d_backprop_filter(s.x, s.w.shape(), s.g, s.options));
  }
  json.close(']');
}

void add_image(Json& json, const char* name, const tg::Tensor& x) {
  json.add_plane(name, x.shape()[1], x.shape()[2], x);
}

std::string describe(const Scene& s) {
  Json json;
  json.open("").add("transpose", s.transpose);
  add_image(json, "x", s.x);
  json.add_plane("w", s.w.shape()[0], s.w.shape()[1], s.w);
  add_image(json, "y", s.y);
  add_image(json, "g", s.g);
  add_image(json, "dx", s.dx);
  json.add_plane("dw", s.w.shape()[0], s.w.shape()[1], s.dw);
  json.add_plane("C", s.matrix.shape()[0], s.matrix.shape()[1], s.matrix);
  const tg::Conv2DGeometry& c = s.geometry;
  json.open("geometry");
  for (const auto& [name, value] :
       {std::pair{"top", c.pad_top}, {"bottom", c.pad_bottom}, {"left", c.pad_left}, {"right", c.pad_right}})
    json.add(name, static_cast<double>(value));
  json.close();
  std::vector<index_t> terms;
  for (const Term& term : s.terms) terms.insert(terms.end(), {term.image, term.map, term.tap});
  json.add_all("terms", terms);
  json.add_all("identity",
               std::array{inner_product(s.y, s.g), inner_product(s.x, s.dx), inner_product(s.w, s.dw)});
  add_claims(s, json);
  json.open("wrong", '[');
  for (const std::string& line : check_scene(s)) json.add("", std::string_view(line));
  json.close(']').close();
  return json.text();
}

// The stamps of the pixels from first to last, added up: the library's transpose of an image that is 0 elsewhere.
tg::Tensor stamps(const Scene& s, index_t first, index_t last) {
  tg::Tensor some = tg::zeros_like(s.stamped());
  const auto from = s.stamped().values<double>();
  const auto to = some.mutable_values<double>();
  for (auto i = static_cast<std::size_t>(first); i <= static_cast<std::size_t>(last); ++i) to[i] = from[i];
  return tg::conv2d_backprop_input(s.image_shape(), s.w, some, s.options);
}

template <class Function>
const char* answer_with(Function function) {
  try {
    answer = function();
  } catch (const std::exception& error) {
    answer = Json().open("").add("error", std::string_view(error.what())).close().text();
  }
  return answer.c_str();
}

}  // namespace
}  // namespace playground

using namespace playground;

double* playground_field(int which) {
  return which == 0 ? fields.x.data() : which == 1 ? fields.w.data() : fields.g.data();
}

void playground_fill(int seed) {
  tg::Generator generator(static_cast<std::uint64_t>(seed));
  const auto draw = [&](auto& field, int low, int high) {
    for (double& value : field)
      value = low + static_cast<int>(generator.integer(static_cast<std::uint64_t>(high - low + 1)));
  };
  draw(fields.w, -2, 3);
  draw(fields.x, 0, 4);
  draw(fields.g, -2, 2);
}

const char* playground_scene(int transpose, int size, int kernel, int stride, int padding, int dilation,
                             int output_padding) {
  return answer_with([&] {
    scene.reset();
    scene = make_scene({.transpose = transpose != 0,
                        .size = size,
                        .kernel = kernel,
                        .stride = stride,
                        .padding = padding,
                        .dilation = dilation,
                        .output_padding = output_padding});
    return describe(*scene);
  });
}

const char* playground_stamps(int last) {
  return answer_with([&] {
    if (!scene) throw tg::Error("playground_stamps", "there must be a scene");
    if (last < 0 || last >= scene->stamped().size())
      throw tg::Error("playground_stamps", "last must be one of " + std::to_string(scene->stamped().size()) +
                                               " pixels, got " + std::to_string(last));
    Json json;
    json.open("");
    add_image(json, "stamp", stamps(*scene, last, last));
    add_image(json, "so_far", stamps(*scene, 0, last));
    return json.close().text();
  });
}
