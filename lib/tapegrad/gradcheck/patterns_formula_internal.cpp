// Functions whose derivative people write as one formula: softmax, cross entropy, normalization, pooling. The function
// is recognized by its values, the right formula by the differences; then the gradient is compared with the formulas
// that are wrong in a known way.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

/// A wrong formula.
struct Variant {
  Values values;
  const char* text;
};

Hint first_that_fits(const Case& c, const std::vector<Variant>& variants) {
  for (const Variant& v : variants)
    if (c.is(v.values)) return GradcheckHint{"", v.text};
  return std::nullopt;
}

/// The entries of a tensor in groups that share all indices but those along some axes.
struct Groups {
  Groups(const Shape& shape, const std::vector<int>& axes) : of(static_cast<std::size_t>(shape.size())) {
    size = 1;
    for (const int axis : axes) size *= static_cast<double>(shape[axis]);
    for (std::size_t i = 0; i < of.size(); ++i) {
      std::vector<index_t> at = index_of(static_cast<index_t>(i), shape);
      std::size_t group = 0;
      for (int d = 0; d < shape.rank(); ++d)
        group = group * static_cast<std::size_t>(shape[d]) +
                static_cast<std::size_t>(
                    std::ranges::find(axes, d) != axes.end() ? 0 : at[static_cast<std::size_t>(d)]);
      of[i] = group;
      count = std::max(count, group + 1);
    }
  }
  /// For each entry the sum over its group.
  template <class F>
  Values sums(F&& value) const {
    Values totals(count, 0), all(of.size());
    for (std::size_t i = 0; i < of.size(); ++i) totals[of[i]] += value(i);
    for (std::size_t i = 0; i < of.size(); ++i) all[i] = totals[of[i]];
    return all;
  }
  std::vector<std::size_t> of;
  std::size_t count = 0;
  double size;  // of each group
};

template <class F>
Values made(std::size_t size, F&& value) {
  Values values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = value(i);
  return values;
}

bool all_near(const Values& a, double b) {
  return std::ranges::all_of(a, [b](double v) { return std::abs(v - b) < 1e-9; });
}

// ---- softmax and its logarithm

Hint softmax_along(const Case& c, int axis) {
  const Values y = values_of(c.result()), r = values_of(c.output_gradient());
  const std::size_t n = y.size();
  const Groups along(c.me.shape, {axis});
  const Values dot = along.sums([&](std::size_t i) { return y[i] * r[i]; });
  const Values total = along.sums([&](std::size_t i) { return r[i]; });
  if (!c.explains(made(n, [&](std::size_t i) { return y[i] * (r[i] - dot[i]); }))) return std::nullopt;
  std::vector<Variant> variants = {
      {made(n, [&](std::size_t i) { return y[i] * r[i]; }),
       "the cross terms of softmax are missing: this is y dy, where dx = y (dy - sum(y dy))"},
      {made(n, [&](std::size_t i) { return y[i] * (1 - y[i]) * r[i]; }),
       "softmax is taken entry by entry, like a sigmoid: this is y (1 - y) dy; its cross terms are missing: dx = y (dy - "
       "sum(y dy))"},
      {made(n, [&](std::size_t i) { return y[i] * (r[i] - total[i]); }),
       "softmax subtracts sum(y dy), and this is sum(dy): the factor y is missing in the sum"},
      {made(n, [&](std::size_t i) { return r[i] - dot[i]; }),
       "the factor y of softmax is missing: this is dy - sum(y dy), where dx = y (dy - sum(y dy))"},
      {made(n, [&](std::size_t i) { return r[i] - total[i]; }),
       "both factors y of softmax are missing: this is dy - sum(dy), where dx = y (dy - sum(y dy))"},
      {made(n, [&](std::size_t i) { return y[i] * (r[i] + dot[i]); }),
       "the sign of the cross terms is wrong: dx = y (dy - sum(y dy))"},
      {made(n, [&](std::size_t i) { return -y[i] * dot[i]; }),
       "only the cross terms of softmax are there: dx = y (dy - sum(y dy))"},
      {made(n, [&](std::size_t i) { return y[i] * (r[i] - dot[i] / along.size); }),
       "softmax subtracts sum(y dy), and this is its mean"},
      {r, "softmax passes the output gradient on as if it were the identity: dx = y (dy - sum(y dy))"}};
  for (int other = 0; other < c.me.shape.rank(); ++other) {
    if (other == axis) continue;
    const Values wrong = Groups(c.me.shape, {other}).sums([&](std::size_t i) { return y[i] * r[i]; });
    variants.push_back({made(n, [&](std::size_t i) { return y[i] * (r[i] - wrong[i]); }),
                        "the sum of softmax's gradient runs along another axis than softmax itself"});
  }
  return first_that_fits(c, variants);
}

