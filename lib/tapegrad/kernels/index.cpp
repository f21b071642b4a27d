#include "tapegrad/kernels/index.h"

#include <algorithm>
#include <array>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {
namespace {

constexpr index_t kEnough = 4;      // tasks that are shared out as they are
constexpr index_t kMostOwners = 8;  // each looks at all indices

// Rows [begin[k], begin[k + 1]) of y belong to owner k.
using Owned = std::array<index_t, kMostOwners + 1>;

constexpr index_t kBlock = 512;  // indices that are looked at together

// Whether neighbours among the indices lie near each other, as those of pixels do that a pooling chose: then most blocks of them
// belong to one owner alone.
bool near_each_other(index_t size, index_t count, const std::int32_t* indices) {
  constexpr index_t kSamples = 8;
  if (count == 0) return true;
  index_t spread = 0;
  for (index_t sample = 0; sample < kSamples; ++sample) {
    const std::int32_t* const from = indices + sample * std::max<index_t>(0, count - kBlock) / kSamples;
    const auto [least, most] = std::minmax_element(from, from + std::min(kBlock, count));
    spread += *most - *least;
  }
  return spread < size;
}

// Cuts rows [first, end) so that about as many indices fall into each owner's, as far as some of them tell: rows that are asked for
// often, such as the first ones of a vocabulary, do not all belong to one. Where they are cut changes no result.
Owned cut_rows(index_t first, index_t end, index_t owners, index_t count, const std::int32_t* indices) {
  constexpr index_t kSamples = 1024, kBuckets = 256;
  int shift = 0;
  while ((end - first - 1) >> shift >= kBuckets) ++shift;
  std::array<index_t, kBuckets> weight = {};
  const index_t step = divide_up(count, kSamples);
  index_t all = 0;
  for (index_t j = 0; j < count; j += step, ++all)
    ++weight[static_cast<std::size_t>((indices[j] - first) >> shift)];
  // Rows that are only set to 0 are work as well, a quarter of that of an addition.
  const index_t buckets = divide_up(end - first, index_t{1} << shift);
  const index_t of_rows =
      std::max<index_t>(1, all * (end - first) / (4 * std::max<index_t>(1, count) * buckets));
  all += of_rows * buckets;
  Owned owned;
  owned.fill(end);
  owned[0] = first;
  index_t before = 0, owner = 1;
  for (index_t bucket = 0; bucket < buckets; ++bucket) {
    before += weight[static_cast<std::size_t>(bucket)] + of_rows;
    const index_t here = std::min(end, first + ((bucket + 1) << shift));
    for (; owner < owners && before * owners >= all * owner; ++owner)
      owned[static_cast<std::size_t>(owner)] = here;
  }
  return owned;
}

// A part of a scatter_add(): indices [first, last), of which those that are rows [top, bottom) of y, and columns [left, right)
// of `inner`. Elements that stand in columns (IndexParts) are rows of one, of which those of columns [left, right) count.
template <class T>
struct Scattering {
  index_t inner, columns;
  const std::int32_t* indices;
  const T* x;
  T* y;
  index_t first, last, top, bottom, left, right;

  index_t width() const { return inner * columns; }

  void set_to_zero() const {
    T *const begin = y + top * inner, *const end = y + bottom * inner;
    if (right - left == width()) return std::fill(begin, end, T{0});
    for (T* row = begin; row < end; row += width()) std::fill(row + left, row + right, T{0});
  }

  void add_all() const {
    if (columns == 1) return add_all(first, last);
    for (index_t row = first; row < last; row += columns) add_elements(row + left, row + right);
  }

  // Looks for its own among all.
  void add_own(bool near) const {
    constexpr index_t kUnknown = -1;
    for (index_t begin = first; begin < last; begin += kBlock) {
      const index_t end = std::min(last, begin + kBlock);
      const index_t own = near ? count_own(begin, end) : kUnknown;
      if (own == end - begin)
        add_all(begin, end);
      else if (own != 0)
        add_own(begin, end);
    }
  }

 private:
  // How many are its own.
  index_t count_own(index_t begin, index_t end) const {
    constexpr index_t kNumbers = index_t{1} << 31;  // that indices can be
    const auto from = static_cast<std::uint32_t>(std::min(top, kNumbers));
    const auto rows = static_cast<std::uint32_t>(std::min(bottom, kNumbers)) - from;
    std::uint32_t count = 0;
    const std::int32_t* const all = indices;
    for (index_t j = begin; j < end; ++j)
      count += static_cast<std::uint32_t>(all[j]) - from < rows ? std::uint32_t{1} : std::uint32_t{0};
    return count;
  }

  // Without a branch, which would be mispredicted often.
  void add_own(index_t begin, index_t end) const {
    const auto rows = static_cast<std::uint64_t>(bottom - top);
    std::array<index_t, kBlock> own;
    index_t* next = own.data();
    for (index_t j = begin; j < end; ++j) {
      *next = j;
      next += static_cast<std::uint64_t>(indices[j] - top) < rows ? 1 : 0;
    }
    for (const index_t* j = own.data(); j != next; ++j) add(*j);
  }

  void add(index_t j) const {
    T* to = y + indices[j] * inner;
    const T* from = x + j * inner;
    for (index_t i = left; i < right; ++i) to[i] = static_cast<T>(to[i] + from[i]);
  }

  void add_elements(index_t begin, index_t end) const {
    for (index_t j = begin; j < end; ++j) y[indices[j]] = static_cast<T>(y[indices[j]] + x[j]);
  }

