// Shapes and options of the ops that rearrange and sum elements. What an op does is written down here as a table: for each
// element of the result, which elements of the inputs add up to it. That tells values and gradients, and what is refused.

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <set>

#include "fuzz.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/select.h"

using namespace tapegrad;

namespace {

using Index = std::vector<index_t>;

// Elements of the inputs, one input behind the other, are counted from 0.
struct Expected {
  Index shape;
  std::vector<Index> sources;  // of each element of the result
  double fill = 0;             // the value of an element without sources
};

index_t size_of(const Index& shape) {
  return std::accumulate(shape.begin(), shape.end(), index_t{1}, std::multiplies<>());
}

index_t flat(const Index& shape, const Index& at) {
  index_t place = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) place = place * shape[axis] + at[axis];
  return place;
}

// f(index) for each index of a shape, in row-major order.
void for_indices(const Index& shape, const std::function<void(const Index&)>& f) {
  Index at(shape.size(), 0);
  for (index_t left = size_of(shape); left > 0; --left) {
    f(at);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++at[axis] < shape[axis]) break;
      at[axis] = 0;
    }
  }
}

// sources_of(index) lists what is summed for this element.
Expected table(const Index& shape, const std::function<Index(const Index&)>& sources_of) {
  Expected made{.shape = shape, .sources = {}};
  for_indices(shape, [&](const Index& at) { made.sources.push_back(sources_of(at)); });
  return made;
}

// What an op does with some inputs: nothing if it must refuse.
struct Case {
  std::string op;
  std::optional<Expected> expected;
  std::function<Tensor(const std::vector<Tensor>&)> run;
  bool floating_only = false;
};

struct Drawn {
  fuzz::Draw& draw;
  Index shape;
  int rank() const { return static_cast<int>(shape.size()); }
  // An axis, or one that is not there.
  int axis(int more = 0) { return static_cast<int>(draw.integer(-rank() - more - 1, rank() + more)); }
  // Counted from the front; nothing if there is none.
  std::optional<std::size_t> real(int axis, int more = 0) const {
    const int at = axis < 0 ? axis + rank() + more : axis;
    if (at < 0 || at >= rank() + more) return std::nullopt;
    return static_cast<std::size_t>(at);
  }
  std::vector<int> axes() {
    std::vector<int> made(static_cast<std::size_t>(draw.integer(0, 3)));
    for (int& a : made) a = axis();
    return made;
  }
  // Which axes these are; nothing if one is not there or named twice.
  std::optional<std::vector<bool>> set_of(const std::vector<int>& axes) const {
    std::vector<bool> chosen(shape.size());
    for (const int a : axes) {
      const auto at = real(a);
      if (!at || chosen[*at]) return std::nullopt;
      chosen[*at] = true;
    }
    return chosen;
  }
};

Case reshape_case(Drawn& d) {
  Index sizes(static_cast<std::size_t>(d.draw.integer(0, 4)));
  for (index_t& size : sizes) size = d.draw.integer(-1, 6);
  if (d.draw.chance(128)) {  // mostly what fits
    sizes = d.shape;
    if (!sizes.empty()) {
      std::rotate(sizes.begin(), sizes.begin() + 1, sizes.end());
      if (d.draw.chance(128)) sizes[static_cast<std::size_t>(d.draw.integer(0, d.rank() - 1))] = -1;
    }
  }
  Case c{.op = "reshape", .expected = {}, .run = [sizes](const auto& in) { return reshape(in[0], sizes); }};
  Index filled = sizes;
  const auto open = std::count(sizes.begin(), sizes.end(), -1);
  if (open == 1) {
    // As many zeros on both sides stand for each other.
    const bool zeros = size_of(d.shape) == 0 && std::count(sizes.begin(), sizes.end(), 0) ==
                                                    std::count(d.shape.begin(), d.shape.end(), 0);
    index_t all = 1, others = 1;
    for (const index_t size : d.shape) all *= zeros && size == 0 ? 1 : size;
    for (const index_t size : sizes) others *= size == -1 || (zeros && size == 0) ? 1 : size;
    if (others == 0 || all % others != 0) return c;
    std::replace(filled.begin(), filled.end(), index_t{-1}, all / others);
  }
  if (open > 1 || size_of(filled) != size_of(d.shape)) return c;
  c.expected = table(filled, [filled](const Index& at) { return Index{flat(filled, at)}; });
  return c;
}

