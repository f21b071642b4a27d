#include "tapegrad/kernels/relu_backward.h"

#include <algorithm>
#include <numeric>

#include "tapegrad/base/parallel.h"
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

// sums has `period` numbers, a multiple of four vectors and of the channels: number i of a pixel is
// added to sums[i % period].
template <class T>
void ReluBackward(index_t n, index_t period, const T* g, const T* y, T* to, T* sums) {
  const hn::ScalableTag<T> d;
  const index_t lanes = static_cast<index_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  const index_t whole = n / period * period;
  constexpr index_t kTogether = 4;  // additions that do not wait for each other
  for (index_t k = 0; k < period; k += kTogether * lanes) {
    auto sum0 = hn::Load(d, sums + k), sum1 = hn::Load(d, sums + k + lanes),
         sum2 = hn::Load(d, sums + k + 2 * lanes), sum3 = hn::Load(d, sums + k + 3 * lanes);
    const auto gradient = [&](index_t at) HWY_ATTR {
      const auto v = hn::LoadU(d, g + at);
      if (y == nullptr) return v;
      const auto masked = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, y + at), zero), v);
      hn::StoreU(masked, d, to + at);
      return masked;
    };
    for (index_t i = k; i < whole; i += period) {
      sum0 = hn::Add(sum0, gradient(i));
      sum1 = hn::Add(sum1, gradient(i + lanes));
      sum2 = hn::Add(sum2, gradient(i + 2 * lanes));
      sum3 = hn::Add(sum3, gradient(i + 3 * lanes));
    }
    hn::Store(sum0, d, sums + k);
    hn::Store(sum1, d, sums + k + lanes);
    hn::Store(sum2, d, sums + k + 2 * lanes);
    hn::Store(sum3, d, sums + k + 3 * lanes);
  }
  for (index_t i = whole, k = 0; i < n; ++i, ++k) {
    const T v = y == nullptr || y[i] > 0 ? g[i] : T{0};
    if (y != nullptr) to[i] = v;
    sums[k] += v;
  }
}

void ReluBackwardFloat(index_t n, index_t period, const float* g, const float* y, float* to, float* sums) {
  ReluBackward(n, period, g, y, to, sums);
}
void ReluBackwardDouble(index_t n, index_t period, const double* g, const double* y, double* to,
                        double* sums) {
  ReluBackward(n, period, g, y, to, sums);
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
  // At least four vectors of the widest kind, so that additions need not wait for each other.
  const index_t period = std::lcm(channels, index_t{256} / static_cast<index_t>(sizeof(T)));
  constexpr index_t kPiece = 1 << 15, kMostPieces = 32;
  const index_t piece = (std::max(kPiece, n / kMostPieces) / channels + 1) * channels;
  const index_t pieces = (n - 1) / piece + 1;
  struct Sums;
  T* partial = scratch<T, Sums>(pieces * period);
  parallel_for(pieces, 1, [=](index_t begin, index_t end) {
    for (index_t p = begin; p < end; ++p) {
      const index_t first = p * piece, count = std::min(piece, n - first);
      T* own = partial + p * period;
      std::fill_n(own, period, T{0});
      T* into = y == nullptr ? nullptr : to + first;
      const T* out = y == nullptr ? nullptr : y + first;
      if constexpr (sizeof(T) == sizeof(float))
        HWY_DYNAMIC_DISPATCH(ReluBackwardFloat)(count, period, g + first, out, into, own);
      else
        HWY_DYNAMIC_DISPATCH(ReluBackwardDouble)(count, period, g + first, out, into, own);
    }
  });
  for (const T* from = partial; from != partial + pieces * period; from += channels)
    for (index_t c = 0; c < channels; ++c) sums[c] += from[c];
}

template void relu_backward(index_t, index_t, const float*, const float*, float*, float*);
template void relu_backward(index_t, index_t, const double*, const double*, double*, double*);

}  // namespace tapegrad::inline v0::kernels
#endif
