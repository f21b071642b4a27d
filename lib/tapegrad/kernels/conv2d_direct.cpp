#include "tapegrad/kernels/conv2d_direct.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d_correlation.h"
#include "tapegrad/kernels/conv2d_tiles.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::kernels {
namespace {

// How the filter of one phase is cut into blocks of output channels, and its window into runs.
struct Plan {
  bool whole_rows;  // a row of the window is one run
  index_t runs_per_row, length, group;
  index_t taps;         // of a block: all numbers of a window
  index_t block;        // channels in a full block
  index_t blocks;       // in a group
  index_t block_lanes;  // room for a number of each of a block's channels, times group
  index_t offset;       // of this phase in the packed filters
  index_t bias_offset;

  index_t packed() const { return taps / group * block_lanes; }  // of a block
};

Plan plan_phase(const Correlation& c, const Phase& phase, index_t lanes) {
  Plan p{};
  p.whole_rows = phase.w.dilation == 1 && c.g.groups == 1;
  p.runs_per_row = p.whole_rows ? 1 : phase.w.taps;
  p.length = p.whole_rows ? phase.w.taps * c.in_channels : c.group_in;
  p.taps = phase.h.taps * phase.w.taps * c.group_in;
  p.group = 1;
  while (p.group < lanes && lanes / (2 * p.group) >= c.group_out && p.length % (2 * p.group) == 0)
    p.group *= 2;
  const index_t vectors = c.group_out > lanes ? kMostVectors : 1;
  p.block = vectors * lanes / p.group;
  p.blocks = divide_up(c.group_out, p.block);
  p.block_lanes = vectors * lanes;
  return p;
}

// Vectors that the last block of a group needs.
index_t vectors_of(const Correlation& c, const Plan& p, index_t block, index_t lanes) {
  const index_t channels = std::min(p.block, c.group_out - block * p.block);
  return std::min(p.block_lanes / lanes, divide_up(channels * p.group, lanes));
}

// Writes what CorrelateJob describes for one block: its filter, and its bias.
void pack(const Correlation& c, const Phase& phase, const Plan& p, index_t group, index_t block,
          index_t lanes, const float* w, const float* bias, float* packed, float* packed_bias) {
  const index_t first = block * p.block, channels = std::min(p.block, c.group_out - first);
  const index_t width = vectors_of(c, p, block, lanes) * lanes;
  const index_t w_in = c.g.group_in(), w_out = c.g.out_channels;  // the filter's last two axes
  // In the filter of conv2d the channels that are read are its inputs; in that of the transpose, its outputs.
  const index_t from_step = c.transposed ? 1 : w_out, to_step = c.transposed ? w_out : 1;
  const index_t origin = group * c.g.group_out() + first * to_step;
  index_t lane = 0;  // of the group that is being filled
  for (index_t i = 0; i < phase.h.taps; ++i)
    for (index_t j = 0; j < phase.w.taps; ++j) {
      const index_t row = phase.h.first + i * phase.h.step, column = phase.w.first + j * phase.w.step;
      const float* from = w + (row * c.g.kernel_w + column) * w_in * w_out + origin;
      for (index_t k = 0; k < c.group_in; ++k, from += from_step) {
        for (index_t o = 0; o < channels; ++o) packed[o * p.group + lane] = from[o * to_step];
        for (index_t o = channels; o < width / p.group; ++o) packed[o * p.group + lane] = 0;
        if (++lane < p.group) continue;
        lane = 0;
        packed += width;
      }
    }
  std::fill_n(packed_bias, width, 0.0F);
  if (bias)
    for (index_t o = 0; o < channels; ++o) packed_bias[o * p.group] = bias[group * c.group_out + first + o];
}

// Rows of images with zeros at both sides, made as they are needed; a row that needs none is read where it
// is.
class PaddedRows {
 public:
  // Columns [begin, end) will be read; a reader may look `slack` numbers past the last one.
  PaddedRows(const float* images, index_t rows, index_t width, index_t channels, index_t begin, index_t end,
             index_t slack)
      : images_(images),
        rows_(rows),
        width_(width),
        channels_(channels),
        begin_(begin),
        end_(end),
        slack_(slack),
        padded_(begin < 0 || end > width || (slack > 0 && width * channels < slack)) {}

  bool copies_all() const { return padded_; }
  // Otherwise only this one may have to be copied: behind the last row there may be nothing to look at.
  bool copies(index_t row) const { return padded_ || (slack_ > 0 && row == rows_ - 1); }
  // From one row to the next.
  index_t step() const { return padded_ ? size() : width_ * channels_; }
  // Numbers in a copied row.
  index_t size() const {
    return (std::max(end_, width_) - std::min<index_t>(begin_, 0)) * channels_ + slack_;
  }