Case permute_case(Drawn& d) {
  std::vector<int> order(d.shape.size());
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(d.draw.integer(0, static_cast<index_t>(i) - 1))]);
  for (int& axis : order)
    if (d.draw.chance(40)) axis -= d.rank();
  if (d.draw.chance(16)) order.push_back(0);
  if (d.draw.chance(16) && !order.empty()) order.back() = d.axis();
  Case c{.op = "permute", .expected = {}, .run = [order](const auto& in) { return permute(in[0], order); }};
  const auto named = d.set_of(order);
  if (!named || order.size() != d.shape.size()) return c;
  Index shape;
  for (const int axis : order) shape.push_back(d.shape[*d.real(axis)]);
  c.expected = table(shape, [&](const Index& at) {
    Index from(at.size());
    for (std::size_t i = 0; i < at.size(); ++i) from[*d.real(order[i])] = at[i];
    return Index{flat(d.shape, from)};
  });
  return c;
}

Case slice_case(Drawn& d) {
  std::vector<Range> ranges(static_cast<std::size_t>(d.draw.integer(0, d.draw.chance(16) ? 5 : d.rank())));
  constexpr index_t kFar[] = {Range::kToEnd, std::numeric_limits<index_t>::min(), 1'000'000'007};
  for (Range& range : ranges) {
    range = {d.draw.integer(-7, 7), d.draw.integer(-7, 7),
             d.draw.chance(16) ? d.draw.integer(-1, 0) : d.draw.integer(1, 4)};
    if (d.draw.chance(64)) range.end = d.draw.one_of(kFar);
    if (d.draw.chance(16)) range.begin = d.draw.one_of(kFar);
    if (d.draw.chance(16)) range.step = Range::kToEnd;
  }
  Case c{.op = "slice", .expected = {}, .run = [ranges](const auto& in) { return slice(in[0], ranges); }};
  if (ranges.size() > d.shape.size()) return c;
  std::vector<Index> taken;  // along each axis
  for (std::size_t axis = 0; axis < d.shape.size(); ++axis) {
    const Range range = axis < ranges.size() ? ranges[axis] : Range{};
    if (range.step < 1) return c;
    taken.emplace_back();
    // Python's begin:end:step, element by element.
    const auto wrapped = [&](index_t at) {
      return std::clamp<index_t>(at < 0 ? at + d.shape[axis] : at, 0, d.shape[axis]);
    };
    const index_t begin = wrapped(range.begin), end = wrapped(range.end);
    for (index_t i = begin; i < end; ++i)
      if ((i - begin) % range.step == 0) taken.back().push_back(i);
  }
  Index shape;
  for (const Index& places : taken) shape.push_back(static_cast<index_t>(places.size()));
  c.expected = table(shape, [&](const Index& at) {
    Index from;
    for (std::size_t axis = 0; axis < at.size(); ++axis)
      from.push_back(taken[axis][static_cast<std::size_t>(at[axis])]);
    return Index{flat(d.shape, from)};
  });
  return c;
}

Case row_case(Drawn& d) {
  const index_t index = d.draw.integer(-6, 6);
  Case c{.op = "row", .expected = {}, .run = [index](const auto& in) { return row(in[0], index); }};
  if (d.shape.empty() || index < -d.shape[0] || index >= d.shape[0]) return c;
  c.expected = table(Index(d.shape.begin() + 1, d.shape.end()), [&](Index at) {
    at.insert(at.begin(), index < 0 ? index + d.shape[0] : index);
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case flip_case(Drawn& d) {
  const std::vector<int> axes = d.axes();
  Case c{.op = "flip", .expected = {}, .run = [axes](const auto& in) { return flip(in[0], axes); }};
  const auto chosen = d.set_of(axes);
  if (!chosen) return c;
  c.expected = table(d.shape, [&](Index at) {
    for (std::size_t axis = 0; axis < at.size(); ++axis)
      if ((*chosen)[axis]) at[axis] = d.shape[axis] - 1 - at[axis];
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case roll_case(Drawn& d) {
  const int axis = d.axis();
  constexpr index_t kFar[] = {std::numeric_limits<index_t>::min(), std::numeric_limits<index_t>::max()};
  const index_t shift = d.draw.chance(16) ? d.draw.one_of(kFar) : d.draw.integer(-9, 9);
  Case c{.op = "roll", .expected = {}, .run = [=](const auto& in) { return roll(in[0], shift, axis); }};
  const auto at_axis = d.real(axis);
  if (!at_axis) return c;
  c.expected = table(d.shape, [&](Index at) {
    const index_t size = d.shape[*at_axis], moved = ((shift % size) + size) % size;
    at[*at_axis] = (at[*at_axis] + size - moved) % size;
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case pad_case(Drawn& d) {
  std::vector<Margin> margins(d.shape.size());
  for (Margin& margin : margins) margin = {d.draw.integer(0, 2), d.draw.integer(0, 2)};
  if (d.draw.chance(16)) margins.push_back({0, 0});
  if (d.draw.chance(16) && !margins.empty()) margins[0].after = -1;
  const double value = d.draw.chance(128) ? 0 : 3;
  Case c{.op = "pad", .expected = {}, .run = [=](const auto& in) { return pad(in[0], margins, value); }};
  if (margins.size() != d.shape.size()) return c;
  Index shape = d.shape;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (margins[axis].after < 0) return c;
    shape[axis] += margins[axis].before + margins[axis].after;
  }
  c.expected = table(shape, [&](Index at) {
    for (std::size_t axis = 0; axis < at.size(); ++axis) {
      at[axis] -= margins[axis].before;
      if (at[axis] < 0 || at[axis] >= d.shape[axis]) return Index{};
    }
    return Index{flat(d.shape, at)};
  });
  c.expected->fill = value;
  return c;
}

Case zero_insert_case(Drawn& d) {
  Index counts(d.shape.size());
  for (index_t& count : counts) count = d.draw.integer(d.draw.chance(8) ? -1 : 0, 2);
  Case c{.op = "zero_insert", .expected = {}, .run = [counts](const auto& in) {
           return zero_insert(in[0], counts);
         }};
  Index shape;
  for (std::size_t axis = 0; axis < counts.size(); ++axis) {
    if (counts[axis] < 0) return c;
    shape.push_back(d.shape[axis] == 0 ? 0 : (d.shape[axis] - 1) * (counts[axis] + 1) + 1);
  }
  c.expected = table(shape, [&](Index at) {
    for (std::size_t axis = 0; axis < at.size(); ++axis) {
      if (at[axis] % (counts[axis] + 1) != 0) return Index{};
      at[axis] /= counts[axis] + 1;
    }
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case squeeze_case(Drawn& d) {
  const bool all = d.draw.chance(64);
  const std::vector<int> axes = d.axes();
  Case c{.op = "squeeze", .expected = {}, .run = [=](const auto& in) {
           return all ? squeeze(in[0]) : squeeze(in[0], axes);
         }};
  auto chosen = all ? std::optional(std::vector<bool>(d.shape.size())) : d.set_of(axes);
  if (!chosen) return c;
  Index shape;
  for (std::size_t axis = 0; axis < d.shape.size(); ++axis) {
    if (all) (*chosen)[axis] = d.shape[axis] == 1;
    if ((*chosen)[axis] && d.shape[axis] != 1) return c;
    if (!(*chosen)[axis]) shape.push_back(d.shape[axis]);
  }
  c.expected = table(shape, [&](const Index& at) { return Index{flat(shape, at)}; });
  return c;
}

Case expand_dims_case(Drawn& d) {
  const int axis = d.axis(1);
  Case c{.op = "expand_dims", .expected = {}, .run = [axis](const auto& in) {
           return expand_dims(in[0], axis);
         }};
  const auto at_axis = d.real(axis, 1);
  if (!at_axis) return c;
  Index shape = d.shape;
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(*at_axis), 1);
  c.expected = table(shape, [&](const Index& at) { return Index{flat(shape, at)}; });
  return c;
}

// Inputs are x, x and x: what is joined need not differ, as their elements are counted one input behind the other.
Case concat_case(Drawn& d) {
  const int axis = d.axis();
  const std::size_t count = static_cast<std::size_t>(d.draw.integer(1, 3));
  Case c{.op = "concat", .expected = {}, .run = [=](const std::vector<Tensor>& in) {
           return concat(std::vector<Tensor>(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(count)),
                         axis);
         }};
  const auto at_axis = d.real(axis);
  if (!at_axis) return c;
  Index shape = d.shape;
  shape[*at_axis] *= static_cast<index_t>(count);
  c.expected = table(shape, [&](Index at) {
    const index_t which = at[*at_axis] / d.shape[*at_axis];
    at[*at_axis] %= d.shape[*at_axis];
    return Index{which * size_of(d.shape) + flat(d.shape, at)};
  });
  return c;
}

Case stack_case(Drawn& d) {
  const int axis = d.axis(1);
  const std::size_t count = static_cast<std::size_t>(d.draw.integer(1, 3));
  Case c{.op = "stack", .expected = {}, .run = [=](const std::vector<Tensor>& in) {
           return stack(std::vector<Tensor>(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(count)),
                        axis);
         }};
  const auto at_axis = d.real(axis, 1);
  if (!at_axis) return c;
  const auto place = static_cast<std::ptrdiff_t>(*at_axis);
  Index shape = d.shape;
  shape.insert(shape.begin() + place, static_cast<index_t>(count));
  c.expected = table(shape, [&](Index at) {
    const index_t which = at[*at_axis];
    at.erase(at.begin() + place);
    return Index{which * size_of(d.shape) + flat(d.shape, at)};
  });
  return c;
}

Case split_case(Drawn& d) {
  const int axis = d.axis();
  const auto at_axis = d.real(axis);
  Index sizes(static_cast<std::size_t>(d.draw.integer(1, 3)));
  index_t left = at_axis ? d.shape[*at_axis] : 3;
  for (index_t& size : sizes) left -= size = std::min<index_t>(left, d.draw.integer(0, 3));
  if (!d.draw.chance(32)) sizes.back() += left;  // mostly they add up
  const std::size_t which =
      static_cast<std::size_t>(d.draw.integer(0, static_cast<index_t>(sizes.size()) - 1));
  Case c{
      .op = "split", .expected = {}, .run = [=](const auto& in) { return split(in[0], sizes, axis)[which]; }};
  if (!at_axis || std::accumulate(sizes.begin(), sizes.end(), index_t{0}) != d.shape[*at_axis]) return c;
  const index_t before =
      std::accumulate(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(which), index_t{0});
  Index shape = d.shape;
  shape[*at_axis] = sizes[which];
  c.expected = table(shape, [&](Index at) {
    at[*at_axis] += before;
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case repeat_case(Drawn& d) {
  const int axis = d.axis();
  const index_t count = d.draw.integer(-1, 3);
  Case c{.op = "repeat", .expected = {}, .run = [=](const auto& in) { return repeat(in[0], count, axis); }};
  const auto at_axis = d.real(axis);
  if (!at_axis || count < 0) return c;
  Index shape = d.shape;
  shape[*at_axis] *= count;
  c.expected = table(shape, [&](Index at) {
    at[*at_axis] /= count;
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case tile_case(Drawn& d) {
  Index counts(d.shape.size());
  for (index_t& count : counts) count = d.draw.integer(d.draw.chance(8) ? -1 : 0, 3);
  if (d.draw.chance(8)) counts.push_back(1);
  Case c{.op = "tile", .expected = {}, .run = [counts](const auto& in) { return tile(in[0], counts); }};
  if (counts.size() != d.shape.size()) return c;
  Index shape = d.shape;
  for (std::size_t axis = 0; axis < counts.size(); ++axis) {
    if (counts[axis] < 0) return c;
    shape[axis] *= counts[axis];
  }
  c.expected = table(shape, [&](Index at) {
    for (std::size_t axis = 0; axis < at.size(); ++axis) at[axis] %= d.shape[axis];
    return Index{flat(d.shape, at)};
  });
  return c;
}

// Whether `small` is broadcast to `large` by NumPy's rule.
bool stretches(const Index& small, const Index& large) {
  if (small.size() > large.size()) return false;
  for (std::size_t i = 1; i <= small.size(); ++i)
    if (small[small.size() - i] != 1 && small[small.size() - i] != large[large.size() - i]) return false;
  return true;
}
// The place in `small` that is broadcast to this one.
index_t shrunk(const Index& small, const Index& at) {
  Index from(at.end() - static_cast<std::ptrdiff_t>(small.size()), at.end());
  for (std::size_t axis = 0; axis < small.size(); ++axis)
    if (small[axis] == 1) from[axis] = 0;
  return flat(small, from);
}

Case broadcast_case(Drawn& d) {
  Index shape = d.shape;
  for (index_t& size : shape)
    if (size == 1 || d.draw.chance(8)) size = d.draw.integer(0, 3);
  if (d.draw.chance(96)) shape.insert(shape.begin(), d.draw.integer(0, 3));
  Case c{.op = "broadcast_to", .expected = {}, .run = [shape](const auto& in) {
           return broadcast_to(in[0], Shape(shape));
         }};
  if (stretches(d.shape, shape))
    c.expected = table(shape, [&](const Index& at) { return Index{shrunk(d.shape, at)}; });
  return c;
}

Case sum_to_case(Drawn& d) {
  Index shape = d.shape;
  for (index_t& size : shape)
    if (d.draw.chance(96)) size = d.draw.chance(8) ? 2 : 1;
  if (!shape.empty() && d.draw.chance(96)) shape.erase(shape.begin());
  Case c{.op = "sum_to",
         .expected = {},
         .run = [shape](const auto& in) { return sum_to(in[0], Shape(shape)); },
         .floating_only = true};
  if (!stretches(shape, d.shape)) return c;
  c.expected = table(shape, [](const Index&) { return Index{}; });
  for_indices(d.shape, [&](const Index& at) {
    c.expected->sources[static_cast<std::size_t>(shrunk(shape, at))].push_back(flat(d.shape, at));
  });
  return c;
}

Case sum_case(Drawn& d) {
  const std::vector<int> axes = d.axes();
  const bool keep = d.draw.chance(128);
  Case c{.op = "sum",
         .expected = {},
         .run = [=](const auto& in) { return sum(in[0], axes, {.keepdims = keep}); },
         .floating_only = true};
  const auto chosen = d.set_of(axes);
  if (!chosen) return c;
  Index kept, shape;
  for (std::size_t axis = 0; axis < d.shape.size(); ++axis) {
    kept.push_back((*chosen)[axis] ? 1 : d.shape[axis]);
    if (!(*chosen)[axis] || keep) shape.push_back(kept.back());
  }
  c.expected = table(shape, [](const Index&) { return Index{}; });
  for_indices(d.shape, [&](const Index& at) {
    c.expected->sources[static_cast<std::size_t>(shrunk(kept, at))].push_back(flat(d.shape, at));
  });
  return c;
}

Case cumsum_case(Drawn& d) {
  const int axis = d.axis();
  const bool reverse = d.draw.chance(128), exclusive = d.draw.chance(128);
  Case c{
      .op = "cumsum",
      .expected = {},
      .run =
          [=](const auto& in) { return cumsum(in[0], axis, {.reverse = reverse, .exclusive = exclusive}); },
      .floating_only = true};
  const auto at_axis = d.real(axis);
  if (!at_axis) return c;
  c.expected = table(d.shape, [&](const Index& at) {
    Index sources, from = at;
    for (index_t i = 0; i < d.shape[*at_axis]; ++i) {
      const index_t here = at[*at_axis];
      if (reverse ? i < here : i > here) continue;
      if (exclusive && i == here) continue;
      from[*at_axis] = i;
      sources.push_back(flat(d.shape, from));
    }
    return sources;
  });
  return c;
}

Case triangle_case(Drawn& d) {
  const bool upper = d.draw.chance(128);
  constexpr index_t kFar[] = {std::numeric_limits<index_t>::min(), std::numeric_limits<index_t>::max()};
  const index_t k = d.draw.chance(16) ? d.draw.one_of(kFar) : d.draw.integer(-4, 4);
  Case c{.op = upper ? "triu" : "tril", .expected = {}, .run = [=](const auto& in) {
           return upper ? triu(in[0], k) : tril(in[0], k);
         }};
  if (d.shape.size() < 2) return c;
  c.expected = table(d.shape, [&](const Index& at) {
    const index_t above = at[at.size() - 1] - at[at.size() - 2];
    return (upper ? above >= k : above <= k) ? Index{flat(d.shape, at)} : Index{};
  });
  return c;
}

Case diag_case(Drawn& d) {
  constexpr index_t kFar[] = {std::numeric_limits<index_t>::min(), std::numeric_limits<index_t>::max(),
                              index_t{1} << 40};
  const index_t k = d.draw.chance(16) ? d.draw.one_of(kFar) : d.draw.integer(-4, 4);
  Case c{.op = "diag", .expected = {}, .run = [k](const auto& in) { return diag(in[0], k); }};
  if (d.shape.size() == 1 && k > -100 && k < 100) {
    const index_t size = d.shape[0] + std::abs(k);
    c.expected = table({size, size}, [&](const Index& at) {
      return at[1] - at[0] == k ? Index{std::min(at[0], at[1])} : Index{};
    });
  }
  // Every matrix has a main diagonal, an empty one too.
  if (d.shape.size() == 2 && (k == 0 || (k > -d.shape[0] && k < d.shape[1]))) {
    const index_t down = std::max<index_t>(-k, 0), right = std::max<index_t>(k, 0);
    const index_t size = std::min(d.shape[0] - down, d.shape[1] - right);
    c.expected = table({size}, [&](const Index& at) {
      return Index{flat(d.shape, {at[0] + down, at[0] + right})};
    });
  }
  return c;
}

Tensor indices_of(const Index& shape, const Index& numbers) {
  return tensor(std::vector<std::int32_t>(numbers.begin(), numbers.end()), Shape(shape));
}

Case gather_case(Drawn& d) {
  const int axis = d.axis();
  const auto at_axis = d.real(axis);
  Index shape(static_cast<std::size_t>(d.draw.integer(0, 2))), numbers;
  for (index_t& size : shape) size = d.draw.integer(0, 3);
  const index_t size = at_axis ? d.shape[*at_axis] : 1;
  bool inside = true;
  for (index_t left = size_of(shape); left > 0; --left) {
    numbers.push_back(d.draw.chance(4) || size == 0 ? d.draw.integer(-1, 6) : d.draw.integer(0, size - 1));
    inside = inside && numbers.back() >= 0 && numbers.back() < size;
  }
  Case c{.op = "gather", .expected = {}, .run = [=](const auto& in) {
           return gather(in[0], indices_of(shape, numbers), axis);
         }};
  if (!at_axis || !inside) return c;
  const auto place = static_cast<std::ptrdiff_t>(*at_axis);
  Index whole = d.shape;
  whole.erase(whole.begin() + place);
  whole.insert(whole.begin() + place, shape.begin(), shape.end());
  c.expected = table(whole, [&](Index at) {
    const Index index(at.begin() + place, at.begin() + place + static_cast<std::ptrdiff_t>(shape.size()));
    at.erase(at.begin() + place, at.begin() + place + static_cast<std::ptrdiff_t>(shape.size()));
    at.insert(at.begin() + place, numbers[static_cast<std::size_t>(flat(shape, index))]);
    return Index{flat(d.shape, at)};
  });
  return c;
}

Case take_along_case(Drawn& d) {
  const int axis = d.axis();
  const auto at_axis = d.real(axis);
  Index shape = d.shape, numbers;
  if (at_axis) shape[*at_axis] = d.draw.integer(0, 4);
  const index_t size = at_axis ? d.shape[*at_axis] : 1;
  bool inside = true;
  for (index_t left = size_of(shape); left > 0; --left) {
    numbers.push_back(d.draw.chance(2) || size == 0 ? d.draw.integer(-1, 6) : d.draw.integer(0, size - 1));
    inside = inside && numbers.back() >= 0 && numbers.back() < size;
  }
  Case c{.op = "take_along_axis", .expected = {}, .run = [=](const auto& in) {
           return take_along_axis(in[0], indices_of(shape, numbers), axis);
         }};
  if (!at_axis || !inside) return c;
  c.expected = table(shape, [&](Index at) {
    at[*at_axis] = numbers[static_cast<std::size_t>(flat(shape, at))];
    return Index{flat(d.shape, at)};
  });
  return c;
}

// a + b, where b has another shape.
Case add_case(Drawn& d) {
  Index other = d.shape;
  for (index_t& size : other)
    if (d.draw.chance(96)) size = d.draw.chance(24) ? 2 : 1;
  if (!other.empty() && d.draw.chance(64)) other.erase(other.begin());
  const bool first = d.draw.chance(128);
  Case c{.op = "add",
         .expected = {},
         .run =
             [=](const std::vector<Tensor>& in) {
               const Tensor b = zeros(Shape(other), in[0].dtype());
               return first ? add(in[0], b) : add(b, in[0]);
             },
         .floating_only = true};
  Index shape = d.shape;
  for (std::size_t i = 1; i <= other.size(); ++i) {
    index_t& size = shape[shape.size() - i];
    const index_t there = other[other.size() - i];
    if (size != there && size != 1 && there != 1) return c;
    if (size == 1) size = there;
  }
  c.expected = table(shape, [&](const Index& at) { return Index{shrunk(d.shape, at)}; });
  return c;
}

constexpr Case (*kCases[])(Drawn&) = {
    reshape_case,     permute_case,     slice_case,   row_case,       flip_case,       roll_case,
    pad_case,         zero_insert_case, squeeze_case, concat_case,    stack_case,      split_case,
    expand_dims_case, repeat_case,      tile_case,    broadcast_case, sum_to_case,     sum_case,
    cumsum_case,      triangle_case,    diag_case,    gather_case,    take_along_case, add_case};

std::vector<double> numbers_of(const Tensor& x) {
  return dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto values = x.values<T>();
    return std::vector<double>(values.begin(), values.end());
  });
}

void check_values(const Case& c, const Shape& shape, const Tensor& y, const std::vector<double>& elements) {
  const Expected& e = *c.expected;
  const auto about = [&] { return c.op + " of " + shape.str() + ": "; };
  if (y.shape() != Shape(e.shape)) fuzz::found(about() + "the result has shape " + y.shape().str());
  const std::vector<double> found = numbers_of(y);
  for (std::size_t i = 0; i < found.size(); ++i) {
    double expected = e.sources[i].empty() ? e.fill : 0;
    for (const index_t source : e.sources[i]) expected += elements[static_cast<std::size_t>(source)];
    if (found[i] != expected) fuzz::found(about() + "element " + std::to_string(i) + " is wrong");
  }
}

void check_gradients(const Case& c, Tape& tape, const std::vector<Tensor>& xs, const Tensor& y) {
  const std::vector<Index>& sources = c.expected->sources;
  Tensor slopes = zeros(y.shape(), y.dtype());
  std::vector<double> expected(static_cast<std::size_t>(xs[0].size()) * xs.size(), 0.0);
  dispatch_floating(y.dtype(), [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const auto slope = static_cast<T>(static_cast<int>(i % 7) - 3);
      slopes.mutable_values<T>()[i] = slope;
      for (const index_t source : sources[i])
        expected[static_cast<std::size_t>(source)] += static_cast<double>(slope);
    }
  });
  const auto found = tape.gradient(y, xs, {.zeros_for_unreached = true, .output_gradient = slopes});
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<double> numbers = numbers_of(found[i]);
    if (found[i].shape() != xs[i].shape() ||
        !std::equal(numbers.begin(), numbers.end(),
                    expected.begin() + static_cast<std::ptrdiff_t>(i * numbers.size())))
      fuzz::found("the gradient of " + c.op + " of " + xs[i].shape().str() + " is wrong");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Draw draw({data, size});
  constexpr DType kDTypes[] = {DType::Float64, DType::Float32, DType::Int32, DType::UInt8};
  const auto make = draw.one_of(kCases);
  DType dtype = draw.one_of(kDTypes);
  Drawn d{draw, Index(static_cast<std::size_t>(draw.integer(0, 4)))};
  for (index_t& size_along : d.shape) size_along = draw.chance(16) ? 0 : draw.integer(1, 4);
  Case c = make(d);
  if (c.floating_only && !is_floating(dtype)) dtype = DType::Float32;

  std::vector<Tensor> xs;
  std::vector<double> elements;
  std::optional<Tape> tape;
  if (is_floating(dtype)) tape.emplace();
  const Shape shape(d.shape);
  for (int i = 0; i < 3; ++i) {
    Tensor x = zeros(shape, dtype);
    dispatch(dtype, [&]<class T>(std::type_identity<T>) {
      for (T& value : x.mutable_values<T>()) {
        elements.push_back(static_cast<double>((elements.size() * 37 + 11) % 64));
        value = static_cast<T>(elements.back());
      }
    });
    xs.push_back(tape ? tape->watch(x) : x);
  }
  Tensor y;
  const bool accepted = fuzz::accepts(c.op, [&] { y = c.run(xs); });
  if (accepted != c.expected.has_value())
    fuzz::found(c.op + " of " + shape.str() +
                (accepted ? " accepts what is wrong" : " refuses what is right"));
  if (!accepted) return 0;
  ++fuzz::judged;
  check_values(c, shape, y, elements);
  if (tape) check_gradients(c, *tape, xs, y);
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  Stream stream(9);
  for (std::size_t i = 0; i < std::size(kCases); ++i) {
    Bytes file(32);
    for (std::uint8_t& b : file) b = static_cast<std::uint8_t>(stream.bits() >> 24);
    file[0] = static_cast<std::uint8_t>(i);
    made.emplace_back("case" + std::to_string(i), file);
  }
  return made;
}
