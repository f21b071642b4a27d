// Ops of ONNX that change shapes, rearrange elements, or make constants.

#include <algorithm>
#include <numeric>

#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/create.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/rounding.h"
#include "tapegrad/ops/select.h"

namespace tapegrad::inline v0::onnx {
namespace {

using Numbers = std::vector<std::int64_t>;

// An axis of a value of this rank, from 0 on.
std::int64_t checked(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank) fail("load_onnx", "axis {} is not one of {}", axis, rank);
  return axis < 0 ? axis + rank : axis;
}

Compute prepare_reshape(const Node& node) {
  const bool zero_is_zero = node.integer("allowzero", 0) != 0;
  return [zero_is_zero](const Run& run) -> Results {
    const Value& x = run[0];
    const std::vector<index_t> from = x.sizes();
    Numbers sizes = integers(run[1]);
    for (std::size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i] == 0 && !zero_is_zero) {
        if (i >= from.size())
          fail("load_onnx", "the shape [{}] keeps axis {}, which {} does not have", join(sizes, ", "), i,
               Shape(from));
        sizes[i] = from[i];
      }
    return {value_of(reshape(natural(x), sizes), x.type)};
  };
}

Compute prepare_flatten(const Node& node) {
  const std::int64_t axis = node.integer("axis", 1);
  return [axis](const Run& run) -> Results {
    const Value& x = run[0];
    const std::int64_t end = axis == x.rank() ? axis : checked(axis, x.rank());
    index_t rows = 1, columns = 1;
    const std::vector<index_t> sizes = x.sizes();
    for (std::size_t i = 0; i < sizes.size(); ++i)
      (static_cast<std::int64_t>(i) < end ? rows : columns) *= sizes[i];
    return {value_of(reshape(natural(x), {rows, columns}), x.type)};
  };
}

Compute prepare_squeeze(const Node& node) {
  const AxesOf given = axes_of(node, 13, 1);
  return [given](const Run& run) -> Results {
    const Value& x = run[0];
    const std::vector<index_t> sizes = x.sizes();
    const auto axes = given(run);
    std::vector<bool> dropped(sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) dropped[i] = !axes && sizes[i] == 1;
    for (const std::int64_t axis : axes.value_or(Numbers{})) {
      const auto at = static_cast<std::size_t>(checked(axis, x.rank()));
      if (sizes[at] != 1)
        fail("load_onnx", "axis {} of shape {} has another size than 1", axis, Shape(sizes));
      dropped[at] = true;
    }
    std::vector<index_t> kept;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      if (!dropped[i]) kept.push_back(sizes[i]);
    return {value_of(reshape(natural(x), Shape(kept)), x.type)};
  };
}

Compute prepare_unsqueeze(const Node& node) {
  const AxesOf given = axes_of(node, 13, 1);
  return [given](const Run& run) -> Results {
    const Value& x = run[0];
    const Numbers axes = given(run).value_or(Numbers{});
    const auto rank = static_cast<std::int64_t>(axes.size()) + x.rank();
    std::vector<index_t> sizes(static_cast<std::size_t>(rank), -1);
    for (const std::int64_t axis : axes) {
      index_t& size = sizes[static_cast<std::size_t>(checked(axis, rank))];
      if (size == 1) fail("load_onnx", "axis {} is named twice", axis);
      size = 1;
    }
    auto next = x.sizes();
    auto from = next.begin();
    for (index_t& size : sizes)
      if (size < 0) size = *from++;
    return {value_of(reshape(natural(x), Shape(sizes)), x.type)};
  };
}

// Moves nothing: the axes get other names.
Compute prepare_transpose(const Node& node) {
  const auto given = node.integers("perm");
  return [given](const Run& run) -> Results {
    const Value& x = run[0];
    std::vector<int> moves(static_cast<std::size_t>(x.rank()));
    for (int i = 0; i < x.rank(); ++i) moves[static_cast<std::size_t>(i)] = x.rank() - 1 - i;
    if (given) {
      if (given->size() != moves.size())
        fail("load_onnx", "perm [{}] has another length than shape {}", join(*given, ", "), Shape(x.sizes()));
      for (std::size_t i = 0; i < moves.size(); ++i)
        moves[i] = static_cast<int>(checked((*given)[i], x.rank()));
    }
    Order order;
    for (int stored = 0; stored < x.rank(); ++stored) {
      const int axis = x.order.empty() ? stored : x.order[static_cast<std::size_t>(stored)];
      const auto at = std::ranges::find(moves, axis);
      if (at == moves.end()) fail("load_onnx", "perm [{}] is not a permutation", join(moves, ", "));
      order.push_back(static_cast<int>(at - moves.begin()));
    }
    if (std::ranges::is_sorted(order)) order.clear();
    return {{x.tensor, x.type, order}};
  };
}

