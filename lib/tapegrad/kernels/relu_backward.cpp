#include "tapegrad/kernels/relu_backward.h"

#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/relu_backward.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(!HWY_HAVE_SCALABLE,
              "loops step by MaxLanes: scalable vectors with fewer lanes would skip elements");

// Adds a vector of each of kRows rows of g, gated by y if there is one, to the sum at this place, and writes it to `to`.
template <int kRows, class D, class T = hn::TFromD<D>>
HWY_INLINE void Gate(D d, index_t width, const T* g, const T* y, T* to, T* sum) {
  auto total = hn::Load(d, sum);
  HWY_UNROLL(4)
  for (int row = 0; row < kRows; ++row, g += width) {
    auto v = hn::LoadU(d, g);
    if (y != nullptr) {
      v = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, y + row * width), hn::Zero(d)), v);
      hn::StoreU(v, d, to + row * width);
    }
    total = hn::Add(total, v);
  }
  hn::Store(total, d, sum);
}

constexpr index_t kMost = 256;  // columns whose sums stay in the nearest cache

// Of `count` columns of rows of `width` numbers, at most kMost: number k of each row is added to sums[k], in T. The last vector of
// a row may go on into the next one, whose numbers are gated once more, then; nothing may be behind the last row.
template <class T>
HWY_INLINE void GateColumns(index_t rows, index_t width, index_t count, const T* g, const T* y, T* to,
                            double* sums) {
  const hn::ScalableTag<T> d;
  constexpr index_t kLanes = hn::MaxLanes(d);
  HWY_ALIGN T sum[kMost + kLanes] = {};
  const index_t whole = count / kLanes * kLanes;
  constexpr int kTogether = 4;
  index_t row = 0, at = 0;
  for (; row + kTogether < rows; row += kTogether, at += kTogether * width)
    for (index_t k = 0; k < count; k += kLanes)
      Gate<kTogether>(d, width, g + at + k, y == nullptr ? y : y + at + k, y == nullptr ? to : to + at + k,
                      sum + k);
  for (; row < rows; ++row, at += width) {
    const index_t end = row + 1 < rows ? count : whole;
    for (index_t k = 0; k < end; k += kLanes)
      Gate<1>(d, width, g + at + k, y == nullptr ? y : y + at + k, y == nullptr ? to : to + at + k, sum + k);
  }
  at -= width;
  for (index_t k = whole; k < count; ++k) {
    const T v = y == nullptr || y[at + k] > 0 ? g[at + k] : T{0};
    if (y != nullptr) to[at + k] = v;
    sum[k] += v;
  }
  for (index_t k = 0; k < count; ++k) sums[k] += static_cast<double>(sum[k]);
}

// Of each row of `width` numbers, number k is added to sums[k]: of some rows in T, and these sums in double.
template <class T>
void ReluBackward(index_t n, index_t width, const T* g, const T* y, T* to, double* sums) {
  constexpr index_t kRows = 64;
  for (index_t rows; n > 0; n -= rows * width) {
    rows = std::clamp<index_t>(n / width, 1, kRows);
    const index_t numbers = std::min(n, width);
    for (index_t k = 0; k < numbers; k += kMost)
      GateColumns(rows, width, std::min(kMost, numbers - k), g + k, y == nullptr ? y : y + k,
                  y == nullptr ? to : to + k, sums + k);
    g += rows * width;
    if (y != nullptr) y += rows * width, to += rows * width;
  }
}

void ReluBackwardFloat(index_t n, index_t width, const float* g, const float* y, float* to, double* sums) {
  ReluBackward(n, width, g, y, to, sums);
}
void ReluBackwardDouble(index_t n, index_t width, const double* g, const double* y, double* to,
                        double* sums) {
  ReluBackward(n, width, g, y, to, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {

HWY_EXPORT(ReluBackwardFloat);
HWY_EXPORT(ReluBackwardDouble);

template <class T>
void relu_backward(index_t n, index_t channels, const T* g, const T* y, T* to, T* sums) {
  std::fill_n(sums, channels, T{0});
  if (n == 0) return;
  // Whole pixels, and at least four vectors of the widest kind: sums of these do not wait for each other.
  constexpr index_t kLeast = index_t{256} / static_cast<index_t>(sizeof(T));
  const index_t width = divide_up(kLeast, channels) * channels;
  constexpr index_t kMostPieces = 32;
  const index_t piece = (std::max(kReluBackwardPiece, n / kMostPieces) / channels + 1) * channels;
  const index_t pieces = divide_up(n, piece);
  struct Sums;
  double* partial = scratch<double, Sums>(pieces * width);
  parallel_for(pieces, 1, [=](index_t begin, index_t end) {
    for (index_t p = begin; p < end; ++p) {
      const index_t first = p * piece, count = std::min(piece, n - first);
      double* own = partial + p * width;
      std::fill_n(own, width, 0.0);
      T* into = y == nullptr ? nullptr : to + first;
      const T* out = y == nullptr ? nullptr : y + first;
      if constexpr (sizeof(T) == sizeof(float))
        HWY_DYNAMIC_DISPATCH(ReluBackwardFloat)(count, width, g + first, out, into, own);
      else
        HWY_DYNAMIC_DISPATCH(ReluBackwardDouble)(count, width, g + first, out, into, own);
    }
  });
  for (index_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (index_t at = c; at < pieces * width; at += channels) sum += partial[at];
    sums[c] = static_cast<T>(sum);
  }
}

template void relu_backward(index_t, index_t, const float*, const float*, float*, float*);
template void relu_backward(index_t, index_t, const double*, const double*, double*, double*);

}  // namespace tapegrad::inline v0::kernels
#endif
