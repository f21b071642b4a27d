#include "tapegrad/ops/layout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/copy_internal.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Sizes;
using kernels::Strides;

// A regular pattern of places in a tensor of shape `whole`: it starts at element `offset` and walks with
// `strides`. take() reads a tensor of shape `part` from there; place() writes one there, into zeros. They are
// each other's adjoint, and slicing, cropping, flipping, padding and inserting zeros are all one of them.
struct Pattern {
  Shape whole, part;
  Strides strides;
  index_t offset = 0;
};

Tensor place(const char* op, const Tensor& x, const Pattern& at, double around = 0);
Tensor take(const char* op, const Tensor& x, const Pattern& at);

// The rule of take(): place(), or the addition to these places in a sum.
struct PlaceRule {
  Pattern at;
  Tensor operator()(const Tensor& g) const { return place("place", g, at); }
  void add_to(Tensor& sum, const Tensor& g) const {
    Tensor part = TensorAccess::empty(at.part, g.dtype());
    const Strides own = kernels::strides_of(at.part);
    detail::copy_strided(at.part, part, 0, own, sum, at.offset, at.strides);
    detail::add_in_place(part, 0, g);
    detail::copy_strided(at.part, sum, at.offset, at.strides, part, 0, own);
  }
  Tensor read_back(const Tensor& g) const { return take("take", g, at); }
};

void note_pattern(const Pattern& at) {
  detail::note("offset", static_cast<double>(at.offset));
  detail::note("strides", std::span(at.strides.along, static_cast<std::size_t>(at.whole.rank())));
}

Tensor take(const char* op, const Tensor& x, const Pattern& at) {
  Tensor y = TensorAccess::empty(at.part, x.dtype(), op);
  detail::copy_strided(at.part, y, 0, kernels::strides_of(at.part), x, at.offset, at.strides);
  note_pattern(at);
  return record(op, std::move(y), {{x, PlaceRule{at}}});
}

Tensor place(const char* op, const Tensor& x, const Pattern& at, double around) {
  Tensor y = around == 0 ? zeros(at.whole, x.dtype()) : full(at.whole, around, x.dtype());
  detail::copy_strided(at.part, y, at.offset, at.strides, x, 0, kernels::strides_of(at.part));
  note_pattern(at);
  detail::note("around", around);
  return record(op, std::move(y), {{x, [at](const Tensor& g) { return take("take", g, at); }}});
}

// The pattern of the elements first + i * step along each axis.
struct Walk {
  index_t first = 0, step = 1;
};
using Walks = detail::BlockVector<Walk>;
Pattern pattern(const Shape& whole, const Shape& part, const Walks& walks) {
  Pattern at{whole, part, kernels::strides_of(whole), 0};
  if (part.size() == 0) return at;  // nothing is read or written, and a step may be of any length
  index_t* stride = at.strides.along;
  for (const Walk& walk : walks) {
    at.offset += walk.first * *stride;
    *stride++ *= walk.step;
  }
  return at;
}

// Whether To has the number, once what is behind the point is cut off.
template <class To>
bool fits_in(double v) {
  const double cut_off = std::trunc(v);
  return cut_off >= static_cast<double>(std::numeric_limits<To>::lowest()) &&
         cut_off <= static_cast<double>((std::numeric_limits<To>::max)());
}

// So that no size or offset that is made of such a number of zeros overflows.
constexpr index_t kMostZeros = std::numeric_limits<std::int32_t>::max();

template <class T>
void require_one_per_axis(const char* op, const Tensor& x, std::span<const T> given) {
  if (static_cast<int>(given.size()) != x.rank())
    fail(op, "there must be one entry for each of the {} axes of shape {}, got {} entries", x.rank(),
         x.shape(), given.size());
}

template <class T>
std::span<const T> list(std::initializer_list<T> given) {
  return {given.begin(), given.size()};
}

// What the functions of these names do, with lists in braces as with vectors.
Tensor reshaped(const Tensor& x, std::span<const index_t> sizes);
Tensor permuted(const Tensor& x, std::span<const int> order);
Tensor sliced(const Tensor& x, std::span<const Range> ranges);
Tensor padded(const Tensor& x, std::span<const Margin> margins, double value);
Tensor joined(std::span<const Tensor> xs, int axis);
Tensor tiled(const Tensor& x, std::span<const index_t> counts);

