// The tiles of the direct convolutions, for vectors of numbers T. No include guard: tiles.cpp includes this file for each T,
// inside of a namespace that says what T is.
using Full = hn::ScalableTag<T>;
constexpr index_t kLanes = hn::MaxLanes(Full());

// Tiles are unrolled by the compiler, and all their accumulators live in registers: 32 of them with AVX-512, 16 before.
// Processors without AVX2 add once a cycle, with a latency of 3: there, half of the accumulators are enough.
constexpr int kAccumulators = HWY_TARGET <= HWY_AVX3 ? 28 : HWY_TARGET <= HWY_AVX2 ? 12 : 8;
constexpr int kFilterAccumulators = HWY_TARGET <= HWY_AVX3 ? 24 : HWY_TARGET <= HWY_AVX2 ? 12 : 6;
constexpr int kRegisters = HWY_TARGET <= HWY_AVX3 ? 32 : 16;
constexpr int kMostPixels = 7;

// Few channels of floats are worth the code of tails.
constexpr int kTailGroup = sizeof(T) == sizeof(float) && HWY_TARGET <= HWY_AVX2 ? 4 : 1;

// Where vectors of half the width are as fast, the tiles of AVX2 take them.
inline bool NarrowIsAsFast() {
  return HWY_TARGET <= HWY_AVX3 && (HWY_TARGETS & HWY_AVX2) != 0 && halves_vectors_of_512_bits();
}

VectorTraits Traits() {
  static const bool narrow = NarrowIsAsFast();
  return {kLanes, narrow ? kLanes / 2 : kLanes, kFilterAccumulators, sizeof(T), kTailGroup};
}

// In a segment of a line; a tile is two segments, or four. Beside 14 sums, 16 registers hold a vector of the filter and a pixel.
constexpr index_t MostPixels(index_t group, index_t vectors) {
  constexpr bool kSevenFit = sizeof(T) == sizeof(float) && HWY_TARGET <= HWY_AVX2;
  return kSevenFit && group * vectors == 1 ? kMostPixels
                                           : std::min<index_t>(kMostPixels, kAccumulators / 2 / vectors);
}

struct Segment {
  const T* x;
  T* y;
};

// x[0 .. kGroup), again and again until the vector is full.
template <int kGroup, class D>
HWY_INLINE hn::Vec<D> LoadGroup(D d, const T* x) {
  constexpr std::size_t kBytes = kGroup * sizeof(T);
  if constexpr (kGroup == 1) {
    return hn::Set(d, *x);
  } else if constexpr (kGroup == hn::MaxLanes(D())) {
    return hn::LoadU(d, x);
  } else if constexpr (kBytes == 8) {
    double pair;
    std::memcpy(&pair, x, sizeof(pair));
    return hn::BitCast(d, hn::Set(hn::Repartition<double, D>(), pair));
  } else if constexpr (kBytes == 16) {
    return hn::LoadDup128(d, x);
  } else {
    static_assert(2 * kGroup == hn::MaxLanes(D()));
    const hn::Half<D> half;
    const auto part = hn::LoadU(half, x);
    return hn::Combine(d, part, part);
  }
}

// x[0 .. count), and zeros.
template <class D>
HWY_INLINE hn::Vec<D> LoadFirst(D d, const T* x, index_t count) {
  if constexpr (HWY_TARGET <= HWY_AVX2) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, x);
  } else {
    HWY_ALIGN T lanes[hn::MaxLanes(d)] = {};
    std::copy_n(x, count, lanes);
    return hn::Load(d, lanes);
  }
}

// The lanes of each group that LoadTail() keeps: the last `tail`.
template <int kGroup, class D>
HWY_INLINE hn::Mask<D> KeptOfTail(D d, index_t tail) {
  const hn::RebindToSigned<D> integers;
  using I = hn::TFromD<hn::RebindToSigned<D>>;
  const auto in_group = hn::And(hn::Iota(integers, 0), hn::Set(integers, I{kGroup - 1}));
  return hn::RebindMask(d, hn::Gt(in_group, hn::Set(integers, static_cast<I>(kGroup - 1 - tail))));
}