  // Where column 0 of that row begins; in `to`, if it has to be copied.
  const float* row(index_t row, float* to) const {
    const float* from = images_ + row * width_ * channels_;
    if (!copies(row)) return from;
    const index_t before = -std::min<index_t>(begin_, 0) * channels_;
    std::fill_n(to, before, 0.0F);
    std::copy_n(from, width_ * channels_, to + before);
    std::fill(to + before + width_ * channels_, to + size(), 0.0F);
    return to + before;
  }

 private:
  const float* images_;
  index_t rows_, width_, channels_, begin_, end_, slack_;
  bool padded_;
};

// The input rows that the output rows [begin, end) of a batch read; all rows of a batch are numbered through.
// span(first, last) is the range of input rows that the output rows [first, last) of one image read.
class GatheredRows {
 public:
  template <class Span>
  GatheredRows(const PaddedRows& padded, index_t in_h, index_t out_h, index_t begin, index_t end, Span span)
      : out_h_(out_h),
        begin_(begin),
        end_(end),
        first_(begin / out_h),
        last_((end - 1) / out_h + 1),
        step_(padded.step()) {
    images_ = scratch<Image>(last_ - first_);
    index_t count = 0;
    for (index_t image = first_; image < last_; ++image) {
      const auto [first, last] = rows_of(image);
      const auto [low, high] = span(first, last);
      images_[image - first_] = {std::clamp<index_t>(low, 0, in_h), std::clamp<index_t>(high, 0, in_h),
                                 nullptr};
      count += std::max<index_t>(0, images_[image - first_].high - images_[image - first_].low);
    }
    float* copies = scratch<float, GatheredRows>((padded.copies_all() ? count : 1) * padded.size());
    for (index_t image = first_; image < last_; ++image) {
      Image& i = images_[image - first_];
      if (i.low >= i.high) continue;
      i.rows = padded.row(image * in_h + i.low, copies);
      if (!padded.copies_all()) continue;
      for (index_t row = i.low; row < i.high; ++row, copies += padded.size())
        padded.row(image * in_h + row, copies);
    }
  }

  // f(image, output row) for each that is asked for.
  template <class F>
  void for_each(F f) const {
    for (index_t image = first_; image < last_; ++image) {
      const auto [first, last] = rows_of(image);
      for (index_t row = first; row < last; ++row) f(image, row);
    }
  }

  // Where column 0 of an input row begins is rows(image) + offset(image, row); one row on is step() on.
  const float* rows(index_t image) const { return images_[image - first_].rows; }
  index_t offset(index_t image, index_t row) const { return (row - images_[image - first_].low) * step_; }
  index_t step() const { return step_; }

 private:
  struct Image {
    index_t low, high;  // input rows
    const float* rows;
  };
  std::pair<index_t, index_t> rows_of(index_t image) const {
    return {std::max(begin_ - image * out_h_, index_t{0}), std::min(end_ - image * out_h_, out_h_)};
  }