Tensor slice_along(const Tensor& x, int axis, const Range& range) {
  std::array<Range, Shape::kMaxRank> ranges;
  ranges[static_cast<std::size_t>(axis)] = range;
  return sliced(x, std::span(ranges).first(static_cast<std::size_t>(axis) + 1));
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  detail::require_defined("reshape", x);
  if (shape.size() != x.size())
    fail("reshape", "the number of elements must stay the same, but shape {} has {} and shape {} has {}",
         x.shape(), x.size(), shape, shape.size());
  return detail::view("reshape", x, shape, 0);
}

Tensor reshape(const Tensor& x, const std::vector<index_t>& sizes) {
  return reshaped(x, sizes);
}

Tensor reshape(const Tensor& x, std::initializer_list<index_t> sizes) {
  return reshaped(x, list(sizes));
}

namespace {

Tensor reshaped(const Tensor& x, std::span<const index_t> sizes) {
  detail::require_defined("reshape", x);
  if (std::ranges::count(sizes, -1) > 1)
    fail("reshape", "only one size of [{}] may be -1 (shape {})", join(sizes, ", "), x.shape());
  Sizes filled(sizes.begin(), sizes.end());
  const auto open = std::ranges::find(filled, -1);
  if (open != filled.end()) {
    *open = 1;
    index_t all = x.size(), others = detail::result_shape("reshape", filled).size();
    // As many zeros on both sides stand for each other, such as the samples of a batch that has none.
    if (all == 0 && std::ranges::count(x.shape(), 0) == std::ranges::count(sizes, 0)) {
      const auto without_zeros = [](index_t product, index_t size) {
        return size == 0 ? product : detail::size_product("reshape", product, size);
      };
      all = std::accumulate(x.shape().begin(), x.shape().end(), index_t{1}, without_zeros);
      others = std::accumulate(filled.begin(), filled.end(), index_t{1}, without_zeros);
    }
    if (others == 0 || all % others != 0)
      fail("reshape", "the {} elements of shape {} cannot be arranged as [{}]", x.size(), x.shape(),
           join(sizes, ", "));
    *open = all / others;
  }
  return reshape(x, detail::result_shape("reshape", filled));
}

}  // namespace

Tensor permute(const Tensor& x, const std::vector<int>& order) {
  return permuted(x, order);
}

Tensor permute(const Tensor& x, std::initializer_list<int> order) {
  return permuted(x, list(order));
}

namespace {

Tensor permuted(const Tensor& x, std::span<const int> order) {
  detail::require_defined("permute", x);
  std::array<int, Shape::kMaxRank> inverse;
  inverse.fill(-1);
  Sizes sizes;
  const Strides own = kernels::strides_of(x.shape());
  Strides strides;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const int axis = order[i] < 0 ? order[i] + x.rank() : order[i];
    const bool fits = static_cast<int>(order.size()) == x.rank() && axis >= 0 && axis < x.rank() &&
                      inverse[static_cast<std::size_t>(axis)] < 0;
    if (!fits)
      fail("permute", "order must name each axis of shape {} once, got [{}]", x.shape(), join(order, ", "));
    inverse[static_cast<std::size_t>(axis)] = static_cast<int>(i);
    sizes.push_back(x.shape()[axis]);
    strides.along[i] = own.along[axis];
  }
  if (static_cast<int>(order.size()) != x.rank())
    fail("permute", "order must name each axis of shape {} once, got [{}]", x.shape(), join(order, ", "));
  const Shape shape(sizes);
  Tensor y = TensorAccess::empty(shape, x.dtype(), "permute");
  detail::copy_strided(shape, y, 0, kernels::strides_of(shape), x, 0, strides);
  detail::note("order", order);
  return record("permute", std::move(y),
                {{x, [inverse](const Tensor& g) {
                    return permuted(g, std::span(inverse).first(static_cast<std::size_t>(g.rank())));
                  }}});
}

}  // namespace

Tensor transpose(const Tensor& x) {
  const detail::CalledOp called("transpose", {&x});
  detail::require_defined("transpose", x);
  if (x.rank() < 2) fail("transpose", "x must have at least two axes, got shape {}", x.shape());
  std::array<int, Shape::kMaxRank> all;
  const std::span order = std::span(all).first(static_cast<std::size_t>(x.rank()));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return called.result(permuted(x, order));
}

