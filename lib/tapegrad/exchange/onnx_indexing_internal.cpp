// Ops of ONNX that choose elements: Slice, Gather, Pad, OneHot, TopK and others.

#include <algorithm>
#include <limits>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/rounding.h"
#include "tapegrad/ops/select.h"
#include "tapegrad/ops/sort.h"

namespace tapegrad::inline v0::onnx {
namespace {

using Numbers = std::vector<std::int64_t>;

// begin:end:step of an axis, as Python counts; a negative step walks backwards.
Tensor sliced(const Tensor& x, int axis, std::int64_t begin, std::int64_t end, std::int64_t step) {
  const index_t size = x.shape()[axis];
  if (step == 0 || step == std::numeric_limits<std::int64_t>::min()) fail("load_onnx", "a step is {}", step);
  const auto place = [size](std::int64_t at, index_t low, index_t high) {
    return std::clamp<std::int64_t>(at < 0 ? at + size : at, low, high);
  };
  std::vector<Range> ranges(static_cast<std::size_t>(axis) + 1);
  if (step > 0) {
    ranges.back() = {place(begin, 0, size), place(end, 0, size), std::min<index_t>(step, size + 1)};
    if (ranges.back().begin >= ranges.back().end) ranges.back() = {0, 0, 1};
    if (ranges.back().begin == 0 && ranges.back().end == size && step == 1) return x;
    return slice(x, ranges);
  }
  // The indices first, first + step, ... above last, in the opposite order.
  const index_t first = place(begin, 0, size - 1), last = place(end, -1, size - 1);
  step = std::max<index_t>(step, -size - 1);
  if (size == 0 || first <= last) {
    ranges.back() = {0, 0, 1};
    return slice(x, ranges);
  }
  const index_t count = (first - last - 1) / -step;
  ranges.back() = {first + count * step, first + 1, -step};
  return flip(slice(x, ranges), axis);
}

Compute prepare_slice(const Node& node) {
  const bool as_attributes = node.opset() < 10;
  const Numbers starts = as_attributes ? node.integers("starts").value_or(Numbers{}) : Numbers{};
  const Numbers ends = as_attributes ? node.integers("ends").value_or(Numbers{}) : Numbers{};
  const auto given_axes = as_attributes ? node.integers("axes") : std::nullopt;
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const Numbers begins = as_attributes ? starts : integers(run[1]);
    const Numbers stops = as_attributes ? ends : integers(run[2]);
    Numbers axes = given_axes.value_or(Numbers{});
    if (run.has(3)) axes = integers(run[3]);
    if (!given_axes && !run.has(3))
      for (std::size_t i = 0; i < begins.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
    const Numbers steps = run.has(4) ? integers(run[4]) : Numbers(begins.size(), 1);
    if (stops.size() != begins.size() || axes.size() != begins.size() || steps.size() != begins.size())
      fail("load_onnx", "it has {} starts, {} ends, {} axes and {} steps", begins.size(), stops.size(),
           axes.size(), steps.size());
    Tensor y = x.tensor;
    for (std::size_t i = 0; i < axes.size(); ++i)
      y = sliced(y, x.stored_axis(axes[i]), begins[i], stops[i], steps[i]);
    return {x.with(y)};
  };
}

// Indices as Int32, those that count from the end of the axis as those that do not.
Tensor indices_of(const Value& indices, index_t size) {
  if (!is_whole(indices.type)) fail("load_onnx", "indices must be whole numbers, got {}", name(indices.type));
  const Tensor given = natural(indices);
  return as_int32(where(given < 0, given + static_cast<double>(size), given));
}

Compute prepare_gather(const Node& node) {
  const std::int64_t axis = node.integer("axis", 0);
  return [axis](const Run& run) -> Results {
    const Value x = value_of(natural(run[0]), run[0].type);
    const int at = x.stored_axis(axis);
    return {x.with(gather(x.tensor, indices_of(run[1], x.tensor.shape()[at]), at))};
  };
}

// x where the indices reach: they may be fewer than x has along all axes but one.
Tensor reached(const Tensor& x, const Shape& indices, int axis) {
  if (indices.rank() != x.rank())
    fail("load_onnx", "the indices have shape {}, but the input {}", indices, x.shape());
  std::vector<Range> ranges;
  for (int i = 0; i < x.rank(); ++i) ranges.push_back({0, i == axis ? x.shape()[i] : indices[i]});
  return slice(x, ranges);
}

Compute prepare_gather_elements(const Node& node) {
  const std::int64_t axis = node.integer("axis", 0);
  return [axis](const Run& run) -> Results {
    const Value x = value_of(natural(run[0]), run[0].type);
    const int at = x.stored_axis(axis);
    const Tensor indices = indices_of(run[1], x.tensor.shape()[at]);
    return {x.with(take_along_axis(reached(x.tensor, indices.shape(), at), indices, at))};
  };
}

// Values instead of, or added to, elements of the input.
Compute prepare_scatter_elements(const Node& node) {
  const std::int64_t axis = node.integer("axis", 0);
  const bool adds = node.opset() >= 16 && node.one_of("reduction", "none", {"none", "add"}) == "add";
  return [axis, adds](const Run& run) -> Results {
    const Value x = value_of(natural(run[0]), run[0].type);
    const int at = x.stored_axis(axis);
    const Tensor indices = indices_of(run[1], x.tensor.shape()[at]), values = natural(run[2]);
    if (reached(x.tensor, indices.shape(), at).shape() != x.tensor.shape())
      fail("load_onnx", "the indices (shape {}) must be as long as the input ({}) along all axes but {}",
           indices.shape(), x.tensor.shape(), axis);
    return {
        x.with(adds ? scatter_add(x.tensor, indices, values, at) : scatter(x.tensor, indices, values, at))};
  };
}

Compute prepare_one_hot(const Node& node) {
  const std::int64_t axis = node.integer("axis", -1);
  return [axis](const Run& run) -> Results {
    const Tensor given = natural(run[0]);
    const double depth = number(run[1]);
    const Value& values = run[2];
    if (values.tensor.size() != 2)
      fail("load_onnx", "it takes two values, got shape {}", values.tensor.shape());
    if (!(depth >= 1 && depth <= 1 << 24)) fail("load_onnx", "the depth is {}", depth);
    const Tensor index = trunc(cast(given, DType::Float64));
    const Tensor inside = cast(logical_and(index >= -depth, index < depth), DType::Float64);
    const Tensor from_front = inside * where(index < 0, index + depth, index);
    const DType dtype = values.tensor.dtype();
    Tensor hot = one_hot(as_int32(from_front), static_cast<index_t>(depth), dtype);
    hot = hot * expand_dims(cast(inside, dtype), -1);
    const Tensor flat = reshape(values.tensor, {2});
    const Tensor off = slice(flat, 0, 1), on = slice(flat, 1, 2);
    const Tensor y = off + hot * (on - off);
    const int rank = y.rank();
    const std::int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank) fail("load_onnx", "axis {} is not one of {}", axis, rank);
    std::vector<int> order;
    for (int i = 0; i + 1 < rank; ++i) order.push_back(i);
    order.insert(order.begin() + at, rank - 1);
    return {value_of(permute(y, order), values.type)};
  };
}

Compute prepare_top_k(const Node& node) {
  const std::int64_t axis = node.integer("axis", -1);
  const bool as_attribute = node.opset() < 10;
  const std::int64_t given = as_attribute ? node.required_integer("k") : 0;
  const bool smallest = node.opset() >= 11 && node.integer("largest", 1) == 0;
  if (node.opset() >= 11) node.ignore("sorted");  // sorted ones are as good as others
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const Numbers k = as_attribute ? Numbers{given} : integers(run[1]);
    if (k.size() != 1) fail("load_onnx", "k must be a single number");
    const auto [values, indices] = topk(x.tensor, k[0], x.stored_axis(axis), {.smallest = smallest});
    return {x.with(values), {cast(indices, DType::Float64), ElementType::Int64, x.order}};
  };
}