Hint log_softmax_along(const Case& c, int axis) {
  const Values y = values_of(c.result()), r = values_of(c.output_gradient());
  const std::size_t n = y.size();
  const Values p = made(n, [&](std::size_t i) { return std::exp(y[i]); });
  const Groups along(c.me.shape, {axis});
  const Values dot = along.sums([&](std::size_t i) { return p[i] * r[i]; });
  const Values total = along.sums([&](std::size_t i) { return r[i]; });
  if (!c.explains(made(n, [&](std::size_t i) { return r[i] - p[i] * total[i]; }))) return std::nullopt;
  std::vector<Variant> variants = {
      {r,
       "the sum of log_softmax's gradient is missing: the output gradient is passed on as it is, where dx = dy - exp(y) "
       "sum(dy)"},
      {made(n, [&](std::size_t i) { return r[i] - total[i]; }),
       "the factor exp(y) of log_softmax is missing: dx = dy - exp(y) sum(dy)"},
      {made(n, [&](std::size_t i) { return r[i] - y[i] * total[i]; }),
       "log_softmax's y is taken for its exponential, the probabilities: dx = dy - exp(y) sum(dy)"},
      {made(n, [&](std::size_t i) { return r[i] - p[i] * r[i]; }),
       "the cross terms of log_softmax are missing: this is dy (1 - exp(y)), where dx = dy - exp(y) sum(dy)"},
      {made(n, [&](std::size_t i) { return p[i] * (r[i] - dot[i]); }),
       "this is the gradient of softmax, and the function is its logarithm: dx = dy - exp(y) sum(dy)"},
      {made(n, [&](std::size_t i) { return r[i] - dot[i]; }),
       "exp(y) stands inside of the sum of log_softmax's gradient: dx = dy - exp(y) sum(dy)"},
      {made(n, [&](std::size_t i) { return r[i] - p[i] * total[i] / along.size; }),
       "log_softmax subtracts exp(y) sum(dy), and this is the mean"},
      {made(n, [&](std::size_t i) { return r[i] + p[i] * total[i]; }),
       "the sign of log_softmax's sum is wrong: dx = dy - exp(y) sum(dy)"}};
  for (int other = 0; other < c.me.shape.rank(); ++other) {
    if (other == axis) continue;
    const Values wrong = Groups(c.me.shape, {other}).sums([&](std::size_t i) { return r[i]; });
    variants.push_back({made(n, [&](std::size_t i) { return r[i] - p[i] * wrong[i]; }),
                        "the sum of log_softmax's gradient runs along another axis than log_softmax itself"});
  }
  return first_that_fits(c, variants);
}

Hint softmax(const Case& c) {
  const Values y = values_of(c.result());
  for (int axis = 0; axis < c.me.shape.rank(); ++axis) {
    const Groups along(c.me.shape, {axis});
    if (all_near(along.sums([&](std::size_t i) { return y[i]; }), 1))
      if (Hint hint = softmax_along(c, axis)) return hint;
    if (all_near(along.sums([&](std::size_t i) { return std::exp(y[i]); }), 1))
      if (Hint hint = log_softmax_along(c, axis)) return hint;
  }
  return std::nullopt;
}

// ---- cross entropy of logits [n, c]: p - t, t one-hot

Hint cross_entropy(const Case& c) {
  const Values x = values_of(c.e.xs[c.e.k]);
  const std::size_t n = x.size();
  const double r = c.output_gradient().values<double>()[0], rows = static_cast<double>(c.me.shape[0]);
  const Groups row(c.me.shape, {1});
  const Values norm = row.sums([&](std::size_t i) { return std::exp(x[i]); });
  const Values p = made(n, [&](std::size_t i) { return std::exp(x[i]) / norm[i]; });
  for (const double divisor : {rows, 1.0}) {
    const double factor = r / divisor;
    const Values t = made(n, [&](std::size_t i) { return std::round(p[i] - c.numeric[i] / factor); });
    const bool one_hot = all_near(row.sums([&](std::size_t i) { return t[i]; }), 1) &&
                         all_near(row.sums([&](std::size_t i) { return t[i] * t[i]; }), 1);
    if (!one_hot || !c.explains(made(n, [&](std::size_t i) { return (p[i] - t[i]) * factor; }))) continue;
    return first_that_fits(
        c,
        {{made(n, [&](std::size_t i) { return p[i] * factor; }),
          "the target is not subtracted: this is the softmax p, where cross entropy has p - t with the one-hot target t"},
         {made(n, [&](std::size_t i) { return -t[i] * factor; }),
          "the softmax is missing: this is -t, where cross entropy of logits has p - t"},
         {made(n, [&](std::size_t i) { return -t[i] / p[i] * factor; }),
          "this is the gradient with respect to the probabilities, -t / p; with respect to the logits it is p - t"},
         {made(n, [&](std::size_t i) { return (x[i] - t[i]) * factor; }),
          "the logits are taken for probabilities: this is x - t, where cross entropy has softmax(x) - t"},
         {made(n, [&](std::size_t i) { return (p[i] + t[i]) * factor; }),
          "the sign of the target is wrong: cross entropy has p - t"},
         {made(n, [&](std::size_t i) { return t[i] * (p[i] - 1) * factor; }),
          "only the entries of the right classes have a gradient: cross entropy has p - t in all of them"}});
  }
  return std::nullopt;
}

// ---- normalization: y = gamma (x - mean) / sqrt(var + epsilon) + beta

