#include "tapegrad/ops/reduce.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/reduce.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/copy_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce_internal.h"
#include "tapegrad/ops/softmax_internal.h"

namespace tapegrad::inline v0 {
namespace {

using Mask = detail::AxisMask;

Mask reduced_axes(const char* op, const Tensor& x, const Axes& axes) {
  return detail::marked_axes(op, x.shape(), axes);
}

Shape reduced_shape(const Shape& shape, const Mask& reduced, bool keep_dims) {
  index_t sizes[Shape::kMaxRank];
  std::size_t rank = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<std::size_t>(axis)])
      sizes[rank++] = shape[axis];
    else if (keep_dims)
      sizes[rank++] = 1;
  }
  return Shape(std::span(sizes, rank));
}

using JoinerFor = kernels::Joiner (*)(DType);

// Neighbouring axes that are reduced together: x as [outer, count, inner].
struct Run {
  index_t outer, count, inner;
};

// From the last to the first.
detail::BlockVector<Run> runs_of(const Shape& shape, const Mask& reduced) {
  detail::BlockVector<Run> runs;
  index_t inner = 1;
  for (int axis = shape.rank() - 1; axis >= 0;) {
    if (!reduced[static_cast<std::size_t>(axis)]) {
      inner *= shape[axis--];
      continue;
    }
    index_t count = 1, outer = 1;
    for (; axis >= 0 && reduced[static_cast<std::size_t>(axis)]; --axis) count *= shape[axis];
    for (int i = axis; i >= 0; --i) outer *= shape[i];
    runs.push_back({outer, count, inner});
  }
  return runs;
}

// What is reduced, how, and to what.
struct Reduction {
  const char* op;
  JoinerFor joiner;
  Mask reduced;
  Shape result;
  DType dtype;         // of the result
  double divisor = 1;  // of the joined numbers, while they are double
};

// Numbers in double as the result.
void write_out(const Reduction& to, const Tensor& x, const detail::BlockVector<double>& numbers, Tensor& y) {
  dispatch(to.dtype, [&]<class T>(std::type_identity<T>) {
    T* out = y.mutable_data<T>();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double v = numbers[i] / to.divisor;
      if constexpr (std::is_integral_v<T>)
        if (v < static_cast<double>(std::numeric_limits<T>::lowest()) ||
            v > static_cast<double>((std::numeric_limits<T>::max)()))
          fail(to.op, "the result {} is not a value of {} (shape {}): convert with cast() first", v, to.dtype,
               x.shape());
      out[i] = static_cast<T>(v);
    }
  });
}

// x with the marked axes joined, one run of neighbouring axes after the other, in double until the end.
Tensor joined(const Reduction& to, const Tensor& x) {
  const auto runs = runs_of(x.shape(), to.reduced);
  if (runs.empty() && to.dtype == x.dtype() && to.divisor == 1)
    return TensorAccess::clone(TensorAccess::view(x, to.result), to.op);
  Tensor y = TensorAccess::empty(to.result, to.dtype, to.op);
  const kernels::Joiner first = to.joiner(x.dtype()), next = to.joiner(DType::Float64);
  if (runs.size() == 1 && is_floating(to.dtype)) {
    const Run run = runs.front();
    dispatch_floating(to.dtype, [&]<class T>(std::type_identity<T>) {
      kernels::reduce(first, run.outer, run.count, run.inner, TensorAccess::elements(x), y.mutable_data<T>(),
                      to.divisor);
    });
    return y;
  }
  detail::BlockVector<double> before, after;
  const bool nothing = x.size() == 0;  // the axes between may be larger than memory
  if (nothing) {
    before.assign(static_cast<std::size_t>(to.result.size()), first.start);
  } else if (runs.empty()) {
    before.resize(static_cast<std::size_t>(x.size()));
    kernels::reduce(first, x.size(), 1, 1, TensorAccess::elements(x), before.data());
  }
  for (std::size_t i = 0; i < runs.size() && !nothing; ++i) {
    const auto [outer, count, inner] = runs[i];
    after.resize(static_cast<std::size_t>(outer * inner));
    kernels::reduce(i == 0 ? first : next, outer, count, inner,
                    i == 0 ? TensorAccess::elements(x) : static_cast<const void*>(before.data()),
                    after.data());
    std::swap(before, after);
  }
  write_out(to, x, before, y);
  return y;
}

