#include <cstdint>
#include <type_traits>

#include "tapegrad/kernels/pooling.h"
#include "tapegrad/kernels/pooling_windows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/window_max.cpp"
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

// The largest pixel of as many channels as there are lanes; x begins with them at the first pixel of the image. Writes where
// it is, `from` being the place of x, unless at is nullptr.
template <class T>
HWY_INLINE void Largest(const Conv2DGeometry& g, Span rows, Span columns, const T* x, T* y, index_t from,
                        std::int32_t* at) {
  using D = hn::ScalableTag<T>;
  const D d;
  // Places are numbers as wide as T: those of doubles are doubles.
  const std::conditional_t<sizeof(T) == sizeof(std::int32_t), hn::RebindToSigned<D>, D> dp;
  using Place = hn::TFromD<decltype(dp)>;
  const auto lane = hn::Iota(dp, Place{0});
  const index_t row_step = g.in_w * g.in_channels;
  const index_t first = rows.begin * row_step + columns.begin * g.in_channels;
  auto best = hn::LoadU(d, x + first);
  auto place = hn::Add(lane, hn::Set(dp, static_cast<Place>(from + first)));
  for (index_t i = rows.begin; i < rows.end; ++i)
    for (index_t j = columns.begin; j < columns.end; ++j) {
      const index_t pixel = i * row_step + j * g.in_channels;
      const auto value = hn::LoadU(d, x + pixel);
      // The first of equal ones stays, and the first NaN.
      const auto better = hn::And(hn::Not(hn::Le(value, best)), hn::Eq(best, best));
      best = hn::IfThenElse(better, value, best);
      if (at == nullptr) continue;
      const auto here = hn::Add(lane, hn::Set(dp, static_cast<Place>(from + pixel)));
      place = hn::IfThenElse(hn::RebindMask(dp, better), here, place);
    }
  hn::StoreU(best, d, y);
  if (at == nullptr) return;
  if constexpr (sizeof(T) == sizeof(std::int32_t)) {
    hn::StoreU(place, dp, at);
  } else {
    const hn::Rebind<std::int32_t, D> di;
    hn::StoreU(hn::DemoteTo(di, place), di, at);
  }
}

// A row of windows, the channels from 0 on that fill vectors; returns how many these are.
template <class T>
index_t LargestOfRow(const Conv2DGeometry& g, Span rows, index_t image, const T* x, T* y, std::int32_t* at) {
  const auto lanes = static_cast<index_t>(hn::Lanes(hn::ScalableTag<T>()));
  const index_t channels = g.in_channels / lanes * lanes;
  for (index_t q = 0; q < g.out_w; ++q, y += g.in_channels) {
    const Span columns = covered(q, g.stride_w, g.pad_left, g.kernel_w, g.in_w);
    for (index_t c = 0; c < channels; c += lanes)
      Largest(g, rows, columns, x + image + c, y + c, image + c, at == nullptr ? nullptr : at + c);
    if (at != nullptr) at += g.in_channels;
  }
  return channels;
}

index_t LargestFloat(const Conv2DGeometry& g, Span rows, index_t image, const float* x, float* y,
                     std::int32_t* at) {
  return LargestOfRow(g, rows, image, x, y, at);
}
index_t LargestDouble(const Conv2DGeometry& g, Span rows, index_t image, const double* x, double* y,
                      std::int32_t* at) {
  return LargestOfRow(g, rows, image, x, y, at);
}

}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {

HWY_EXPORT(LargestFloat);
HWY_EXPORT(LargestDouble);

namespace {

// The place of the largest pixel of one channel, which image begins.
template <class T>
index_t largest_of(const Conv2DGeometry& g, Span rows, Span columns, const T* x, index_t image) {
  index_t best = image + (rows.begin * g.in_w + columns.begin) * g.in_channels;
  for (index_t i = rows.begin; i < rows.end; ++i)
    for (index_t j = columns.begin; j < columns.end; ++j) {
      const index_t here = image + (i * g.in_w + j) * g.in_channels;
      if (!(x[here] <= x[best]) && x[best] == x[best]) best = here;
    }
  return best;
}

}  // namespace

template <class T>
void window_max(const Conv2DGeometry& g, const T* x, T* y, std::int32_t* at) {
  const auto row = [=](index_t n, index_t p) {
    const Span rows = covered(p, g.stride_h, g.pad_top, g.kernel_h, g.in_h);
    const index_t image = n * g.in_h * g.in_w * g.in_channels;
    const index_t first = (n * g.out_h + p) * g.out_w * g.in_channels;
    std::int32_t* places = at == nullptr ? nullptr : at + first;
    index_t done = 0;
    if constexpr (sizeof(T) == sizeof(float))
      done = HWY_DYNAMIC_DISPATCH(LargestFloat)(g, rows, image, x, y + first, places);
    else
      done = HWY_DYNAMIC_DISPATCH(LargestDouble)(g, rows, image, x, y + first, places);
    for (index_t q = 0; q < g.out_w && done < g.in_channels; ++q) {
      const Span columns = covered(q, g.stride_w, g.pad_left, g.kernel_w, g.in_w);
      for (index_t c = done; c < g.in_channels; ++c) {
        const index_t place = largest_of(g, rows, columns, x, image + c), out = q * g.in_channels + c;
        y[first + out] = x[place];
        if (places != nullptr) places[out] = static_cast<std::int32_t>(place);
      }
    }
  };
  for_rows_of_windows(g, [=](index_t first, index_t last) {
    for (index_t number = first; number < last; ++number) row(number / g.out_h, number % g.out_h);
  });
}

template void window_max(const Conv2DGeometry&, const float*, float*, std::int32_t*);
template void window_max(const Conv2DGeometry&, const double*, double*, std::int32_t*);

}  // namespace tapegrad::inline v0::kernels
#endif
