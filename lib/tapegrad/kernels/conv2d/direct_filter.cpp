#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/direct.h"
#include "tapegrad/kernels/conv2d/strips.h"
#include "tapegrad/kernels/conv2d/tiles.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::inline v0::kernels {
namespace {

// Which of the two sides fills the vectors, and how the sums are laid out: [group][run][scalar][vector].
struct FilterPlan {
  bool vectors_from_x;
  bool whole_rows;
  index_t runs, run;  // of neighbours in x that the filter has, and the length of one
  index_t scalars, vectors;
  index_t sums;  // numbers of one group

  index_t run_step(index_t lanes) const { return scalars * vectors * lanes; }
};

FilterPlan plan_filter(const Conv2DGeometry& g, index_t lanes) {
  FilterPlan p{};
  p.whole_rows = g.dilation_w == 1 && g.groups == 1;
  p.runs = p.whole_rows ? g.kernel_h : g.kernel_h * g.kernel_w;
  p.run = p.whole_rows ? g.kernel_w * g.in_channels : g.group_in();
  const index_t from_x = divide_up(p.run, lanes), from_dy = divide_up(g.group_out(), lanes);
  p.vectors_from_x = from_x * g.group_out() < from_dy * p.run;
  p.scalars = p.vectors_from_x ? g.group_out() : p.run;
  p.vectors = p.vectors_from_x ? from_x : from_dy;
  p.sums = p.runs * p.run_step(lanes);
  return p;
}

// Images behind any of which `slack` numbers may be looked at: the last ones are copied for that.
template <class Purpose>
class ReadableImages {
 public:
  ReadableImages(const float* images, index_t count, index_t size, index_t slack)
      : images_(images), size_(size), first_copied_(std::max<index_t>(0, count - divide_up(slack, size))) {
    const index_t copied = (count - first_copied_) * size;
    float* to = scratch<float, Purpose>(copied + slack);
    std::fill_n(std::copy_n(images + first_copied_ * size, copied, to), slack, 0.0F);
    copies_ = to;
  }
  const float* operator[](index_t i) const {
    return i < first_copied_ ? images_ + i * size_ : copies_ + (i - first_copied_) * size_;
  }