// UInt8: which elements of x are its extreme y, or NaN where that is.
Tensor reaches(const Tensor& x, const Tensor& y) {
  return detail::combine("equals", x, y, [](auto p, auto q) { return p == q || (p != p && q != q); });
}

// max and min. Elements that share the extreme share the gradient.
Tensor extreme(const char* op, JoinerFor joiner, const Tensor& x, const Axes& axes,
               const ReduceOptions& options) {
  detail::require_defined(op, x);
  const Mask reduced = reduced_axes(op, x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  if (x.size() == 0 && kept.size() != 0)
    fail(op, "x must have elements to choose from, got shape {}", x.shape());
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  Tensor extremes = joined({op, joiner, reduced, result, x.dtype()}, x);
  detail::note_marked("axes", reduced);
  return record(op, std::move(extremes),
                {{x, [kept, axes, x = Saved(x)](const Tensor& g, const Tensor& y) {
                    const Tensor reached = reaches(x(), reshape(stop_gradient(y), kept));
                    const Tensor count = sum(reached, axes, {.keepdims = true});
                    const Tensor dx = where(reached, reshape(g, kept) / cast(count, g.dtype()), 0.0);
                    const Tensor tied = greater(count, 1);
                    if (!is_recording() || any(tied).item() == 0) return dx;
                    return detail::at_kinks(dx, x(), reached * tied, axes);
                  }}});
}

// argmax and argmin.
template <class Better>
Tensor first_best(const char* op, const Tensor& x, int axis, const ReduceOptions& options, Better better) {
  detail::require_defined(op, x);
  const int at = detail::checked_axis(op, x.shape(), axis);
  const detail::Around x_is = detail::around(x.shape(), at);
  if (x_is.count == 0 && x_is.outer != 0 && x_is.inner != 0)
    fail(op, "x must have elements to choose from along axis {}, got shape {}", axis, x.shape());
  if (x_is.count > std::numeric_limits<std::int32_t>::max())
    fail(op, "axis {} of a tensor of shape {} is too long for indices of Int32", axis, x.shape());
  const index_t kept[] = {1};
  const std::span left(kept, options.keepdims ? 1 : 0);
  Tensor y = TensorAccess::empty(detail::with_sizes(op, x.shape(), at, 1, left), DType::Int32, op);
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    // NaN is better than any number: it is not to go unseen.
    kernels::first_best(x_is.outer, x_is.count, x_is.inner, x.data<T>(), y.mutable_data<std::int32_t>(),
                        [better](T a, T b) { return better(a, b) || (a != a && b == b); });
  });
  detail::note("axis", at);
  return detail::noted(op, std::move(y), {&x});
}

// The largest along the axes, or 0 where that is infinite: what logsumexp may subtract without making a NaN.
Tensor finite_max(const Tensor& x, const Axes& axes) {
  const Tensor largest = max(x, axes, {.keepdims = true});
  return where(equals(largest - largest, 0), largest, 0.0);
}

// The axes of a mask.
std::vector<int> marked(const Mask& reduced) {
  std::vector<int> axes;
  for (std::size_t axis = 0; axis < reduced.size(); ++axis)
    if (reduced[axis]) axes.push_back(static_cast<int>(axis));
  return axes;
}