/// A normalization that was recognized.
struct Normalization {
  std::size_t x, gamma;  // which inputs; gamma = none if there is none
  Groups groups;
  Values centred, inverse, variance, scales;  // for each entry; inverse: 1 / sqrt(var + epsilon)
};

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// Whether z = inverse (x - mean) with one inverse for each group, and the same epsilon in all of them.
bool fits(Normalization& n, const Values& z) {
  Values products = n.groups.sums([&](std::size_t i) { return z[i] * n.centred[i]; });
  double top = 0, low = HUGE_VAL, high = -HUGE_VAL;
  for (const double v : z) top = std::max(top, std::abs(v));
  n.inverse.resize(z.size());
  for (std::size_t i = 0; i < z.size(); ++i) {
    n.inverse[i] = products[i] / (n.variance[i] * n.groups.size);
    if (!(std::abs(z[i] - n.inverse[i] * n.centred[i]) <= 1e-8 * top)) return false;
    const double epsilon = 1 / (n.inverse[i] * n.inverse[i]) - n.variance[i];
    low = std::min(low, epsilon / n.variance[i]), high = std::max(high, epsilon);
  }
  return low > -1e-6 && high < 0.3;
}

std::optional<Normalization> normalization(const Case& c) {
  const Shape& shape = c.result().shape();
  const int rank = shape.rank();
  if (rank < 2) return std::nullopt;
  std::vector<std::size_t> channels = {kNone};
  for (std::size_t m = 0; m < c.e.xs.size(); ++m)
    if (c.e.xs[m].rank() == 1 && c.e.xs[m].size() == shape[rank - 1]) channels.push_back(m);
  std::vector<int> before_last(static_cast<std::size_t>(rank - 1));
  std::iota(before_last.begin(), before_last.end(), 0);
  const Values y = values_of(c.result());
  const auto width = static_cast<std::size_t>(shape[rank - 1]);
  for (std::size_t m = 0; m < c.e.xs.size(); ++m) {
    if (c.e.xs[m].shape() != shape) continue;
    const Values x = values_of(c.e.xs[m]);
    for (const std::vector<int>& axes : {before_last, std::vector<int>{rank - 1}}) {
      Normalization n{.x = m,
                      .gamma = kNone,
                      .groups = Groups(shape, axes),
                      .centred = {},
                      .inverse = {},
                      .variance = {},
                      .scales = {}};
      const Values mean = n.groups.sums([&](std::size_t i) { return x[i] / n.groups.size; });
      n.centred = made(x.size(), [&](std::size_t i) { return x[i] - mean[i]; });
      n.variance = n.groups.sums([&](std::size_t i) { return n.centred[i] * n.centred[i] / n.groups.size; });
      if (std::ranges::any_of(n.variance, [](double v) { return !(v > 0); })) continue;
      for (const std::size_t gamma : channels)
        for (const std::size_t beta : channels) {
          if (gamma == beta && gamma != kNone) continue;
          const auto value = [&](std::size_t which, std::size_t i, double otherwise) {
            return which == kNone ? otherwise : c.e.xs[which].values<double>()[i % width];
          };
          n.gamma = gamma;
          n.scales = made(x.size(), [&](std::size_t i) { return value(gamma, i, 1); });
          if (fits(n,
                   made(x.size(), [&](std::size_t i) { return (y[i] - value(beta, i, 0)) / n.scales[i]; })))
            return n;
        }
    }
  }
  return std::nullopt;
}

/// The gradient of x with parts of it changed.
struct NormalizationRule {
  double mean = 1, variance = 1;  // the factors of the two terms that come from them
  bool scaled = true;             // by gamma
  Values inverse, xhat;

  Values operator()(const Normalization& n, const Values& r) const {
    const auto d = [&](std::size_t i) { return scaled ? r[i] * n.scales[i] : r[i]; };
    const Values a = n.groups.sums([&](std::size_t i) { return d(i) / n.groups.size; });
    const Values b = n.groups.sums([&](std::size_t i) { return d(i) * xhat[i] / n.groups.size; });
    return made(r.size(),
                [&](std::size_t i) { return inverse[i] * (d(i) - mean * a[i] - variance * xhat[i] * b[i]); });
  }
};

// 1 / sqrt(variance + epsilon), with the variance divided by n - 1.
Values inverse_of_unbiased(const Normalization& n) {
  return made(n.inverse.size(), [&](std::size_t i) {
    const double epsilon = 1 / (n.inverse[i] * n.inverse[i]) - n.variance[i];
    return 1 / std::sqrt(n.variance[i] * n.groups.size / (n.groups.size - 1) + epsilon);
  });
}