// x[0 .. tail), which end a run, as a group with zeros: in front of them, if a vector has several groups. Then what is read
// there is of the same run, as a run has a whole group at least; nothing is read behind the run.
template <int kGroup, class D>
HWY_INLINE hn::Vec<D> LoadTail(D d, const T* x, index_t tail, hn::Mask<D> kept) {
  if constexpr (kGroup == hn::MaxLanes(D())) {
    return LoadFirst(d, x, tail);
  } else {
    return hn::IfThenElseZero(kept, LoadGroup<kGroup>(d, x + tail - kGroup));
  }
}

// Adds the numbers of each block of 16 bytes: block b of v[i] has the sums of the blocks b of several vectors, in the order
// of the vectors.
template <int kCount, class V, int kSize>
HWY_INLINE void AddBlocks(V (&v)[kSize]) {
  const hn::DFromV<V> d;
  const hn::Repartition<double, hn::DFromV<V>> pairs;
  HWY_UNROLL(16)
  for (int i = 0; i < kCount; i += 2) {
    const V low = v[i], high = v[i + 1 < kCount ? i + 1 : i];
    v[i / 2] = hn::Add(hn::InterleaveLower(d, low, high), hn::InterleaveUpper(d, low, high));
  }
  if constexpr (sizeof(T) == 4) {
    constexpr int kLeft = (kCount + 1) / 2;
    HWY_UNROLL(16)
    for (int i = 0; i < kLeft; i += 2) {
      const auto low = hn::BitCast(pairs, v[i]), high = hn::BitCast(pairs, v[i + 1 < kLeft ? i + 1 : i]);
      v[i / 2] = hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, low, high)),
                         hn::BitCast(d, hn::InterleaveUpper(pairs, low, high)));
    }
  }
}

// Adds every kGroup neighbours. The first ceil(kCount / kGroup) vectors hold all sums, in order.
template <int kGroup, int kCount, class V, int kSize>
HWY_INLINE void AddNeighbours(V (&v)[kSize]) {
  const hn::DFromV<V> d;
  constexpr int kLeft = (kCount + 1) / 2;
  if constexpr (kGroup == kLanes && kLanes * sizeof(T) == 32) {
    // All lanes of a vector: first within blocks of 16 bytes, in any order. That takes half of the instructions.
    AddBlocks<kCount>(v);
    constexpr int kBlock = 16 / sizeof(T), kSums = (kCount + kBlock - 1) / kBlock;
    HWY_UNROLL(16)
    for (int i = 0; i < kSums; i += 2) {
      const V low = v[i], high = v[i + 1 < kSums ? i + 1 : i];
      v[i / 2] = hn::Add(hn::ConcatLowerLower(d, high, low), hn::ConcatUpperUpper(d, high, low));
    }
  } else if constexpr (kGroup > 1) {
    HWY_UNROLL(16)
    for (int i = 0; i < kLeft; ++i) {
      const V low = v[2 * i], high = v[2 * i + 1 < kCount ? 2 * i + 1 : 2 * i];
      v[i] = hn::Add(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low));
    }
    AddNeighbours<kGroup / 2, kLeft>(v);
  }
}

// Copies count numbers, at most 2 * kPiece, as two pieces that may overlap.
template <int kPiece>
HWY_INLINE void CopyFew(const T* from, index_t count, T* to) {
  if (count >= kPiece) {
    std::array<T, kPiece> first, last;
    std::memcpy(&first, from, sizeof(first));
    std::memcpy(&last, from + count - kPiece, sizeof(last));
    std::memcpy(to, &first, sizeof(first));
    std::memcpy(to + count - kPiece, &last, sizeof(last));
  } else if constexpr (kPiece > 1) {
    CopyFew<kPiece / 2>(from, count, to);
  }
}

// Copies fewer numbers than a vector has.
HWY_NOINLINE void CopyChannels(const T* from, index_t count, T* to) {
  CopyFew<std::max<int>(1, kLanes / 2)>(from, count, to);
}

