// The tiles of the depthwise convolutions, for vectors of numbers T. No include guard: depthwise_tiles.cpp includes this file
// for each T, inside of a namespace that says what T is.
using Full = hn::ScalableTag<T>;
constexpr index_t kLanes = hn::MaxLanes(Full());
// Fewer channels than AVX-512 has lanes are left to AVX2, if that is there.
constexpr bool kFewHere = HWY_TARGET > HWY_AVX3 || (HWY_TARGETS & HWY_AVX2) == 0;
bool Takes(index_t channels) {
  return kFewHere || channels >= kLanes;
}

// Where a vector of channels begins: the last one may begin within the one before.
template <class D>
HWY_INLINE index_t ChannelAt(D, index_t channel, index_t channels) {
  return std::min<index_t>(channel, channels - static_cast<index_t>(hn::MaxLanes(D())));
}

template <class V>
HWY_INLINE V Finish(V sum, bool relu) {
  return relu ? Relu(sum) : sum;
}

// ---- small windows

// The columns of kRows image rows are passed over once, in steps of kStride. In step j output j begins and
// output j - kOpen + 1 ends; a pixel is loaded once for its taps in all outputs that are open. What belongs
// to these, and the filter or its gradient, stays in registers. There is no border: columns outside are left
// out.
template <int kTaps, int kStride>
constexpr int kOpen = (kTaps + kStride - 1) / kStride;

// Also not negative.
HWY_INLINE bool Inside(index_t column, index_t width) {
  return static_cast<std::size_t>(column) < static_cast<std::size_t>(width);
}

// GCC would load a vector again for each of its uses.
HWY_INLINE hn::Vec<Full> LoadOnce(const T* x) {
  auto v = hn::LoadU(Full(), x);
  TAPEGRAD_HOLD(v);
  return v;
}

// For the next rows, which the processor does not foresee: into the second cache, since the first one is
// full. An address outside of the array does no harm.
HWY_INLINE void Prefetch(const T* x) {
  TAPEGRAD_PREFETCH_INTO_SECOND_CACHE(x);
}

// Outputs [kFrom, kTo) of those that are open: j - kFrom, ..., j - kTo + 1.
template <int kFrom, int kTo>
struct Opens {};

// Calls step() for each step of a pass over `outputs` outputs, with those of the open outputs that exist.
template <int kLast, class Step>
HWY_INLINE void PassOver(index_t outputs, Step step) {
  const auto begin = [&]<int... k>(std::integer_sequence<int, k...>) HWY_ATTR TAPEGRAD_INLINE_LAMBDA {
    (step(Opens<0, k + 1>()), ...);
  };
  const auto end = [&]<int... k>(std::integer_sequence<int, k...>) HWY_ATTR TAPEGRAD_INLINE_LAMBDA {
    (step(Opens<k + 1, kLast + 1>()), ...);
  };
  using Ends = std::make_integer_sequence<int, kLast>;
  begin(Ends());
  for (index_t j = kLast; j < outputs; ++j) step(Opens<0, kLast + 1>());
  end(Ends());
}

template <int kRows, int kTaps, int kStride>
void CorrelateWindow(const DepthwiseCorrelateJob<T>& job, index_t channel) {
  constexpr int kLast = kOpen<kTaps, kStride> - 1;
  const Full d;
  using V = hn::Vec<Full>;
  const DepthwiseWindows<T> in = job.windows;
  V tap[kRows * kTaps], sum[kLast + 1];  // of the outputs j, j - 1, ...
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) HWY_UNROLL(8)
  for (int t = 0; t < kTaps; ++t)
    tap[r * kTaps + t] = LoadOnce(job.w + (r * job.w_row_step + t * job.w_step + channel));
  const V bias = job.bias ? hn::LoadU(d, job.bias + channel) : hn::Zero(d);
  HWY_UNROLL(8)
  for (V& s : sum) s = bias;

  const T* rows = in.x + channel;
  T* y = job.y + channel;
  index_t column = -in.columns.pad;
  // Adds the products of the outputs j - k, of those k that are in [kFrom, kTo).
  const auto step = [&]<int kFrom, int kTo>(Opens<kFrom, kTo>) HWY_ATTR TAPEGRAD_INLINE_LAMBDA {
    HWY_UNROLL(2)
    for (int u = 0; u < kStride; ++u, ++column) {
      if (!Inside(column, in.width)) continue;
      const T* x = rows + column * in.x_step;
      HWY_UNROLL(2)
      for (int r = 0; r < kStride; ++r) Prefetch(x + (kRows + r) * in.x_row_step);
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        const V pixel = LoadOnce(x + r * in.x_row_step);
        HWY_UNROLL(8)
        for (int k = kFrom; k < kTo; ++k)
          if (const int t = u + k * kStride; t < kTaps)
            sum[k] = hn::MulAdd(pixel, tap[r * kTaps + t], sum[k]);
      }
    }
    if constexpr (kTo > kLast) {
      hn::StoreU(Finish(sum[kLast], job.relu), d, y);
      y += job.y_step;
    }
    HWY_UNROLL(8)
    for (int k = kLast; k > 0; --k) sum[k] = sum[k - 1];
    sum[0] = bias;
  };
  PassOver<kLast>(in.columns.outputs, step);
}