Compute prepare_concat(const Node& node) {
  const std::int64_t axis = node.required_integer("axis");
  return [axis](const Run& run) -> Results {
    const Value& first = run[0];
    for (std::size_t i = 0; i < run.inputs.size(); ++i)
      if (run[i].type != first.type || run[i].rank() != first.rank())
        fail("load_onnx", "input {} is {} of shape {}, but the first {} of shape {}", i, name(run[i].type),
             Shape(run[i].sizes()), name(first.type), Shape(first.sizes()));
    const auto [tensors, order] = aligned({run.inputs.begin(), run.inputs.end()});
    const Value like{tensors[0], first.type, order};
    return {like.with(concat(tensors, like.stored_axis(axis)))};
  };
}

Compute prepare_split(const Node& node) {
  const std::int64_t axis = node.integer("axis", 0);
  const std::size_t count = node.proto().outputs.size();
  const auto given = node.opset() < 13 ? node.integers("split") : std::nullopt;
  const std::int64_t declared = node.opset() >= 18 ? node.integer("num_outputs", 0) : 0;
  if (declared != 0 && declared != static_cast<std::int64_t>(count))
    node.fail("has num_outputs {}", declared);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const int at = x.stored_axis(axis);
    const index_t size = x.tensor.shape()[at], parts = static_cast<index_t>(count);
    Numbers sizes = given.value_or(Numbers{});
    if (run.has(1)) sizes = integers(run[1]);
    if (sizes.empty()) {  // equal ones; if they do not fit, the last one is smaller
      const index_t part = (size + parts - 1) / parts;
      for (index_t i = 0; i < parts; ++i) sizes.push_back(std::clamp<index_t>(size - i * part, 0, part));
    }
    if (sizes.size() != count)
      fail("load_onnx", "it is split into {} parts, but has {} results", sizes.size(), count);
    Results results;
    for (const Tensor& part : split(x.tensor, sizes, at)) results.push_back(x.with(part));
    return results;
  };
}

Compute prepare_expand(const Node&) {
  return [](const Run& run) -> Results {
    const Value& x = run[0];
    const Tensor tensor = natural(x);
    const Shape target(integers(run[1]));
    return {value_of(broadcast_to(tensor, broadcast("load_onnx", tensor.shape(), target)), x.type)};
  };
}

Compute prepare_tile(const Node&) {
  return [](const Run& run) -> Results {
    const Value& x = run[0];
    const Numbers repeats = integers(run[1]);
    if (static_cast<int>(repeats.size()) != x.rank())
      fail("load_onnx", "it repeats {} axes, got shape {}", repeats.size(), Shape(x.sizes()));
    return {value_of(tile(natural(x), repeats), x.type)};
  };
}

Compute prepare_shape(const Node& node) {
  const std::int64_t start = node.integer("start", 0);
  const std::int64_t end = node.has("end") ? node.integer("end", 0) : Shape::kMaxRank;
  return [start, end](const Run& run) -> Results {
    const std::vector<index_t> sizes = run[0].sizes();
    const std::int64_t rank = run[0].rank();
    const auto place = [rank](std::int64_t at) {
      return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
    };
    if (place(start) >= place(end)) return {value_of(Numbers{})};
    return {value_of(Numbers(sizes.begin() + place(start), sizes.begin() + place(end)))};
  };
}

// A float16 that a model computes with is a Float32 here; a number that is stored as one is not rounded.
Value converted(const Value& x, ElementType type) {
  if (type == ElementType::Bool) {
    return {x.type == ElementType::Bool ? x.tensor : not_equals(x.tensor, 0), type, x.order};
  }
  if (is_whole(type)) {
    const Tensor whole = cast(x.tensor, DType::Float64);
    return {wrapped(is_floating(x.type) ? trunc(whole) : whole, type), type, x.order};
  }
  const DType dtype = stored_dtype(type);
  return {x.tensor.dtype() == dtype ? x.tensor : cast(x.tensor, dtype), type, x.order};
}

Compute prepare_cast(const Node& node) {
  const std::int64_t number = node.required_integer("to");
  const auto type = static_cast<ElementType>(number);
  node.ignore("saturate");
  if (number < 1 || number > static_cast<int>(ElementType::BFloat16) || type == ElementType::String ||
      type == ElementType::Complex64 || type == ElementType::Complex128)
    node.fail("converts to {}", number > 0 && number < 1000 ? name(type) : std::to_string(number));
  return [type](const Run& run) -> Results { return {converted(run[0], type)}; };
}

Value filled(const Shape& shape, const Value& with) {
  return value_of(broadcast_to(reshape(with.tensor, Shape()), shape), with.type);
}

Compute prepare_constant_of_shape(const Node& node) {
  Value with = value_of(zeros({}), ElementType::Float);
  if (const TensorProto* given = node.tensor("value")) with = constant(node.source(), *given);
  if (with.tensor.size() != 1) node.fail("has {} values", with.tensor.size());
  return [with](const Run& run) -> Results { return {filled(Shape(integers(run[0])), with)}; };
}

