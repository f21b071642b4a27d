#include "tapegrad/kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/scratch.h"
#include "tapegrad/kernels/vector_math.h"

namespace tapegrad::inline v0::kernels {
namespace {

// In place; vectorized in single precision.
void exp_of(index_t n, const float* x, float* y) {
  exp(n, x, y);
}
void exp_of(index_t n, const double* x, double* y) {
  for (index_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}

// y = x less the largest of its column, for one block [count, inner]; at[i] is the row of column i's largest.
template <class T>
void shift(index_t count, index_t inner, const T* x, T* y, T* largest, index_t* at) {
  std::copy_n(x, inner, largest);
  std::fill_n(at, inner, 0);
  for (index_t r = 1; r < count; ++r)
    for (index_t i = 0; i < inner; ++i) {
      const T v = x[r * inner + i];
      // NaN stays: nothing is greater.
      const bool better = (v > largest[i]) | ((v != v) & (largest[i] == largest[i]));
      largest[i] = better ? v : largest[i];
      at[i] = better ? r : at[i];
    }
  for (index_t r = 0; r < count; ++r)
    for (index_t i = 0; i < inner; ++i) y[r * inner + i] = x[r * inner + i] - largest[i];
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  for (index_t i = 0; i < inner; ++i)
    if (largest[i] == kInfinity)
      for (index_t r = 0; r < count; ++r)
        y[r * inner + i] = x[r * inner + i] == kInfinity ? T{0} : -kInfinity;
}

// rest[i] = the sum of column i of e without row at[i].
template <class T>
void sum_of_others(index_t count, index_t inner, const T* e, const index_t* at, double* rest) {
  std::fill_n(rest, inner, 0.0);
  for (index_t r = 0; r < count; ++r)
    for (index_t i = 0; i < inner; ++i) rest[i] += r == at[i] ? 0.0 : static_cast<double>(e[r * inner + i]);
}

// Calls f(y, rest) for each block, y shifted and `rest` made of the exponentials, which lie in y itself or
// elsewhere. Some blocks at a time: exp() takes long runs.
template <class T, class F>
void for_blocks(index_t outer, index_t count, index_t inner, const T* x, T* y, bool in_place, F f) {
  if (count == 0 || inner == 0) return;
  const index_t block = count * inner, together = std::max<index_t>(1, kSoftmaxPiece / block);
  parallel_for(outer, units_in_piece(kSoftmaxPiece, block), [=](index_t begin, index_t end) {
    detail::BlockVector<T> largest(static_cast<std::size_t>(inner));
    detail::BlockVector<index_t> at(static_cast<std::size_t>(std::min(together, end - begin) * inner));
    detail::BlockVector<double> rest(static_cast<std::size_t>(inner));
    T* elsewhere = in_place ? nullptr : scratch<T>(together * block);
    for (index_t first = begin; first < end; first += together) {
      const index_t blocks = std::min(together, end - first);
      T* to = y + first * block;
      T* e = in_place ? to : elsewhere;
      for (index_t k = 0; k < blocks; ++k)
        shift(count, inner, x + (first + k) * block, to + k * block, largest.data(), at.data() + k * inner);
      exp_of(blocks * block, to, e);
      for (index_t k = 0; k < blocks; ++k) {
        sum_of_others(count, inner, e + k * block, at.data() + k * inner, rest.data());
        f(to + k * block, rest.data());
      }
    }
  });
}

}  // namespace

template <class T>
void softmax(index_t outer, index_t count, index_t inner, const T* x, T* y) {
  for_blocks(outer, count, inner, x, y, true, [=](T* to, double* rest) {
    for (index_t r = 0; r < count; ++r)
      for (index_t i = 0; i < inner; ++i) {
        T& v = to[r * inner + i];
        v = static_cast<T>(static_cast<double>(v) / (1 + rest[i]));
      }
  });
}

template <class T>
void log_softmax(index_t outer, index_t count, index_t inner, const T* x, T* y) {
  for_blocks(outer, count, inner, x, y, false, [=](T* to, double* rest) {
    for (index_t i = 0; i < inner; ++i) rest[i] = std::log1p(rest[i]);
    for (index_t r = 0; r < count; ++r)
      for (index_t i = 0; i < inner; ++i) {
        T& v = to[r * inner + i];
        v = static_cast<T>(static_cast<double>(v) - rest[i]);
      }
  });
}

template void softmax(index_t, index_t, index_t, const float*, float*);
template void softmax(index_t, index_t, index_t, const double*, double*);
template void log_softmax(index_t, index_t, index_t, const float*, float*);
template void log_softmax(index_t, index_t, index_t, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
