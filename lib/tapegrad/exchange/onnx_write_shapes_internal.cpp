// How ops that move elements are written in ONNX: other shapes and orders of axes, and parts of tensors.

#include <algorithm>
#include <limits>

#include "tapegrad/exchange/onnx_call_internal.h"

namespace tapegrad::inline v0::onnx {
namespace {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

// The elements first, first + step, ... of an axis.
struct Walk {
  index_t first = 0, step = 1, count = 0, size = 0;
  bool is_whole() const { return first == 0 && step == 1 && count == size; }
  bool is_reversed() const { return first == size - 1 && step == -1 && count == size; }
  friend bool operator==(const Walk& a, const Walk& b) {
    return a.first == b.first && a.step == b.step && a.count == b.count;
  }
};

// How a part lies in a whole, told by the places of its first element and of the next ones along each axis.
std::vector<Walk> walks(const Shape& whole, const Shape& part, double offset,
                        const std::vector<double>& strides) {
  std::vector<Walk> made(static_cast<std::size_t>(whole.rank()));
  index_t own = whole.size(), rest = static_cast<index_t>(offset);
  for (int axis = 0; axis < whole.rank(); ++axis) {
    own /= whole[axis];
    Walk& walk = made[static_cast<std::size_t>(axis)];
    walk = {rest / own, static_cast<index_t>(strides[static_cast<std::size_t>(axis)]) / own, part[axis],
            whole[axis]};
    if (walk.count == 1) walk.step = 1;
    rest %= own;
  }
  return made;
}

// The parts in both runs; wholes and parts are the tensors that these tell the shapes of.
std::pair<std::vector<Walk>, std::vector<Walk>> both_walks(Call& call, bool result_is_whole) {
  const auto [offset_a, offset_b] = call.both("offset");
  const auto [strides_a, strides_b] = call.both("strides");
  const auto of = [&](const TracedOp& op, double offset, const std::vector<double>& strides) {
    const Shape &x = op.inputs[0].shape(), &y = op.output.shape();
    if (x.size() == 0 || y.size() == 0) call.fail("has no elements (shape {}), which cannot be exported", x);
    return result_is_whole ? walks(y, x, offset, strides) : walks(x, y, offset, strides);
  };
  return {of(call.first(), offset_a[0], strides_a), of(call.second(), offset_b[0], strides_b)};
}

[[noreturn]] void refuse_batch(const Call& call, std::size_t axis) {
  call.fail(
      "takes a part along axis {} that depends on the batch's size: only fixed parts, or whole axes, can be exported; "
      "with dynamic_batch = false the batch is that of the example",
      axis);
}

// Slices with any steps.
void write_take(Call& call) {
  const bool is_nchw = call.prefers_nchw(0);
  const auto [first, second] = both_walks(call, false);
  Ints starts, ends, axes, steps;
  for (std::size_t axis = 0; axis < first.size(); ++axis) {
    const Walk &a = first[axis], &b = second[axis];
    if (a.is_whole() && b.is_whole()) continue;
    const bool reversed = a.is_reversed() && b.is_reversed();
    if (!(a == b) && !reversed) refuse_batch(call, axis);
    const index_t last = a.first + (a.count - 1) * a.step;
    starts.push_back(reversed ? -1 : a.first);
    ends.push_back(reversed || (a.step < 0 && last == 0) ? -kEnd : last + (a.step < 0 ? -1 : 1));
    axes.push_back(file_axis(static_cast<int>(axis), is_nchw));
    steps.push_back(a.step);
  }
  const std::string x = is_nchw ? call.in_nchw(0) : call.in(0);
  if (axes.empty()) return call.result(call.node("Identity", {x}), is_nchw);
  Graph& graph = call.graph;
  call.result(call.node("Slice", {x, graph.integers(starts), graph.integers(ends), graph.integers(axes),
                                  graph.integers(steps)}),
              is_nchw);
}

// A tensor amidst others: pad().
void write_place(Call& call) {
  const bool is_nchw = call.prefers_nchw(0);
  const auto [first, second] = both_walks(call, true);
  const auto rank = static_cast<std::size_t>(call.rank());
  Ints pads(2 * rank);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const Walk &a = first[axis], &b = second[axis];
    const auto behind = [](const Walk& walk) { return walk.size - walk.first - walk.count; };
    if (a.step != 1 || b.step != 1)
      call.fail("puts elements between others, which has no counterpart in ONNX");
    if (a.first != b.first || behind(a) != behind(b)) refuse_batch(call, axis);
    const auto place = static_cast<std::size_t>(file_axis(static_cast<int>(axis), is_nchw));
    pads[place] = a.first;
    pads[rank + place] = behind(a);
  }
  const std::string x = is_nchw ? call.in_nchw(0) : call.in(0);
  call.result(call.node("Pad", {x, call.graph.integers(pads), call.constant(call.number("around"))}),
              is_nchw);
}

// Rows of the first axis, from one place to another: fixed ones, or multiples of the batch's size.
std::string rows(Call& call) {
  const auto [offset_a, offset_b] = call.both("offset");
  const auto walk = [&](const TracedOp& op, double offset) {
    const Shape &x = op.inputs[0].shape(), &y = op.output.shape();
    const index_t inner = x.size() / std::max<index_t>(x[0], 1);
    if (y.size() == 0 || static_cast<index_t>(offset) % inner != 0 || y.size() % inner != 0)
      call.fail("makes {} of {}, which are not some of its rows: this cannot be exported", y, x);
    return Walk{static_cast<index_t>(offset) / inner, 1, y.size() / inner, x[0]};
  };
  const Walk a = walk(call.first(), offset_a[0]), b = walk(call.second(), offset_b[0]);
  const Runs& runs = call.exporter.runs;
  const auto first = runs.size(a.first, b.first), last = runs.size(a.first + a.count, b.first + b.count);
  if (!first || !last) refuse_batch(call, 0);
  Graph& graph = call.graph;
  return call.node("Slice", {call.in(0), graph.sizes({*first}), graph.sizes({*last}), graph.integers({0})});
}

// A view: the same elements in another shape, or rows.
void write_view(Call& call) {
  const auto keeps_all = [](const TracedOp& op) { return op.inputs[0].size() == op.output.size(); };
  if (keeps_all(call.first()) && keeps_all(call.second())) {
    (void)call.has("offset");
    return call.result(reshaped(call, call.in(0), call.sizes(0), call.result_sizes()));
  }
  Sizes taken = call.sizes(0);
  const index_t inner = call.first().inputs[0].size() / taken[0].number;
  const Sizes wanted = call.result_sizes();
  const std::string part = rows(call);
  if (call.rank() == call.rank(0)) {
    taken[0] = wanted[0];
    return call.result(reshaped(call, part, taken, wanted));
  }
  const index_t own =
      call.second().output.size() / (call.second().inputs[0].size() / call.second().inputs[0].shape()[0]);
  taken[0] = call.exporter.runs.size(call.first().output.size() / inner, own).value_or(Size{});
  call.result(reshaped(call, part, taken, wanted));
}

void write_permute(Call& call) {
  const std::vector<int> order = call.axes("order");
  if (call.prefers_nchw(0)) {
    std::vector<int> of_file;
    for (const int axis : order) of_file.push_back(file_axis(axis, true));
    return call.result(call.graph.transposed(call.in_nchw(0), of_file));
  }
  if (order == to_nhwc()) return call.result_nchw(call.in(0));  // what was NCHW is an image here
  call.result(call.graph.transposed(call.in(0), order));
}

void write_concat(Call& call) {
  const bool is_nchw = call.any_prefers_nchw();
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < call.inputs(); ++i) parts.push_back(is_nchw ? call.in_nchw(i) : call.in(i));
  const int axis = file_axis(call.axis(), is_nchw);
  call.result(call.node("Concat", parts, {attribute("axis", std::int64_t{axis})}), is_nchw);
}

