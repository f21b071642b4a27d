#pragma once

// Kernels that join the elements along some axes: sums, extremes, and where the extremes are.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {

/// What reduce() joins elements by. The extremes pass NaN on, and do so without a branch, which would be
/// mispredicted often.
struct Sum {
  static constexpr double kStart = 0;
  static double join(double a, double b) { return a + b; }
};
struct Largest {
  static constexpr double kStart = -std::numeric_limits<double>::infinity();
  static double join(double a, double b) {
    const double larger = a >= b ? a : b;  // b if one is NaN
    return a != a ? a : larger;
  }
};
struct Smallest {
  static constexpr double kStart = std::numeric_limits<double>::infinity();
  static double join(double a, double b) {
    const double smaller = a <= b ? a : b;
    return a != a ? a : smaller;
  }
};

/// reduce() for one Join and element type, type-erased.
struct Joiner {
  double start;
  void (*join_rows)(index_t count, index_t columns, index_t step, const void* x, double* found);
  void (*join_doubles)(index_t count, index_t columns, index_t step, const double* x, double* found);
  index_t size;  ///< of an element, in bytes
};
template <class Join>
Joiner joiner(DType dtype);

/// y[o, i] = all x[o, r, i] joined, divided by divisor, for x of shape [outer, count, inner]. Kept in double until
/// then, and joined in an order that depends on the sizes only: sums of doubles are sums of halves.
template <class Out>
void reduce(const Joiner& joiner, index_t outer, index_t count, index_t inner, const void* x, Out* y,
            double divisor = 1);

/// y[o, r, i] = the sum of x[o, 0, i] to x[o, r, i], kept in double; from the last one on if from_end; without
/// x[o, r, i] itself if exclusive.
template <class T>
void cumulative_sum(index_t outer, index_t count, index_t inner, const T* x, T* y, bool from_end,
                    bool exclusive);

/// y[o, i] = the first r for which no other is better(x[o, other, i], x[o, r, i]).
template <class T, class Better>
void first_best(index_t outer, index_t count, index_t inner, const T* x, std::int32_t* y, Better better) {
  parallel_for(outer, units_in_piece(kSearchPiece, count * inner), [=](index_t begin, index_t end) {
    for (index_t o = begin; o < end; ++o) {
      const T* from = x + o * count * inner;
      for (index_t i = 0; i < inner; ++i) {
        index_t best = 0;
        for (index_t r = 1; r < count; ++r)
          if (better(from[r * inner + i], from[best * inner + i])) best = r;
        y[o * inner + i] = static_cast<std::int32_t>(best);
      }
    }
  });
}

}  // namespace tapegrad::inline v0::kernels
