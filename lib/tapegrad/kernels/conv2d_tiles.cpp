#include "tapegrad/kernels/conv2d_tiles.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d_tiles.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapegrad::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr index_t kLanes = hn::MaxLanes(D());

// Tiles are unrolled by the compiler, and all their accumulators live in registers: 32 of them with AVX-512,
// 16 before.
constexpr int kAccumulators = HWY_TARGET <= HWY_AVX3 ? 28 : 12;
constexpr int kFilterAccumulators = HWY_TARGET <= HWY_AVX3 ? 24 : 12;
constexpr int kMostPixels = 14;

VectorTraits Traits() {
  return {kLanes, kFilterAccumulators};
}

constexpr index_t MostPixels(index_t vectors) {
  return std::min<index_t>(kMostPixels, kAccumulators / vectors);
}

// x[0 .. kGroup), again and again until the vector is full.
template <int kGroup>
HWY_INLINE V LoadGroup(const float* x) {
  const D d;
  if constexpr (kGroup == 1) {
    return hn::Set(d, *x);
  } else if constexpr (kGroup == kLanes) {
    return hn::LoadU(d, x);
  } else if constexpr (kGroup == 2) {
    double pair;
    std::memcpy(&pair, x, sizeof(pair));
    return hn::BitCast(d, hn::Set(hn::ScalableTag<double>(), pair));
  } else if constexpr (kGroup == 4) {
    return hn::LoadDup128(d, x);
  } else {
    const hn::Half<D> half;
    const auto part = hn::LoadU(half, x);
    return hn::Combine(d, part, part);
  }
}

// Adds every kGroup neighbours. The first ceil(kCount / kGroup) vectors hold the sums of all of them, in
// order.
template <int kGroup, int kCount, int kSize>
HWY_INLINE void AddNeighbours(V (&v)[kSize]) {
  if constexpr (kGroup > 1) {
    const D d;
    constexpr int kLeft = (kCount + 1) / 2;
    HWY_UNROLL(16)
    for (int i = 0; i < kLeft; ++i) {
      const V low = v[2 * i], high = v[2 * i + 1 < kCount ? 2 * i + 1 : 2 * i];
      v[i] = hn::Add(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low));
    }
    AddNeighbours<kGroup / 2, kLeft>(v);
  }
}

HWY_INLINE V Relu(V v) {
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(D())), v);  // a NaN stays
}

// Stores the first count (1 ... kLanes) lanes.
HWY_INLINE void StoreFirst(V v, index_t count, float* to) {
  const D d;
  if (count == kLanes) {
    hn::StoreU(v, d, to);
  } else {
    HWY_ALIGN float lanes[kLanes];
    hn::Store(v, d, lanes);
    std::copy_n(lanes, count, to);
  }
}