 private:
  const float *images_, *copies_;
  index_t size_, first_copied_;
};

// Runs [first, last) of the filter, or the part of each that begins at `start`.
struct Runs {
  index_t first, last, start, length;
};

// Adds the products of lines of pixels to the sums. Lines tell where their first pixel finds the first run;
// offsets are those of all runs.
void accumulate(const Conv2DGeometry& g, const FilterPlan& p, const Runs& runs, const index_t* offsets,
                FilterJob job, float* sums) {
  const index_t lanes = vector_traits().lanes, room = vector_traits().filter_sums;
  const index_t in_vectors = p.vectors_from_x ? runs.length : g.group_out();
  const index_t scalars = p.vectors_from_x ? g.group_out() : runs.length,
                vectors = divide_up(in_vectors, lanes);
  // A tile has as many products as there are accumulators, with few loads for each.
  index_t tile_vectors = std::min<index_t>(vectors, vectors == 4 ? 2 : kMostFilterVectors);
  if (!p.vectors_from_x && scalars > 1) tile_vectors = std::min<index_t>(tile_vectors, 2);
  const auto split = [&](index_t most) {
    return divide_up(scalars, divide_up(scalars, std::min(kMostScalars, most)));
  };
  index_t tile_scalars = split(room / tile_vectors);
  if (runs.last - runs.first >= kMostTaps && tile_scalars * tile_vectors * 6 < room * 5)
    tile_scalars = split(std::max<index_t>(1, room / tile_vectors / kMostTaps));
  const bool several = kMostTaps * tile_vectors * tile_scalars <= room;

  job.tap_sums_step = p.run_step(lanes);
  job.scalar_sums_step = p.vectors * lanes;
  for (index_t run = runs.first; run < runs.last; run += job.tap_count) {
    index_t taps[kMostTaps];
    job.taps = taps;
    job.tap_count = several && runs.last - run >= kMostTaps ? kMostTaps : 1;
    for (index_t t = 0; t < job.tap_count; ++t) taps[t] = offsets[run + t] - offsets[run];
    for (index_t group = 0; group < g.groups; ++group)
      for (index_t v = 0; v < vectors; v += tile_vectors)
        for (index_t s = 0; s < scalars; s += tile_scalars) {
          const index_t x_offset = offsets[run] - offsets[runs.first] + group * g.group_in();
          const index_t dy_offset = group * g.group_out();
          job.scalar_offset = s + (p.vectors_from_x ? dy_offset : x_offset);
          job.vector_offset = v * lanes + (p.vectors_from_x ? x_offset : dy_offset);
          job.scalar_count = std::min(tile_scalars, scalars - s);
          job.vector_count = std::min(tile_vectors, vectors - v);
          job.last_lanes = std::min(lanes, in_vectors - (v + job.vector_count - 1) * lanes);
          const index_t first_scalar = p.vectors_from_x ? s : runs.start + s;
          const index_t first_lane = p.vectors_from_x ? runs.start : 0;
          job.sums = sums + group * p.sums + run * p.run_step(lanes) +
                     (first_scalar * p.vectors + v) * lanes + first_lane;
          accumulate_filter(job);
        }
  }
}

// The sums, in the filter's order.
void write_filter(const Conv2DGeometry& g, const FilterPlan& p, const float* sums, float* dw) {
  const index_t lanes = vector_traits().lanes;
  for (index_t run = 0; run < p.runs; ++run)
    for (index_t group = 0; group < g.groups; ++group) {
      const float* from = sums + group * p.sums + run * p.run_step(lanes);
      float* to = dw + run * p.run * g.out_channels + group * g.group_out();
      if (p.vectors_from_x)
        transpose(g.group_out(), p.run, from, p.vectors * lanes, to, g.out_channels);
      else
        for (index_t k = 0; k < p.run; ++k)
          std::copy_n(from + k * p.vectors * lanes, g.group_out(), to + k * g.out_channels);
    }
}

// Rows of dy whose pixels stay in a cache while all tiles read them: in the second, if these are few; else in
// the first one, of which a tile reads only some lines a pixel. More rows mean fewer additions to the sums.
index_t rows_together(const Conv2DGeometry& g, const FilterPlan& p) {
  constexpr index_t kFew = 16, kSecond = 128 * 1024, kFirst = 24 * 1024, kPixels = 128;
  const VectorTraits traits = vector_traits();
  const index_t row = g.out_w * g.out_channels + g.stride_h * g.in_w * g.in_channels;
  if (g.groups * p.sums <= kFew * traits.filter_sums * traits.lanes) return kSecond / row;
  return std::max(kFirst / row, kPixels / g.out_w);
}

}  // namespace