  index_t out_h_, begin_, end_, first_, last_, step_;
  Image* images_;
};

// Output rows (of all phases) that are computed together: enough for the work to be worth a thread's while
// and for a block of the filter to stay in the cache that it was read into, and no more than their inputs
// fit.
index_t rows_together(const Correlation& c, index_t window) {
  constexpr index_t kWork = 1 << 20, kPixels = 192, kInputs = 64 * 1024;
  const index_t pixels = divide_up(c.out_w, c.step.width);
  const index_t work =
      c.g.out_channels * window * c.g.out_w * divide_up(c.g.out_h, divide_up(c.out_h, c.step.height));
  const index_t inputs = c.in_w * c.in_channels;
  const index_t wanted = std::max(divide_up(kWork, std::max<index_t>(1, work)), divide_up(kPixels, pixels));
  return std::clamp<index_t>(wanted, 1, std::max<index_t>(1, kInputs / std::max<index_t>(1, inputs)));
}

void run(const Correlation& c, const float* x, const float* w, float* y, const Epilogue<float>& epilogue) {
  if (c.g.batch * c.out_h * c.out_w * c.out_channels == 0) return;
  const index_t lanes = vector_traits().lanes;
  const index_t groups = c.g.groups;

  std::vector<Plan> plans;
  index_t packed_size = 0, bias_size = 0, most_runs = 0;
  index_t begin_w = 0, end_w = c.in_w;
  for (const Phase& phase : c.phases) {
    Plan p = plan_phase(c, phase, lanes);
    p.offset = packed_size;
    p.bias_offset = bias_size;
    packed_size += groups * p.blocks * p.packed();
    bias_size += groups * p.blocks * p.block_lanes;
    most_runs = std::max(most_runs, phase.h.taps * p.runs_per_row);
    plans.push_back(p);
    if (!phase.h.empty() && !phase.w.empty()) {
      begin_w = std::min(begin_w, phase.w.begin());
      end_w = std::max(end_w, phase.w.end());
    }
  }

  struct Packed;
  const index_t bias_begin = divide_up(packed_size, lanes) * lanes;
  float* packed = scratch<float, Packed>(bias_begin + bias_size);
  for (std::size_t i = 0; i < plans.size(); ++i)
    for (index_t at = 0; at < groups * plans[i].blocks; ++at)
      pack(c, c.phases[i], plans[i], at / plans[i].blocks, at % plans[i].blocks, lanes, w, epilogue.bias,
           packed + plans[i].offset + at * plans[i].packed(),
           packed + bias_begin + plans[i].bias_offset + at * plans[i].block_lanes);

  const PaddedRows padded(x, c.g.batch * c.in_h, c.in_w, c.in_channels, begin_w, end_w, 0);
  const index_t coarse = divide_up(c.out_h, c.step.height);  // rows of the phase that has most
  const index_t window = c.g.kernel_h * c.g.kernel_w * c.g.group_in();
  const index_t together = rows_together(c, window);

  parallel_for(c.g.batch * coarse, together, [&](index_t begin, index_t end) {
    const GatheredRows inputs(padded, c.in_h, coarse, begin, end, [&](index_t first, index_t last) {
      std::pair<index_t, index_t> range(c.in_h, 0);
      for (const Phase& phase : c.phases) {
        if (phase.h.empty()) continue;
        range.first = std::min(range.first, first * phase.h.stride + phase.h.begin());
        range.second = std::max(range.second, (last - phase.h.outputs) * phase.h.stride + phase.h.end());
      }
      return range;
    });
    Run* runs = scratch<Run>(most_runs);
    CorrelateRow* outputs = scratch<CorrelateRow>(end - begin);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const Phase& phase = c.phases[i];
      const Plan& p = plans[i];
      if (phase.h.outputs == 0 || phase.w.outputs == 0) continue;
      for (index_t group = 0; group < groups; ++group) {
        for (index_t t = 0; t < phase.h.taps; ++t)
          for (index_t r = 0; r < p.runs_per_row; ++r)
            runs[t * p.runs_per_row + r] = {t * phase.h.dilation * inputs.step() +
                                                (r * phase.w.dilation - phase.w.pad) * c.in_channels +
                                                group * c.group_in,
                                            (t * p.runs_per_row + r) * p.length};
        index_t output_count = 0;
        inputs.for_each([&](index_t image, index_t a) {
          if (a >= phase.h.outputs) return;
          const index_t top = a * phase.h.stride - phase.h.pad;  // the input row of tap 0
          const auto [first, last] = phase.h.inside(top, c.in_h);
          const index_t row = image * c.out_h + phase.row + a * c.step.height;
          outputs[output_count++] = {
              inputs.rows(image), inputs.offset(image, top), first * p.runs_per_row, last * p.runs_per_row,
              y + (row * c.out_w + phase.column) * c.out_channels + group * c.group_out};
        });
        for (index_t block = 0; block < p.blocks; ++block) {
          const index_t at = group * p.blocks + block;
          const CorrelateJob job = {.runs = runs,
                                    .rows = outputs,
                                    .row_count = output_count,
                                    .pixels = phase.w.outputs,
                                    .length = p.length,
                                    .x_step = phase.w.stride * c.in_channels,
                                    .y_step = c.step.width * c.out_channels,
                                    .weights = packed + p.offset + at * p.packed(),
                                    .bias = packed + bias_begin + p.bias_offset + at * p.block_lanes,
                                    .group = p.group,
                                    .vectors = vectors_of(c, p, block, lanes),
                                    .channels = std::min(p.block, c.group_out - block * p.block),
                                    .relu = epilogue.relu};
          correlate(job);
          for (index_t r = 0; r < output_count; ++r) outputs[r].y += p.block;
        }
      }
    }
  });
}

}  // namespace

void direct_conv2d(const Conv2DGeometry& g, const float* x, const float* w, float* y,
                   const Epilogue<float>& epilogue) {
  run(forward_correlation(g), x, w, y, epilogue);
}

void direct_conv2d_backprop_input(const Conv2DGeometry& g, const float* dy, const float* w, float* dx,
                                  const Epilogue<float>& epilogue) {
  run(transposed_correlation(g), dy, w, dx, epilogue);
}