// The filter's rows [row, row + kRows).
template <int kRows, int kTaps, int kStride>
void AccumulateWindow(const DepthwiseAccumulateJob<T>& job, index_t row, index_t vector) {
  constexpr int kLast = kOpen<kTaps, kStride> - 1;
  const Full d;
  using V = hn::Vec<Full>;
  const DepthwiseWindows<T> in = job.windows;
  const index_t channel = ChannelAt(d, vector, in.channels), tap_sums = job.tap_sums;
  T* sums = job.sums + (row * kTaps * tap_sums + vector);
  V sum[kRows * kTaps], dy[kLast + 1];  // dy: of the outputs j, j - 1, ...
  HWY_UNROLL(32)
  for (int i = 0; i < kRows * kTaps; ++i) sum[i] = hn::Load(d, sums + i * tap_sums);
  for (index_t i = 0; i < job.output_rows; ++i) {
    const T* rows = in.x + (i * job.x_down + row * in.x_row_step + channel);
    const T* next_dy = job.dy + (i * job.dy_down + channel);
    index_t column = -in.columns.pad;
    // The products of outputs that do not exist are left out, for a dy of zero would not do: zero times the infinity or
    // NaN of a pixel that no tap reads is NaN.
    const auto step = [&]<int kFrom, int kTo>(Opens<kFrom, kTo>) HWY_ATTR TAPEGRAD_INLINE_LAMBDA {
      HWY_UNROLL(8)
      for (int k = kLast; k > 0; --k) dy[k] = dy[k - 1];
      if constexpr (kFrom == 0) {
        dy[0] = LoadOnce(next_dy);
        Prefetch(next_dy + job.output_rows * job.dy_down);
        next_dy += job.dy_step;
      }
      HWY_UNROLL(2)
      for (int u = 0; u < kStride; ++u, ++column) {
        if (!Inside(column, in.width)) continue;
        const T* x = rows + column * in.x_step;
        HWY_UNROLL(2)
        for (int r = 0; r < kStride; ++r)
          Prefetch(x + job.output_rows * job.x_down + (kRows - 1 - r) * in.x_row_step);
        HWY_UNROLL(8)
        for (int r = 0; r < kRows; ++r) {
          const V pixel = LoadOnce(x + r * in.x_row_step);
          HWY_UNROLL(8)
          for (int k = kFrom; k < kTo; ++k)
            if (const int t = u + k * kStride; t < kTaps)
              sum[r * kTaps + t] = hn::MulAdd(pixel, dy[k], sum[r * kTaps + t]);
        }
      }
    };
    PassOver<kLast>(in.columns.outputs, step);
  }
  HWY_UNROLL(32)
  for (int i = 0; i < kRows * kTaps; ++i) hn::Store(sum[i], d, sums + i * tap_sums);
}

// The functions for kTaps and kStride, each for 1, 2, ... rows; null where there is none.
constexpr int kMostRows = 5, kMostRowsOfSums = 3;
struct SmallWindows {
  int taps, stride;
  std::array<void (*)(const DepthwiseCorrelateJob<T>&, index_t channel), kMostRows> correlate;
  std::array<void (*)(const DepthwiseAccumulateJob<T>&, index_t row, index_t vector), kMostRowsOfSums>
      accumulate;
  index_t rows_of_sums;  // that fit into the registers: 32 with AVX-512, 16 before
};
template <int kTaps, int kStride, int... kRowsMinusOne>
constexpr SmallWindows MakeSmall(std::integer_sequence<int, kRowsMinusOne...>) {
  SmallWindows small = {.taps = kTaps,
                        .stride = kStride,
                        .correlate = {CorrelateWindow<kRowsMinusOne + 1, kTaps, kStride>...},
                        .accumulate = {},
                        .rows_of_sums = 0};
  if constexpr (kTaps >=
                3) {  // fewer are the phases of a transpose, whose filter gradient is the convolution's
    small.accumulate = {AccumulateWindow<1, kTaps, kStride>, AccumulateWindow<2, kTaps, kStride>,
                        AccumulateWindow<3, kTaps, kStride>};
    small.rows_of_sums = HWY_TARGET <= HWY_AVX3 || kTaps == 3 ? 3 : 2;
  }
  return small;
}
template <int kTaps, int kStride>
constexpr SmallWindows kSmall =
    MakeSmall<kTaps, kStride>(std::make_integer_sequence<int, std::max(3, kTaps)>());