std::vector<Variant> normalization_of_x(const Normalization& n, const Values& x, const Values& r) {
  const std::size_t count = r.size();
  const auto times = [&](const Values& a, auto&& f) {
    return made(count, [&](std::size_t i) { return a[i] * f(i); });
  };
  const Values xhat = times(n.centred, [&](std::size_t i) { return n.inverse[i]; });
  const NormalizationRule right{.inverse = n.inverse, .xhat = xhat};
  const auto with = [&](auto&& change) {
    NormalizationRule rule = right;
    change(rule);
    return rule(n, r);
  };
  const double m = n.groups.size, unbiased = m / (m - 1);
  const Values bare = made(count, [&](std::size_t i) { return 1 / std::sqrt(n.variance[i]); });
  const Values wide = inverse_of_unbiased(n);
  const Values ones(count, 1.0);
  using Rule = NormalizationRule;
  const auto square = [&](std::size_t i) { return n.inverse[i]; };
  return {
      {with([](Rule& q) { q.mean = q.variance = 0; }),
       "the mean and the variance are taken for constants: both depend on x, and each gives a term"},
      {with([](Rule& q) { q.mean = 0; }),
       "the mean is taken for a constant: the term - mean(dy gamma) is missing"},
      {with([](Rule& q) { q.variance = 0; }),
       "the variance is taken for a constant: the term - xhat mean(dy gamma xhat) is missing"},
      {with([&](Rule& q) { q.mean = q.variance = m; }),
       "sums stand where the means over the normalized entries belong: both terms are to be divided by their number"},
      {with([&](Rule& q) { q.mean = m; }), "a sum stands where mean(dy gamma) belongs"},
      {with([&](Rule& q) { q.variance = m; }), "a sum stands where mean(dy gamma xhat) belongs"},
      {with([](Rule& q) { q.scaled = false; }),
       "gamma is forgotten: the output gradient is to be multiplied by it first"},
      {with([&](Rule& q) { q.inverse = ones; }), "the division by the standard deviation is forgotten"},
      {with([&](Rule& q) { q.inverse = times(n.inverse, square); }),
       "divided by the variance, where the standard deviation belongs (it is divided by twice)"},
      {with([&](Rule& q) { q.mean = q.variance = unbiased; }),
       "the means are divided by n - 1 in place of n"},
      {with([&](Rule& q) { q.variance = unbiased; }),
       "the mean of dy gamma xhat is divided by n - 1 in place of n"},
      {with([&](Rule& q) {
         q.inverse = wide;
         q.xhat = times(n.centred, [&](std::size_t i) { return wide[i]; });
       }),
       "the variance is divided by n - 1 in the gradient, and by n in the function"},
      {with([&](Rule& q) { q.inverse = wide; }),
       "the variance is divided by n - 1 in the gradient, and by n in the function"},
      {with([&](Rule& q) {
         q.inverse = bare;
         q.xhat = times(n.centred, [&](std::size_t i) { return bare[i]; });
       }),
       "epsilon is forgotten in the gradient: the function divides by sqrt(var + epsilon)"},
      {with([&](Rule& q) { q.inverse = bare; }),
       "epsilon is forgotten in the gradient: the function divides by sqrt(var + epsilon)"},
      {with([&](Rule& q) { q.xhat = n.centred; }),
       "x - mean stands where the normalized xhat = (x - mean) / std belongs"},
      {with([&](Rule& q) { q.xhat = x; }), "x stands where the normalized xhat = (x - mean) / std belongs"},
      {with([](Rule& q) { q.variance = -1; }), "the sign of the variance's term is wrong"},
      {with([](Rule& q) { q.mean = -1; }), "the sign of the mean's term is wrong"},
      {r, "the output gradient is passed on as it is: normalization is taken for the identity"},
  };
}

Hint normalized(const Case& c) {
  const auto n = normalization(c);
  if (!n || (c.e.k != n->x && c.e.k != n->gamma)) return std::nullopt;
  const Values r = values_of(c.output_gradient()), x = values_of(c.e.xs[n->x]), y = values_of(c.result());
  const Values xhat = made(r.size(), [&](std::size_t i) { return n->centred[i] * n->inverse[i]; });
  if (c.e.k == n->x) {
    if (!c.explains(NormalizationRule{.inverse = n->inverse, .xhat = xhat}(*n, r))) return std::nullopt;
    return first_that_fits(c, normalization_of_x(*n, x, r));
  }
  const auto sum_with = [&](auto&& factor) {
    Values sums(c.analytic.size(), 0);
    for (std::size_t i = 0; i < r.size(); ++i) sums[i % sums.size()] += r[i] * factor(i);
    return sums;
  };
  if (!c.explains(sum_with([&](std::size_t i) { return xhat[i]; }))) return std::nullopt;
  return first_that_fits(
      c, {{sum_with([&](std::size_t i) { return x[i]; }),
           "gamma's gradient is made with x, where the normalized xhat = (x - mean) / std belongs"},
          {sum_with([&](std::size_t i) { return n->centred[i]; }),
           "gamma's gradient is made with x - mean: the division by the standard deviation is forgotten"},
          {sum_with([&](std::size_t i) { return y[i]; }),
           "gamma's gradient is made with the result y, where the normalized xhat belongs"},
          {sum_with([&](std::size_t i) { return n->centred[i] / std::sqrt(n->variance[i]); }),
           "epsilon is forgotten in gamma's gradient: the function divides by sqrt(var + epsilon)"},
          {sum_with([](std::size_t) { return 1.0; }),
           "gamma's gradient is that of beta, sum(dy): the factor xhat is missing"}});
}

// ---- pooling: windows that do not overlap