// Writes pixels that stand kChannels apart in `from`. Where pixels are neighbours, what is written behind one is overwritten by
// the next one, but for the last.
template <int kChannels>
HWY_NOINLINE void WritePixels(const CorrelateJob<T>& job, const T* from, index_t pixels, T* y) {
  const hn::CappedTag<T, kChannels> d;
  const index_t whole = job.y_pixel == job.channels ? pixels * job.channels - kChannels : -1;
  index_t at = 0;
  for (; pixels > 0 && at <= whole; --pixels, from += kChannels, at += job.y_pixel)
    hn::StoreU(hn::LoadU(d, from), d, y + at);
  for (; pixels > 0; --pixels, from += kChannels, at += job.y_pixel)
    CopyFew<std::max<int>(1, kChannels / 2)>(from, job.channels, y + at);
}

// Before AVX-512, masked loads and stores are slow on some CPUs.
constexpr bool kMaskedStores = HWY_TARGET <= HWY_AVX3;

// A gradient in float is worth the 30 kB that gates in vectors take.
constexpr bool kGatesVectors = sizeof(T) == sizeof(float) && HWY_TARGET <= HWY_AVX2;

// Whether the gate is applied to vectors before they are written.
template <int kGroup, int kVectors>
HWY_INLINE bool GatesVectors(const CorrelateJob<T>& job) {
  return kGatesVectors && kGroup == 1 && (kVectors > 1 || job.channels == kLanes || kMaskedStores);
}

// Brings the gate of one segment into the first cache while its sums are made: without that, each of its lines would be waited for.
template <int kVectors, int kPixels>
HWY_INLINE void PrefetchGate(const CorrelateJob<T>& job, const T* y) {
  const T* gate = job.gate + (y - job.y);
  HWY_UNROLL(7)
  for (int p = 0; p < kPixels; ++p, gate += job.y_pixel) {
    HWY_UNROLL(2)
    for (int i = 0; i < kVectors; ++i) TAPEGRAD_PREFETCH(gate + i * kLanes);
  }
}

// What the gate lets through: the sums where it is positive, else 0.
template <class V>
HWY_INLINE V LetThrough(V gate, V sum) {
  return hn::IfThenElseZero(hn::Gt(gate, hn::Zero(hn::DFromV<V>())), sum);
}

// The same of the pixels of one segment, before they are written.
template <int kVectors, int kPixels, class V>
HWY_INLINE void Gate(const CorrelateJob<T>& job, V (&v)[kPixels * kVectors], const T* gate) {
  const hn::DFromV<V> d;
  if constexpr (kMaskedStores && kVectors == 1) {
    const auto channels = hn::FirstN(d, static_cast<std::size_t>(job.channels));
    HWY_UNROLL(7)
    for (int p = 0; p < kPixels; ++p, gate += job.y_pixel)
      v[p] = LetThrough(hn::MaskedLoad(channels, d, gate), v[p]);
  } else {
    const index_t last = job.channels - kLanes;
    HWY_UNROLL(7)
    for (int p = 0; p < kPixels; ++p, gate += job.y_pixel) {
      HWY_UNROLL(2)
      for (int i = 0; i < kVectors; ++i) {
        V& sum = v[p * kVectors + i];
        sum = LetThrough(hn::LoadU(d, gate + (i + 1 < kVectors ? i * kLanes : last)), sum);
      }
    }
  }
}

// The same of pixels that were written. Pixels that are neighbours are one line of numbers.
HWY_NOINLINE void GateWritten(const CorrelateJob<T>& job, index_t pixels, T* y) {
  const Full d;
  const bool neighbours = job.y_pixel == job.channels;
  const index_t lines = neighbours ? 1 : pixels, count = neighbours ? pixels * job.channels : job.channels;
  const T* gate = job.gate + (y - job.y);
  for (index_t line = 0; line < lines; ++line, y += job.y_pixel, gate += job.y_pixel) {
    index_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      hn::StoreU(LetThrough(hn::LoadU(d, gate + i), hn::LoadU(d, y + i)), d, y + i);
    if constexpr (kMaskedStores) {
      const auto rest = hn::FirstN(d, static_cast<std::size_t>(count - i));
      hn::BlendedStore(LetThrough(hn::MaskedLoad(rest, d, gate + i), hn::MaskedLoad(rest, d, y + i)), rest, d,
                       y + i);
    } else {
      for (; i < count; ++i) y[i] = gate[i] > 0 ? y[i] : T{0};
    }
  }
}

