#include "tapegrad/kernels/conv2d/direct.h"

#include <algorithm>
#include <utility>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/packed_filter.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::inline v0::kernels {
namespace {

// The last vector of a block ends with the last channel, if there are enough: so many channels of the vector before are in it, too.
index_t shared_channels(const PhasePlan& p, index_t channels, index_t width) {
  return channels > p.lanes && p.group == 1 ? width - channels : 0;
}

// Writes the filter of one block as CorrelateJob describes it.
template <class T>
void pack(const CorrelationPlan& plan, const PhasePlan& p, index_t group, index_t block, const T* w,
          T* packed) {
  const Correlation& c = plan.c;
  const Phase& phase = c.phases[static_cast<std::size_t>(p.phase)];
  const index_t first = plan.first_of(p, block), channels = plan.channels_of(p, block);
  const index_t width = plan.vectors_of(p, block) * p.lanes, apart = p.group;
  const index_t w_in = c.g.group_in(), w_out = c.g.out_channels;  // the filter's last two axes
  // In the filter of conv2d the channels that are read are its inputs; in that of the transpose, its outputs.
  const index_t from_step = c.transposed ? 1 : w_out, to_step = c.transposed ? w_out : 1;
  const index_t origin = group * c.g.group_out() + first * to_step;
  const index_t back = shared_channels(p, channels, width);
  if ((channels + back) * apart < width || p.length % p.group != 0) std::fill_n(packed, p.taps * width, T{0});
  const auto copy = [&](const T* from, index_t count, T* to) {
    if (c.transposed) return transpose(count, c.group_in, from, to_step, to, width);
    for (index_t k = 0; k < c.group_in; ++k) std::copy_n(from + k * from_step, count, to + k * width);
  };
  index_t lane = 0, in_run = 0;  // of the group that is being filled, and numbers of the run before
  for (index_t i = 0; i < phase.h.taps; ++i)
    for (index_t j = p.first_column; j < p.first_column + p.column_taps; ++j) {
      const index_t row = phase.h.first + i * phase.h.step, column = phase.w.first + j * phase.w.step;
      const T* from = w + (row * c.g.kernel_w + column) * w_in * w_out + origin;
      if (apart == 1) {
        copy(from, channels, packed);
        if (back > 0) copy(from + (channels - p.lanes) * to_step, p.lanes, packed + (width - p.lanes));
        packed += c.group_in * width;
        continue;
      }
      for (index_t k = 0; k < c.group_in; ++k, from += from_step) {
        if (lane == 0) lane = p.first_lane(in_run);
        for (index_t o = 0; o < channels; ++o) packed[o * apart + lane] = from[o * to_step];
        in_run = in_run + 1 == p.length ? 0 : in_run + 1;
        if (++lane < apart && in_run > 0) continue;
        lane = 0;
        packed += width;
      }
    }
}

// The same for its bias.
template <class T>
void pack_bias(const CorrelationPlan& plan, const PhasePlan& p, index_t group, index_t block, const T* bias,
               T* packed) {
  const index_t channels = plan.channels_of(p, block), width = plan.vectors_of(p, block) * p.lanes;
  std::fill_n(packed, width, T{0});
  if (!bias) return;
  bias += group * plan.c.group_out + plan.first_of(p, block);
  for (index_t o = 0; o < channels; ++o) packed[o * p.group] = bias[o];
  if (const index_t back = shared_channels(p, channels, width); back > 0)
    std::copy_n(bias + (channels - p.lanes), p.lanes, packed + (width - p.lanes));
}

// One way to go through the pixels of a rectangle.
struct Way {
  index_t count, x, y;  // and the steps from one to the next

