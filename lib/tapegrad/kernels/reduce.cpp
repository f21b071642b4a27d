#include "tapegrad/kernels/reduce.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tapegrad/base/parallel.h"

namespace tapegrad::kernels {
namespace {

constexpr index_t kPiece = 32768;  // elements that one piece adds up

// Adds the rows x[0..count) of inner elements to sums.
template <class In>
void add_rows(index_t count, index_t inner, const In* x, double* sums) {
  if (inner > 1) {
    for (index_t r = 0; r < count; ++r)
      for (index_t i = 0; i < inner; ++i) sums[i] += static_cast<double>(x[r * inner + i]);
    return;
  }
  // Several running sums: one alone would wait for each addition.
  constexpr index_t kLanes = 8;
  double lanes[kLanes] = {};
  index_t r = 0;
  for (; r + kLanes <= count; r += kLanes)
    for (index_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(x[r + lane]);
  for (index_t lane = 0; r < count; ++r, ++lane) lanes[lane] += static_cast<double>(x[r]);
  sums[0] +=
      ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace

template <class In, class Out>
void sum(index_t outer, index_t count, index_t inner, const In* x, Out* y) {
  // Long sums are cut into pieces whose results are added in their order.
  const index_t rows = std::max<index_t>(1, kPiece / std::max<index_t>(inner, 1));
  const index_t pieces = count == 0 ? 1 : (count - 1) / rows + 1;
  std::vector<double> partial(static_cast<std::size_t>(outer * pieces * inner), 0.0);
  const index_t work = std::max<index_t>(1, std::min(count, rows) * inner);
  parallel_for(outer * pieces, std::max<index_t>(1, kPiece / work), [&](index_t begin, index_t end) {
    for (index_t at = begin; at < end; ++at) {
      const index_t o = at / pieces, first = at % pieces * rows;
      add_rows(std::min(rows, count - first), inner, x + (o * count + first) * inner,
               partial.data() + at * inner);
    }
  });
  for (index_t o = 0; o < outer; ++o)
    for (index_t i = 0; i < inner; ++i) {
      double total = 0;
      for (index_t p = 0; p < pieces; ++p)
        total += partial[static_cast<std::size_t>((o * pieces + p) * inner + i)];
      y[o * inner + i] = static_cast<Out>(total);
    }
}

template void sum(index_t, index_t, index_t, const float*, float*);
template void sum(index_t, index_t, index_t, const float*, double*);
template void sum(index_t, index_t, index_t, const double*, float*);
template void sum(index_t, index_t, index_t, const double*, double*);
template void sum(index_t, index_t, index_t, const std::int32_t*, double*);
template void sum(index_t, index_t, index_t, const std::uint8_t*, double*);
template void sum(index_t, index_t, index_t, const double*, std::int32_t*);
template void sum(index_t, index_t, index_t, const double*, std::uint8_t*);

}  // namespace tapegrad::kernels