// Processors without AVX2 are old: the library stays small without windows of their own. Where there are not more outputs
// than are open at a time, any window is as good.
const SmallWindows* ChooseSmall(const TapAxis& a) {
#if HWY_TARGET <= HWY_AVX2
  static constexpr const SmallWindows* kAll[] = {&kSmall<1, 1>, &kSmall<2, 1>, &kSmall<3, 1>, &kSmall<5, 1>,
                                                 &kSmall<3, 2>};
  for (const SmallWindows* small : kAll)
    if (a.taps == small->taps && a.stride == small->stride && (a.dilation == 1 || a.taps == 1) &&
        a.outputs > (a.taps - 1) / a.stride)
      return small;
#else
  static_cast<void>(a);
#endif
  return nullptr;
}

// ---- any window

constexpr int kAnyPixels = 8;

// kPixels pixels from q on, of the taps [first, last), which lie inside of the image for all of them.
template <class D, int kPixels>
void CorrelateAny(const DepthwiseCorrelateJob<T>& job, index_t q, index_t first, index_t last,
                  index_t channel) {
  const D d;
  using V = hn::Vec<D>;
  const DepthwiseWindows<T>& in = job.windows;
  const TapAxis& a = in.columns;
  V sum[kPixels];
  const V bias = job.bias ? hn::LoadU(d, job.bias + channel) : hn::Zero(d);
  HWY_UNROLL(8)
  for (V& s : sum) s = bias;
  const index_t step = a.stride * in.x_step;
  for (index_t r = 0; r < in.rows; ++r)
    for (index_t t = first; t < last; ++t) {
      const T* x = in.x + (r * in.x_row_step + (q * a.stride + t * a.dilation - a.pad) * in.x_step + channel);
      const V tap = hn::LoadU(d, job.w + (r * job.w_row_step + t * job.w_step + channel));
      HWY_UNROLL(8)
      for (int p = 0; p < kPixels; ++p) sum[p] = hn::MulAdd(hn::LoadU(d, x + p * step), tap, sum[p]);
    }
  T* y = job.y + (q * job.y_step + channel);
  HWY_UNROLL(8)
  for (int p = 0; p < kPixels; ++p) hn::StoreU(Finish(sum[p], job.relu), d, y + p * job.y_step);
}

// One tap of one row, over the pixels [q, end) for which it lies inside of the image.
template <class D>
void AccumulateTap(const DepthwiseAccumulateJob<T>& job, index_t r, index_t t, index_t channel, T* to) {
  const D d;
  using V = hn::Vec<D>;
  const DepthwiseWindows<T>& in = job.windows;
  const TapAxis& a = in.columns;
  const index_t step = a.stride * in.x_step;
  V sum[4] = {hn::Load(d, to), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (index_t i = 0; i < job.output_rows; ++i) {
    auto [q, end] = a.reaching(t, in.width);
    const T* x = in.x + (i * job.x_down + r * in.x_row_step + (t * a.dilation - a.pad) * in.x_step + channel);
    const T* dy = job.dy + (i * job.dy_down + channel);
    for (; q + 4 <= end; q += 4) {
      HWY_UNROLL(4)
      for (int p = 0; p < 4; ++p)
        sum[p] =
            hn::MulAdd(hn::LoadU(d, x + (q + p) * step), hn::LoadU(d, dy + (q + p) * job.dy_step), sum[p]);
    }
    for (; q < end; ++q)
      sum[0] = hn::MulAdd(hn::LoadU(d, x + q * step), hn::LoadU(d, dy + q * job.dy_step), sum[0]);
  }
  hn::Store(hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])), d, to);
}

// ---- rows

// Whether outputs that are a dilation apart make sense by themselves.
inline bool Interleaved(const TapAxis& a) {
  return a.stride == 1 && a.dilation > 1 && a.taps > 1;
}

// The outputs `offset`, offset + dilation, ... read every dilation-th column, and between these nothing is
// dilated.
DepthwiseWindows<T> Interleave(const DepthwiseWindows<T>& in, index_t offset) {
  const TapAxis& a = in.columns;
  const index_t begin = offset - a.pad;  // the column of tap 0
  const index_t column = (begin % a.dilation + a.dilation) % a.dilation;
  DepthwiseWindows<T> to = in;
  to.columns.outputs = divide_up(a.outputs - offset, a.dilation);
  to.columns.dilation = 1;
  to.columns.pad = (column - begin) / a.dilation;
  to.width = divide_up(std::max<index_t>(0, in.width - column), a.dilation);
  to.x = in.x + column * in.x_step;
  to.x_step = a.dilation * in.x_step;
  return to;
}

