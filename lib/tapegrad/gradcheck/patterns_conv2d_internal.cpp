// Convolutions of images and their transpose. The geometry is found by looking for the one that gives the function's
// result; then the gradient is compared with that of convolutions with another one: without the stride, with the
// strides exchanged, with another padding.

#include <algorithm>
#include <array>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

using Pair = std::array<index_t, 2>;  // of rows and columns

/// Entry (p, q) of the small image meets (p * stride + i * dilation - padding, ...) of the large one.
struct Geometry {
  Pair stride = {1, 1}, dilation = {1, 1}, padding = {0, 0};
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

/// The operands of the three kernels: each is the sum of the products of the two others.
enum class Part { Large, Filter, Small };

/// A convolution (x is large) or its transpose (x is small), without what is added to it.
struct Convolution {
  Shape large, filter, small;
  bool transposed;

  const Shape& shape(Part part) const {
    return part == Part::Large ? large : part == Part::Filter ? filter : small;
  }

  /// The part as the sum over products of the two others, a and b in the order of Part. Only row `row` of the large or
  /// small image, if it is not negative.
  Values sum(Part part, const Values& a, const Values& b, const Geometry& g, index_t row = -1) const {
    Values to(static_cast<std::size_t>(shape(part).size()), 0);
    const index_t last_n = row < 0 ? large[0] : 1;
    for (index_t n = 0; n < last_n; ++n)
      for (index_t p = 0; p < small[1]; ++p) {
        if (row >= 0 && part == Part::Small && p != row) continue;
        for (index_t i = 0; i < filter[0]; ++i) {
          const index_t h = p * g.stride[0] + i * g.dilation[0] - g.padding[0];
          if (h < 0 || h >= large[1] || (row >= 0 && part == Part::Large && h != row)) continue;
          for (index_t q = 0; q < small[2]; ++q)
            for (index_t j = 0; j < filter[1]; ++j) {
              const index_t w = q * g.stride[1] + j * g.dilation[1] - g.padding[1];
              if (w < 0 || w >= large[2]) continue;
              products(part, a, b, ((n * large[1] + h) * large[2] + w) * large[3],
                       (i * filter[1] + j) * filter[2] * filter[3],
                       ((n * small[1] + p) * small[2] + q) * small[3], to);
            }
        }
      }
    return to;
  }

 private:
  // Of all channels of one pixel with those of another one.
  void products(Part part, const Values& a, const Values& b, index_t l, index_t f, index_t s,
                Values& to) const {
    for (index_t c = 0; c < filter[2]; ++c)
      for (index_t o = 0; o < filter[3]; ++o) {
        const auto at_l = static_cast<std::size_t>(l + c),
                   at_f = static_cast<std::size_t>(f + c * filter[3] + o),
                   at_s = static_cast<std::size_t>(s + o);
        if (part == Part::Large)
          to[at_l] += a[at_f] * b[at_s];
        else if (part == Part::Filter)
          to[at_f] += a[at_l] * b[at_s];
        else
          to[at_s] += a[at_l] * b[at_f];
      }
  }
};

/// What was recognized.
struct Found {
  Convolution conv;
  std::size_t x, w;
  Geometry geometry;
};

// The sum without a bias, which may be one of the inputs.
std::vector<Values> without_bias(const Case& c) {
  const Values y = values_of(c.result());
  std::vector<Values> all = {y};
  const auto channels = static_cast<std::size_t>(c.result().shape()[3]);
  for (const Tensor& b : c.e.xs)
    if (b.rank() == 1 && static_cast<std::size_t>(b.size()) == channels) {
      Values less = y;
      for (std::size_t i = 0; i < less.size(); ++i) less[i] -= b.values<double>()[i % channels];
      all.push_back(std::move(less));
    }
  return all;
}

bool near(const Values& a, const Values& b) {
  const double margin = 1e-9 * std::max(largest(a), largest(b));
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= margin)) return false;
  return margin > 0;
}