// ---- conv2d_backprop_filter

namespace {

// Which of the two sides fills the vectors, and how the sums are laid out: [group][tap row][scalar][vector].
struct FilterPlan {
  bool vectors_from_x;
  bool whole_rows;
  index_t rows, run;  // of the filter: rows of taps that are runs in x, and their length
  index_t scalars, vectors;
  index_t sums;  // numbers of one group

  index_t tap_step(index_t lanes) const { return scalars * vectors * lanes; }
};

FilterPlan plan_filter(const Conv2DGeometry& g, index_t lanes) {
  FilterPlan p{};
  p.whole_rows = g.dilation_w == 1 && g.groups == 1;
  p.rows = p.whole_rows ? g.kernel_h : g.kernel_h * g.kernel_w;
  p.run = p.whole_rows ? g.kernel_w * g.in_channels : g.group_in();
  const index_t from_x = divide_up(p.run, lanes), from_dy = divide_up(g.group_out(), lanes);
  p.vectors_from_x = from_x * g.group_out() < from_dy * p.run;
  p.scalars = p.vectors_from_x ? g.group_out() : p.run;
  p.vectors = p.vectors_from_x ? from_x : from_dy;
  p.sums = p.rows * p.tap_step(lanes);
  return p;
}

// How many of each a tile takes: as many products as there are accumulators, with few loads for each.
struct FilterTileSize {
  index_t taps, scalars, vectors;
};
FilterTileSize tile_size(const FilterPlan& p) {
  const index_t room = vector_traits().filter_sums;
  FilterTileSize t{};
  t.vectors = std::min<index_t>(p.vectors, p.vectors == 4 ? 2 : kMostFilterVectors);
  if (!p.vectors_from_x && p.scalars > 1) t.vectors = std::min<index_t>(t.vectors, 2);
  const index_t most = std::min(kMostScalars, room / t.vectors);
  t.scalars = divide_up(p.scalars, divide_up(p.scalars, most));
  t.taps = std::clamp<index_t>(room / (t.vectors * t.scalars), 1, std::min(kMostTaps, p.rows));
  return t;
}

}  // namespace