Compute prepare_constant(const Node& node) {
  Value made;
  if (const TensorProto* given = node.tensor("value")) {
    made = constant(node.source(), *given);
  } else if (node.has("value_float")) {
    made = value_of(full({}, node.number("value_float", 0)), ElementType::Float);
  } else if (const auto floats = node.numbers("value_floats")) {
    made = value_of(tensor(*floats, static_cast<index_t>(floats->size())), ElementType::Float);
  } else if (node.has("value_int")) {
    made = value_of(Numbers{node.integer("value_int", 0)});
    made.tensor = reshape(made.tensor, Shape());
  } else if (const auto numbers = node.integers("value_ints")) {
    made = value_of(*numbers);
  } else {
    node.fail("has no value that can be read");
  }
  return [made](const Run&) -> Results { return {made}; };
}

Compute prepare_range(const Node&) {
  return [](const Run& run) -> Results {
    const double start = number(run[0]), stop = number(run[1]), step = number(run[2]);
    return {
        value_of(cast(arange(start, stop, step, DType::Float64), stored_dtype(run[0].type)), run[0].type)};
  };
}

Compute prepare_block(const Node& node, bool to_space) {
  const std::int64_t block = node.required_integer("blocksize");
  const bool columns_first =
      to_space && node.opset() >= 11 && node.one_of("mode", "DCR", {"DCR", "CRD"}) == "CRD";
  if (block < 1 || block > 1 << 16) node.fail("has blocksize {}", block);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    if (x.rank() != 4) fail("load_onnx", "an image must have four axes, got shape {}", Shape(x.sizes()));
    const Tensor image = in_order(x, channels_last(4));
    const Shape& s = image.shape();
    const index_t b = block, n = s[0], h = s[1], w = s[2], c = s[3];
    Tensor y;
    if (!to_space)
      y = reshape(permute(reshape(image, {n, h / b, b, w / b, b, c}), {0, 1, 3, 2, 4, 5}),
                  {n, h / b, w / b, b * b * c});
    else if (columns_first)
      y = reshape(permute(reshape(image, {n, h, w, c / (b * b), b, b}), {0, 1, 4, 2, 5, 3}),
                  {n, h * b, w * b, c / (b * b)});
    else
      y = reshape(permute(reshape(image, {n, h, w, b, b, c / (b * b)}), {0, 1, 3, 2, 4, 5}),
                  {n, h * b, w * b, c / (b * b)});
    return {{y, x.type, channels_last(4)}};
  };
}

Compute prepare_trilu(const Node& node) {
  const bool upper = node.integer("upper", 1) != 0;
  return [upper](const Run& run) -> Results {
    const double k = run.has(1) ? number(run[1]) : 0;
    const auto diagonal = static_cast<index_t>(std::clamp(k, -1e9, 1e9));
    const Tensor x = natural(run[0]);
    return {value_of(upper ? triu(x, diagonal) : tril(x, diagonal), run[0].type)};
  };
}

void add_makers(Ops& ops) {
  ops["Constant"] = {.required = 0, .roles = "", .prepare = prepare_constant};
  ops["ConstantOfShape"] = {.roles = "o", .prepare = prepare_constant_of_shape, .folds = false};
  ops["Range"] = {.required = 3, .roles = "ooo", .prepare = prepare_range, .folds = false};
  ops["Expand"] = {.required = 2, .roles = "xo", .prepare = prepare_expand, .folds = false};
  ops["Tile"] = {.required = 2, .roles = "xo", .prepare = prepare_tile, .folds = false};
  ops["Shape"] = {.prepare = prepare_shape};
  ops["Size"] = {.prepare = [](const Node&) {
    return [](const Run& run) -> Results {
      return {
          value_of(full({}, static_cast<double>(run[0].tensor.size()), DType::Float64), ElementType::Int64)};
    };
  }};
  ops["Cast"] = {.prepare = prepare_cast};
  ops["CastLike"] = {.required = 2, .roles = "xo", .prepare = [](const Node&) {
                       return [](const Run& run) -> Results { return {converted(run[0], run[1].type)}; };
                     }};
}

}  // namespace

void add_shape_ops(Ops& ops) {
  add_makers(ops);
  ops["Identity"] = {
      .prepare = [](const Node&) { return [](const Run& run) -> Results { return {run[0]}; }; }};
  ops["Reshape"] = {.required = 2, .roles = "xo", .prepare = prepare_reshape};
  ops["Flatten"] = {.prepare = prepare_flatten};
  ops["Squeeze"] = {.roles = "xo", .prepare = prepare_squeeze};
  ops["Unsqueeze"] = {.roles = "xo", .prepare = prepare_unsqueeze};
  ops["Transpose"] = {.prepare = prepare_transpose};
  ops["Concat"] = {.roles = "x*", .prepare = prepare_concat};
  ops["Split"] = {.roles = "xo", .prepare = prepare_split};
  ops["DepthToSpace"] = {.prepare = [](const Node& node) { return prepare_block(node, true); }};
  ops["SpaceToDepth"] = {.prepare = [](const Node& node) { return prepare_block(node, false); }};
  ops["Trilu"] = {.roles = "xo", .prepare = prepare_trilu};
}

}  // namespace tapegrad::inline v0::onnx