// Each geometry that the sizes allow.
template <class Try>
std::optional<Geometry> search(const Convolution& conv, Try&& fits) {
  for (index_t code = 0; code < 4 * 4 * 3 * 3; ++code) {
    Geometry g{.stride = {code % 4 + 1, code / 4 % 4 + 1}, .dilation = {code / 16 % 3 + 1, code / 48 + 1}};
    const Pair reach = {(conv.filter[0] - 1) * g.dilation[0], (conv.filter[1] - 1) * g.dilation[1]};
    const auto possible = [&](std::size_t d) {
      const auto axis = static_cast<int>(d) + 1;
      // The last window may begin behind the image by no more than its reach, and a stride may leave pixels over.
      const index_t end = (conv.small[axis] - 1) * g.stride[d] + 1;
      return end <= conv.large[axis] + reach[d] &&
             end + g.stride[d] + 2 * reach[d] >= conv.large[axis] - reach[d];
    };
    if (!possible(0) || !possible(1)) continue;
    for (g.padding[0] = 0; g.padding[0] <= reach[0]; ++g.padding[0])
      for (g.padding[1] = 0; g.padding[1] <= reach[1]; ++g.padding[1])
        if (fits(g)) return g;
  }
  return std::nullopt;
}

std::optional<Found> recognize(const Case& c, std::size_t x, std::size_t w, bool transposed) {
  const Shape &in = c.e.xs[x].shape(), &out = c.result().shape(), &filter = c.e.xs[w].shape();
  const Convolution conv{transposed ? out : in, filter, transposed ? in : out, transposed};
  if (conv.large[0] != conv.small[0] || filter[2] != conv.large[3] || filter[3] != conv.small[3])
    return std::nullopt;
  const Values a = values_of(c.e.xs[x]), b = values_of(c.e.xs[w]);
  const Part part = transposed ? Part::Large : Part::Small;
  const auto forward = [&](const Geometry& g, index_t row) {
    return transposed ? conv.sum(part, b, a, g, row) : conv.sum(part, a, b, g, row);
  };
  const index_t row = conv.shape(part)[1] / 2, width = conv.shape(part)[2] * conv.shape(part)[3];
  for (const Values& y : without_bias(c)) {
    const auto fits = [&](const Geometry& g) {
      // One row first: most are refused by it.
      const Values one = forward(g, row);
      for (index_t i = row * width; i < (row + 1) * width; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (!(std::abs(one[at] - y[at]) <= 1e-9 * (1 + std::abs(y[at])))) return false;
      }
      return near(forward(g, -1), y);
    };
    if (const auto g = search(conv, fits)) return Found{conv, x, w, *g};
  }
  return std::nullopt;
}

std::optional<Found> recognize(const Case& c) {
  for (std::size_t x = 0; x < c.e.xs.size(); ++x)
    for (std::size_t w = 0; w < c.e.xs.size(); ++w) {
      if (x == w || c.e.xs[x].rank() != 4 || c.e.xs[w].rank() != 4) continue;
      if (c.e.k != x && c.e.k != w) continue;
      for (const bool transposed : {false, true})
        if (auto found = recognize(c, x, w, transposed)) return found;
    }
  return std::nullopt;
}

/// Another geometry, and what went wrong to get it.
struct Mistake {
  Geometry geometry;
  std::string text;
};

std::string pair_text(const Pair& pair) {
  return pair[0] == pair[1] ? fmt::format("{}", pair[0]) : fmt::format("({}, {})", pair[0], pair[1]);
}