void direct_conv2d_backprop_filter(const Conv2DGeometry& g, const float* x, const float* dy, float* dw) {
  const index_t lanes = vector_traits().lanes, rows = g.batch * g.out_h;
  if (g.filter_shape().size() == 0) return;
  const FilterPlan p = plan_filter(g, lanes);
  const index_t groups = g.groups, group_out = g.group_out();
  const FilterTileSize tile = tile_size(p);
  const index_t size = groups * p.sums;

  // The rows of dy are cut into a few chunks, by sizes only; each has sums of its own, added in their order.
  constexpr index_t kMostChunks = 16, kWork = 4 << 20, kSums = 4 << 20;
  const index_t work = std::max<index_t>(1, g.out_w * g.window() * g.out_channels);
  const index_t most = std::clamp<index_t>(kSums / size, 1, kMostChunks);
  const index_t chunk = std::max({divide_up(rows, most), divide_up(kWork, work), index_t{1}});
  const index_t chunks = divide_up(rows, chunk);
  // Rows whose pixels stay in the cache while all tiles read them.
  constexpr index_t kStrip = 24 * 1024;
  const index_t strip = std::clamp<index_t>(
      kStrip / std::max<index_t>(1, g.out_w * g.out_channels + g.in_w * g.in_channels * g.stride_h), 1,
      chunk);

  struct Sums;
  float* sums = scratch<float, Sums>(chunks * size);

  const index_t begin_w = -g.pad_left;
  const index_t end_w = (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w - g.pad_left + 1;
  const PaddedRows x_rows(x, g.batch * g.in_h, g.in_w, g.in_channels, begin_w, end_w,
                          p.vectors_from_x ? lanes : 0);
  const PaddedRows dy_rows(dy, rows, g.out_w, g.out_channels, 0, g.out_w, p.vectors_from_x ? 0 : lanes);
  const index_t runs_per_row = p.whole_rows ? 1 : g.kernel_w;

  parallel_for(chunks, 1, [&](index_t first_chunk, index_t last_chunk) {
    struct Zeros;
    struct Last;
    struct Dy;
    float* zeros = scratch<float, Zeros>(x_rows.size());
    std::fill_n(zeros, x_rows.size(), 0.0F);
    zeros += std::max<index_t>(0, g.pad_left) * g.in_channels;  // where column 0 is
    float* last_row = scratch<float, Last>(x_rows.size());
    const auto input_row = [&](const GatheredRows& inputs, index_t image, index_t row) {
      const index_t number = image * g.in_h + row;
      return !x_rows.copies_all() && x_rows.copies(number) ? x_rows.row(number, last_row)
                                                           : inputs.rows(image) + inputs.offset(image, row);
    };
    float* dy_copies = scratch<float, Dy>((dy_rows.copies_all() ? strip : 1) * dy_rows.size());
    const float** x_pointers = scratch<const float*>(strip * (tile.taps + 1));
    const float** dy_pointers = x_pointers + strip * tile.taps;

    const auto accumulate = [&](index_t begin, index_t end, float* to) {
      const GatheredRows inputs(x_rows, g.in_h, g.out_h, begin, end, [&](index_t first, index_t last) {
        return std::pair(first * g.stride_h - g.pad_top,
                         (last - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h - g.pad_top + 1);
      });
      for (index_t group = 0; group < groups; ++group)
        for (index_t tap = 0; tap < p.rows; tap += tile.taps) {
          const index_t taps = std::min(tile.taps, p.rows - tap);
          index_t down[kMostTaps], right[kMostTaps];  // from the window's corner to the taps
          for (index_t t = 0; t < taps; ++t) {
            down[t] = (tap + t) / runs_per_row * g.dilation_h - g.pad_top;
            right[t] =
                ((tap + t) % runs_per_row * g.dilation_w - g.pad_left) * g.in_channels + group * g.group_in();
          }
          index_t count = 0;
          inputs.for_each([&](index_t image, index_t out_row) {
            bool any = false;
            for (index_t t = 0; t < taps; ++t) {
              const index_t row = out_row * g.stride_h + down[t];
              const bool inside = row >= 0 && row < g.in_h;
              any |= inside;
              x_pointers[count * taps + t] = (inside ? input_row(inputs, image, row) : zeros) + right[t];
            }
            if (!any) return;
            float* copy = dy_copies + (dy_rows.copies_all() ? count * dy_rows.size() : 0);
            dy_pointers[count++] = dy_rows.row(image * g.out_h + out_row, copy) + group * group_out;
          });
          for (index_t v = 0; v < p.vectors; v += tile.vectors)
            for (index_t s = 0; s < p.scalars; s += tile.scalars) {
              FilterJob job{
                  .scalars = p.vectors_from_x ? dy_pointers : x_pointers,
                  .vectors = p.vectors_from_x ? x_pointers : dy_pointers,
                  .scalars_per_tap = !p.vectors_from_x,
                  .rows = count,
                  .pixels = g.out_w,
                  .scalar_offset = s,
                  .scalar_step = g.out_channels,
                  .vector_offset = v * lanes,
                  .vector_step = g.stride_w * g.in_channels,
                  .taps = taps,
                  .scalar_count = std::min(tile.scalars, p.scalars - s),
                  .vector_count = std::min(tile.vectors, p.vectors - v),
                  .sums = to + group * p.sums + tap * p.tap_step(lanes) + (s * p.vectors + v) * lanes,
                  .tap_sums_step = p.tap_step(lanes),
                  .scalar_sums_step = p.vectors * lanes};
              if (!p.vectors_from_x) std::swap(job.scalar_step, job.vector_step);
              accumulate_filter(job);
            }
        }
    };
    for (index_t at = first_chunk; at < last_chunk; ++at) {
      float* to = sums + at * size;
      std::fill_n(to, size, 0.0F);
      const index_t end = std::min((at + 1) * chunk, rows);
      for (index_t begin = at * chunk; begin < end; begin += strip)
        accumulate(begin, std::min(begin + strip, end), to);
    }
  });

  const index_t k_step = p.vectors_from_x ? 1 : p.vectors * lanes,
                o_step = p.vectors_from_x ? p.vectors * lanes : 1;
  constexpr index_t kAdditions = 1 << 16;
  const index_t row_additions = std::max<index_t>(1, chunks * p.run * g.out_channels);
  parallel_for(p.rows, std::max<index_t>(1, kAdditions / row_additions), [&](index_t begin, index_t end) {
    for (index_t row = begin; row < end; ++row)
      for (index_t k = 0; k < p.run; ++k)
        for (index_t group = 0; group < groups; ++group) {
          float* to = dw + (row * p.run + k) * g.out_channels + group * group_out;
          const float* from = sums + group * p.sums + row * p.tap_step(lanes) + k * k_step;
          std::fill_n(to, group_out, 0.0F);
          for (index_t at = 0; at < chunks; ++at)
            for (index_t o = 0; o < group_out; ++o) to[o] += from[at * size + o * o_step];
        }
  });
}

}  // namespace tapegrad::kernels
