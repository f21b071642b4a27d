#include "tapegrad/kernels/row_product.h"

#include "tapegrad/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/row_product.cpp"
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

// kVectors vectors of y from b's columns there on: each sum goes through b from the first row to the last.
template <int kVectors, class D, class T = hn::TFromD<D>>
HWY_INLINE void Columns(D d, index_t k, const T* x, const T* b, index_t step, T* y, bool accumulate) {
  constexpr index_t kLanes = hn::MaxLanes(d);
  hn::Vec<D> sum[kVectors];
  HWY_UNROLL(8)
  for (auto& s : sum) s = hn::Zero(d);
  for (index_t p = 0; p < k; ++p, b += step) {
    const auto factor = hn::Set(d, x[p]);
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) sum[v] = hn::MulAdd(factor, hn::LoadU(d, b + v * kLanes), sum[v]);
  }
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    if (accumulate) sum[v] = hn::Add(sum[v], hn::LoadU(d, y + v * kLanes));
    hn::StoreU(sum[v], d, y + v * kLanes);
  }
}

template <class T>
void RowTimesMatrix(index_t n, index_t k, const T* x, const T* b, index_t step, T* y, bool accumulate) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 16 / sizeof(T)> narrow;
  constexpr index_t kLanes = hn::MaxLanes(d), kNarrow = hn::MaxLanes(narrow);
  index_t j = 0;
  for (; j + 8 * kLanes <= n; j += 8 * kLanes) Columns<8>(d, k, x, b + j, step, y + j, accumulate);
  for (; j + 2 * kLanes <= n; j += 2 * kLanes) Columns<2>(d, k, x, b + j, step, y + j, accumulate);
  for (; j + kLanes <= n; j += kLanes) Columns<1>(d, k, x, b + j, step, y + j, accumulate);
  for (; j + 2 * kNarrow <= n; j += 2 * kNarrow) Columns<2>(narrow, k, x, b + j, step, y + j, accumulate);
  for (; j + kNarrow <= n; j += kNarrow) Columns<1>(narrow, k, x, b + j, step, y + j, accumulate);
  if (j < n && n >= kNarrow && !accumulate)  // some once more
    return Columns<1>(narrow, k, x, b + n - kNarrow, step, y + n - kNarrow, false);
  for (; j < n; ++j) {
    T sum = 0;
    for (index_t p = 0; p < k; ++p) sum += x[p] * b[p * step + j];
    y[j] = accumulate ? y[j] + sum : sum;
  }
}

// kRows numbers of y, each a sum over lanes of x times a row of b.
template <int kRows, class T>
HWY_INLINE void Dots(index_t k, const T* x, const T* b, index_t step, T* y, bool accumulate) {
  const hn::ScalableTag<T> d;
  constexpr index_t kLanes = hn::MaxLanes(d);
  hn::Vec<decltype(d)> even[kRows], odd[kRows];
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) even[r] = odd[r] = hn::Zero(d);
  index_t p = 0;
  for (; p + 2 * kLanes <= k; p += 2 * kLanes) {
    const auto first = hn::LoadU(d, x + p), second = hn::LoadU(d, x + p + kLanes);
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) {
      even[r] = hn::MulAdd(first, hn::LoadU(d, b + r * step + p), even[r]);
      odd[r] = hn::MulAdd(second, hn::LoadU(d, b + r * step + p + kLanes), odd[r]);
    }
  }
  for (; p + kLanes <= k; p += kLanes) {
    const auto factor = hn::LoadU(d, x + p);
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) even[r] = hn::MulAdd(factor, hn::LoadU(d, b + r * step + p), even[r]);
  }
  for (int r = 0; r < kRows; ++r) {
    T sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even[r], odd[r])));
    for (index_t q = p; q < k; ++q) sum += x[q] * b[r * step + q];
    y[r] = accumulate ? y[r] + sum : sum;
  }
}

template <class T>
void RowTimesTransposed(index_t n, index_t k, const T* x, const T* b, index_t step, T* y, bool accumulate) {
  index_t j = 0;
  for (; j + 4 <= n; j += 4) Dots<4>(k, x, b + j * step, step, y + j, accumulate);
  for (; j < n; ++j) Dots<1>(k, x, b + j * step, step, y + j, accumulate);
}

void RowFloat(index_t n, index_t k, const float* x, const float* b, index_t step, float* y, bool accumulate) {
  RowTimesMatrix(n, k, x, b, step, y, accumulate);
}
void RowDouble(index_t n, index_t k, const double* x, const double* b, index_t step, double* y,
               bool accumulate) {
  RowTimesMatrix(n, k, x, b, step, y, accumulate);
}
void RowTransposedFloat(index_t n, index_t k, const float* x, const float* b, index_t step, float* y,
                        bool accumulate) {
  RowTimesTransposed(n, k, x, b, step, y, accumulate);
}
void RowTransposedDouble(index_t n, index_t k, const double* x, const double* b, index_t step, double* y,
                         bool accumulate) {
  RowTimesTransposed(n, k, x, b, step, y, accumulate);
}

}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {

HWY_EXPORT(RowFloat);
HWY_EXPORT(RowDouble);
HWY_EXPORT(RowTransposedFloat);
HWY_EXPORT(RowTransposedDouble);

template <class T>
void row_product(index_t n, index_t k, const T* x, index_t step, Matrix<const T> b, T* y, bool accumulate) {
  if (step != 1) {
    struct Row;
    T* row = scratch<T, Row>(k);
    for (index_t p = 0; p < k; ++p) row[p] = x[p * step];
    x = row;
  }
  if (n == 1 && b.step == 1) b.transposed = true;  // a column without gaps: the same numbers as a row
  constexpr index_t kLongSum = 1024;               // a sum of many more, one by one, loses digits
  for (; k > kLongSum; k -= kLongSum, x += kLongSum, b.data += kLongSum * (b.transposed ? 1 : b.step)) {
    row_product(n, kLongSum, x, 1, b, y, accumulate);
    accumulate = true;
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    if (b.transposed)
      HWY_DYNAMIC_DISPATCH(RowTransposedFloat)(n, k, x, b.data, b.step, y, accumulate);
    else
      HWY_DYNAMIC_DISPATCH(RowFloat)(n, k, x, b.data, b.step, y, accumulate);
  } else {
    if (b.transposed)
      HWY_DYNAMIC_DISPATCH(RowTransposedDouble)(n, k, x, b.data, b.step, y, accumulate);
    else
      HWY_DYNAMIC_DISPATCH(RowDouble)(n, k, x, b.data, b.step, y, accumulate);
  }
}

template void row_product(index_t, index_t, const float*, index_t, Matrix<const float>, float*, bool);
template void row_product(index_t, index_t, const double*, index_t, Matrix<const double>, double*, bool);

}  // namespace tapegrad::inline v0::kernels
#endif