Tensor slice(const Tensor& x, const std::vector<Range>& ranges) {
  return sliced(x, ranges);
}

Tensor slice(const Tensor& x, std::initializer_list<Range> ranges) {
  return sliced(x, list(ranges));
}

namespace {

Tensor sliced(const Tensor& x, std::span<const Range> ranges) {
  detail::require_defined("slice", x);
  if (static_cast<int>(ranges.size()) > x.rank())
    fail("slice", "there must be at most one range for each of the {} axes of shape {}, got {} ranges",
         x.rank(), x.shape(), ranges.size());
  Sizes sizes(x.shape().begin(), x.shape().end());
  Walks walks(sizes.size());
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    const auto [begin, end, step] = ranges[axis];
    const index_t size = sizes[axis];
    if (step < 1)
      fail("slice", "the step along axis {} must be at least 1, got {}: use flip() to go backwards", axis,
           step);
    const auto cut = [size](index_t at) { return std::clamp<index_t>(at < 0 ? at + size : at, 0, size); };
    const index_t first = cut(begin), last = std::max(cut(end), first);
    walks[axis] = {first, std::min(step, std::max<index_t>(size, 1))};  // a longer one takes as much
    sizes[axis] = first == last ? 0 : (last - first - 1) / step + 1;
  }
  const Shape part(sizes);
  const Pattern at = pattern(x.shape(), part, walks);
  // What shares memory can be told from the call: sizes do not matter.
  const bool shares = ranges.size() == 1 && ranges.front().step == 1;
  return shares ? detail::view("slice", x, part, at.offset) : take("slice", x, at);
}

}  // namespace

Tensor row(const Tensor& x, index_t index) {
  detail::require_defined("row", x);
  const index_t rows = x.rank() == 0 ? 0 : x.shape()[0];
  if (rows == 0) fail("row", "x must have rows, got shape {}", x.shape());
  if (index < -rows || index >= rows)
    fail("row", "index must be {} to {} for shape {}, got {}", -rows, rows - 1, x.shape(), index);
  const index_t first = index < 0 ? index + rows : index;
  const Shape part(std::span(x.shape().begin() + 1, x.shape().end()));
  return detail::view("row", x, part, first * part.size());
}

Tensor flip(const Tensor& x, const Axes& axes) {
  detail::require_defined("flip", x);
  const detail::AxisMask flipped = detail::marked_axes("flip", x.shape(), axes);
  Walks walks(static_cast<std::size_t>(x.rank()));
  for (std::size_t axis = 0; axis < walks.size(); ++axis)
    if (flipped[axis]) walks[axis] = {x.shape()[static_cast<int>(axis)] - 1, -1};
  return take("flip", x, pattern(x.shape(), x.shape(), walks));
}

Tensor roll(const Tensor& x, index_t shift, int axis) {
  const detail::CalledOp called("roll", {&x});
  detail::require_defined("roll", x);
  const int at = detail::checked_axis("roll", x.shape(), axis);
  const index_t size = std::max<index_t>(1, x.shape()[at]), first = (size - shift % size) % size;
  const auto part = [&](index_t begin, index_t end) { return slice_along(x, at, {begin, end}); };
  return called.result(concat({part(first, Range::kToEnd), part(0, first)}, at));
}

Tensor pad(const Tensor& x, const std::vector<Margin>& margins, double value) {
  return padded(x, margins, value);
}

Tensor pad(const Tensor& x, std::initializer_list<Margin> margins, double value) {
  return padded(x, list(margins), value);
}