void direct_conv2d_backprop_filter(const Conv2DGeometry& g, const float* x, const float* dy, float* dw) {
  if (g.filter_shape().size() == 0) return;
  if (g.in_shape().size() == 0 || g.out_shape().size() == 0) {
    std::fill_n(dw, g.filter_shape().size(), 0.0F);
    return;
  }
  const index_t lanes = vector_traits().lanes;
  const FilterPlan p = plan_filter(g, lanes);
  const index_t size = g.groups * p.sums + lanes;  // a part of a run may end behind all of them

  const index_t x_row = g.in_w * g.in_channels;
  index_t* const offsets = scratch<index_t>(p.runs);
  for (index_t run = 0; run < p.runs; ++run)
    offsets[run] = p.whole_rows ? run * g.dilation_h * x_row
                                : run / g.kernel_w * g.dilation_h * x_row +
                                      run % g.kernel_w * g.dilation_w * g.in_channels;

  struct X;
  struct Dy;
  // A vector may end behind the last number of an image, unless vectors fit.
  const bool fits = (p.vectors_from_x ? g.group_in() : g.group_out()) % lanes == 0;
  const ReadableImages<X> x_images(x, g.batch, g.in_h * x_row, p.vectors_from_x && !fits ? lanes : 0);
  const ReadableImages<Dy> dy_images(dy, g.batch, g.out_h * g.out_w * g.out_channels,
                                     p.vectors_from_x || fits ? 0 : lanes);

  const Strips strips(g.batch, g.out_h, rows_together(g, p));
  // A few chunks of strips, cut by sizes only, have sums of their own, which are added in their order.
  constexpr index_t kMostChunks = 16, kWork = 1 << 20, kSums = 4 << 20;
  const index_t work = std::max<index_t>(1, g.out_shape().size() * g.window() / strips.count());
  const index_t most = std::clamp<index_t>(kSums / size, 1, kMostChunks);
  const index_t chunk = std::max({divide_up(strips.count(), most), divide_up(kWork, work), index_t{1}});
  const index_t chunks = divide_up(strips.count(), chunk);

  const Correlation c = forward_correlation(g);
  const Axis &h = c.phases[0].h, &w = c.phases[0].w;
  const std::vector<Stretch> all_rows = h.stretches(g.in_h), all_columns = w.stretches(g.in_w);

  // Adds the products of a rectangle of pixels that have the same taps inside of the image.
  const auto add = [&](const Strip& strip, const Stretch& rows, const Stretch& columns, float* sums) {
    if (rows.size() <= 0 || rows.taps() * columns.taps() == 0) return;
    const bool across = columns.size() >= rows.size();  // lines are rows, or columns
    const index_t count = across ? rows.size() : columns.size();
    const index_t x_down = g.stride_h * x_row, x_right = g.stride_w * g.in_channels;
    const index_t dy_down = g.out_w * g.out_channels, dy_right = g.out_channels;
    const index_t x_top = rows.begin * g.stride_h - g.pad_top + rows.first_tap * g.dilation_h;
    const index_t x_left = columns.begin * g.stride_w - g.pad_left + columns.first_tap * g.dilation_w;
    FilterLine* const lines = scratch<FilterLine>(strip.images() * count);
    for (index_t image = strip.first, at = 0; image < strip.last; ++image) {
      const float* from_x = x_images[image] + x_top * x_row + x_left * g.in_channels;
      const float* from_dy = dy_images[image] + rows.begin * dy_down + columns.begin * dy_right;
      for (index_t line = 0; line < count; ++line) {
        const float* line_x = from_x + line * (across ? x_down : x_right);
        const float* line_dy = from_dy + line * (across ? dy_down : dy_right);
        lines[at++] = p.vectors_from_x ? FilterLine{line_dy, line_x} : FilterLine{line_x, line_dy};
      }
    }
    FilterJob job{.lines = lines,
                  .line_count = strip.images() * count,
                  .pixels = across ? columns.size() : rows.size(),
                  .scalars_are_x = !p.vectors_from_x,
                  .scalar_step = across ? x_right : x_down,
                  .vector_step = across ? dy_right : dy_down};
    if (p.vectors_from_x) std::swap(job.scalar_step, job.vector_step);
    if (p.whole_rows) {
      accumulate(
          g, p,
          {rows.first_tap, rows.last_tap, columns.first_tap * g.in_channels, columns.taps() * g.in_channels},
          offsets, job, sums);
      return;
    }
    const index_t together = columns.taps() == g.kernel_w ? rows.taps() : 1;  // rows of taps
    for (index_t row = rows.first_tap; row < rows.last_tap; row += together) {
      const index_t first = row * g.kernel_w + columns.first_tap;
      accumulate(g, p, {first, first + (together - 1) * g.kernel_w + columns.taps(), 0, p.run}, offsets, job,
                 sums);
      for (FilterLine& line : std::span(lines, static_cast<std::size_t>(job.line_count)))
        (p.vectors_from_x ? line.vectors : line.scalars) += g.dilation_h * x_row;
    }
  };

  struct Sums;
  float* sums = scratch<float, Sums>(chunks * size);
  parallel_for(chunks, 1, [&](index_t first_chunk, index_t last_chunk) {
    for (index_t at = first_chunk; at < last_chunk; ++at) {
      std::fill_n(sums + at * size, size, 0.0F);
      for (index_t i = at * chunk; i < std::min((at + 1) * chunk, strips.count()); ++i)
        for (const Stretch& rows : all_rows)
          for (const Stretch& columns : all_columns)
            add(strips[i], clip(rows, strips[i]), columns, sums + at * size);
    }
  });

  constexpr index_t kAdditions = 1 << 16;
  parallel_for(chunks > 1 ? size : 0, kAdditions / chunks, [&](index_t begin, index_t end) {
    for (index_t at = 1; at < chunks; ++at)
      for (index_t i = begin; i < end; ++i) sums[i] += sums[at * size + i];
  });
  write_filter(g, p, sums, dw);
}

}  // namespace tapegrad::inline v0::kernels