Compute prepare_nonzero(const Node&) {
  return [](const Run& run) -> Results {
    return {value_of(transpose(cast(nonzero(natural(run[0])), DType::Float64)), ElementType::Int64)};
  };
}

// ---- Pad

// Which element of an axis of this size each element of the padded axis is.
Tensor padded_indices(const std::string& mode, index_t size, index_t before, index_t after) {
  std::vector<std::int32_t> indices;
  const index_t period = 2 * (size - 1);
  for (index_t i = -before; i < size + after; ++i) {
    index_t at = std::clamp<index_t>(i, 0, size - 1);
    if (mode == "wrap") at = (i % size + size) % size;
    if (mode == "reflect" && size > 1) {
      at = (i % period + period) % period;
      at = at < size ? at : period - at;
    }
    indices.push_back(static_cast<std::int32_t>(at));
  }
  return tensor(indices, static_cast<index_t>(indices.size()));
}

Tensor padded(Tensor x, const std::vector<Margin>& margins, const std::string& mode, double value) {
  std::vector<Range> kept;  // negative pads cut off
  std::vector<Margin> added;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto [before, after] = margins[static_cast<std::size_t>(axis)];
    const index_t size = x.shape()[axis];
    kept.push_back(
        {std::clamp<index_t>(-before, 0, size), std::max<index_t>(size + std::min<index_t>(after, 0), 0)});
    added.push_back({std::max<index_t>(before, 0), std::max<index_t>(after, 0)});
    if (kept.back().begin > kept.back().end) kept.back().end = kept.back().begin;
  }
  if (std::ranges::any_of(margins, [](const Margin& m) { return m.before < 0 || m.after < 0; }))
    x = slice(x, kept);
  if (mode == "constant") return pad(x, added, value);
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto [before, after] = added[static_cast<std::size_t>(axis)];
    if (before + after == 0) continue;
    if (x.shape()[axis] == 0) fail("load_onnx", "an axis without elements has none to pad with");
    x = gather(x, padded_indices(mode, x.shape()[axis], before, after), axis);
  }
  return x;
}

