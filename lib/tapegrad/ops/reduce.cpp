#include "tapegrad/ops/reduce.h"

#include <array>
#include <cmath>
#include <limits>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/reduce.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/copy_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

using Mask = std::array<bool, Shape::kMaxRank>;

Mask reduced_axes(const char* op, const Tensor& x, const Axes& axes) {
  Mask reduced{};
  for (const int axis : axes) {
    bool& mark = reduced[static_cast<std::size_t>(detail::checked_axis(op, x.shape(), axis))];
    if (mark) fail(op, "axis {} of a tensor of shape {} is named twice", axis, x.shape());
    mark = true;
  }
  return reduced;
}

Shape reduced_shape(const Shape& shape, const Mask& reduced, bool keepdims) {
  std::vector<index_t> sizes;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<std::size_t>(axis)])
      sizes.push_back(shape[axis]);
    else if (keepdims)
      sizes.push_back(1);
  }
  return Shape(sizes);
}

using JoinerFor = kernels::Joiner (*)(DType);

// x with the marked axes joined, one run of neighbouring axes after the other, from the last to the first; in
// double until the end.
Tensor joined(const char* op, JoinerFor joiner, const Tensor& x, const Mask& reduced, const Shape& result) {
  struct Run {
    index_t outer, count, inner;
  };
  std::vector<Run> runs;
  index_t inner = 1;
  for (int axis = x.rank() - 1; axis >= 0;) {
    if (!reduced[static_cast<std::size_t>(axis)]) {
      inner *= x.shape()[axis--];
      continue;
    }
    index_t count = 1, outer = 1;
    for (; axis >= 0 && reduced[static_cast<std::size_t>(axis)]; --axis) count *= x.shape()[axis];
    for (int i = axis; i >= 0; --i) outer *= x.shape()[i];
    runs.push_back({outer, count, inner});
  }
  if (runs.empty()) return TensorAccess::clone(TensorAccess::view(x, result));

  Tensor y = TensorAccess::empty(result, x.dtype());
  const kernels::Joiner first = joiner(x.dtype()), next = joiner(DType::Float64);
  if (runs.size() == 1 && is_floating(x.dtype())) {
    const auto [outer, count, within] = runs.front();
    const void* from = TensorAccess::elements(x);
    if (x.dtype() == DType::Float32)
      kernels::reduce(first, outer, count, within, from, y.mutable_data<float>());
    else
      kernels::reduce(first, outer, count, within, from, y.mutable_data<double>());
    return y;
  }
  std::vector<double> before, after;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto [outer, count, within] = runs[i];
    after.resize(static_cast<std::size_t>(outer * within));
    if (i == 0)
      kernels::reduce(first, outer, count, within, TensorAccess::elements(x), after.data());
    else
      kernels::reduce(next, outer, count, within, before.data(), after.data());
    std::swap(before, after);
  }
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    T* out = y.mutable_data<T>();
    for (std::size_t i = 0; i < before.size(); ++i) {
      if constexpr (std::is_integral_v<T>)
        if (before[i] < static_cast<double>(std::numeric_limits<T>::lowest()) ||
            before[i] > static_cast<double>(std::numeric_limits<T>::max()))
          fail(op, "{} is not a value of {} (shape {}): convert with cast() first", before[i], x.dtype(),
               x.shape());
      out[i] = static_cast<T>(before[i]);
    }
  });
  return y;
}