// One number of the geometry forgotten, in both directions or in one, or exchanged between them.
void add_changes(std::vector<Mistake>& all, const Geometry& g, Pair Geometry::*member, index_t none,
                 const std::string& word, const std::vector<std::string>& axes) {
  const Pair right = g.*member;
  const auto add = [&](const Pair& pair, const std::string& text) {
    if (pair == right) return;
    all.push_back({g, text});
    all.back().geometry.*member = pair;
  };
  const std::string is = fmt::format("the {} {}", word, pair_text(right));
  add({none, none}, is + " is forgotten: the gradient is that without it");
  add({none, right[1]}, fmt::format("{} is forgotten along {}", is, axes[1]));
  add({right[0], none}, fmt::format("{} is forgotten along {}", is, axes[2]));
  add({right[1], right[0]}, fmt::format("the {}s of {} and {} are exchanged: {} of rows and {} of columns",
                                        word, axes[1], axes[2], right[0], right[1]));
  add({right[0], right[0]}, fmt::format("the {} of {} is used along {} as well", word, axes[1], axes[2]));
  add({right[1], right[1]}, fmt::format("the {} of {} is used along {} as well", word, axes[2], axes[1]));
}

std::vector<Mistake> mistakes(const Found& found, const std::vector<std::string>& axes) {
  const Geometry& g = found.geometry;
  const std::string padding = found.conv.transposed ? "crop" : "padding";
  std::vector<Mistake> all;
  add_changes(all, g, &Geometry::stride, 1, "stride", axes);
  add_changes(all, g, &Geometry::dilation, 1, "dilation", axes);
  all.push_back({{g.dilation, g.stride, g.padding}, "stride and dilation are exchanged"});
  add_changes(all, g, &Geometry::padding, 0, padding, axes);
  for (index_t rows = -2; rows <= 2; ++rows)
    for (index_t columns = -2; columns <= 2; ++columns) {
      Geometry other = g;
      other.padding[0] += rows, other.padding[1] += columns;
      if (rows == 0 && columns == 0) continue;
      const std::string text = fmt::format(
          "shifted: the gradient is that with a {} of {} at the top and {} at the left, where {} and {} belong: "
          "off by one, or the odd pixel on the wrong side",
          padding, other.padding[0], other.padding[1], g.padding[0], g.padding[1]);
      all.push_back({other, text});
    }
  for (const index_t s : {index_t{1}}) {  // two at once
    all.push_back({{{s, s}, g.dilation, {0, 0}}, "both stride and " + padding + " are forgotten"});
    all.push_back({{{s, s}, {1, 1}, g.padding}, "both stride and dilation are forgotten"});
  }
  std::erase_if(all, [&](const Mistake& m) { return m.geometry == g; });
  return all;
}

Hint other_geometry(const Case& c) {
  const auto found = recognize(c);
  if (!found) return std::nullopt;
  const Convolution& conv = found->conv;
  const Values r = values_of(c.output_gradient()), x = values_of(c.e.xs[found->x]),
               w = values_of(c.e.xs[found->w]);
  const auto gradient = [&](const Geometry& g) {
    if (c.e.k == found->w)
      return conv.transposed ? conv.sum(Part::Filter, r, x, g) : conv.sum(Part::Filter, x, r, g);
    return conv.transposed ? conv.sum(Part::Small, r, w, g) : conv.sum(Part::Large, w, r, g);
  };
  if (!c.explains(gradient(found->geometry))) return std::nullopt;
  for (const Mistake& m : mistakes(*found, c.e.tensors[found->x].axes))
    if (c.is(gradient(m.geometry)))
      return GradcheckHint{m.text.starts_with("shifted") ? "shifted" : "", m.text};
  return std::nullopt;
}

// Loops over every product of a check are affordable for the sizes of a check.
bool of_images(const Case& c) {
  if (!first_order(c) || c.wrong.empty() || !c.complete() || c.e.rs.size() != 1) return false;
  if (c.me.shape.rank() != 4 || c.result().rank() != 4 || c.e.xs.size() < 2) return false;
  double cost = static_cast<double>(c.result().size());
  for (const Tensor& x : c.e.xs)
    if (x.rank() == 4) cost *= std::sqrt(static_cast<double>(x.size()));
  return cost > 0 && cost < 3e6;
}

constexpr Pattern kConv2dPatterns[] = {
    {"geometry", Strength::Formula, of_images, other_geometry},
};

}  // namespace

std::span<const Pattern> conv2d_patterns() {
  return kConv2dPatterns;
}

}  // namespace tapegrad::inline v0::detail