// Writes the pixels of one segment, whose channels do not fill a vector each. Without masked stores, where pixels are neighbours, what
// a whole vector writes behind its pixel is overwritten by the next ones, but for the last pixels of the segment.
template <int kPixels, class V>
HWY_INLINE void WriteOneByOne(const CorrelateJob<T>& job, const V (&v)[kPixels], T* y) {
  const hn::DFromV<V> d;
  if constexpr (kMaskedStores) {
    const auto channels = hn::FirstN(d, static_cast<std::size_t>(job.channels));
    HWY_UNROLL(7)
    for (int p = 0; p < kPixels; ++p, y += job.y_pixel) hn::BlendedStore(v[p], channels, d, y);
  } else {
    const index_t whole = job.y_pixel == job.channels ? kPixels * job.channels - kLanes : -1;
    HWY_UNROLL(7)
    for (int p = 0; p < kPixels; ++p) {
      T* const to = y + p * job.y_pixel;
      if (p * job.y_pixel <= whole) {
        hn::StoreU(v[p], d, to);
        continue;
      }
      HWY_ALIGN T lanes[kLanes];
      hn::Store(v[p], d, lanes);
      CopyChannels(lanes, job.channels, to);
    }
  }
}

// Writes the pixels of one segment, whose results are v.
template <int kGroup, int kVectors, int kPixels, class V>
HWY_INLINE void Write(const CorrelateJob<T>& job, const V (&v)[kPixels * kVectors], T* y) {
  const hn::DFromV<V> d;
  constexpr index_t kChannels = kLanes / kGroup;  // of a vector
  constexpr int kResults = kGroup == 1 ? kPixels * kVectors : (kPixels + kGroup - 1) / kGroup;
  if constexpr (kGroup == 1) {
    if (kVectors > 1 || job.channels == kLanes) {
      const index_t last = job.channels - kLanes;  // the last vector ends with the last channel
      HWY_UNROLL(7)
      for (int p = 0; p < kPixels; ++p, y += job.y_pixel) {
        HWY_UNROLL(2)
        for (int i = 0; i + 1 < kVectors; ++i) hn::StoreU(v[p * kVectors + i], d, y + i * kLanes);
        hn::StoreU(v[(p + 1) * kVectors - 1], d, y + last);
      }
      return;
    }
    if constexpr (kVectors == 1) {
      WriteOneByOne<kPixels>(job, v, y);
      return;
    }
  } else if (job.channels == kChannels && job.y_pixel == kChannels) {
    constexpr int kWhole = kPixels * kChannels / kLanes, kRest = kPixels * kChannels - kWhole * kLanes;
    HWY_UNROLL(7)
    for (int i = 0; i < kWhole; ++i) hn::StoreU(v[i], d, y + i * kLanes);
    if constexpr (kRest > 0 && kMaskedStores) {
      hn::BlendedStore(v[kWhole], hn::FirstN(d, kRest), d, y + kWhole * kLanes);
    } else if constexpr (kRest > 0) {
      HWY_ALIGN T lanes[kLanes];
      hn::Store(v[kWhole], d, lanes);
      std::memcpy(y + kWhole * kLanes, lanes, kRest * sizeof(T));
    }
    return;
  }
  if constexpr (kGroup == 2 && kChannels > 1) {
    if (job.channels == kChannels) {
      const hn::Half<decltype(d)> half;
      HWY_UNROLL(7)
      for (int p = 0; p < kPixels; ++p, y += job.y_pixel)
        hn::StoreU(p % 2 == 0 ? hn::LowerHalf(half, v[p / 2]) : hn::UpperHalf(half, v[p / 2]), half, y);
      return;
    }
  }
  HWY_ALIGN T lanes[kResults * kLanes];
  HWY_UNROLL(14)
  for (int i = 0; i < kResults; ++i) hn::Store(v[i], d, lanes + i * kLanes);
  if constexpr (kChannels == 1) {
    HWY_UNROLL(7)
    for (int p = 0; p < kPixels; ++p, y += job.y_pixel) *y = lanes[p];
  } else {
    WritePixels<kChannels>(job, lanes, kPixels, y);
  }
}