  // Whether this many steps of `inner` are one of this.
  bool continues(const Way& inner) const { return x == inner.count * inner.x && y == inner.count * inner.y; }
};

// Long lines are computed faster: ways of which one continues the other become one, and lines go the longer way of an image; if
// that has few pixels, as in a corner, they go from image to image.
template <class T>
void lengthen_lines(CorrelateJob<T>& job) {
  constexpr index_t kFew = 6;
  Way images = {job.images, job.x_image, job.y_image}, lines = {job.lines, job.x_line, job.y_line},
      pixels = {job.pixels, job.x_pixel, job.y_pixel};
  if (lines.count > pixels.count) std::swap(lines, pixels);
  for (Way* outer : {&lines, &images})
    if (outer->continues(pixels)) {
      pixels.count *= outer->count;
      outer->count = 1;
    } else if (outer->count > 1) {
      break;
    }
  if (pixels.count < kFew && images.count > pixels.count) std::swap(images, pixels);
  job.images = images.count, job.x_image = images.x, job.y_image = images.y;
  job.lines = lines.count, job.x_line = lines.x, job.y_line = lines.y;
  job.pixels = pixels.count, job.x_pixel = pixels.x, job.y_pixel = pixels.y;
}

// Everything about a rectangle of pixels but the channels: x and y are counted from the arrays' beginnings.
template <class T>
struct Rectangle {
  CorrelateJob<T> job;
  index_t x, y;
};

template <class T>
Rectangle<T> rectangle(const Correlation& c, const PhasePlan& p, const Strip& strip, const Stretch& rows,
                       const Stretch& columns) {
  const Phase& phase = c.phases[static_cast<std::size_t>(p.phase)];
  const index_t x_row = c.in_w * c.in_channels;
  Rectangle<T> r{};
  r.job.images = strip.images();
  r.job.lines = rows.size();
  r.job.pixels = columns.size();
  r.job.x_image = c.in_h * x_row;
  r.job.x_line = phase.h.stride * x_row;
  r.job.x_pixel = phase.w.stride * c.in_channels;
  r.job.y_image = c.out_h * c.out_w * c.out_channels;
  r.job.y_line = c.step.height * c.out_w * c.out_channels;
  r.job.y_pixel = c.step.width * c.out_channels;
  const index_t y_top = phase.row + rows.begin * c.step.height;
  const index_t y_left = phase.column + columns.begin * c.step.width;
  r.x = strip.first * r.job.x_image;
  r.y = strip.first * r.job.y_image + (y_top * c.out_w + y_left) * c.out_channels;
  if (rows.taps() * columns.taps() > 0) {
    const index_t x_top = rows.begin * phase.h.stride - phase.h.pad + rows.first_tap * phase.h.dilation;
    const index_t x_left =
        columns.begin * phase.w.stride - phase.w.pad + columns.first_tap * phase.w.dilation;
    r.x += x_top * x_row + x_left * c.in_channels;
    const auto in_row = [&](index_t column_taps) { return p.taps_in_row * column_taps / p.column_taps; };
    r.job.first_tap = rows.first_tap * p.taps_in_row + in_row(columns.first_tap - p.first_column);
    r.job.tail = p.length % p.group;
    if (r.job.tail != 0) {
      r.job.tap_runs = rows.taps() * p.taps_in_row / p.taps_in_run();
      r.job.tap_run = p.length / p.group;
      r.job.next_run = p.taps_in_run();
    } else if (columns.taps() == p.column_taps) {  // all rows are one run
      r.job.tap_runs = 1;
      r.job.tap_run = rows.taps() * p.taps_in_row;
    } else {
      r.job.tap_runs = rows.taps();
      r.job.tap_run = in_row(columns.taps());
      r.job.next_run = p.taps_in_row;
    }
  }
  lengthen_lines(r.job);
  return r;
}

// The filter in the order of the tiles.
template <class T>
void pack_all(const CorrelationPlan& plan, const T* w, T* packed) {
  for (const PhasePlan& p : plan.phases)
    parallel_for(plan.c.g.groups * p.blocks, units_in_piece(kPackedWeights, p.packed()),
                 [&](index_t begin, index_t end) {
                   for (index_t at = begin; at < end; ++at)
                     pack(plan, p, at / p.blocks, at % p.blocks, w,
                          packed + p.first_weight + at * p.packed());
                 });
}

template <class T>
const T* packed_biases(const CorrelationPlan& plan, const T* bias) {
  struct Biases;
  T* packed = scratch<T, Biases>(plan.biases);
  for (const PhasePlan& p : plan.phases)
    for (index_t at = 0; at < plan.c.g.groups * p.blocks; ++at)
      pack_bias(plan, p, at / p.blocks, at % p.blocks, bias,
                packed + p.first_bias + at * p.vectors * p.lanes);
  return packed;
}

// All arrays of a correlation.
template <class T>
struct Arrays {
  const T *x, *weights, *biases;
  T* y;
  const Epilogue<T>& epilogue;
};

// The results of the blocks [first, last) of channels in a strip; blocks are numbered through all groups.
template <class T>
void compute(const CorrelationPlan& plan, const Arrays<T>& a, const PhasePlan& p, const Strip& strip,
             index_t first, index_t last) {
  const Correlation& c = plan.c;
  for (const Stretch& all_rows : p.rows)
    for (const Stretch& columns : p.columns) {
      const Stretch rows = clip(all_rows, strip);
      if (rows.size() <= 0) continue;
      auto [job, x_begin, y_begin] = rectangle<T>(c, p, strip, rows, columns);
      job.taps = plan.taps.data() + p.first_tap;
      job.narrow = p.narrow;
      job.group = p.group;
      job.relu = a.epilogue.relu;
      for (index_t at = first; at < last; ++at) {
        const index_t group = at / p.blocks, block = at % p.blocks;
        job.x = a.x + x_begin + group * c.group_in;
        job.y = a.y + y_begin + group * c.group_out + plan.first_of(p, block);
        if (a.epilogue.gate != nullptr) job.gate = a.epilogue.gate + (job.y - a.y);
        job.weights = a.weights + p.first_weight + at * p.packed();
        job.bias = a.biases + p.first_bias + at * p.vectors * p.lanes;
        job.vectors = plan.vectors_of(p, block);
        job.channels = plan.channels_of(p, block);
        correlate(job);
      }
    }
}

// Threads share the blocks of all phases. Each packs the filters of its own, unless all are packed already: then w is nullptr.
template <class T>
void compute_by_blocks(const CorrelationPlan& plan, const Arrays<T>& a, const T* w, T* packed) {
  const Strips strips = plan.strips(1);
  parallel_for(plan.separate_blocks, 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      auto p = plan.phases.begin();
      index_t at = i;
      for (; at >= plan.c.g.groups * p->blocks; ++p) at -= plan.c.g.groups * p->blocks;
      if (w != nullptr)
        pack(plan, *p, at / p->blocks, at % p->blocks, w, packed + p->first_weight + at * p->packed());
      for (index_t strip = 0; strip < strips.count(); ++strip)
        compute(plan, a, *p, strips[strip], at, at + 1);
    }
  });
}

}  // namespace