// Any window, with vectors of D.
template <class D>
void CorrelateRow(const DepthwiseCorrelateJob<T>& job) {
  const D d;
  constexpr index_t kWidth = hn::MaxLanes(d);
  const auto& in = job.windows;
  const TapAxis& a = in.columns;
  const auto one_by_one = [&](index_t from, index_t to) {
    for (index_t q = from; q < to; ++q) {
      const auto [first, last] = a.inside(q * a.stride - a.pad, in.width);
      for (index_t c = 0; c < in.channels; c += kWidth)
        CorrelateAny<D, 1>(job, q, first, last, ChannelAt(d, c, in.channels));
    }
  };
  // Those at the borders have fewer taps.
  const index_t begin = a.reaching(0, in.width).first, end = a.reaching(a.taps - 1, in.width).second;
  if (end - begin < kAnyPixels) return one_by_one(0, a.outputs);
  one_by_one(0, begin);
  for (index_t q = begin; q < end; q += kAnyPixels)  // the last tile may begin within the one before
    for (index_t c = 0; c < in.channels; c += kWidth)
      CorrelateAny<D, kAnyPixels>(job, std::min(q, end - kAnyPixels), 0, a.taps,
                                  ChannelAt(d, c, in.channels));
  one_by_one(end, a.outputs);
}

template <class D>
void AccumulateRows(const DepthwiseAccumulateJob<T>& job) {
  const D d;
  constexpr index_t kWidth = hn::MaxLanes(d);
  const auto& in = job.windows;
  auto* to = job.sums;
  for (index_t r = 0; r < in.rows; ++r)
    for (index_t t = 0; t < in.columns.taps; ++t)
      for (index_t c = 0; c < in.channels; c += kWidth, to += kWidth)
        AccumulateTap<D>(job, r, t, ChannelAt(d, c, in.channels), to);
}

// Fewer channels than lanes, in vectors of depthwise_lanes().
template <index_t kWidth>
void CorrelateFew(const DepthwiseCorrelateJob<T>& job) {
  if constexpr (kFewHere && kWidth > 0)
    job.windows.channels < kWidth ? CorrelateFew<kWidth / 2>(job)
                                  : CorrelateRow<hn::CappedTag<T, kWidth>>(job);
}
template <index_t kWidth>
void AccumulateFew(const DepthwiseAccumulateJob<T>& job) {
  if constexpr (kFewHere && kWidth > 0)
    job.windows.channels < kWidth ? AccumulateFew<kWidth / 2>(job)
                                  : AccumulateRows<hn::CappedTag<T, kWidth>>(job);
}

void Correlate(const DepthwiseCorrelateJob<T>& job) {
  const DepthwiseWindows<T>& in = job.windows;
  const TapAxis& a = in.columns;
  if (Interleaved(a)) {
    for (index_t offset = 0; offset < std::min(a.dilation, a.outputs); ++offset) {
      DepthwiseCorrelateJob<T> part = job;
      part.windows = Interleave(in, offset);
      part.y += offset * job.y_step;
      part.y_step *= a.dilation;
      Correlate(part);
    }
    return;
  }
  if (in.channels < kLanes) return CorrelateFew<kLanes / 2>(job);
  const SmallWindows* small = ChooseSmall(a);
  const auto window = small && in.rows > 0 && in.rows <= kMostRows
                          ? small->correlate[static_cast<std::size_t>(in.rows - 1)]
                          : nullptr;
  if (!window) return CorrelateRow<Full>(job);
  for (index_t c = 0; c < in.channels; c += kLanes) window(job, ChannelAt(Full(), c, in.channels));
}

void Accumulate(const DepthwiseAccumulateJob<T>& job) {
  const DepthwiseWindows<T>& in = job.windows;
  const TapAxis& a = in.columns;
  if (Interleaved(a)) {
    for (index_t offset = 0; offset < std::min(a.dilation, a.outputs); ++offset) {
      DepthwiseAccumulateJob<T> part = job;
      part.windows = Interleave(in, offset);
      part.dy += offset * job.dy_step;
      part.dy_step *= a.dilation;
      Accumulate(part);
    }
    return;
  }
  if (in.channels < kLanes) return AccumulateFew<kLanes / 2>(job);
  const SmallWindows* small = ChooseSmall(a);
  if (!small || small->rows_of_sums == 0) return AccumulateRows<Full>(job);
  for (index_t row = 0, rows; row < in.rows; row += rows) {
    rows = std::min(small->rows_of_sums, in.rows - row);
    const auto window = small->accumulate[static_cast<std::size_t>(rows - 1)];
    for (index_t c = 0; c < in.channels; c += kLanes) window(job, row, c);
  }
}

constexpr DepthwiseKernels<T> kKernels{Takes, Correlate, Accumulate};
