#include "tapegrad/kernels/reduce.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {
namespace {

// Sums of double have nothing wider to be kept in. They are made of sums of halves, whose errors grow with the logarithm of
// the count; the larger half is a power of two.
index_t larger_half(index_t count) {
  return static_cast<index_t>(std::bit_floor(static_cast<std::uint64_t>(count - 1)));
}

constexpr index_t kLanes = 8;
struct Lanes {
  double of[kLanes];
  void operator+=(const Lanes& other) {
    for (index_t lane = 0; lane < kLanes; ++lane) of[lane] += other.of[lane];
  }
};

// Lane l: the sum of all x[l + 8 i].
template <index_t count>
Lanes sum_in_lanes(const double* x) {
  Lanes sum;
  if constexpr (count == kLanes) {
    std::copy_n(x, kLanes, sum.of);
  } else {
    sum = sum_in_lanes<count / 2>(x);
    sum += sum_in_lanes<count / 2>(x + count / 2);
  }
  return sum;
}

Lanes sum_in_lanes(index_t count, const double* x) {
  constexpr index_t kBlock = 128;
  if (count == kBlock) return sum_in_lanes<kBlock>(x);
  if (count > kBlock) {
    const index_t half = larger_half(count);
    Lanes sum = sum_in_lanes(half, x);
    sum += sum_in_lanes(count - half, x + half);
    return sum;
  }
  Lanes sum = {};  // the smallest part first
  const double* rest = x + count / kLanes * kLanes;
  std::copy(rest, x + count, sum.of);
  const auto add = [&]<index_t size>(std::integral_constant<index_t, size>) {
    if ((count & size) != 0) sum += sum_in_lanes<size>(rest -= size);
  };
  add(std::integral_constant<index_t, 8>{});
  add(std::integral_constant<index_t, 16>{});
  add(std::integral_constant<index_t, 32>{});
  add(std::integral_constant<index_t, 64>{});
  return sum;
}

// sum[i] = the sum of column i, for at most kWidth columns.
constexpr index_t kWidth = 128;
void sum_columns(index_t count, index_t columns, index_t step, const double* x, double* sum) {
  if (count <= 4) {
    const double *second = x + step, *third = second + step, *fourth = third + step;
    for (index_t i = 0; count == 4 && i < columns; ++i) sum[i] = (x[i] + second[i]) + (third[i] + fourth[i]);
    for (index_t i = 0; count == 3 && i < columns; ++i) sum[i] = (x[i] + second[i]) + third[i];
    for (index_t i = 0; count == 2 && i < columns; ++i) sum[i] = x[i] + second[i];
    for (index_t i = 0; count == 1 && i < columns; ++i) sum[i] = x[i];
    return;
  }
  const index_t half = larger_half(count);
  double rest[kWidth];
  sum_columns(half, columns, step, x, sum);
  sum_columns(count - half, columns, step, x + half * step, rest);
  for (index_t i = 0; i < columns; ++i) sum[i] += rest[i];
}

void sum_rows(index_t count, index_t columns, index_t step, const double* x, double* found) {
  if (count == 0) return;
  if (step == 1) {
    Lanes sum = sum_in_lanes(count, x);
    for (index_t half = kLanes / 2; half > 0; half /= 2)
      for (index_t lane = 0; lane < half; ++lane) sum.of[lane] = sum.of[2 * lane] + sum.of[2 * lane + 1];
    found[0] += sum.of[0];
    return;
  }
  double sum[kWidth];
  for (index_t left = 0; left < columns; left += kWidth) {
    const index_t width = std::min(kWidth, columns - left);
    sum_columns(count, width, step, x + left, sum);
    for (index_t i = 0; i < width; ++i) found[left + i] += sum[i];
  }
}

// Joins count rows of this many columns, each `step` elements from the next, to what was found before.
template <class Join, class In>
void join_rows(index_t count, index_t columns, index_t step, const In* x, double* found) {
  if constexpr (std::is_same_v<Join, Sum> && std::is_same_v<In, double>)
    return sum_rows(count, columns, step, x, found);
  if (step > 1) {
    for (index_t r = 0; r < count; ++r, x += step)
      for (index_t i = 0; i < columns; ++i) found[i] = Join::join(found[i], static_cast<double>(x[i]));
    return;
  }
  // Several running results: one alone would wait for each step.
  double lanes[kLanes];
  std::fill_n(lanes, kLanes, Join::kStart);
  index_t r = 0;
  for (; r + kLanes <= count; r += kLanes)
    for (index_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = Join::join(lanes[lane], static_cast<double>(x[r + lane]));
  for (index_t lane = 0; r < count; ++r, ++lane)
    lanes[lane] = Join::join(lanes[lane], static_cast<double>(x[r]));
  for (index_t half = kLanes / 2; half > 0; half /= 2)
    for (index_t lane = 0; lane < half; ++lane)
      lanes[lane] = Join::join(lanes[2 * lane], lanes[2 * lane + 1]);
  found[0] = Join::join(found[0], lanes[0]);
}

}  // namespace

template <class Join>
Joiner joiner(DType dtype) {
  return dispatch(dtype, []<class T>(std::type_identity<T>) {
    const auto rows = [](index_t count, index_t columns, index_t step, const void* x, double* found) {
      join_rows<Join>(count, columns, step, static_cast<const T*>(x), found);
    };
    return Joiner{Join::kStart, rows, join_rows<Join, double>, sizeof(T)};
  });
}

template <class Out>
void reduce(const Joiner& joiner, index_t outer, index_t count, index_t inner, const void* x, Out* y,
            double divisor) {
  const auto convert = [divisor](double v) { return static_cast<Out>(v / divisor); };
  // Cut into blocks of columns, and long ones into pieces of rows, whose results are joined in their order.
  constexpr index_t kColumns = 1024;
  const index_t columns = std::clamp<index_t>(inner, 1, kColumns), blocks = (inner + columns - 1) / columns;
  const index_t rows = kReducePiece / columns, pieces = std::max<index_t>(1, (count + rows - 1) / rows);
  detail::BlockVector<double> partial(pieces == 1 ? 0 : static_cast<std::size_t>(outer * pieces * inner));
  const index_t work = std::max<index_t>(1, std::min(count, rows) * columns);
  parallel_for(outer * pieces * blocks, units_in_piece(kReducePiece, work), [&](index_t begin, index_t end) {
    double found[kColumns];
    for (index_t at = begin; at < end; ++at) {
      const index_t piece = at / blocks, o = piece / pieces;
      const index_t first = piece % pieces * rows, left = at % blocks * columns;
      const index_t width = std::min(columns, inner - left);
      std::fill_n(found, width, joiner.start);
      joiner.join_rows(std::min(rows, count - first), width, inner,
                       static_cast<const std::byte*>(x) + ((o * count + first) * inner + left) * joiner.size,
                       found);
      if (pieces == 1)
        std::transform(found, found + width, y + o * inner + left, convert);
      else
        std::copy_n(found, width, partial.data() + piece * inner + left);
    }
  });
  if (pieces == 1) return;
  detail::BlockVector<double> total(static_cast<std::size_t>(inner));
  for (index_t o = 0; o < outer; ++o) {
    std::ranges::fill(total, joiner.start);
    joiner.join_doubles(pieces, inner, inner, partial.data() + o * pieces * inner, total.data());
    std::ranges::transform(total, y + o * inner, convert);
  }
}

template <class T>
void cumulative_sum(index_t outer, index_t count, index_t inner, const T* x, T* y, bool from_end,
                    bool exclusive) {
  constexpr index_t kColumns = 256;
  const index_t blocks = divide_up(inner, kColumns);
  const index_t work = count * std::min(inner, kColumns);
  parallel_for(outer * blocks, units_in_piece(kReducePiece, work), [=](index_t begin, index_t end) {
    for (index_t at = begin; at < end; ++at) {
      const index_t left = at % blocks * kColumns, width = std::min(kColumns, inner - left);
      double totals[kColumns] = {};
      for (index_t step = 0; step < count; ++step) {
        const index_t r = at / blocks * count + (from_end ? count - 1 - step : step);
        for (index_t i = 0; i < width; ++i) {
          const index_t place = r * inner + left + i;
          const double before = std::exchange(totals[i], totals[i] + static_cast<double>(x[place]));
          y[place] = static_cast<T>(exclusive ? before : totals[i]);
        }
      }
    }
  });
}

template Joiner joiner<Sum>(DType);
template Joiner joiner<Largest>(DType);
template Joiner joiner<Smallest>(DType);
template void reduce(const Joiner&, index_t, index_t, index_t, const void*, float*, double);
template void reduce(const Joiner&, index_t, index_t, index_t, const void*, double*, double);
template void cumulative_sum(index_t, index_t, index_t, const float*, float*, bool, bool);
template void cumulative_sum(index_t, index_t, index_t, const double*, double*, bool, bool);

}  // namespace tapegrad::inline v0::kernels