// Brings the sums v of one segment to an end, and writes them.
template <int kGroup, int kVectors, int kPixels, class V>
HWY_INLINE void Finish(const CorrelateJob<T>& job, V (&v)[kPixels * kVectors], T* y) {
  AddNeighbours<kGroup, kPixels>(v);
  constexpr int kResults = kGroup == 1 ? kPixels * kVectors : (kPixels + kGroup - 1) / kGroup;
  if (job.relu) {
    HWY_UNROLL(14)
    for (int i = 0; i < kResults; ++i) v[i] = Relu(v[i]);
  }
  const bool before = job.gate != nullptr && GatesVectors<kGroup, kVectors>(job);
  if constexpr (kGroup == 1)
    if (before) Gate<kVectors, kPixels>(job, v, job.gate + (y - job.y));
  Write<kGroup, kVectors, kPixels>(job, v, y);
  if (job.gate != nullptr && !before) GateWritten(job, kPixels, y);
}

// Some segments at a time.
template <int kSegments, int kGroup, int kVectors, int kPixels>
void Tile(const CorrelateJob<T>& job, const Segment* segment, index_t times) {
  using V = hn::Vec<Full>;
  const Full d;
  const index_t step = job.x_pixel, origin = job.taps[job.first_tap];
  const auto kept = KeptOfTail<kGroup>(d, job.tail);
  for (; times > 0; --times, segment += kSegments) {
    V sum[kSegments][kPixels * kVectors];
    HWY_UNROLL(4)
    for (int s = 0; s < kSegments; ++s) HWY_UNROLL(14)
    for (int i = 0; i < kPixels * kVectors; ++i) sum[s][i] = hn::Load(d, job.bias + i % kVectors * kLanes);
    if constexpr (kGatesVectors && kGroup <= (kMaskedStores ? 2 : 1)) {
      if (job.gate != nullptr) {
        HWY_UNROLL(4)
        for (int s = 0; s < kSegments; ++s) PrefetchGate<kVectors, kPixels>(job, segment[s].y);
      }
    }

    for (index_t run = 0, first = job.first_tap; run < job.tap_runs; ++run, first += job.next_run) {
      const T* w = job.weights + first * (kVectors * kLanes);
      const index_t *tap = job.taps + first, *const end = tap + job.tap_run;
      for (; tap != end; ++tap, w += kVectors * kLanes) {
        const index_t at = *tap - origin;
        V channels[kVectors];
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) channels[v] = hn::Load(d, w + v * kLanes);
        HWY_UNROLL(4)
        for (int s = 0; s < kSegments; ++s) {
          const T* x = segment[s].x + at;
          HWY_UNROLL(7)
          for (int p = 0; p < kPixels; ++p) {
            const auto pixel = LoadGroup<kGroup>(d, x + p * step);
            HWY_UNROLL(2)
            for (int v = 0; v < kVectors; ++v)
              sum[s][p * kVectors + v] = hn::MulAdd(pixel, channels[v], sum[s][p * kVectors + v]);
          }
        }
      }
      if constexpr (kGroup > 1 && (kGroup <= kTailGroup || kGroup == kLanes)) {
        if (job.tail == 0) continue;
        const index_t at = *tap - origin;
        const auto channels = hn::Load(d, w);
        HWY_UNROLL(4)
        for (int s = 0; s < kSegments; ++s) HWY_UNROLL(7)
        for (int p = 0; p < kPixels; ++p) {
          const T* x = segment[s].x + at + p * step;
          sum[s][p] = hn::MulAdd(LoadTail<kGroup>(d, x, job.tail, kept), channels, sum[s][p]);
        }
      }
    }

    HWY_UNROLL(4)
    for (int s = 0; s < kSegments; ++s) Finish<kGroup, kVectors, kPixels>(job, sum[s], segment[s].y);
  }
}