Compute prepare_pad(const Node& node) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;
  const std::string mode = node.one_of("mode", "constant", {"constant", "reflect", "edge", "wrap"});
  const bool as_attributes = node.opset() < 11;
  const Numbers given = as_attributes ? node.integers("pads").value_or(Numbers{}) : Numbers{};
  const double value = as_attributes ? node.number("value", 0) : 0;
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const Numbers pads = as_attributes ? given : integers(run[1]);
    Numbers axes;
    for (int axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
    if (run.has(3)) axes = integers(run[3]);
    if (pads.size() != 2 * axes.size())
      fail("load_onnx", "it has {} pads for {} axes", pads.size(), axes.size());
    std::vector<Margin> margins(static_cast<std::size_t>(x.rank()));
    for (std::size_t i = 0; i < axes.size(); ++i) {
      for (const std::int64_t n : {pads[i], pads[i + axes.size()]})
        if (n <= -kLargest || n >= kLargest) fail("load_onnx", "a pad is {}", n);
      margins[static_cast<std::size_t>(x.stored_axis(axes[i]))] = {pads[i], pads[i + axes.size()]};
    }
    return {x.with(padded(x.tensor, margins, mode, run.has(2) ? number(run[2]) : value))};
  };
}

}  // namespace

void add_indexing(Ops& ops) {
  ops["Slice"] = {.roles = "xoooo", .prepare = prepare_slice};
  ops["Gather"] = {.required = 2, .roles = "xo", .prepare = prepare_gather};
  ops["GatherElements"] = {.required = 2, .roles = "xo", .prepare = prepare_gather_elements};
  ops["ScatterElements"] = {.required = 3, .roles = "xox", .prepare = prepare_scatter_elements};
  ops["Scatter"] = ops["ScatterElements"];
  ops["OneHot"] = {.required = 3, .roles = "ooo", .prepare = prepare_one_hot, .folds = false};
  ops["TopK"] = {.roles = "xo", .prepare = prepare_top_k};
  ops["NonZero"] = {.prepare = prepare_nonzero};
  ops["Pad"] = {.roles = "xooo", .prepare = prepare_pad, .folds = false};
}

}  // namespace tapegrad::inline v0::onnx
