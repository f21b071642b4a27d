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

constexpr int kTogether = 4;  // additions that do not wait for each other

// Writes one vector of g, gated by y, to `to`, and adds it to the sum.
template <class D, class V>
HWY_INLINE V Gate(D d, const hn::TFromD<D>* g, const hn::TFromD<D>* y, hn::TFromD<D>* to, V sum) {
  const auto gated = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, y), hn::Zero(d)), hn::LoadU(d, g));
  hn::StoreU(gated, d, to);
  return hn::Add(sum, gated);
}

// Numbers [k, k + kVectors vectors) of each row of `width` numbers; sums gets what is added.
template <int kVectors, class T>
HWY_INLINE void GateColumns(index_t rows, index_t width, index_t k, const T* g, const T* y, T* to,
                            double* sums) {
  const hn::ScalableTag<T> d;
  constexpr index_t kLanes = hn::MaxLanes(d);
  hn::Vec<decltype(d)> sum[kVectors];
  HWY_UNROLL(4)
  for (auto& s : sum) s = hn::Zero(d);
  for (index_t row = 0, at = k; row < rows; ++row, at += width) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      const index_t here = at + v * kLanes;
      sum[v] = y == nullptr ? hn::Add(sum[v], hn::LoadU(d, g + here))
                            : Gate(d, g + here, y + here, to + here, sum[v]);
    }
  }
  HWY_ALIGN T lanes[kVectors * kLanes];
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) hn::Store(sum[v], d, lanes + v * kLanes);
  for (index_t i = 0; i < kVectors * kLanes; ++i) sums[k + i] += static_cast<double>(lanes[i]);
}

// Of each row of `width` numbers, number k is added to sums[k]: of some rows in T, and these sums in double.
template <class T>
void ReluBackward(index_t n, index_t width, const T* g, const T* y, T* to, double* sums) {
  constexpr index_t kLanes = hn::MaxLanes(hn::ScalableTag<T>());
  constexpr index_t kRows = 64;
  const auto one_by_one = [&](index_t rows, index_t begin, index_t end) HWY_ATTR {
    for (index_t k = begin; k < end; ++k) {
      T sum = 0;
      for (index_t row = 0, at = k; row < rows; ++row, at += width) {
        const T v = y == nullptr || y[at] > 0 ? g[at] : T{0};
        if (y != nullptr) to[at] = v;
        sum += v;
      }
      sums[k] += static_cast<double>(sum);
    }
  };
  const auto add = [&](index_t rows, index_t numbers) HWY_ATTR {
    index_t k = 0;
    for (; k + kTogether * kLanes <= numbers; k += kTogether * kLanes)
      GateColumns<kTogether>(rows, width, k, g, y, to, sums);
    for (; k + kLanes <= numbers; k += kLanes) GateColumns<1>(rows, width, k, g, y, to, sums);
    one_by_one(rows, k, numbers);
  };
  for (index_t rows; n > 0; n -= rows * width) {
    rows = std::clamp<index_t>(n / width, 1, kRows);
    if (n < width) return add(1, n);
    add(rows, width);
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