namespace {

Tensor padded(const Tensor& x, std::span<const Margin> margins, double value) {
  const detail::CalledOp called("pad", {&x});
  detail::require_defined("pad", x);
  require_one_per_axis("pad", x, margins);
  (void)detail::number_like("pad", x, value);  // an error is that of pad
  Sizes sizes;
  Walks walks;
  for (const auto [before, after] : margins) {
    if (before < 0 || after < 0)
      fail("pad", "margins must not be negative, got {} and {}: use slice() to crop", before, after);
    if (before > kMostZeros || after > kMostZeros)
      fail("pad", "margins must be at most {}, got {} and {} (shape {}): too large", kMostZeros, before,
           after, x.shape());
    const index_t size = x.shape()[static_cast<int>(sizes.size())];
    sizes.push_back(detail::size_sum("pad", size, before + after));
    walks.push_back({before, 1});
  }
  return called.result(place("pad", x, pattern(detail::result_shape("pad", sizes), x.shape(), walks), value));
}

Tensor zeros_inserted(const Tensor& x, std::span<const index_t> counts) {
  const detail::CalledOp called("zero_insert", {&x});
  detail::require_defined("zero_insert", x);
  require_one_per_axis("zero_insert", x, counts);
  Sizes sizes;
  Walks walks;
  for (const index_t count : counts) {
    const index_t size = x.shape()[static_cast<int>(sizes.size())];
    if (count < 0 || count > kMostZeros)
      fail("zero_insert", "the number of zeros between neighbours must be 0 to {}, got {}", kMostZeros,
           count);
    sizes.push_back(
        size == 0
            ? 0
            : detail::size_sum("zero_insert", detail::size_product("zero_insert", size - 1, count + 1), 1));
    walks.push_back({0, count + 1});
  }
  return called.result(
      place("zero_insert", x, pattern(detail::result_shape("zero_insert", sizes), x.shape(), walks)));
}

}  // namespace

Tensor zero_insert(const Tensor& x, const std::vector<index_t>& counts) {
  return zeros_inserted(x, counts);
}

Tensor zero_insert(const Tensor& x, std::initializer_list<index_t> counts) {
  return zeros_inserted(x, list(counts));
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  const detail::CalledOp called("squeeze", {&x});
  detail::require_defined("squeeze", x);
  const detail::AxisMask removed = detail::marked_axes("squeeze", x.shape(), axes);
  Sizes sizes;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const index_t size = x.shape()[axis];
    if (!removed[static_cast<std::size_t>(axis)])
      sizes.push_back(size);
    else if (size != 1)
      fail("squeeze", "only axes of size 1 can be removed, but axis {} of a tensor of shape {} has size {}",
           axis, x.shape(), size);
  }
  return called.result(reshape(x, Shape(sizes)));
}

Tensor squeeze(const Tensor& x) {
  const detail::CalledOp called("squeeze", {&x});
  detail::require_defined("squeeze", x);
  Sizes sizes(x.shape().begin(), x.shape().end());
  std::erase(sizes, 1);
  return called.result(reshape(x, Shape(sizes)));
}

Tensor expand_dims(const Tensor& x, int axis) {
  const detail::CalledOp called("expand_dims", {&x});
  detail::require_defined("expand_dims", x);
  if (axis < -x.rank() - 1 || axis > x.rank())
    fail("expand_dims", "the new axis of a tensor of shape {} must be {} to {}, got {}", x.shape(),
         -x.rank() - 1, x.rank(), axis);
  return called.result(reshape(
      x, detail::with_sizes("expand_dims", x.shape(), axis < 0 ? axis + x.rank() + 1 : axis, 0, {1})));
}

Tensor concat(const std::vector<Tensor>& xs, int axis) {
  return joined(xs, axis);
}

Tensor concat(std::initializer_list<Tensor> xs, int axis) {
  return joined(list(xs), axis);
}