template <class T>
void direct_correlate(const CorrelationPlan& plan, const T* x, const T* w, T* y, const Epilogue<T>& epilogue,
                      PackedFilter* kept) {
  if (plan.phases.empty())
    return;  // a result without elements; what is kept must not be packed by such a plan
  const int threads = detail::loop_depth() > 0 ? 1 : thread_count();
  const bool by_blocks = plan.by_blocks(threads);
  Arrays<T> a{x, nullptr, packed_biases(plan, epilogue.bias), y, epilogue};
  if (kept != nullptr) a.weights = kept->get<T>(plan, [&](T* memory) { pack_all(plan, w, memory); });
  if (a.weights == nullptr) {
    struct Weights;
    T* const packed = scratch<T, Weights>(plan.weights);
    a.weights = packed;
    if (by_blocks) return compute_by_blocks(plan, a, w, packed);
    pack_all(plan, w, packed);
  }
  if (by_blocks) return compute_by_blocks<T>(plan, a, nullptr, nullptr);
  const Strips strips = plan.strips(threads);
  parallel_for(strips.count(), 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      for (const PhasePlan& p : plan.phases) compute(plan, a, p, strips[i], 0, plan.c.g.groups * p.blocks);
  });
}

template void direct_correlate(const CorrelationPlan&, const float*, const float*, float*,
                               const Epilogue<float>&, PackedFilter*);
template void direct_correlate(const CorrelationPlan&, const double*, const double*, double*,
                               const Epilogue<double>&, PackedFilter*);

}  // namespace tapegrad::inline v0::kernels