Hint pooled(const Case& c) {
  const Shape &in = c.me.shape, &out = c.result().shape();
  const index_t kh = in[1] / out[1], kw = in[2] / out[2];
  const Values x = values_of(c.e.xs[c.e.k]), y = values_of(c.result()), r = values_of(c.output_gradient());
  Values most(y.size(), -HUGE_VAL), sums(y.size(), 0);
  std::vector<std::size_t> window(x.size());
  std::vector<bool> first(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto at = index_of(static_cast<index_t>(i), in);
    window[i] =
        static_cast<std::size_t>(((at[0] * out[1] + at[1] / kh) * out[2] + at[2] / kw) * out[3] + at[3]);
    first[i] = at[1] % kh == 0 && at[2] % kw == 0;
    most[window[i]] = std::max(most[window[i]], x[i]), sums[window[i]] += x[i];
  }
  const auto count = static_cast<double>(kh * kw);
  const auto near = [&](std::size_t j, double v) {
    return std::abs(y[j] - v) <= 1e-12 * (1 + std::abs(y[j]));
  };
  bool is_max = true, is_mean = true;
  for (std::size_t j = 0; j < y.size(); ++j)
    is_max = is_max && near(j, most[j]), is_mean = is_mean && near(j, sums[j] / count);
  const auto spread = [&](auto&& f) {
    return made(x.size(), [&](std::size_t i) { return f(i, r[window[i]]); });
  };
  const Values all = spread([](std::size_t, double g) { return g; });
  const Values corner = spread([&](std::size_t i, double g) { return first[i] ? g : 0; });
  if (is_max)
    return first_that_fits(
        c,
        {{all,
          "every entry of a window gets the result's gradient: of a maximum only the largest entry gets it"},
         {spread([&](std::size_t, double g) { return g / count; }),
          "this is the gradient of average pooling: of a maximum only the largest entry of a window gets a gradient"},
         {corner, "the first entry of each window gets the gradient: it belongs to the largest one"}});
  if (!is_mean) return std::nullopt;
  if (c.is(all))
    return GradcheckHint{
        "", fmt::format("the divisor of the mean is forgotten: a window has {} x {} = {} entries", kh, kw,
                        kh * kw)};
  return first_that_fits(
      c, {{kh == kw ? spread([&](std::size_t, double g) { return g / static_cast<double>(kh); }) : Values(),
           "divided by one side of the window only: a mean is divided by the number of its entries"},
          {spread([&](std::size_t, double g) { return g / (count * count); }),
           "divided by the number of the window's entries twice"},
          {corner, "only the first entry of each window gets a gradient: in a mean all do"},
          {spread([&](std::size_t i, double g) { return x[i] == most[window[i]] ? g : 0; }),
           "this is the gradient of max pooling: in a mean every entry of a window gets a part"}});
}

// ---- reductions of the input along one axis or all of it

/// The entries of the input that make each entry of the result.
struct Reduced {
  std::vector<std::size_t> into;  // for each entry of the input
  double count;                   // entries of the input for one of the result
  Values most, least, sums, squares;

  Reduced(const Shape& shape, int axis, const Values& x) : into(x.size()) {  // axis -1: all
    index_t inner = 1;
    for (int d = axis + 1; axis >= 0 && d < shape.rank(); ++d) inner *= shape[d];
    const index_t size = axis < 0 ? shape.size() : shape[axis];
    count = static_cast<double>(size);
    const std::size_t results = x.size() / static_cast<std::size_t>(size);
    most.assign(results, -HUGE_VAL), least.assign(results, HUGE_VAL);
    sums.assign(results, 0), squares.assign(results, 0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<index_t>(i);
      const std::size_t j = into[i] =
          axis < 0 ? 0 : static_cast<std::size_t>(at / (inner * size) * inner + at % inner);
      most[j] = std::max(most[j], x[i]), least[j] = std::min(least[j], x[i]);
      sums[j] += x[i], squares[j] += x[i] * x[i];
    }
  }
  double mean(std::size_t j) const { return sums[j] / count; }
  double variance(std::size_t j, double divisor) const {
    return (squares[j] - count * mean(j) * mean(j)) / divisor;
  }
};

template <class F>
bool all_are(const Values& y, F&& value) {
  for (std::size_t j = 0; j < y.size(); ++j)
    if (!(std::abs(y[j] - value(j)) <= 1e-9 * (1 + std::abs(y[j])))) return false;
  return true;
}

