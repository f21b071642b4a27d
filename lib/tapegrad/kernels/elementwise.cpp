#include "tapegrad/kernels/elementwise.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "tapegrad/base/parallel.h"

namespace tapegrad::inline v0::kernels {
namespace {

// Elements that a broadcast operand is written out for at a time: few enough to stay in the nearest cache.
constexpr index_t kBlock = 1024;

const std::byte* at(const void* data, index_t bytes) {
  return static_cast<const std::byte*>(data) + bytes;
}
std::byte* at(void* data, index_t bytes) {
  return static_cast<std::byte*>(data) + bytes;
}

// Elements of kSize bytes, whatever their type: std::memcpy may alias everything, and compiles to one move.
template <index_t kSize>
struct Bytes {
  static constexpr std::size_t kCount = kSize;

  static void copy(std::byte* to, const std::byte* from) { std::memcpy(to, from, kCount); }
  static void copy(index_t count, std::byte* to, const std::byte* from) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * kCount);
  }
  static void fill(index_t count, std::byte* to, const std::byte* from) {
    std::byte element[kCount];
    copy(element, from);
    for (index_t i = 0; i < count; ++i) copy(to + i * kSize, element);
  }
};

// Calls f with the size of an element, 1, 4 or 8 bytes, as a constant.
template <class F>
void with_size(index_t size, F f) {
  if (size == 8) return f(std::integral_constant<index_t, 8>{});
  if (size == 4) return f(std::integral_constant<index_t, 4>{});
  f(std::integral_constant<index_t, 1>{});
}

// A way through some arrays at once, row by row. Axes that lie next to each other in all of them are merged,
// so that rows, which go along the last axis, are long.
struct Walk {
  index_t row = 1, rows = 1;
  int outer = 0;  // axes before the last
  // Of the merged axes: not set beyond these.
  index_t sizes[Shape::kMaxRank], strides[Loop::kMostInputs][Shape::kMaxRank];

  Walk(const Shape& shape, std::span<const Strides> arrays) {
    int rank = 0, merged = 0;  // merged: the last axis of those that were merged
    const auto add_strides = [&](auto stride_of) {
      std::size_t k = 0;
      for (const Strides& array : arrays) strides[k++][rank - 1] = stride_of(array);
    };
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const index_t size = shape[axis];
      if (size == 1) continue;
      const bool merges = rank > 0 && std::ranges::all_of(arrays, [&](const Strides& array) {
                            return array.along[merged] == array.along[axis] * size;
                          });
      if (!merges) sizes[rank++] = 1;
      sizes[rank - 1] *= size;
      add_strides([&](const Strides& array) { return array.along[axis]; });
      merged = axis;
    }
    if (rank == 0) {
      sizes[rank++] = 1;
      add_strides([](const Strides&) { return index_t{0}; });
    }
    outer = rank - 1;
    row = sizes[outer];
    rows = row == 0 ? 0 : shape.size() / row;
  }

  // From one element of a row to the next.
  index_t step(std::size_t array) const { return strides[array][outer]; }
  bool same_in_all_rows(std::size_t array) const {
    return std::all_of(strides[array], strides[array] + outer, [](index_t stride) { return stride == 0; });
  }
};

// Where a row of an array begins, and then the one after it.
class RowPlace {
 public:
  RowPlace(const Walk& walk, std::size_t array, index_t row) : walk_(walk), strides_(walk.strides[array]) {
    for (int axis = walk.outer; axis-- > 0; row /= walk.sizes[axis]) {
      index_[axis] = row % walk.sizes[axis];
      offset_ += index_[axis] * strides_[axis];
    }
  }
  index_t offset() const { return offset_; }
  void operator++() {
    for (int axis = walk_.outer; axis-- > 0;) {
      offset_ += strides_[axis];
      if (++index_[axis] < walk_.sizes[axis]) return;
      offset_ -= std::exchange(index_[axis], 0) * strides_[axis];
    }
  }

 private:
  const Walk& walk_;
  const index_t* strides_;
  index_t offset_ = 0, index_[Shape::kMaxRank];
};

// Rows of an array behind each other, at most kBlock elements of each.
void write_out(const Walk& walk, std::size_t array, index_t first, index_t count, const void* data,
               index_t size, std::byte* to) {
  with_size(size, [&]<index_t kSize>(std::integral_constant<index_t, kSize>) {
    const index_t length = std::min(walk.row, kBlock);
    std::byte* out = to;
    RowPlace place(walk, array, first);
    for (index_t i = 0; i < count; ++i, ++place, out += length * kSize) {
      const std::byte* from = at(data, place.offset() * kSize);
      if (walk.step(array) == 0)
        Bytes<kSize>::fill(length, out, from);
      else
        Bytes<kSize>::copy(length, out, from);
    }
  });
}