using TileFunction = void (*)(const CorrelateJob<T>&, const Segment*, index_t);
// Tiles for two and for four segments at a time: [pixels - 1]. Those of four may be nullptr.
struct Tiles {
  std::array<TileFunction, kMostPixels> two, four;
};

// For one vector of channels each pixel is loaded for a single product: there it pays that four segments share the loads of the
// filter, and what is done once a tile.
template <int kGroup, int kVectors, int kPixels>
constexpr TileFunction TileOfFour() {
  if constexpr (sizeof(T) == sizeof(float) && kGroup == 1 && kVectors == 1 && kPixels >= 6 &&
                4 * kPixels <= kAccumulators)
    return &Tile<4, kGroup, kVectors, kPixels>;
  else
    return nullptr;
}

template <int kGroup, int kVectors, int... kPixelsMinusOne>
constexpr Tiles MakeTiles(std::integer_sequence<int, kPixelsMinusOne...>) {
  constexpr int kMost = MostPixels(kGroup, kVectors);
  return {{(kPixelsMinusOne < kMost ? &Tile<2, kGroup, kVectors, std::min<int>(kPixelsMinusOne + 1, kMost)>
                                    : nullptr)...},
          {TileOfFour<kGroup, kVectors, kPixelsMinusOne + 1>()...}};
}
template <int kGroup, int kVectors>
constexpr Tiles kTiles = MakeTiles<kGroup, kVectors>(std::make_integer_sequence<int, kMostPixels>());

const Tiles& ChooseTiles(index_t group, index_t vectors) {
  switch (group) {
    case 2:
      return kTiles<std::min<int>(2, kLanes), 1>;
    case 4:
      return kTiles<std::min<int>(4, kLanes), 1>;
    case 8:
      return kTiles<std::min<int>(8, kLanes), 1>;
    case 16:
      return kTiles<std::min<int>(16, kLanes), 1>;
    default:
      return vectors == 1 ? kTiles<1, 1> : kTiles<1, 2>;
  }
}

// Up to kTogether segments of one size.
constexpr index_t kTogether = 32;
void RunTiles(const CorrelateJob<T>& job, const Tiles& tiles, index_t pixels,
              std::array<Segment, kTogether + 1>& segments, index_t count) {
  const auto at = static_cast<std::size_t>(pixels - 1);
  index_t done = 0;
  if (tiles.four[at] != nullptr) {
    tiles.four[at](job, segments.data(), count / 4);
    done = count / 4 * 4;
  }
  if (count % 2 == 1)  // the last one is computed twice
    segments[static_cast<std::size_t>(count)] = segments[static_cast<std::size_t>(count - 1)];
  if (done < count) tiles.two[at](job, segments.data() + done, (count - done + 1) / 2);
}

// Lines are cut into segments that are as equal as can be: some of one size, and some of the next smaller
// one.
void Correlate(const CorrelateJob<T>& job) {
  const Tiles& tiles = ChooseTiles(job.group, job.vectors);
  const index_t most = MostPixels(job.group, job.vectors), count = (job.pixels + most - 1) / most;
  const index_t size = job.pixels / count, longer = job.pixels % count;
  std::array<Segment, kTogether + 1> segments;
  for (index_t pixels = size; pixels <= size + 1; ++pixels) {
    const index_t in_line = pixels == size ? count - longer : longer;
    if (in_line == 0) continue;
    const index_t begin = pixels == size ? longer * (size + 1) : 0;
    const index_t x_step = pixels * job.x_pixel, y_step = pixels * job.y_pixel;
    index_t gathered = 0;
    for (index_t image = 0, x_image = begin * job.x_pixel, y_image = begin * job.y_pixel; image < job.images;
         ++image, x_image += job.x_image, y_image += job.y_image)
      for (index_t line = 0, x_line = x_image, y_line = y_image; line < job.lines;
           ++line, x_line += job.x_line, y_line += job.y_line)
        for (index_t s = 0, x = x_line, y = y_line; s < in_line; ++s, x += x_step, y += y_step) {
          segments[static_cast<std::size_t>(gathered++)] = {job.x + x, job.y + y};
          if (gathered < kTogether) continue;
          RunTiles(job, tiles, pixels, segments, gathered);
          gathered = 0;
        }
    RunTiles(job, tiles, pixels, segments, gathered);
  }
}