Hint reduced_along(const Case& c, const Reduced& g, const Values& x, const Values& y, const Values& r) {
  const auto spread = [&](auto&& slope) {
    return made(x.size(), [&](std::size_t i) { return slope(i, g.into[i]) * r[g.into[i]]; });
  };
  const auto ones = spread([](std::size_t, std::size_t) { return 1.0; });
  const bool is_max = all_are(y, [&](std::size_t j) { return g.most[j]; });
  if (is_max || all_are(y, [&](std::size_t j) { return g.least[j]; })) {
    const Values &own = is_max ? g.most : g.least, &other = is_max ? g.least : g.most;
    const auto mask = [&](const Values& at) {
      return spread([&](std::size_t i, std::size_t j) { return x[i] == at[j] ? 1.0 : 0.0; });
    };
    if (!c.explains(mask(own))) return std::nullopt;
    return first_that_fits(
        c,
        {{ones,
          "every entry gets the result's gradient: of a maximum or minimum only the entry that it is gets it"},
         {spread([&](std::size_t, std::size_t) { return 1 / g.count; }),
          "this is the gradient of a mean: of a maximum or minimum only the entry that it is gets a gradient"},
         {mask(other),
          is_max ? "the smallest entries get the gradient: a maximum gives it to the largest one"
                 : "the largest entries get the gradient: a minimum gives it to the smallest one"}});
  }
  if (all_are(y, [&](std::size_t j) { return std::sqrt(g.squares[j]); }) &&
      c.explains(spread([&](std::size_t i, std::size_t j) { return x[i] / y[j]; })))
    return first_that_fits(c,
                           {{spread([&](std::size_t i, std::size_t) { return x[i]; }),
                             "the division by the norm is missing: this is x dy, where a norm has x dy / y"},
                            {spread([&](std::size_t i, std::size_t) { return 2 * x[i]; }),
                             "this is the gradient of the sum of squares, 2 x dy: a norm has x dy / y"},
                            {spread([&](std::size_t i, std::size_t j) { return x[i] / (y[j] * y[j]); }),
                             "divided by the norm twice: a norm has x dy / y"},
                            {spread([&](std::size_t i, std::size_t j) { return x[i] / (2 * y[j]); }),
                             "the 2 of the square is forgotten: a norm has x dy / y"},
                            {spread([&](std::size_t, std::size_t j) { return 1 / y[j]; }),
                             "the factor x is missing: a norm has x dy / y"},
                            {ones, "the output gradient is passed on as it is: a norm has x dy / y"}});
  for (const double divisor : {g.count, g.count - 1}) {
    if (!(divisor > 0) || !all_are(y, [&](std::size_t j) { return g.variance(j, divisor); })) continue;
    const auto centred = [&](double factor) {
      return spread([&, factor](std::size_t i, std::size_t j) { return factor * (x[i] - g.mean(j)); });
    };
    if (!c.explains(centred(2 / divisor))) continue;
    const double other = divisor == g.count ? g.count - 1 : g.count;
    return first_that_fits(
        c, {{spread([&](std::size_t i, std::size_t) { return 2 * x[i] / divisor; }),
             "the mean is not subtracted: this is 2 x / n, where a variance has 2 (x - mean) / n"},
            {spread([&](std::size_t i, std::size_t) { return x[i] / divisor; }),
             "the mean is not subtracted, and the 2 is forgotten: a variance has 2 (x - mean) / n"},
            {other > 0 ? centred(2 / other) : Values(),
             "the variance is divided by n in the one pass and by n - 1 in the other"}});
  }
  return std::nullopt;
}

Hint reduced(const Case& c) {
  const Values x = values_of(c.e.xs[c.e.k]), y = values_of(c.result()), r = values_of(c.output_gradient());
  for (int axis = -1; axis < c.me.shape.rank(); ++axis) {
    const index_t size = axis < 0 ? c.me.shape.size() : c.me.shape[axis];
    if (size < 2 || c.me.shape.size() / size != static_cast<index_t>(y.size())) continue;
    if (Hint hint = reduced_along(c, Reduced(c.me.shape, axis, x), x, y, r)) return hint;
  }
  return std::nullopt;
}

// ---- sums from the first entry on

Hint accumulated(const Case& c) {
  const Values x = values_of(c.e.xs[c.e.k]), y = values_of(c.result()), r = values_of(c.output_gradient());
  for (int axis = 0; axis < c.me.shape.rank(); ++axis) {
    const index_t size = c.me.shape[axis];
    std::size_t inner = 1;
    for (int d = axis + 1; d < c.me.shape.rank(); ++d) inner *= static_cast<std::size_t>(c.me.shape[d]);
    const auto sums = [&](Values v, bool back) {
      for (std::size_t n = 0; n < v.size(); ++n) {
        const std::size_t i = back ? v.size() - 1 - n : n;
        const auto at = static_cast<index_t>(i / inner) % size;
        if (back ? at + 1 < size : at > 0) v[i] += back ? v[i + inner] : v[i - inner];
      }
      return v;
    };
    const Values from_first = sums(x, false);
    if (size < 2 || !all_are(y, [&](std::size_t i) { return from_first[i]; }) || !c.explains(sums(r, true)))
      continue;
    return first_that_fits(
        c,
        {{sums(r, false),
          "the sums of the gradient run the wrong way: an entry reaches all results behind it, so they are "
          "added up from the last one to the first"},
         {r,
          "the output gradient is passed on as it is: an entry reaches all results behind it, so their "
          "gradients are added up"}});
  }
  return std::nullopt;
}

// ---- x / |x|, the norm along an axis