// kPixels pixels of a row from q on, kVectors vectors of channels.
template <int kGroup, int kVectors, int kPixels>
void Tile(const CorrelateJob& job, const CorrelateRow& row, index_t q) {
  const D d;
  V sum[kPixels * kVectors];
  HWY_UNROLL(16)
  for (int p = 0; p < kPixels; ++p) HWY_UNROLL(2)
  for (int v = 0; v < kVectors; ++v) sum[p * kVectors + v] = hn::Load(d, job.bias + v * kLanes);

  const index_t step = job.x_step, groups = job.length / kGroup;
  for (index_t r = row.begin; r < row.end; ++r) {
    const float* x = row.x + (row.offset + job.runs[r].x + q * step);
    const float* w = job.weights + job.runs[r].tap / kGroup * (kVectors * kLanes);
    for (index_t k = 0; k < groups; ++k, x += kGroup, w += kVectors * kLanes) {
      V tap[kVectors];
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) tap[v] = hn::Load(d, w + v * kLanes);
      HWY_UNROLL(16)
      for (int p = 0; p < kPixels; ++p) {
        const V pixel = LoadGroup<kGroup>(x + p * step);
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v)
          sum[p * kVectors + v] = hn::MulAdd(pixel, tap[v], sum[p * kVectors + v]);
      }
    }
  }

  float* y = row.y + q * job.y_step;
  if constexpr (kGroup == 1) {
    const index_t last = job.channels - (kVectors - 1) * kLanes;  // channels in the last vector
    if (job.relu) {
      HWY_UNROLL(28)
      for (V& v : sum) v = Relu(v);
    }
    if (last == kLanes) {
      HWY_UNROLL(16)
      for (int p = 0; p < kPixels; ++p) HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v)
        hn::StoreU(sum[p * kVectors + v], d, y + p * job.y_step + v * kLanes);
    } else {
      HWY_UNROLL(16)
      for (int p = 0; p < kPixels; ++p, y += job.y_step) {
        HWY_UNROLL(2)
        for (int v = 0; v + 1 < kVectors; ++v) hn::StoreU(sum[p * kVectors + v], d, y + v * kLanes);
        StoreFirst(sum[(p + 1) * kVectors - 1], last, y + (kVectors - 1) * kLanes);
      }
    }
  } else {
    AddNeighbours<kGroup, kPixels>(sum);
    constexpr index_t kChannels = kLanes / kGroup;
    constexpr int kResults = (kPixels + kGroup - 1) / kGroup;
    HWY_ALIGN float lanes[kResults * kLanes];
    const bool dense = job.channels == kChannels && job.y_step == kChannels;
    HWY_UNROLL(16)
    for (int i = 0; i < kResults; ++i) {
      const V v = job.relu ? Relu(sum[i]) : sum[i];
      if (dense)
        StoreFirst(v, std::min<index_t>(kLanes, kPixels * kChannels - i * kLanes), y + i * kLanes);
      else
        hn::Store(v, d, lanes + i * kLanes);
    }
    if (!dense)
      for (int p = 0; p < kPixels; ++p) std::copy_n(lanes + p * kChannels, job.channels, y + p * job.y_step);
  }
}

using TileFunction = void (*)(const CorrelateJob&, const CorrelateRow&, index_t);
using Tiles = std::array<TileFunction, kMostPixels>;

template <int kGroup, int kVectors, int... kPixelsMinusOne>
constexpr Tiles MakeTiles(std::integer_sequence<int, kPixelsMinusOne...>) {
  return {(kPixelsMinusOne < kAccumulators / kVectors
               ? &Tile<kGroup, kVectors, std::min(kPixelsMinusOne + 1, kAccumulators / kVectors)>
               : nullptr)...};
}
template <int kGroup, int kVectors>
constexpr Tiles kTiles = MakeTiles<kGroup, kVectors>(std::make_integer_sequence<int, kMostPixels>());

const Tiles& ChooseTiles(const CorrelateJob& job) {
  switch (job.group) {
    case 2:
      return kTiles<std::min<int>(2, kLanes), 1>;
    case 4:
      return kTiles<std::min<int>(4, kLanes), 1>;
    case 8:
      return kTiles<std::min<int>(8, kLanes), 1>;
    case 16:
      return kTiles<std::min<int>(16, kLanes), 1>;
    default:
      return job.vectors == 1 ? kTiles<1, 1> : kTiles<1, 2>;
  }
}

void Correlate(const CorrelateJob& job) {
  const Tiles& tiles = ChooseTiles(job);
  const index_t most = MostPixels(job.vectors);
  const index_t parts = (job.pixels + most - 1) / most;  // as equal as they can be
  const index_t size = job.pixels / parts, longer = job.pixels % parts;
  for (index_t r = 0; r < job.row_count; ++r)
    for (index_t part = 0, q = 0; part < parts; ++part) {
      const index_t pixels = size + (part < longer ? 1 : 0);
      tiles[static_cast<std::size_t>(pixels - 1)](job, job.rows[r], q);
      q += pixels;
    }
}

// ---- filter gradients