// ---- filter gradients

// Computes one tile, and writes the sums to `to`, [tap][scalar][vector].
template <int kTaps, int kScalars, int kVectors, bool kScalarsAreX>
void FilterTile(const FilterJob<T>& job, T* HWY_RESTRICT to) {
  const Full d;
  using V = hn::Vec<Full>;
  V sum[kTaps * kScalars * kVectors];
  HWY_UNROLL(28)
  for (int i = 0; i < kTaps * kScalars * kVectors; ++i) sum[i] = hn::Zero(d);

  constexpr int kScalarRows = kScalarsAreX ? kTaps : 1, kVectorRows = kScalarsAreX ? 1 : kTaps;
  for (const FilterLine<T>* line = job.lines; line != job.lines + job.line_count; ++line) {
    const T *s[kScalarRows], *v[kVectorRows];
    for (int t = 0; t < kScalarRows; ++t)
      s[t] = line->scalars + (job.scalar_offset + (kScalarsAreX ? job.taps[t] : 0));
    for (int t = 0; t < kVectorRows; ++t)
      v[t] = line->vectors + (job.vector_offset + (kScalarsAreX ? 0 : job.taps[t]));
    for (index_t q = 0; q < job.pixels; ++q) {
      if constexpr (kScalarsAreX) {
        V row[kVectors];
        HWY_UNROLL(3)
        for (int i = 0; i < kVectors; ++i) row[i] = hn::LoadU(d, v[0] + q * job.vector_step + i * kLanes);
        HWY_UNROLL(3)
        for (int t = 0; t < kTaps; ++t) HWY_UNROLL(12)
        for (int a = 0; a < kScalars; ++a) {
          const V scalar = hn::Set(d, s[t][q * job.scalar_step + a]);
          HWY_UNROLL(3)
          for (int i = 0; i < kVectors; ++i) {
            V& into = sum[(t * kScalars + a) * kVectors + i];
            into = hn::MulAdd(scalar, row[i], into);
          }
        }
      } else {
        V scalar[kScalars];
        HWY_UNROLL(12)
        for (int a = 0; a < kScalars; ++a) scalar[a] = hn::Set(d, s[0][q * job.scalar_step + a]);
        HWY_UNROLL(3)
        for (int t = 0; t < kTaps; ++t) HWY_UNROLL(3)
        for (int i = 0; i < kVectors; ++i) {
          V row = hn::LoadU(d, v[t] + q * job.vector_step + i * kLanes);
          // Loaded once, not for each product: half of the vectors of x lie in two cache lines.
          if constexpr (kScalars > 1 && kTaps * kScalars * kVectors + kScalars < kRegisters)
            TAPEGRAD_HOLD(row);
          HWY_UNROLL(12)
          for (int a = 0; a < kScalars; ++a) {
            V& into = sum[(t * kScalars + a) * kVectors + i];
            into = hn::MulAdd(scalar[a], row, into);
          }
        }
      }
    }
  }

  HWY_UNROLL(28)
  for (int i = 0; i < kTaps * kScalars * kVectors; ++i) hn::Store(sum[i], d, to + i * kLanes);
}

using FilterTileFunction = void (*)(const FilterJob<T>&, T*);
using FilterTilesOfScalars = std::array<FilterTileFunction, kMostScalars>;