Hint normalized_length(const Case& c) {
  const Values x = values_of(c.e.xs[c.e.k]), y = values_of(c.result()), r = values_of(c.output_gradient());
  for (int axis = 0; axis < c.me.shape.rank(); ++axis) {
    if (c.me.shape[axis] < 2) continue;
    const Groups along(c.me.shape, {axis});
    Values norm = along.sums([&](std::size_t i) { return x[i] * x[i]; });
    for (double& v : norm) v = std::sqrt(v);
    const Values dot = along.sums([&](std::size_t i) { return y[i] * r[i]; });
    const Values with_x = along.sums([&](std::size_t i) { return x[i] * r[i]; });
    const auto all = [&](auto&& f) { return made(x.size(), f); };
    if (!all_are(y, [&](std::size_t i) { return x[i] / norm[i]; }) ||
        !c.explains(all([&](std::size_t i) { return (r[i] - y[i] * dot[i]) / norm[i]; })))
      continue;
    return first_that_fits(
        c, {{all([&](std::size_t i) { return r[i] / norm[i]; }),
             "the norm is taken for a constant: x / |x| has (dy - y sum(y dy)) / |x|"},
            {all([&](std::size_t i) { return r[i] - y[i] * dot[i]; }),
             "the division by the norm is missing: x / |x| has (dy - y sum(y dy)) / |x|"},
            {all([&](std::size_t i) { return r[i] * (1 - y[i] * y[i]) / norm[i]; }),
             "the cross terms are missing: x / |x| has (dy - y sum(y dy)) / |x|"},
            {all([&](std::size_t i) { return (r[i] + y[i] * dot[i]) / norm[i]; }),
             "the sign of the sum is wrong: x / |x| has (dy - y sum(y dy)) / |x|"},
            {all([&](std::size_t i) { return (r[i] - x[i] * with_x[i]) / norm[i]; }),
             "x stands where the result y = x / |x| belongs: dx = (dy - y sum(y dy)) / |x|"},
            {r, "the output gradient is passed on as it is: x / |x| has (dy - y sum(y dy)) / |x|"}});
  }
  return std::nullopt;
}

// ---- losses of single entries, or their sum or mean

/// What multiplies the derivative of each entry: dy, or the part of dy that a mean leaves. One list for each reading.
std::vector<Values> multipliers(const Case& c) {
  const Values r = values_of(c.output_gradient());
  if (c.result().shape() == c.me.shape) return {r};
  const std::size_t n = c.numeric.size();
  return {Values(n, r[0] / static_cast<double>(n)), Values(n, r[0])};
}

/// Whether the result is the loss of each entry, or their sum or mean.
bool is_loss(const Case& c, const Values& loss) {
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6 * (1 + std::abs(b)); };
  const Values y = values_of(c.result());
  if (y.size() == loss.size()) return std::ranges::equal(y, loss, near);
  const double sum = std::accumulate(loss.begin(), loss.end(), 0.0);
  return near(y[0], sum) || near(y[0], sum / static_cast<double>(loss.size()));
}

/// Of an entry x that stands for the probability p, with the target t.
using OfEntry = double (*)(double x, double p, double t);
struct WrongSlope {
  OfEntry slope;
  const char* text;
};
struct EntryLoss {
  OfEntry probability, loss, weight;  // (p - t) / weight is the derivative
  std::span<const WrongSlope> wrong;
};

constexpr WrongSlope kWrongOfProbabilities[] = {
    {[](double, double p, double) { return 1 / (1 - p); },
     "the target is not subtracted: this is p / (p (1 - p)), where binary cross entropy has (p - t) / (p (1 - p))"},
    {[](double, double p, double t) { return p - t; },
     "the division by p (1 - p) is missing: this is p - t, the gradient with respect to the logits; with respect to p it "
     "is (p - t) / (p (1 - p))"},
    {[](double, double p, double) { return 1 / (p * (1 - p)); },
     "the factor p - t is missing: binary cross entropy has (p - t) / (p (1 - p))"},
    {[](double, double p, double t) { return -t / p; },
     "only t log(p) has a gradient: (1 - t) log(1 - p) adds (1 - t) / (1 - p)"},
    {[](double, double p, double t) { return (1 - t) / (1 - p); },
     "only (1 - t) log(1 - p) has a gradient: t log(p) adds -t / p"},
    {[](double, double p, double t) { return -t / p - (1 - t) / (1 - p); },
     "the sign of (1 - t) / (1 - p) is wrong: binary cross entropy has -t / p + (1 - t) / (1 - p)"},
};
constexpr WrongSlope kWrongOfLogits[] = {
    {[](double, double p, double) { return p; },
     "the target is not subtracted: this is p = sigmoid(x), where binary cross entropy of logits has p - t"},
    {[](double x, double, double t) { return x - t; },
     "the logits are taken for probabilities: this is x - t, where binary cross entropy has sigmoid(x) - t"},
    {[](double, double p, double t) { return (p - t) * p * (1 - p); },
     "multiplied by the sigmoid's derivative once more: with respect to the logits it is p - t alone"},
    {[](double, double p, double t) { return (p - t) / (p * (1 - p)); },
     "this is the gradient with respect to the probabilities, (p - t) / (p (1 - p)); with respect to the logits it is p - "
     "t"},
    {[](double, double, double t) { return -t; },
     "the sigmoid is missing: this is -t, where binary cross entropy of logits has p - t"},
};
constexpr EntryLoss kCrossEntropies[] = {
    {[](double x, double, double) { return x; },
     [](double, double p, double t) { return -t * std::log(p) - (1 - t) * std::log1p(-p); },
     [](double, double p, double) { return p * (1 - p); }, kWrongOfProbabilities},
    {[](double x, double, double) { return 1 / (1 + std::exp(-x)); },
     [](double x, double, double t) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))) - t * x; },
     [](double, double, double) { return 1.0; }, kWrongOfLogits},
};

