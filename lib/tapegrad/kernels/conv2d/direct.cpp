#include "tapegrad/kernels/conv2d/direct.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/strips.h"
#include "tapegrad/kernels/conv2d/tiles.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::inline v0::kernels {
namespace {

// How the filter of one phase is cut into blocks of output channels, its window into taps, and its pixels
// into rectangles that have the same taps inside of the image.
struct Plan {
  const Phase* phase;
  std::vector<Stretch> rows, columns;
  index_t first_column, column_taps;  // of the window, that the columns use
  index_t lanes;                      // of a vector
  index_t length;                     // neighbours in memory that one run of taps reads
  index_t group;              // of them in one tap; if that is all lanes, the last one of a run may have less
  index_t taps_in_row, taps;  // of the window
  index_t block;              // channels in a full block
  index_t blocks;             // in a group of channels
  index_t vectors;            // of a full block
  index_t first_weight, first_bias, first_tap;  // of this plan, in what all of them share

  index_t taps_in_run() const { return divide_up(length, group); }
  index_t packed() const { return taps * vectors * lanes; }  // numbers of a block's filter
};

// The columns use the taps [first, last) of the window's rows, or some of them.
Plan plan_columns(const Correlation& c, const Phase& phase, std::vector<Stretch> columns, index_t first,
                  index_t last) {
  const VectorTraits traits = vector_traits();
  Plan p{};
  p.phase = &phase;
  p.rows = phase.h.stretches(c.in_h);
  p.columns = std::move(columns);
  p.first_column = first;
  p.column_taps = last - first;
  const bool narrow = c.group_out <= traits.narrow_lanes && 2 * c.group_out > traits.narrow_lanes;
  p.lanes = narrow ? traits.narrow_lanes : traits.lanes;
  const bool whole_rows = phase.w.dilation == 1 && c.g.groups == 1;
  p.length = whole_rows ? p.column_taps * c.in_channels : c.group_in;
  // At the sides of the image a run may be a part of a row.
  const bool parts = p.columns.size() > 1 || p.columns[0].taps() < p.column_taps;
  const index_t least = parts ? c.group_in : p.length;
  p.group = 1;
  while (p.group < p.lanes && p.lanes / (2 * p.group) >= c.group_out && least % (2 * p.group) == 0)
    p.group *= 2;
  if (c.group_out == 1 && !parts && p.length > 2 * p.group) p.group = p.lanes;
  p.taps_in_row = whole_rows ? p.taps_in_run() : p.column_taps * p.taps_in_run();
  p.taps = phase.h.taps * p.taps_in_row;
  p.vectors = c.group_out > p.lanes ? kMostVectors : 1;
  p.block = p.vectors * p.lanes / p.group;
  p.blocks = divide_up(c.group_out, p.block);
  return p;
}

// For a single output channel each stretch of columns has a filter of its own: its vectors are neighbours in
// a run, counted from where the run begins.
void plan_phase(const Correlation& c, const Phase& phase, std::vector<Plan>& plans) {
  const std::vector<Stretch> columns = phase.w.stretches(c.in_w);
  if (columns.empty()) return;
  if (c.group_out > 1) {
    plans.push_back(plan_columns(c, phase, columns, 0, phase.w.taps));
    return;
  }
  for (const Stretch& s : columns) plans.push_back(plan_columns(c, phase, {s}, s.first_tap, s.last_tap));
}

// Vectors that a block needs: the last one of a group may have fewer channels.
index_t vectors_of(const Correlation& c, const Plan& p, index_t block) {
  const index_t channels = std::min(p.block, c.group_out - block * p.block);
  return std::min(p.vectors, divide_up(channels * p.group, p.lanes));
}

// Writes what CorrelateJob describes for one block: its filter, and its bias.
void pack(const Correlation& c, const Plan& p, index_t group, index_t block, const float* w,
          const float* bias, float* packed, float* packed_bias) {
  const Phase& phase = *p.phase;
  const index_t first = block * p.block, channels = std::min(p.block, c.group_out - first);
  const index_t width = vectors_of(c, p, block) * p.lanes, apart = p.group;
  const index_t w_in = c.g.group_in(), w_out = c.g.out_channels;  // the filter's last two axes
  // In the filter of conv2d the channels that are read are its inputs; in that of the transpose, its outputs.
  const index_t from_step = c.transposed ? 1 : w_out, to_step = c.transposed ? w_out : 1;
  const index_t origin = group * c.g.group_out() + first * to_step;
  const bool whole_rows = p.taps_in_row == p.taps_in_run();
  if (channels * apart < width || p.length % p.group != 0) std::fill_n(packed, p.taps * width, 0.0F);
  index_t lane = 0;  // of the group that is being filled
  for (index_t i = 0; i < phase.h.taps; ++i)
    for (index_t j = p.first_column; j < p.first_column + p.column_taps; ++j) {
      const index_t row = phase.h.first + i * phase.h.step, column = phase.w.first + j * phase.w.step;
      const float* from = w + (row * c.g.kernel_w + column) * w_in * w_out + origin;
      if (apart == 1) {
        if (c.transposed)
          transpose(channels, c.group_in, from, to_step, packed, width);
        else
          for (index_t k = 0; k < c.group_in; ++k)
            std::copy_n(from + k * from_step, channels, packed + k * width);
        packed += c.group_in * width;
        continue;
      }
      for (index_t k = 0; k < c.group_in; ++k, from += from_step) {
        for (index_t o = 0; o < channels; ++o) packed[o * apart + lane] = from[o * to_step];
        if (++lane < apart) continue;
        lane = 0;
        packed += width;
      }
      const bool run_ends = !whole_rows || j + 1 == p.first_column + p.column_taps;
      if (lane == 0 || !run_ends) continue;
      lane = 0;
      packed += width;
    }
  std::fill_n(packed_bias, width, 0.0F);
  if (bias)
    for (index_t o = 0; o < channels; ++o) packed_bias[o * p.group] = bias[group * c.group_out + first + o];
}

// Where the taps of a window are, from its first one on.
void list_taps(const Correlation& c, const Plan& p, index_t* to) {
  const index_t down = p.phase->h.dilation * c.in_w * c.in_channels,
                right = p.phase->w.dilation * c.in_channels;
  const index_t runs = p.taps_in_row / std::max<index_t>(1, p.taps_in_run());
  for (index_t row = 0; row < p.phase->h.taps; ++row)
    for (index_t run = 0; run < runs; ++run)
      for (index_t k = 0, at = row * down + run * right; k < p.length; k += p.group) *to++ = at + k;
}

constexpr index_t kWork = 1 << 19;  // multiplications that are worth a thread's while

// Output rows (of all phases) that are computed together: their inputs stay in the cache, there are enough
// pixels for a block of the filter to be worth loading, and some for each thread.
index_t rows_together(const Correlation& c, index_t rows) {
  constexpr index_t kPixels = 128, kInputs = 64 * 1024;
  const index_t pixels = divide_up(c.out_w, c.step.width);
  const index_t inputs = c.in_w * c.in_channels * std::max<index_t>(1, c.in_h / rows);
  const index_t work = c.g.out_shape().size() * c.g.window() / (c.g.batch * rows);
  return std::max(divide_up(kPixels, pixels),
                  std::min(kInputs / std::max<index_t>(1, inputs), kWork / std::max<index_t>(1, work)));
}

// Everything about a rectangle of pixels but the channels: x and y are counted from the arrays' beginnings.
struct Rectangle {
  CorrelateJob job;
  index_t x, y;
};

Rectangle rectangle(const Correlation& c, const Plan& p, const Strip& strip, const Stretch& rows,
                    const Stretch& columns) {
  const Phase& phase = *p.phase;
  const index_t x_row = c.in_w * c.in_channels;
  Rectangle r{};
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
  if (r.job.pixels < r.job.lines) {  // long lines are computed faster
    std::swap(r.job.pixels, r.job.lines);
    std::swap(r.job.x_pixel, r.job.x_line);
    std::swap(r.job.y_pixel, r.job.y_line);
  }
  return r;
}

void run(const Correlation& c, const float* x, const float* w, float* y, const Epilogue<float>& epilogue) {
  if (c.g.batch * c.out_h * c.out_w * c.out_channels == 0) return;
  const index_t groups = c.g.groups;

  std::vector<Plan> plans;
  for (const Phase& phase : c.phases) plan_phase(c, phase, plans);
  index_t weights = 0, biases = 0, tap_count = 0;
  for (Plan& p : plans) {
    p.first_weight = weights;
    p.first_bias = biases;
    p.first_tap = tap_count;
    weights += groups * p.blocks * p.packed();
    biases += groups * p.blocks * p.vectors * p.lanes;
    tap_count += std::max<index_t>(1, p.taps);
  }

  struct Weights;
  struct Biases;
  float* const packed = scratch<float, Weights>(weights);
  float* const packed_bias = scratch<float, Biases>(biases);
  index_t* const taps = scratch<index_t>(tap_count);
  for (const Plan& p : plans) {
    for (index_t at = 0; at < groups * p.blocks; ++at)
      pack(c, p, at / p.blocks, at % p.blocks, w, epilogue.bias, packed + p.first_weight + at * p.packed(),
           packed_bias + p.first_bias + at * p.vectors * p.lanes);
    list_taps(c, p, taps + p.first_tap);
  }

  const auto compute = [&](const Plan& p, const Strip& strip, const Stretch& rows, const Stretch& columns) {
    if (rows.size() <= 0) return;
    auto [job, x_begin, y_begin] = rectangle(c, p, strip, rows, columns);
    job.taps = taps + p.first_tap;
    job.lanes = p.lanes;
    job.group = p.group;
    job.relu = epilogue.relu;
    for (index_t at = 0; at < groups * p.blocks; ++at) {
      const index_t group = at / p.blocks, block = at % p.blocks;
      job.x = x + x_begin + group * c.group_in;
      job.y = y + y_begin + group * c.group_out + block * p.block;
      job.weights = packed + p.first_weight + at * p.packed();
      job.bias = packed_bias + p.first_bias + at * p.vectors * p.lanes;
      job.vectors = vectors_of(c, p, block);
      job.channels = std::min(p.block, c.group_out - block * p.block);
      correlate(job);
    }
  };

  const index_t rows = divide_up(c.out_h, c.step.height);  // of an image, in the phase that has most
  const Strips strips(c.g.batch, rows, rows_together(c, rows));
  const index_t work = c.g.out_shape().size() * c.g.window() / strips.count();
  parallel_for(strips.count(), std::max<index_t>(1, kWork / std::max<index_t>(1, work)),
               [&](index_t begin, index_t end) {
                 for (index_t i = begin; i < end; ++i)
                   for (const Plan& p : plans)
                     for (const Stretch& stretch : p.rows)
                       for (const Stretch& columns : p.columns)
                         compute(p, strips[i], clip(stretch, strips[i]), columns);
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

}  // namespace tapegrad::inline v0::kernels