namespace {

Tensor joined(std::span<const Tensor> xs, int axis) {
  if (xs.empty()) fail("concat", "there must be at least one tensor, got none");
  for (const Tensor& x : xs) detail::require_defined("concat", x);
  const Shape& first = xs.front().shape();
  const int at = detail::checked_axis("concat", first, axis);
  index_t size = 0;
  for (const Tensor& x : xs) {
    if (x.dtype() != xs.front().dtype())
      fail("concat", "the tensors are {} {} and {} {}: convert one with cast()", xs.front().dtype(), first,
           x.dtype(), x.shape());
    if (x.rank() != first.rank() ||
        detail::with_sizes("concat", x.shape(), at, 1, {}) != detail::with_sizes("concat", first, at, 1, {}))
      fail("concat", "shapes {} and {} differ in more than axis {}", first, x.shape(), axis);
    size = detail::size_sum("concat", size, x.shape()[at]);
  }
  const Shape whole = detail::with_sizes("concat", first, at, 1, {size});
  Tensor y = TensorAccess::empty(whole, xs.front().dtype(), "concat");
  detail::BlockVector<Input> inputs;
  inputs.reserve(xs.size());
  index_t before = 0;
  for (const Tensor& x : xs) {
    Walks walks(static_cast<std::size_t>(whole.rank()));
    walks[static_cast<std::size_t>(at)].first = before;
    before += x.shape()[at];
    const Pattern part = pattern(whole, x.shape(), walks);
    detail::copy_strided(part.part, y, part.offset, part.strides, x, 0, kernels::strides_of(part.part));
    inputs.emplace_back(x, [part](const Tensor& g) { return take("take", g, part); });
  }
  detail::note("axis", at);
  return record("concat", std::move(y), inputs);
}

Tensor stacked(std::span<const Tensor> xs, int axis) {
  detail::BlockVector<const Tensor*> inputs;
  for (const Tensor& x : xs) inputs.push_back(&x);
  const detail::CalledOp called("stack", inputs);
  if (xs.empty()) fail("stack", "there must be at least one tensor, got none");
  for (const Tensor& x : xs) detail::require_defined("stack", x);
  const Tensor& first = xs.front();
  if (axis < -first.rank() - 1 || axis > first.rank())
    fail("stack", "the new axis must be {} to {} for tensors of shape {}, got {}", -first.rank() - 1,
         first.rank(), first.shape(), axis);
  if (first.rank() == Shape::kMaxRank)
    fail("stack", "tensors of shape {} already have the most axes that a tensor can have: use concat()",
         first.shape());
  Sizes sizes(first.shape().begin(), first.shape().end());
  sizes.insert(sizes.begin() + (axis < 0 ? axis + first.rank() + 1 : axis), static_cast<index_t>(xs.size()));
  (void)detail::result_shape("stack", sizes);
  detail::BlockVector<Tensor> expanded;
  for (const Tensor& x : xs) {
    if (x.shape() != first.shape()) fail("stack", "shapes {} and {} differ", first.shape(), x.shape());
    if (x.dtype() != first.dtype())
      fail("stack", "the tensors are {} {} and {} {}: convert one with cast()", first.dtype(), first.shape(),
           x.dtype(), x.shape());
    expanded.push_back(expand_dims(x, axis));
  }
  return called.result(joined(expanded, axis));
}

}  // namespace

Tensor stack(const std::vector<Tensor>& xs, int axis) {
  return stacked(xs, axis);
}

Tensor stack(std::initializer_list<Tensor> xs, int axis) {
  return stacked(list(xs), axis);
}

std::vector<Tensor> split(const Tensor& x, const std::vector<index_t>& sizes, int axis) {
  const detail::CalledOp called("split", {&x});
  detail::require_defined("split", x);
  const int at = detail::checked_axis("split", x.shape(), axis);
  const index_t whole = x.shape()[at];
  index_t left = whole;
  const bool fits = std::ranges::all_of(sizes, [&](index_t size) {
    if (size < 0 || size > left) return false;
    left -= size;
    return true;
  });
  if (!fits || left != 0)
    fail(
        "split",
        "sizes must not be negative and must add up to {}, the size of axis {} of a tensor of shape {}, got [{}]",
        whole, axis, x.shape(), join(sizes, ", "));
  std::vector<Tensor> parts;
  parts.reserve(sizes.size());
  index_t begin = 0;
  for (const index_t size : sizes) {
    parts.push_back(called.result(slice_along(x, at, {begin, begin + size})));
    begin += size;
  }
  return parts;
}

std::vector<Tensor> chunk(const Tensor& x, index_t count, int axis) {
  const detail::CalledOp called("chunk", {&x});
  detail::require_defined("chunk", x);
  const index_t whole = x.shape()[detail::checked_axis("chunk", x.shape(), axis)];
  constexpr index_t kMostEmpty = 1 << 16;
  if (count < 1 || whole % count != 0 || (whole == 0 && count > kMostEmpty))
    fail("chunk", "axis {} of a tensor of shape {} cannot be split into {} equal parts: use split()", axis,
         x.shape(), count);
  std::vector<Tensor> parts =
      split(x, std::vector<index_t>(static_cast<std::size_t>(count), whole / count), axis);
  for (Tensor& part : parts) part = called.result(std::move(part));
  return parts;
}