template <int kTaps, int kScalars, int kVectors, bool kScalarsAreX>
constexpr FilterTileFunction OneFilterTile() {
  if constexpr (kTaps * kScalars * kVectors <= kFilterAccumulators) {
    constexpr bool kTapsOfScalars = kTaps == 1 || kScalarsAreX;
    return &FilterTile<kTaps, kScalars, kVectors, kTapsOfScalars>;
  } else {
    return nullptr;
  }
}
template <int kTaps, int kVectors, bool kScalarsAreX, int... kScalarsMinusOne>
constexpr FilterTilesOfScalars FilterTiles(std::integer_sequence<int, kScalarsMinusOne...>) {
  return {OneFilterTile<kTaps, kScalarsMinusOne + 1, kVectors, kScalarsAreX>()...};
}
template <int kTaps, bool kScalarsAreX>
constexpr std::array<FilterTilesOfScalars, kMostFilterVectors> kFilterTiles = {
    FilterTiles<kTaps, 1, kScalarsAreX>(std::make_integer_sequence<int, kMostScalars>()),
    FilterTiles<kTaps, 2, kScalarsAreX>(std::make_integer_sequence<int, kMostScalars>()),
    FilterTiles<kTaps, 3, kScalarsAreX>(std::make_integer_sequence<int, kMostScalars>())};

// Adds the numbers that a tile wrote to the sums.
template <int kVectors>
void AddSums(const FilterJob<T>& job, const T* from) {
  const Full d;
  const auto last = hn::FirstN(d, static_cast<std::size_t>(job.last_lanes));
  T* tap = job.sums;
  for (index_t t = 0; t < job.tap_count; ++t, tap += job.tap_sums_step) {
    T* to = tap;
    for (index_t a = 0; a < job.scalar_count; ++a, to += job.scalar_sums_step, from += kVectors * kLanes) {
      HWY_UNROLL(3)
      for (int i = 0; i < kVectors; ++i) {
        const auto v = hn::Load(d, from + i * kLanes);
        hn::StoreU(hn::Add(hn::LoadU(d, to + i * kLanes), i + 1 < kVectors ? v : hn::IfThenElseZero(last, v)),
                   d, to + i * kLanes);
      }
    }
  }
}

// Brings the sums into the first cache while a tile computes.
void PrefetchSums(const FilterJob<T>& job) {
  for (index_t t = 0; t < job.tap_count; ++t)
    for (index_t a = 0; a < job.scalar_count; ++a) {
      const T* to = job.sums + t * job.tap_sums_step + a * job.scalar_sums_step;
      TAPEGRAD_PREFETCH_TO_WRITE(to);
      TAPEGRAD_PREFETCH_TO_WRITE(to + job.vector_count * kLanes - 1);
    }
}

void AccumulateFilter(const FilterJob<T>& job) {
  constexpr index_t kLong = 64;                                    // pixels
  const auto& tiles = job.tap_count == 1  ? kFilterTiles<1, true>  // the sides are alike
                      : job.scalars_are_x ? kFilterTiles<kMostTaps, true>
                                          : kFilterTiles<kMostTaps, false>;
  if (job.line_count * job.pixels >= kLong) PrefetchSums(job);
  HWY_ALIGN T sums[kFilterAccumulators * kLanes];
  tiles[static_cast<std::size_t>(job.vector_count - 1)][static_cast<std::size_t>(job.scalar_count - 1)](job,
                                                                                                        sums);
  static_assert(kMostFilterVectors == 3);
  job.vector_count == 1   ? AddSums<1>(job, sums)
  : job.vector_count == 2 ? AddSums<2>(job, sums)
                          : AddSums<3>(job, sums);
}

// ---- filters, in another order

void Transpose(index_t rows, index_t columns, const T* from, index_t from_step, T* to, index_t to_step) {
  constexpr index_t k = kSquare<T>;
  const index_t whole_rows = rows / k * k, whole_columns = columns / k * k;
  for (index_t r = 0; r < whole_rows; r += k)
    for (index_t c = 0; c < whole_columns; c += k)
      TransposeBlocks(hn::FixedTag<T, kSquare<T>>(), from + r * from_step + c, from_step,
                      to + c * to_step + r, to_step);
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
      to[c * to_step + r] = from[r * from_step + c];
}

constexpr DirectKernels<T> kKernels{Traits, Correlate, AccumulateFilter, Transpose};