  void add_all(index_t begin, index_t end) const {
    if (inner == 1) return add_elements(begin, end);
    for (index_t j = begin; j < end; ++j) add(j);
  }
};

// How the work is cut.
struct Cut {
  index_t blocks = 1, owners = 1;  // of columns, of rows
  bool near = false;               // see near_each_other()
};
Cut cut(index_t apart, index_t size, index_t inner, index_t count, const IndexParts& parts,
        const std::int32_t* indices) {
  constexpr index_t kColumns = 32, kFewRows = 16;
  if (apart >= kEnough || !parts.in_order) return {};
  const index_t threads = detail::loop_depth() > 0 ? 1 : thread_count();
  const auto blocks_of = [&](index_t columns) { return std::clamp<index_t>(columns / kColumns, 1, threads); };
  if (parts.columns > 1) return {.blocks = blocks_of(parts.columns)};
  if (size / parts.count < kFewRows) return {.blocks = blocks_of(inner)};
  const index_t pieces = (count * inner + size * inner / 4) / (parts.count * 4 * kElementwisePiece);
  const index_t owners = std::min<index_t>({pieces, threads, kMostOwners});
  if (owners <= 1) return {};
  // To add short rows costs less than to look for them, unless whole blocks can be left out.
  constexpr index_t kShort = 4;
  const bool near = near_each_other(size, count, indices);
  return near || inner >= kShort ? Cut{.owners = owners, .near = near} : Cut{};
}

}  // namespace

IndexParts parts_of_different(index_t indices) {
  return {.count = std::max<index_t>(1, indices / kElementwisePiece), .in_order = false};
}

template <class T>
void gather(index_t outer, index_t size, index_t inner, index_t count, const std::int32_t* indices,
            const T* x, T* y) {
  parallel_for(outer * count, units_in_piece(kElementwisePiece, inner), [=](index_t begin, index_t end) {
    index_t o = begin / count, j = begin % count;
    for (index_t at = begin; at < end; ++at) {
      const T* from = x + (o * size + indices[j]) * inner;
      if (inner == 1)
        y[at] = *from;
      else
        std::copy_n(from, inner, y + at * inner);
      if (++j == count) j = 0, ++o;
    }
  });
}

template <class T>
void scatter_add(index_t outer, index_t size, index_t inner, index_t count, const IndexParts& parts,
                 const std::int32_t* indices, const T* x, T* y, Scatter into) {
  if (into == Scatter::IntoZeros && !parts.in_order)
    parallel_for(outer * size * inner, 4 * kElementwisePiece,
                 [=](index_t begin, index_t end) { std::fill(y + begin, y + end, T{0}); });
  const index_t apart = outer * parts.count;
  const Cut by = cut(apart, size, inner, count, parts, indices);
  const auto begin_of = [&](index_t part, index_t whole) { return part * whole / parts.count; };
  std::array<Owned, kEnough> owned;
  for (index_t part = 0; by.owners > 1 && part < parts.count; ++part)
    owned[static_cast<std::size_t>(part)] =
        cut_rows(begin_of(part, size), begin_of(part + 1, size), by.owners, count / parts.count,
                 indices + begin_of(part, count));
  const auto run = [&](index_t task) {
    const index_t owner = task % by.owners, block = task / by.owners % by.blocks;
    const index_t part = task / by.owners / by.blocks % parts.count;
    const index_t o = task / by.owners / by.blocks / parts.count;
    const index_t columns = by.blocks > 1 ? parts.columns : 1, width = inner * columns;
    Scattering<T> of{.inner = inner,
                     .columns = columns,
                     .indices = indices,
                     .x = x + o * count * inner,
                     .y = y + o * size * inner,
                     .first = begin_of(part, count),
                     .last = begin_of(part + 1, count),
                     .top = begin_of(part, size),
                     .bottom = begin_of(part + 1, size),
                     .left = block * width / by.blocks,
                     .right = (block + 1) * width / by.blocks};
    if (by.owners > 1) {
      const Owned& rows = owned[static_cast<std::size_t>(part)];
      of.top = rows[static_cast<std::size_t>(owner)];
      of.bottom = rows[static_cast<std::size_t>(owner) + 1];
    }
    if (into == Scatter::IntoZeros && parts.in_order) of.set_to_zero();
    if (by.owners == 1)
      of.add_all();
    else
      of.add_own(by.near);
  };
  const index_t tasks = apart * by.blocks * by.owners, work = (count + size / 4) * inner * outer;
  parallel_for(tasks, units_in_piece(kElementwisePiece, work / std::max<index_t>(1, tasks)),
               [&](index_t begin, index_t end) {
                 for (index_t task = begin; task < end; ++task) run(task);
               });
}

template void gather(index_t, index_t, index_t, index_t, const std::int32_t*, const float*, float*);
template void gather(index_t, index_t, index_t, index_t, const std::int32_t*, const double*, double*);
template void gather(index_t, index_t, index_t, index_t, const std::int32_t*, const std::int32_t*,
                     std::int32_t*);
template void gather(index_t, index_t, index_t, index_t, const std::int32_t*, const std::uint8_t*,
                     std::uint8_t*);
template void scatter_add(index_t, index_t, index_t, index_t, const IndexParts&, const std::int32_t*,
                          const float*, float*, Scatter);
template void scatter_add(index_t, index_t, index_t, index_t, const IndexParts&, const std::int32_t*,
                          const double*, double*, Scatter);
template void scatter_add(index_t, index_t, index_t, index_t, const IndexParts&, const std::int32_t*,
                          const std::int32_t*, std::int32_t*, Scatter);
template void scatter_add(index_t, index_t, index_t, index_t, const IndexParts&, const std::int32_t*,
                          const std::uint8_t*, std::uint8_t*, Scatter);

}  // namespace tapegrad::inline v0::kernels