Tensor repeat(const Tensor& x, index_t count, int axis) {
  const detail::CalledOp called("repeat", {&x});
  detail::require_defined("repeat", x);
  const int at = detail::checked_axis("repeat", x.shape(), axis);
  if (count < 0)
    fail("repeat", "the number of times must be at least 0, got {} (shape {})", count, x.shape());
  const Shape result =
      detail::with_sizes("repeat", x.shape(), at, 1, {detail::size_product("repeat", x.shape()[at], count)});
  if (result.size() == 0)
    return called.result(reshape(broadcast_to(reshape(x, {x.size(), 1}), {x.size(), 0}), result));
  const auto [outer, size, inner] = detail::around(x.shape(), at);
  return called.result(
      reshape(broadcast_to(reshape(x, {outer * size, 1, inner}), {outer * size, count, inner}), result));
}

Tensor tile(const Tensor& x, const std::vector<index_t>& counts) {
  return tiled(x, counts);
}

Tensor tile(const Tensor& x, std::initializer_list<index_t> counts) {
  return tiled(x, list(counts));
}

namespace {

Tensor tiled(const Tensor& x, std::span<const index_t> counts) {
  const detail::CalledOp called("tile", {&x});
  detail::require_defined("tile", x);
  require_one_per_axis("tile", x, counts);
  Sizes sizes;
  for (const index_t count : counts) {
    if (count < 0)
      fail("tile", "the number of times must be at least 0, got {} (shape {})", count, x.shape());
    sizes.push_back(detail::size_product("tile", x.shape()[static_cast<int>(sizes.size())], count));
  }
  const Shape result = detail::result_shape("tile", sizes);
  if (result == x.shape()) return called.result(copy(x));
  if (result.size() == 0)
    return called.result(reshape(broadcast_to(reshape(x, {x.size(), 1}), {x.size(), 0}), result));
  Tensor y = x;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const index_t count = counts[static_cast<std::size_t>(axis)];
    if (count == 1) continue;
    const auto [outer, size, inner] = detail::around(y.shape(), axis);
    const Tensor stretched = broadcast_to(reshape(y, {outer, 1, size * inner}), {outer, count, size * inner});
    y = reshape(stretched, detail::with_sizes("tile", y.shape(), axis, 1, {size * count}));
  }
  return called.result(y);
}

// The first element that the dtype does not have, for an error.
[[noreturn]] void refuse_cast(const Tensor& x, DType dtype, bool (*fits)(double), double low, double high) {
  const Tensor wide = detail::as_dtype(stop_gradient(x), DType::Float64);
  const double* from = wide.data<double>();
  index_t i = 0;
  while (fits(from[i])) ++i;
  fail("cast", "the element at [{}] of a tensor of shape {} is {}, which is not a value of {} ({} to {})",
       join(x.shape().position(i), ", "), x.shape(), from[i], dtype, low, high);
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  detail::require_defined("cast", x);
  return x.dtype() == dtype ? detail::copy_of(x, "cast") : detail::as_dtype(x, dtype);
}

Tensor detail::as_dtype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = TensorAccess::empty(x.shape(), dtype, "cast");
  dispatch(x.dtype(), [&]<class From>(std::type_identity<From>) {
    dispatch(dtype, [&]<class To>(std::type_identity<To>) {
      const From* from = x.data<From>();
      if constexpr (std::is_integral_v<To>)
        for (index_t i = 0; i < x.size(); ++i)
          if (!fits_in<To>(static_cast<double>(from[i])))
            refuse_cast(x, dtype, fits_in<To>, std::numeric_limits<To>::lowest(),
                        (std::numeric_limits<To>::max)());
      kernels::map(
          x.size(), y.mutable_data<To>(), [](From v) { return static_cast<To>(v); }, from);
    });
  });
  if (!is_floating(dtype) || !is_floating(x.dtype()))
    return noted("cast", std::move(y), {&x});  // whole numbers have no derivative
  return record("cast", std::move(y),
                {{x, [original = x.dtype()](const Tensor& g) { return as_dtype(g, original); }}});
}

Tensor copy(const Tensor& x) {
  detail::require_defined("copy", x);
  return detail::copy_of(x);
}

}  // namespace tapegrad::inline v0