// The loop runs over neighbours only: a block of them is some rows, or a part of one, and an operand that is
// not like that is written out for it.
void map_blocks(const Loop& loop, const Shape& shape, void* y, std::initializer_list<Operand> xs) {
  Strides strides[Loop::kMostInputs];
  std::ranges::transform(xs, strides, [&](const Operand& x) { return broadcast_strides(x.shape, shape); });
  const Walk walk(shape, {strides, xs.size()});
  if (walk.rows == 0) return;
  const index_t rows = std::max<index_t>(1, kBlock / walk.row);  // in a block
  const index_t parts = (walk.row + kBlock - 1) / kBlock;        // blocks in a row
  const index_t blocks = (walk.rows + rows - 1) / rows * parts;
  const auto piece = [&](index_t begin, index_t end) {
    constexpr index_t kMostBytes = 8;  // of an element
    constexpr index_t kNone = -1;
    alignas(64) std::byte written[Loop::kMostInputs][kBlock * kMostBytes];
    index_t written_for[Loop::kMostInputs];
    std::ranges::fill(written_for, kNone);
    index_t first = begin / parts * rows, inside = begin % parts * kBlock;
    for (index_t block = begin; block < end; ++block) {
      const index_t count = std::min(rows, walk.rows - first);
      const index_t length = std::min(kBlock, count * walk.row - inside);
      const index_t before = first * walk.row + inside;
      const void* from[Loop::kMostInputs];
      Loop::Run run = loop.run;
      for (std::size_t k = 0; k < xs.size(); ++k) {
        const Operand& x = xs.begin()[k];
        const index_t size = loop.input_sizes[k];
        if (x.shape.size() == shape.size()) {
          from[k] = at(x.data, before * size);
        } else if (walk.step(k) != 0 && rows == 1) {
          from[k] = at(x.data, (RowPlace(walk, k, first).offset() + inside) * size);
        } else if (k == 1 && loop.run_with_one != nullptr && walk.step(k) == 0 && count == 1) {
          from[k] = at(x.data, RowPlace(walk, k, first).offset() * size);
          run = loop.run_with_one;
        } else {
          if (written_for[k] == kNone || (written_for[k] != first && !walk.same_in_all_rows(k))) {
            write_out(walk, k, first, count, x.data, size, written[k]);
            written_for[k] = first;
          }
          from[k] = written[k];
        }
      }
      run(loop.f, length, at(y, before * loop.output_size), from);
      inside += kBlock;
      if (inside >= walk.row) inside = 0, first += rows;
    }
  };
  parallel_for(blocks, units_in_piece(kElementwisePiece, std::min(kBlock, rows * walk.row)), piece);
}

}  // namespace

void map(const Loop& loop, index_t n, void* y, std::span<const void* const> xs) {
  if (n <= kElementwisePiece) return loop.run(loop.f, n, y, xs.data());
  parallel_for(n, kElementwisePiece, [&](index_t begin, index_t end) {
    const void* from[Loop::kMostInputs];
    for (std::size_t k = 0; k < xs.size(); ++k) from[k] = at(xs[k], begin * loop.input_sizes[k]);
    loop.run(loop.f, end - begin, at(y, begin * loop.output_size), from);
  });
}

void map(const Loop& loop, const Shape& shape, void* y, std::initializer_list<Operand> xs) {
  const void* from[Loop::kMostInputs];
  std::ranges::transform(xs, from, &Operand::data);
  const auto is_whole = [&](const Operand& x) { return x.shape.size() == shape.size(); };
  if (std::ranges::all_of(xs, is_whole)) return map(loop, shape.size(), y, {from, xs.size()});
  if (loop.run_with_one == nullptr || !is_whole(xs.begin()[0]) || xs.begin()[1].shape.size() != 1)
    return map_blocks(loop, shape, y, xs);
  Loop with_one = loop;
  with_one.run = loop.run_with_one;
  with_one.input_sizes[1] = 0;  // the same number for all pieces
  map(with_one, shape.size(), y, {from, xs.size()});
}

Strides strides_of(const Shape& shape) {
  Strides strides;
  index_t step = 1;
  for (int axis = shape.rank(); axis-- > 0; step *= shape[axis]) strides.along[axis] = step;
  return strides;
}

Strides broadcast_strides(const Shape& part, const Shape& whole) {
  const Strides own = strides_of(part);
  Strides strides;
  for (int from_end = 1; from_end <= part.rank(); ++from_end)
    if (part[-from_end] != 1) strides.along[whole.rank() - from_end] = own.along[part.rank() - from_end];
  return strides;
}

void copy_strided(const Shape& shape, index_t size, void* to, const Strides& to_strides, const void* from,
                  const Strides& from_strides) {
  const Strides strides[] = {to_strides, from_strides};
  const Walk walk(shape, strides);
  // Long rows are cut: a copy of everything is a single one.
  if (walk.rows == 0) return;
  const index_t most = walk.row < 2 * kElementwisePiece ? walk.row : kElementwisePiece;
  const index_t parts = divide_up(walk.row, most);
  const auto rows = [&](index_t begin, index_t end) {
    with_size(size, [&]<index_t kSize>(std::integral_constant<index_t, kSize>) {
      const index_t step_out = walk.step(0) * kSize, step_in = walk.step(1) * kSize;
      RowPlace place_out(walk, 0, begin / parts), place_in(walk, 1, begin / parts);
      for (index_t at_part = begin, part = begin % parts; at_part < end; ++at_part) {
        const index_t first = part * most, count = std::min(most, walk.row - first);
        std::byte* out = at(to, place_out.offset() * kSize + first * step_out);
        const std::byte* in = at(from, place_in.offset() * kSize + first * step_in);
        if (step_out == kSize && step_in == kSize)
          Bytes<kSize>::copy(count, out, in);
        else if (step_out == kSize && step_in == 0)
          Bytes<kSize>::fill(count, out, in);
        else
          for (index_t i = 0; i < count; ++i) Bytes<kSize>::copy(out + i * step_out, in + i * step_in);
        if (++part == parts) part = 0, ++place_out, ++place_in;
      }
    });
  };
  parallel_for(walk.rows * parts, units_in_piece(kElementwisePiece, most), rows);
}

}  // namespace tapegrad::inline v0::kernels