template <int kTaps, int kScalars, int kVectors, bool kScalarsPerTap>
void FilterTile(const FilterJob& job) {
  const D d;
  V sum[kTaps * kScalars * kVectors];
  HWY_UNROLL(28)
  for (int i = 0; i < kTaps * kScalars * kVectors; ++i) sum[i] = hn::Zero(d);

  constexpr int kScalarRows = kScalarsPerTap ? kTaps : 1, kVectorRows = kScalarsPerTap ? 1 : kTaps;
  for (index_t r = 0; r < job.rows; ++r) {
    const float *s[kScalarRows], *v[kVectorRows];
    for (int t = 0; t < kScalarRows; ++t) s[t] = job.scalars[r * kScalarRows + t] + job.scalar_offset;
    for (int t = 0; t < kVectorRows; ++t) v[t] = job.vectors[r * kVectorRows + t] + job.vector_offset;
    for (index_t q = 0; q < job.pixels; ++q) {
      V row[kVectorRows * kVectors];
      HWY_UNROLL(3)
      for (int t = 0; t < kVectorRows; ++t) HWY_UNROLL(3)
      for (int i = 0; i < kVectors; ++i)
        row[t * kVectors + i] = hn::LoadU(d, v[t] + q * job.vector_step + i * kLanes);
      HWY_UNROLL(3)
      for (int t = 0; t < kTaps; ++t) HWY_UNROLL(12)
      for (int a = 0; a < kScalars; ++a) {
        const V scalar = hn::Set(d, s[kScalarsPerTap ? t : 0][q * job.scalar_step + a]);
        HWY_UNROLL(3)
        for (int i = 0; i < kVectors; ++i) {
          V& to = sum[(t * kScalars + a) * kVectors + i];
          to = hn::MulAdd(scalar, row[(kScalarsPerTap ? 0 : t) * kVectors + i], to);
        }
      }
    }
  }

  HWY_UNROLL(3)
  for (int t = 0; t < kTaps; ++t) HWY_UNROLL(12)
  for (int a = 0; a < kScalars; ++a) HWY_UNROLL(3)
  for (int i = 0; i < kVectors; ++i) {
    float* to = job.sums + t * job.tap_sums_step + a * job.scalar_sums_step + i * kLanes;
    hn::Store(hn::Add(hn::Load(d, to), sum[(t * kScalars + a) * kVectors + i]), d, to);
  }
}

using FilterTileFunction = void (*)(const FilterJob&);

template <int kTaps, int kScalars, int kVectors, bool kScalarsPerTap>
constexpr FilterTileFunction OneFilterTile() {
  if constexpr (kTaps * kScalars * kVectors <= kFilterAccumulators)
    return &FilterTile < kTaps, kScalars, kVectors, kTaps == 1 || kScalarsPerTap > ;
  else
    return nullptr;
}
template <int kTaps, int kVectors, bool kScalarsPerTap, int... kScalarsMinusOne>
constexpr std::array<FilterTileFunction, kMostScalars> FilterTiles(
    std::integer_sequence<int, kScalarsMinusOne...>) {
  return {OneFilterTile<kTaps, kScalarsMinusOne + 1, kVectors, kScalarsPerTap>()...};
}
template <int kTaps, bool kScalarsPerTap>
constexpr std::array<std::array<FilterTileFunction, kMostScalars>, kMostFilterVectors> kFilterTiles = {
    FilterTiles<kTaps, 1, kScalarsPerTap>(std::make_integer_sequence<int, kMostScalars>()),
    FilterTiles<kTaps, 2, kScalarsPerTap>(std::make_integer_sequence<int, kMostScalars>()),
    FilterTiles<kTaps, 3, kScalarsPerTap>(std::make_integer_sequence<int, kMostScalars>())};

void AccumulateFilter(const FilterJob& job) {
  const auto& tiles = job.taps == 1 ? kFilterTiles<1, true>
                      : job.taps == 2
                          ? (job.scalars_per_tap ? kFilterTiles<2, true> : kFilterTiles<2, false>)
                          : (job.scalars_per_tap ? kFilterTiles<3, true> : kFilterTiles<3, false>);
  tiles[static_cast<std::size_t>(job.vector_count - 1)][static_cast<std::size_t>(job.scalar_count - 1)](job);
}

}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::kernels {

HWY_EXPORT(Traits);
HWY_EXPORT(Correlate);
HWY_EXPORT(AccumulateFilter);

VectorTraits vector_traits() {
  return HWY_DYNAMIC_DISPATCH(Traits)();
}
void correlate(const CorrelateJob& job) {
  HWY_DYNAMIC_DISPATCH(Correlate)(job);
}
void accumulate_filter(const FilterJob& job) {
  HWY_DYNAMIC_DISPATCH(AccumulateFilter)(job);
}

}  // namespace tapegrad::kernels
#endif