// The targets follow from the right gradient: where they are between 0 and 1, and make the result, it is this loss.
Hint binary_cross_entropy(const Case& c) {
  const Values x = values_of(c.e.xs[c.e.k]);
  for (const Values& k : multipliers(c))
    for (const EntryLoss& f : kCrossEntropies) {
      const Values p = made(x.size(), [&](std::size_t i) { return f.probability(x[i], 0, 0); });
      if (!std::ranges::all_of(p, [](double v) { return v > 0 && v < 1; })) continue;
      const Values t =
          made(x.size(), [&](std::size_t i) { return p[i] - c.numeric[i] / k[i] * f.weight(x[i], p[i], 0); });
      const auto all = [&](OfEntry of) {
        return made(x.size(), [&](std::size_t i) { return of(x[i], p[i], t[i]); });
      };
      // One target for all is another function: -log(p), or softplus.
      const auto [least, most] = std::ranges::minmax(t);
      if (!(least > -1e-5 && most < 1 + 1e-5 && most - least > 1e-3) || !is_loss(c, all(f.loss))) continue;
      for (const WrongSlope& wrong : f.wrong) {
        Values slopes = all(wrong.slope);
        for (std::size_t i = 0; i < slopes.size(); ++i) slopes[i] *= k[i];
        if (c.is_nearly(slopes)) return GradcheckHint{"", wrong.text};
      }
    }
  return std::nullopt;
}

// A gradient that would be right if it were cut off at +-delta, as that of a huber loss is: on both sides, and right
// between.
Hint not_clamped(const Case& c) {
  const Values k = multipliers(c)[0];
  double delta = 0, top = 0;
  for (const std::size_t i : c.checked) {
    delta = std::max(delta, std::abs(c.numeric[i] / k[i]));
    top = std::max(top, std::abs(c.analytic[i] / k[i]));
  }
  std::size_t above = 0, below = 0, between = 0, at_top = 0;
  for (const std::size_t i : c.checked) {
    const double found = c.analytic[i] / k[i], right = c.numeric[i] / k[i];
    if (std::abs(found) <= delta * (1 + 1e-6)) {
      if (!c.close(c.numeric[i], c.analytic[i])) return std::nullopt;
      between += std::abs(right) > 1e-3 * delta && std::abs(right) < (1 - 1e-3) * delta;
    } else {
      if (!(std::abs(std::abs(right) - delta) <= 1e-6 * delta) || (found > 0) != (right > 0))
        return std::nullopt;
      ++(found > 0 ? above : below);
      at_top += std::abs(found) >= top * (1 - 1e-9);
    }
  }
  if (above == 0 || below == 0 || above + below < 3 || between == 0) return std::nullopt;
  if (at_top > 1)
    return GradcheckHint{
        "",
        fmt::format("clamped at a limit that is {:.6g} times what it should be: the delta of a huber loss is "
                    "the limit of its gradient",
                    top / delta)};
  return GradcheckHint{
      "",
      "right where it is small, and not clamped where it is large: beyond delta the gradient of a huber loss is "
      "clamp(x - t, -delta, delta), not x - t"};
}

// ---- when to ask

// One number fits many a formula.
bool complete(const Case& c) {
  return first_order(c) && !c.wrong.empty() && c.complete() && c.e.rs.size() == 1 && c.analytic.size() > 1;
}
bool same_shape(const Case& c) {
  return complete(c) && c.result().shape() == c.me.shape && c.me.shape.rank() > 0;
}
bool scalar_of_logits(const Case& c) {
  return complete(c) && c.result().size() == 1 && c.me.shape.rank() == 2;
}
bool loss_of_entries(const Case& c) {
  return complete(c) && (c.result().size() == 1 || c.result().shape() == c.me.shape);
}
bool smaller_image(const Case& c) {
  if (!complete(c) || c.me.shape.rank() != 4 || c.result().rank() != 4) return false;
  const Shape &in = c.me.shape, &out = c.result().shape();
  return in[0] == out[0] && in[3] == out[3] && out[1] > 0 && out[2] > 0 && in[1] % out[1] == 0 &&
         in[2] % out[2] == 0 && out.size() < in.size();
}

constexpr Pattern kFormulaPatterns[] = {
    {"softmax", Strength::Formula, same_shape, softmax},
    {"cross-entropy", Strength::Formula, scalar_of_logits, cross_entropy},
    {"normalization", Strength::Formula, complete, normalized},
    {"pooling", Strength::Formula, smaller_image, pooled},
    {"reduction", Strength::Formula, complete, reduced},
    {"cumulative", Strength::Formula, same_shape, accumulated},
    {"length", Strength::Formula, same_shape, normalized_length},
    {"binary-cross-entropy", Strength::Formula, loss_of_entries, binary_cross_entropy},
    {"huber", Strength::Formula, loss_of_entries, not_clamped},
};

}  // namespace

std::span<const Pattern> formula_patterns() {
  return kFormulaPatterns;
}

}  // namespace tapegrad::inline v0::detail
