#include "tapegrad/kernels/conv2d_direct.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d_strips.h"
#include "tapegrad/kernels/conv2d_tiles.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::kernels {
namespace {

// How the filter of one phase is cut into blocks of output channels, its window into taps, and its pixels
// into rectangles that have the same taps inside of the image.
struct Plan {
  index_t lanes;                                // of a vector
  index_t length;                               // neighbours in memory that one run of taps reads
  index_t group;                                // of them in one tap
  index_t taps_in_row;                          // of the window
  index_t taps;                                 // of the window
  index_t block;                                // channels in a full block
  index_t blocks;                               // in a group of channels
  index_t vectors;                              // of a full block
  index_t first_weight, first_bias, first_tap;  // of this phase, in what all phases share
  std::vector<Stretch> rows, columns;

  index_t packed() const { return taps * vectors * lanes; }  // numbers of a block's filter
};

Plan plan_phase(const Correlation& c, const Phase& phase) {
  const VectorTraits traits = vector_traits();
  const bool whole_rows = phase.w.dilation == 1 && c.g.groups == 1;
  Plan p{};
  p.rows = phase.h.stretches(c.in_h);
  p.columns = phase.w.stretches(c.in_w);
  p.length = whole_rows ? phase.w.taps * c.in_channels : c.group_in;
  // At the sides of the image a run is a part of a row.
  const bool always_whole = p.columns.size() == 1 && p.columns[0].taps() == phase.w.taps;
  const index_t least = always_whole ? p.length : c.group_in;
  const bool narrow = c.group_out <= traits.narrow_lanes && 2 * c.group_out > traits.narrow_lanes;
  p.lanes = narrow ? traits.narrow_lanes : traits.lanes;
  p.group = 1;
  while (p.group < p.lanes && p.lanes / (2 * p.group) >= c.group_out && least % (2 * p.group) == 0)
    p.group *= 2;
  p.taps_in_row = phase.w.taps * c.group_in / p.group;
  p.taps = phase.h.taps * p.taps_in_row;
  p.vectors = c.group_out > p.lanes ? kMostVectors : 1;
  p.block = p.vectors * p.lanes / p.group;
  p.blocks = divide_up(c.group_out, p.block);
  return p;
}

// Vectors that a block needs: the last one of a group may have fewer channels.
index_t vectors_of(const Correlation& c, const Plan& p, index_t block) {
  const index_t channels = std::min(p.block, c.group_out - block * p.block);
  return std::min(p.vectors, divide_up(channels * p.group, p.lanes));
}

// Writes what CorrelateJob describes for one block: its filter, and its bias.
void pack(const Correlation& c, const Phase& phase, const Plan& p, index_t group, index_t block,
          const float* w, const float* bias, float* packed, float* packed_bias) {
  const index_t first = block * p.block, channels = std::min(p.block, c.group_out - first);
  const index_t width = vectors_of(c, p, block) * p.lanes;
  const index_t w_in = c.g.group_in(), w_out = c.g.out_channels;  // the filter's last two axes
  // In the filter of conv2d the channels that are read are its inputs; in that of the transpose, its outputs.
  const index_t from_step = c.transposed ? 1 : w_out, to_step = c.transposed ? w_out : 1;
  const index_t origin = group * c.g.group_out() + first * to_step;
  const index_t lanes_apart = p.group, room = width / p.group;
  index_t lane = 0;  // of the group that is being filled
  for (index_t i = 0; i < phase.h.taps; ++i)
    for (index_t j = 0; j < phase.w.taps; ++j) {
      const index_t row = phase.h.first + i * phase.h.step, column = phase.w.first + j * phase.w.step;
      const float* from = w + (row * c.g.kernel_w + column) * w_in * w_out + origin;
      for (index_t k = 0; k < c.group_in; ++k, from += from_step) {
        for (index_t o = 0; o < channels; ++o) packed[o * lanes_apart + lane] = from[o * to_step];
        for (index_t o = channels; o < room; ++o) packed[o * lanes_apart + lane] = 0;
        if (++lane < lanes_apart) continue;
        lane = 0;
        packed += width;
      }
    }
  std::fill_n(packed_bias, width, 0.0F);
  if (bias)
    for (index_t o = 0; o < channels; ++o) packed_bias[o * p.group] = bias[group * c.group_out + first + o];
}

// Where the taps of a window are, from its first one on.
void list_taps(const Correlation& c, const Phase& phase, const Plan& p, index_t* to) {
  for (index_t t = 0; t < phase.h.taps; ++t)
    for (index_t run = 0; run * p.length < p.taps_in_row * p.group; ++run)
      for (index_t k = 0; k < p.length; k += p.group)
        *to++ = (t * phase.h.dilation * c.in_w + run * phase.w.dilation) * c.in_channels + k;
}

// Output rows (of all phases) that are computed together: their inputs stay in the cache, and there are
// enough pixels for a block of the filter to be worth loading.
index_t rows_together(const Correlation& c, index_t rows) {
  constexpr index_t kPixels = 192, kInputs = 64 * 1024;
  const index_t pixels = divide_up(c.out_w, c.step.width);
  const index_t inputs = c.in_w * c.in_channels * std::max<index_t>(1, c.in_h / rows);
  return std::max(divide_up(kPixels, pixels), kInputs / std::max<index_t>(1, inputs));
}

void run(const Correlation& c, const float* x, const float* w, float* y, const Epilogue<float>& epilogue) {
  if (c.g.batch * c.out_h * c.out_w * c.out_channels == 0) return;
  const index_t groups = c.g.groups;

  std::vector<Plan> plans;
  index_t weights = 0, biases = 0, tap_count = 0;
  for (const Phase& phase : c.phases) {
    Plan p = plan_phase(c, phase);
    p.first_weight = weights;
    p.first_bias = biases;
    p.first_tap = tap_count;
    weights += groups * p.blocks * p.packed();
    biases += groups * p.blocks * p.vectors * p.lanes;
    tap_count += std::max<index_t>(1, p.taps);
    plans.push_back(std::move(p));
  }

  struct Weights;
  struct Biases;
  float* const packed = scratch<float, Weights>(weights);
  float* const packed_bias = scratch<float, Biases>(biases);
  index_t* const taps = scratch<index_t>(tap_count);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Plan& p = plans[i];
    for (index_t at = 0; at < groups * p.blocks; ++at)
      pack(c, c.phases[i], p, at / p.blocks, at % p.blocks, w, epilogue.bias,
           packed + p.first_weight + at * p.packed(), packed_bias + p.first_bias + at * p.vectors * p.lanes);
    list_taps(c, c.phases[i], p, taps + p.first_tap);
  }