// max and min. Elements that share the extreme share the gradient.
Tensor extreme(const char* op, JoinerFor joiner, const Tensor& x, const Axes& axes,
               const ReduceOptions& options) {
  const Mask reduced = reduced_axes(op, x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  if (x.size() == 0 && kept.size() != 0)
    fail(op, "there is nothing to choose from in a tensor of shape {}", x.shape());
  return record(op, joined(op, joiner, x, reduced, reduced_shape(x.shape(), reduced, options.keepdims)),
                {{x, [kept, axes, x = Saved(x)](const Tensor& g, const Tensor& y) {
                    const Tensor reached = cast(equals(x(), reshape(stop_gradient(y), kept)), g.dtype());
                    return reshape(g, kept) * (reached / sum(reached, axes, {.keepdims = true}));
                  }}});
}

// argmax and argmin.
template <class Better>
Tensor first_best(const char* op, const Tensor& x, int axis, const ReduceOptions& options, Better better) {
  const int at = detail::checked_axis(op, x.shape(), axis);
  const auto [outer, count, inner] = detail::around(x.shape(), at);
  if (count == 0 && outer * inner != 0)
    fail(op, "there is nothing to choose from along axis {} of a tensor of shape {}", axis, x.shape());
  if (count > std::numeric_limits<std::int32_t>::max())
    fail(op, "axis {} of a tensor of shape {} is too long for indices of Int32", axis, x.shape());
  std::vector<index_t> left;
  if (options.keepdims) left.push_back(1);
  Tensor y = TensorAccess::empty(detail::with_sizes(x.shape(), at, 1, left), DType::Int32);
  dispatch(x.dtype(), [&, outer = outer, count = count, inner = inner](auto type) {
    using T = typename decltype(type)::type;
    // NaN is better than any number: it is not to go unseen.
    kernels::first_best(outer, count, inner, x.data<T>(), y.mutable_data<std::int32_t>(),
                        [better](T a, T b) { return better(a, b) || (a != a && b == b); });
  });
  return y;
}

// The largest along the axes, or 0 where that is infinite: what logsumexp may subtract without making a NaN.
Tensor finite_max(const Tensor& x, const Axes& axes) {
  const Tensor largest = max(x, axes, {.keepdims = true});
  return where(equals(largest - largest, 0), largest, 0.0);
}

// UInt8: whether an element is not 0.
Tensor is_set(const Tensor& x) {
  return not_equals(x, 0);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  const Mask reduced = reduced_axes("sum", x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  return record("sum",
                joined("sum", kernels::joiner<kernels::Sum>, x, reduced,
                       reduced_shape(x.shape(), reduced, options.keepdims)),
                {{x, [kept, shape = x.shape()](const Tensor& g) {
                    return broadcast_to(detail::view("reshape", g, kept, 0), shape);
                  }}});
}

Tensor sum(const Tensor& x) {
  return sum(x, detail::all_axes(x));
}

Tensor mean(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  if (!is_floating(x.dtype()))
    fail("mean", "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
  (void)reduced_axes("mean", x, axes);  // an error is that of mean
  Tensor total = sum(x, axes, options);
  if (x.size() == 0) fail("mean", "there is nothing to average in a tensor of shape {}", x.shape());
  return total * (static_cast<double>(total.size()) / static_cast<double>(x.size()));
}

Tensor mean(const Tensor& x) {
  return mean(x, detail::all_axes(x));
}

Tensor prod(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  detail::require_floating("prod", x);
  const Mask reduced = reduced_axes("prod", x, axes);
  std::vector<int> order;
  for (const bool wanted : {true, false})
    for (int axis = 0; axis < x.rank(); ++axis)
      if (reduced[static_cast<std::size_t>(axis)] == wanted) order.push_back(axis);
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  index_t count = 1;
  for (const int axis : axes) count *= x.shape()[axis];
  if (count == 0) return ones(result, x.dtype());

  // Halves are multiplied with each other until one row is left: made of products alone, so that its
  // derivatives are right where elements are 0.
  Tensor factors = reshape(permute(x, order), {count, result.size()}), odd;
  for (; count > 1; count /= 2) {
    if (count % 2 != 0) odd = odd.defined() ? odd * row(factors, -1) : row(factors, -1);
    factors = slice(factors, {{0, count / 2}}) * slice(factors, {{count / 2, count / 2 * 2}});
  }
  const Tensor product = row(factors, 0);
  return reshape(odd.defined() ? product * odd : product, result);
}

Tensor prod(const Tensor& x) {
  return prod(x, detail::all_axes(x));
}

Tensor var(const Tensor& x, const Axes& axes, const VarOptions& options) {
  detail::require_floating("var", x);
  (void)reduced_axes("var", x, axes);
  if (x.size() == 0) fail("var", "there is nothing to average in a tensor of shape {}", x.shape());
  const Tensor spread =
      sum(square(x - mean(x, axes, {.keepdims = true})), axes, {.keepdims = options.keepdims});
  const double count = static_cast<double>(x.size()) / static_cast<double>(spread.size());
  if (!(options.correction < count))
    fail("var", "{} elements less a correction of {} leave nothing to divide by (shape {})", count,
         options.correction, x.shape());
  return spread / (count - options.correction);
}

Tensor var(const Tensor& x) {
  return var(x, detail::all_axes(x));
}

Tensor stddev(const Tensor& x, const Axes& axes, const VarOptions& options) {
  detail::require_floating("stddev", x);
  const Shape kept = reduced_shape(x.shape(), reduced_axes("stddev", x, axes), true);
  if (x.size() == 0 && kept.size() != 0)
    fail("stddev", "x must have elements to average, got shape {}", x.shape());
  const double count = kept.size() == 0 ? 0 : static_cast<double>(x.size() / kept.size());
  if (!(options.correction < count) && kept.size() != 0)
    fail("stddev", "correction must be less than the number of elements ({}), got {} (shape {})", count,
         options.correction, x.shape());
  if (x.size() == 0) return sum(x, axes, {.keepdims = options.keepdims});  // nothing, of the right shape
  const Tensor centred = x - mean(x, axes, {.keepdims = true});
  return norm(centred, axes, {.keepdims = options.keepdims}) / std::sqrt(count - options.correction);
}

Tensor stddev(const Tensor& x) {
  return stddev(x, detail::all_axes(x));
}

Tensor(max)(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return extreme("max", kernels::joiner<kernels::Largest>, x, axes, options);
}

Tensor(max)(const Tensor& x) {
  return max(x, detail::all_axes(x));
}

Tensor(min)(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  return extreme("min", kernels::joiner<kernels::Smallest>, x, axes, options);
}

Tensor(min)(const Tensor& x) {
  return min(x, detail::all_axes(x));
}

Tensor logsumexp(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  detail::require_floating("logsumexp", x);
  const Mask reduced = reduced_axes("logsumexp", x, axes);
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  if (x.size() == 0) return log(sum(x, axes, options));  // of nothing: minus infinity
  // Whatever is subtracted cancels, so it is a constant for the tape.
  const Tensor shift = finite_max(stop_gradient(x), axes);
  return log(sum(exp(x - shift), axes, options)) + reshape(shift, result);
}

Tensor logsumexp(const Tensor& x) {
  return logsumexp(x, detail::all_axes(x));
}

Tensor norm(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  detail::require_floating("norm", x);
  const Shape kept = reduced_shape(x.shape(), reduced_axes("norm", x, axes), true);
  // In Float64, so that squares of Float32 neither overflow nor vanish.
  const Tensor wide = cast(stop_gradient(x), DType::Float64);
  return record("norm", cast(sqrt(sum(square(wide), axes, options)), x.dtype()),
                {{x, [kept, x = Saved(x)](const Tensor& g, const Tensor& y) {
                    const Tensor length = reshape(y, kept);
                    return reshape(g, kept) * (x() / where(equals(length, 0), 1.0, length));
                  }}});
}

Tensor norm(const Tensor& x) {
  return norm(x, detail::all_axes(x));
}

Tensor cumsum(const Tensor& x, int axis, const CumsumOptions& options) {
  detail::require_floating("cumsum", x);
  const auto [outer, count, inner] =
      detail::around(x.shape(), detail::checked_axis("cumsum", x.shape(), axis));
  Tensor y = TensorAccess::empty(x.shape(), x.dtype());
  const auto run = [&, outer = outer, count = count, inner = inner]<class T>(std::type_identity<T>) {
    kernels::cumulative_sum(outer, count, inner, x.data<T>(), y.mutable_data<T>(), options.reverse);
  };
  x.dtype() == DType::Float32 ? run(std::type_identity<float>{}) : run(std::type_identity<double>{});
  return record(
      "cumsum", std::move(y),
      {{x, [axis, options](const Tensor& g) { return cumsum(g, axis, {.reverse = !options.reverse}); }}});
}

Tensor argmax(const Tensor& x, int axis, const ReduceOptions& options) {
  return first_best("argmax", x, axis, options, [](auto a, auto b) { return a > b; });
}

Tensor argmin(const Tensor& x, int axis, const ReduceOptions& options) {
  return first_best("argmin", x, axis, options, [](auto a, auto b) { return a < b; });
}

Tensor any(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  // A count, not a maximum: of no elements it is 0.
  const Mask reduced = reduced_axes("any", x, axes);
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  return is_set(
      joined("any", kernels::joiner<kernels::Sum>, cast(is_set(x), DType::Float64), reduced, result));
}

Tensor any(const Tensor& x) {
  return any(x, detail::all_axes(x));
}

Tensor all(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  const Mask reduced = reduced_axes("all", x, axes);
  const Shape result = reduced_shape(x.shape(), reduced, options.keepdims);
  return equals(
      joined("all", kernels::joiner<kernels::Sum>, cast(equals(x, 0), DType::Float64), reduced, result), 0);
}

Tensor all(const Tensor& x) {
  return all(x, detail::all_axes(x));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("broadcast_to", x.shape(), shape) != shape)
    fail("broadcast_to", "a tensor of shape {} cannot be stretched to {}", x.shape(), shape);
  Tensor y = TensorAccess::empty(shape, x.dtype());
  detail::copy_strided(shape, y, 0, kernels::strides_of(shape), x, 0,
                       kernels::broadcast_strides(x.shape(), shape));
  return record("broadcast_to", std::move(y),
                {{x, [original = x.shape()](const Tensor& g) { return sum_to(g, original); }}});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("sum_to", x.shape(), shape) != x.shape())
    fail("sum_to", "a tensor of shape {} was not stretched from {}", x.shape(), shape);
  std::vector<int> axes;
  const int added = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis < added || (shape[axis - added] == 1 && x.shape()[axis] != 1)) axes.push_back(axis);
  return detail::view("reshape", sum(x, axes), shape, 0);
}

}  // namespace tapegrad::inline v0