// How many elements are wanted, in Float64: a count that no whole dtype of ours is too small for.
template <class F>
Tensor count(const char* op, const Tensor& x, const Axes& axes, const ReduceOptions& options, F wanted) {
  detail::require_defined(op, x);
  const Mask reduced = reduced_axes(op, x, axes);
  Tensor found = TensorAccess::empty(x.shape(), DType::UInt8, op);
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::map(x.size(), found.mutable_data<std::uint8_t>(), wanted, x.data<T>());
  });
  return joined({op, kernels::joiner<kernels::Sum>, reduced,
                 reduced_shape(x.shape(), reduced, options.keepdims), DType::Float64},
                found);
}

// y, of any() or all().
Tensor noted_truth(const char* op, Tensor y, const Tensor& x, const Axes& axes) {
  detail::note_marked("axes", reduced_axes(op, x, axes));
  return detail::noted(op, std::move(y), {&x});
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  detail::require_defined("sum", x);
  const Mask reduced = reduced_axes("sum", x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : DType::Int32;
  Tensor y = joined({"sum", kernels::joiner<kernels::Sum>, reduced,
                     reduced_shape(x.shape(), reduced, options.keepdims), dtype},
                    x);
  detail::note_marked("axes", reduced);
  if (!is_floating(dtype)) return detail::noted("sum", std::move(y), {&x});
  return record("sum", std::move(y), {{x, [kept, shape = x.shape()](const Tensor& g) {
                                         return broadcast_to(detail::view("reshape", g, kept, 0), shape);
                                       }}});
}

Tensor sum(const Tensor& x) {
  return sum(x, detail::all_axes("sum", x));
}

namespace {

// Float64 has nothing wider to add up in: what the first mean is off by is the mean of the differences from it.
// A sum that overflows is made of elements that were divided before.
Tensor refined(const Tensor& x, const Mask& reduced, const Tensor& first, double count) {
  const NoGrad no_grad;  // a tape that looks for what is not finite should not look here
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  const auto sums = [&](const Tensor& of, const Shape& result, double divisor) {
    return joined({"mean", kernels::joiner<kernels::Sum>, reduced, result, DType::Float64, divisor}, of);
  };
  const auto finite = [](const Tensor& of) { return equals(of - of, 0); };
  Tensor y = first;
  if (all(finite(y)).item() == 0) y = where(finite(y), y, sums(x / count, y.shape(), 1));
  const Tensor rest = sums(x - reshape(y, kept), y.shape(), count);
  return where(finite(rest), y + rest, y);
}

// How many elements of x become one of y: the sizes divide without remainder.
double elements_in_one(const Tensor& x, const Shape& y) {
  const index_t count = x.size() / y.size();
  return static_cast<double>(count);
}

}  // namespace

Tensor detail::mean_of(const char* op, const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  require_defined(op, x);
  const Mask reduced = reduced_axes(op, x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  if (x.size() == 0 && kept.size() != 0) fail(op, "x must have elements to average, got shape {}", x.shape());
  const double count = kept.size() == 0 ? 1 : elements_in_one(x, kept);
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : DType::Float32;
  const Reduction to{op,      kernels::joiner<kernels::Sum>,
                     reduced, reduced_shape(x.shape(), reduced, options.keepdims),
                     dtype,   count};
  Tensor y = joined(to, x);
  if (dtype == DType::Float64 && y.size() != 0) y = refined(stop_gradient(x), reduced, y, count);
  note_marked("axes", reduced);
  if (!is_floating(x.dtype())) return noted(op, std::move(y), {&x});
  return record(op, std::move(y), {{x, [kept, count, shape = x.shape()](const Tensor& g) {
                                      return broadcast_to(detail::view("reshape", g / count, kept, 0), shape);
                                    }}});
}

Tensor mean(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return detail::mean_of("mean", x, axes, options);
}

Tensor mean(const Tensor& x) {
  return mean(x, detail::all_axes("mean", x));
}

namespace {

// Factors [count, n] in Float64, whose products over count are wanted: those of some of them may leave the range though
// that of all does not. Then each is a power of two, which is a constant, times what lies near 1.
struct Factors {
  Tensor near_one;                // [count, n]
  std::vector<double> exponents;  // of the powers' products, for each of the n; empty where none is needed
};

int exponent_of(double v) {
  return v == 0 || !std::isfinite(v) ? 0 : std::ilogb(v);
}

// Whether the products stay in the range in whatever order.
bool stay_in_range(const Tensor& factors) {
  const auto columns = static_cast<std::size_t>(factors.shape()[1]);
  std::vector<double> reach(columns, 0);
  const std::span<const double> values = stop_gradient(factors).values<double>();
  for (std::size_t i = 0; i < values.size(); ++i) reach[i % columns] += std::abs(exponent_of(values[i])) + 1;
  return std::ranges::all_of(reach, [](double sum) { return sum < 1000; });
}

// Takes powers of two out of the factors.
void bring_near_one(Factors& f) {
  Tensor units = ones(f.near_one.shape(), DType::Float64);
  const std::span<double> unit = units.mutable_values<double>();
  const Tensor constant = stop_gradient(f.near_one);
  const std::span<const double> values = constant.values<double>();
  for (std::size_t i = 0; i < unit.size(); ++i) {
    const int exponent = std::clamp(exponent_of(values[i]), -1000, 1000);
    unit[i] = std::ldexp(1.0, -exponent);
    f.exponents[i % f.exponents.size()] += exponent;
  }
  f.near_one = f.near_one * units;
}

// The products [n] of the columns. Halves are multiplied with each other until one row is left: made of products alone,
// so that derivatives are right where factors are 0.
Tensor products(const Tensor& factors) {
  Factors f{factors, {}};
  if (!stay_in_range(factors)) f.exponents.resize(static_cast<std::size_t>(factors.shape()[1]), 0);
  const auto shrink = [&] {
    if (!f.exponents.empty()) bring_near_one(f);
  };
  shrink();
  for (index_t count = factors.shape()[0]; count > 1; count = (count + 1) / 2) {
    const index_t half = count / 2;
    const Tensor joined = slice(f.near_one, 0, half) * slice(f.near_one, half, 2 * half);
    f.near_one = count % 2 == 0 ? joined : concat({joined, slice(f.near_one, count - 1, count)});
    shrink();
  }
  Tensor product = row(f.near_one, 0);
  // In three steps: the whole power may be beyond the range on its own.
  for (int step = 0; step < 3 && !f.exponents.empty(); ++step) {
    Tensor power = ones(product.shape(), DType::Float64);
    for (std::size_t i = 0; i < f.exponents.size(); ++i) {
      const double part = std::clamp(f.exponents[i], -1000.0, 1000.0);
      power.mutable_values<double>()[i] = std::ldexp(1.0, static_cast<int>(part));
      f.exponents[i] -= part;
    }
    product = product * power;
  }
  return product;
}

}  // namespace

Tensor prod(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  const detail::CalledOp called("prod", {&x});
  detail::require_floating("prod", x);
  const Mask reduced = reduced_axes("prod", x, axes);
  std::vector<int> order;
  for (const bool wanted : {true, false})
    for (int axis = 0; axis < x.rank(); ++axis)
      if (reduced[static_cast<std::size_t>(axis)] == wanted) order.push_back(axis);
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  index_t count = 1;
  for (const int axis : axes) count *= x.shape()[axis];
  if (count == 0) {
    const Shape kept = reduced_shape(x.shape(), reduced, true);
    return called.result(record(
        "prod", ones(result, x.dtype()),
        {{x, [kept, shape = x.shape()](const Tensor& g) { return broadcast_to(reshape(g, kept), shape); }}}));
  }
  const Tensor wide = permute(detail::as_dtype(x, DType::Float64), order);
  Tensor y = called.result(
      detail::as_dtype(reshape(products(reshape(wide, {count, result.size()})), result), x.dtype()));
  detail::note_marked("axes", reduced);
  return detail::noted("prod", std::move(y), {&x});
}

Tensor prod(const Tensor& x) {
  return prod(x, detail::all_axes("prod", x));
}

// The mean square of the distances from the mean, `more` times.
static Tensor variance(const Tensor& x, const Axes& axes, double more, bool keepdims) {
  const Tensor centred = x - mean(x, axes, {.keepdims = true});
  const Tensor spread = mean(square(centred), axes, {.keepdims = keepdims});
  const Tensor finite = equals(spread - spread, 0), weighted = more == 1 ? spread : more * spread;
  if (all(finite).item() != 0) return weighted;
  // Squares may leave the dtype's range where their mean does not: once more, of elements divided by the largest.
  const Tensor largest = max(abs(centred), axes, {.keepdims = true});
  const Tensor unit = where(equals(largest - largest, 0) * greater(largest, 0), largest, 1.0);
  const Tensor parts = mean(centred / unit * centred, axes, {.keepdims = keepdims});
  return where(finite, weighted, more * reshape(unit, parts.shape()) * parts);
}

Tensor var(const Tensor& x, const Axes& axes, const VarOptions& options) {
  const detail::CalledOp called("var", {&x});
  detail::require_floating("var", x);
  const Mask reduced = reduced_axes("var", x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  if (x.size() == 0 && kept.size() != 0)
    fail("var", "x must have elements to average, got shape {}", x.shape());
  if (kept.size() == 0)
    return called.result(sum(x, axes, {.keepdims = options.keepdims}));  // nothing, of the right shape
  const double count = elements_in_one(x, kept);
  if (!(options.correction < count))
    fail("var", "correction must be less than the number of elements ({}), got {} (shape {})", count,
         options.correction, x.shape());
  const double more = count / (count - options.correction);
  // The gradient is finite where the variance leaves the range.
  const auto rule = [x = Saved(x), axes, kept, factor = 2 * more / count](const Tensor& g) {
    return reshape(g, kept) * (factor * (x() - mean(x(), axes, {.keepdims = true})));
  };
  Tensor y = variance(stop_gradient(x), axes, more, options.keepdims);
  detail::note_marked("axes", reduced);
  detail::note("correction", options.correction);
  return called.result(record("var", std::move(y), {{x, rule}}));
}

Tensor var(const Tensor& x) {
  return var(x, detail::all_axes("var", x));
}

Tensor stddev(const Tensor& x, const Axes& axes, const VarOptions& options) {
  const detail::CalledOp called("stddev", {&x});
  detail::require_floating("stddev", x);
  const Shape kept = reduced_shape(x.shape(), reduced_axes("stddev", x, axes), true);
  if (x.size() == 0 && kept.size() != 0)
    fail("stddev", "x must have elements to average, got shape {}", x.shape());
  const double count = kept.size() == 0 ? 0 : elements_in_one(x, kept);
  if (!(options.correction < count) && kept.size() != 0)
    fail("stddev", "correction must be less than the number of elements ({}), got {} (shape {})", count,
         options.correction, x.shape());
  if (x.size() == 0)
    return called.result(sum(x, axes, {.keepdims = options.keepdims}));  // nothing, of the right shape
  const Tensor centred = x - mean(x, axes, {.keepdims = true});
  return called.result(norm(centred, axes, {.keepdims = options.keepdims}) /
                       std::sqrt(count - options.correction));
}

Tensor stddev(const Tensor& x) {
  return stddev(x, detail::all_axes("stddev", x));
}

Tensor(max)(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return extreme("max", kernels::joiner<kernels::Largest>, x, axes, options);
}

Tensor(max)(const Tensor& x) {
  return max(x, detail::all_axes("max", x));
}

Tensor(min)(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return extreme("min", kernels::joiner<kernels::Smallest>, x, axes, options);
}

Tensor(min)(const Tensor& x) {
  return min(x, detail::all_axes("min", x));
}

Tensor logsumexp(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  const detail::CalledOp called("logsumexp", {&x});
  detail::require_floating("logsumexp", x);
  const Mask reduced = reduced_axes("logsumexp", x, axes);
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  const Tensor values = stop_gradient(x);
  const auto log_of_sum = [&] {
    const Tensor shift = finite_max(values, axes);
    return log(sum(exp(values - shift), axes, options)) + reshape(shift, result);
  };
  Tensor y = x.size() == 0 ? full(result, -std::numeric_limits<double>::infinity(), x.dtype()) : log_of_sum();
  detail::note_marked("axes", reduced);
  return called.result(record("logsumexp", std::move(y),
                              {{x, [kept, reduced, x = Saved(x)](const Tensor& g, const Tensor& out) {
                                  // A sum of zeros stays 0 whatever finite number is added to a logarithm in it.
                                  const Tensor none = equals(reshape(stop_gradient(out), kept),
                                                             -std::numeric_limits<double>::infinity());
                                  const Tensor some = any(none).item() == 0 ? x() : where(none, 0.0, x());
                                  const Tensor shares =
                                      detail::softmax_over("softmax", some, marked(reduced));
                                  return where(none, 0.0, reshape(g, kept) * shares);
                                }}}));
}

Tensor logsumexp(const Tensor& x) {
  return logsumexp(x, detail::all_axes("logsumexp", x));
}

namespace {

// The Euclidean length in Float64, where squares of Float32 neither overflow nor vanish. Those of Float64 may:
// then once more, of elements divided by the largest.
Tensor length_of(const Tensor& wide, const Axes& axes) {
  const NoGrad no_grad;  // a tape that looks for what is not finite should not look here
  const Tensor y = sqrt(sum(square(wide), axes, {.keepdims = true}));
  const Tensor doubtful = 1 - less(y, 1e150) * greater(y, 1e-140);
  if (wide.size() == 0 || any(doubtful).item() == 0) return y;
  const Tensor largest = max(abs(wide), axes, {.keepdims = true});
  const Tensor unit =
      where(less(largest, std::numeric_limits<double>::infinity()) * greater(largest, 0), largest, 1.0);
  return where(doubtful, unit * sqrt(sum(square(wide / unit), axes, {.keepdims = true})), y);
}

// Of the same direction as the vectors x, but of finite length where x is too long: elements divided by the largest.
// Infinite ones are equally large, as for atan2(), and finite ones are nothing beside them.
Tensor shortened(const Tensor& x, const Tensor& too_long, const Axes& axes) {
  const Tensor constant = stop_gradient(x), size = abs(constant);
  const Tensor unit = where(too_long, max(size, axes, {.keepdims = true}), 1.0);
  const Tensor infinite = equals(size, std::numeric_limits<double>::infinity());
  return where(infinite, sign(constant), x / unit);
}

// The rule of norm: g x / norm(x) in Float64; 0 where the norm is 0, and there without a derivative.
Tensor towards(const Tensor& g, const Tensor& x, const Axes& axes) {
  Tensor wide = detail::as_dtype(x, DType::Float64), length = norm(wide, axes, {.keepdims = true});
  const Tensor too_long = equals(length, std::numeric_limits<double>::infinity());
  if (any(too_long).item() != 0) {
    wide = shortened(wide, too_long, axes);
    length = norm(wide, axes, {.keepdims = true});
  }
  const Tensor none = equals(length, 0), wide_g = detail::as_dtype(g, DType::Float64);
  if (any(none).item() == 0) return detail::as_dtype(wide_g * (wide / length), g.dtype());
  const Tensor direction = where(none, 0.0, where(none, 0.0, wide) / where(none, 1.0, length));
  const Tensor dx = detail::as_dtype(wide_g * direction, g.dtype());
  return is_recording() ? detail::at_kinks(dx, x, broadcast_to(none, x.shape()), axes) : dx;
}

}  // namespace

Tensor norm(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  const detail::CalledOp called("norm", {&x});
  detail::require_floating("norm", x);
  const Mask reduced = reduced_axes("norm", x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  const Tensor length = length_of(detail::as_dtype(stop_gradient(x), DType::Float64), axes);
  Tensor y =
      reshape(detail::as_dtype(length, x.dtype()), reduced_shape(x.shape(), reduced, options.keepdims));
  detail::note_marked("axes", reduced);
  return called.result(record("norm", std::move(y), {{x, [kept, axes, x = Saved(x)](const Tensor& g) {
                                                        return towards(reshape(g, kept), x(), axes);
                                                      }}}));
}

Tensor norm(const Tensor& x) {
  return norm(x, detail::all_axes("norm", x));
}

Tensor cumsum(const Tensor& x, int axis, const CumsumOptions& options) {
  detail::require_floating("cumsum", x);
  const int at = detail::checked_axis("cumsum", x.shape(), axis);
  const detail::Around x_is = detail::around(x.shape(), at);
  Tensor y = TensorAccess::empty(x.shape(), x.dtype(), "cumsum");
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::cumulative_sum(x_is.outer, x_is.count, x_is.inner, x.data<T>(), y.mutable_data<T>(),
                            options.reverse, options.exclusive);
  });
  detail::note("axis", at);
  detail::note("reverse", options.reverse);
  detail::note("exclusive", options.exclusive);
  return record("cumsum", std::move(y),
                {{x, [axis, options](const Tensor& g) {
                    return cumsum(g, axis, {.reverse = !options.reverse, .exclusive = options.exclusive});
                  }}});
}

Tensor argmax(const Tensor& x, int axis, const ReduceOptions& options) {
  return first_best("argmax", x, axis, options, [](auto a, auto b) { return a > b; });
}

Tensor argmin(const Tensor& x, int axis, const ReduceOptions& options) {
  return first_best("argmin", x, axis, options, [](auto a, auto b) { return a < b; });
}

Tensor any(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return noted_truth("any", not_equals(count("any", x, axes, options, [](auto v) { return v != 0; }), 0), x,
                     axes);
}

Tensor any(const Tensor& x) {
  return any(x, detail::all_axes("any", x));
}

Tensor all(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return noted_truth("all", equals(count("all", x, axes, options, [](auto v) { return v == 0; }), 0), x,
                     axes);
}

Tensor all(const Tensor& x) {
  return all(x, detail::all_axes("all", x));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  detail::require_defined("broadcast_to", x);
  if (broadcast("broadcast_to", x.shape(), shape) != shape)
    fail("broadcast_to", "a tensor of shape {} cannot be broadcast to {}", x.shape(), shape);
  if (x.shape() == shape) return detail::copy_of(x, "broadcast_to");
  Tensor y = TensorAccess::empty(shape, x.dtype(), "broadcast_to");
  detail::copy_strided(shape, y, 0, kernels::strides_of(shape), x, 0,
                       kernels::broadcast_strides(x.shape(), shape));
  return record("broadcast_to", std::move(y),
                {{x, [original = x.shape()](const Tensor& g) { return detail::summed_to(g, original); }}});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  const detail::CalledOp called("sum_to", {&x});
  detail::require_defined("sum_to", x);
  if (broadcast("sum_to", x.shape(), shape) != x.shape())
    fail("sum_to", "shape {} must be one that can be broadcast to x's shape {}", shape, x.shape());
  return called.result(x.shape() == shape ? copy(x) : detail::summed_to(x, shape));
}

Tensor detail::summed_to(Tensor x, const Shape& shape) {
  if (x.shape() == shape) return x;
  int axes[Shape::kMaxRank];
  std::size_t count = 0;
  const int added = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis < added || (shape[axis - added] == 1 && x.shape()[axis] != 1)) axes[count++] = axis;
  return view("reshape", sum(x, Axes(std::span<const int>(axes, count))), shape, 0);
}

}  // namespace tapegrad::inline v0