  const index_t x_row = c.in_w * c.in_channels, y_row = c.step.height * c.out_w * c.out_channels;
  const auto compute = [&](const Phase& phase, const Plan& p, const Strip& strip, const Stretch& rows,
                           const Stretch& columns) {
    if (rows.size() <= 0) return;
    const index_t x_top = rows.begin * phase.h.stride - phase.h.pad + rows.first_tap * phase.h.dilation;
    const index_t x_left =
        columns.begin * phase.w.stride - phase.w.pad + columns.first_tap * phase.w.dilation;
    const index_t y_top = phase.row + rows.begin * c.step.height;
    const index_t y_left = phase.column + columns.begin * c.step.width;
    const auto in_row = [&](index_t column) {
      return column * p.taps_in_row / std::max<index_t>(1, phase.w.taps);
    };
    const bool whole = columns.taps() == phase.w.taps;
    CorrelateJob job{
        .images = strip.images(),
        .lines = rows.size(),
        .pixels = columns.size(),
        .x_image = c.in_h * x_row,
        .x_line = phase.h.stride * x_row,
        .x_pixel = phase.w.stride * c.in_channels,
        .y_image = c.out_h * c.out_w * c.out_channels,
        .y_line = y_row,
        .y_pixel = c.step.width * c.out_channels,
        .taps = taps + p.first_tap,
        .first_tap = rows.first_tap * p.taps_in_row + in_row(columns.first_tap),
        .tap_rows = whole ? 1 : rows.taps(),
        .tap_row = p.taps_in_row,
        .tap_run = (whole ? rows.taps() : 1) * in_row(columns.taps()),
        .lanes = p.lanes,
        .group = p.group,
        .relu = epilogue.relu,
    };
    if (job.pixels < job.lines) {  // long lines are computed faster
      std::swap(job.pixels, job.lines);
      std::swap(job.x_pixel, job.x_line);
      std::swap(job.y_pixel, job.y_line);
    }
    const bool any = rows.taps() * columns.taps() > 0;
    const float* from = x + strip.first * job.x_image + (any ? x_top * x_row + x_left * c.in_channels : 0);
    float* to = y + strip.first * job.y_image + (y_top * c.out_w + y_left) * c.out_channels;
    for (index_t at = 0; at < groups * p.blocks; ++at) {
      const index_t group = at / p.blocks, block = at % p.blocks;
      job.x = from + group * c.group_in;
      job.y = to + group * c.group_out + block * p.block;
      job.weights = packed + p.first_weight + at * p.packed();
      job.bias = packed_bias + p.first_bias + at * p.vectors * p.lanes;
      job.vectors = vectors_of(c, p, block);
      job.channels = std::min(p.block, c.group_out - block * p.block);
      correlate(job);
    }
  };

  constexpr index_t kWork = 1 << 20;                       // multiplications that are worth a thread's while
  const index_t rows = divide_up(c.out_h, c.step.height);  // of an image, in the phase that has most
  const Strips strips(c.g.batch, rows, rows_together(c, rows));
  const index_t work = c.g.out_shape().size() * c.g.window() / strips.count();
  parallel_for(strips.count(), divide_up(kWork, std::max<index_t>(1, work)), [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      for (std::size_t phase = 0; phase < plans.size(); ++phase)
        for (const Stretch& stretch : plans[phase].rows)
          for (const Stretch& columns : plans[phase].columns)
            compute(c.phases[phase], plans[phase], strips[i], clip(stretch, strips[i]), columns);
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

}  // namespace tapegrad::kernels