void write_broadcast(Call& call) {
  const Sizes from = call.sizes(0), to = call.result_sizes();
  if (from == to) return call.result(call.node("Identity", {call.in(0)}));
  // A size of 1 keeps an axis as long as it is.
  Sizes target = to;
  const std::size_t added = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i] == to[added + i]) target[added + i] = {1, 0};
  call.result(call.node("Expand", {call.in(0), call.graph.sizes(target)}));
}

// Rows of a table, or elements wherever they are.
void write_gather(Call& call) {
  const int axis = call.axis();
  const bool all_over = call.first().output.shape() == call.first().inputs[0].shape() && call.rank(1) > 1;
  const std::string x = all_over ? call.node("Reshape", {call.in(1), call.graph.integers({-1})}) : call.in(1);
  call.result(call.node("Gather", {x, call.in(0)}, {attribute("axis", std::int64_t{axis})}));
}

}  // namespace

void add_shapes(OpTable& table) {
  table["permute"] = write_permute;
  table["concat"] = write_concat;
  table["broadcast_to"] = write_broadcast;
}

const WriteOp* part_writer(const TracedOp& op) {
  static const WriteOp view = write_view, take = write_take, place = write_place, gather = write_gather;
  const auto has = [&](std::string_view name) {
    return std::ranges::find(op.options, name, &OpOption::name) != op.options.end();
  };
  if (has("offset")) return has("around") ? &place : has("strides") ? &take : &view;
  const bool by_indices = op.inputs.size() == 2 && op.inputs[0].dtype() == DType::Int32 && has("axis");
  return by_indices ? &gather : nullptr;
}

}  // namespace tapegrad::inline v0::onnx
