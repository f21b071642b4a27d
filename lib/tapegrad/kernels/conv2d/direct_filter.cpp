#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/direct.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::inline v0::kernels {
namespace {

// Images behind any of which `slack` numbers may be looked at: the last ones are copied for that.
template <class T, class Purpose>
class ReadableImages {
 public:
  ReadableImages(const T* images, index_t count, index_t size, index_t slack)
      : images_(images), size_(size), first_copied_(std::max<index_t>(0, count - divide_up(slack, size))) {
    const index_t copied = (count - first_copied_) * size;
    T* to = scratch<T, Purpose>(copied + slack);
    std::fill_n(std::copy_n(images + first_copied_ * size, copied, to), slack, T{0});
    copies_ = to;
  }
  const T* operator[](index_t i) const {
    return i < first_copied_ ? images_ + i * size_ : copies_ + (i - first_copied_) * size_;
  }

 private:
  const T *images_, *copies_;
  index_t size_, first_copied_;
};

// Runs [first, last) of the filter, or the part of each that begins at `start`.
struct Runs {
  index_t first, last, start, length;
};

// How the products of a run are cut into tiles.
struct Cut {
  index_t in_vectors;        // numbers of the side that fills vectors
  index_t scalars, vectors;  // of the two sides
  index_t room, runs;
  index_t panels;  // of vectors that a tile takes

  Cut(const FilterPlan& p, const Runs& r)
      : in_vectors(p.vectors_from_x ? r.length : p.c.g.group_out()),
        scalars(p.vectors_from_x ? p.c.g.group_out() : r.length),
        vectors(divide_up(in_vectors, p.traits.lanes)),
        room(p.traits.filter_sums),
        runs(r.last - r.first) {
    // Scalars that lie in one cache line are cheaper than those in two: of many doubles, tiles take fewer; but not with
    // AVX-512, whose products read their scalars themselves.
    const bool many_doubles = p.traits.bytes == 8 && scalars > 3 && p.traits.lanes < 8;
    const bool fewer = vectors == 4 || (!p.vectors_from_x && scalars > 1 && !many_doubles);
    panels = divide_up(vectors, fewer ? 2 : kMostFilterVectors);
  }
  index_t first_vector(index_t panel) const { return panel * vectors / panels; }

  // A tile has as many products as there are accumulators, with few loads for each.
  struct Tile {
    index_t scalars;
    bool several;  // taps
  };
  Tile tile(index_t tile_vectors) const {
    const auto split = [&](index_t most) {
      return divide_up(scalars, divide_up(scalars, std::min(kMostScalars, most)));
    };
    index_t tile_scalars = split(room / tile_vectors);
    if (runs >= kMostTaps && tile_scalars * tile_vectors * 6 < room * 5)
      tile_scalars = split(std::max<index_t>(1, room / tile_vectors / kMostTaps));
    return {tile_scalars, kMostTaps * tile_vectors * tile_scalars <= room};
  }
};

// Copies `count` numbers of each pixel.
template <class T>
void copy_pixels(index_t pixels, const T* from, index_t from_step, index_t count, T* to, index_t to_step) {
  constexpr index_t kAtOnce = 16 / sizeof(T);
  for (; pixels > 0; --pixels, from += from_step, to += to_step) {
    index_t i = 0;
    for (; i + kAtOnce <= count; i += kAtOnce) std::memcpy(to + i, from + i, 16);
    for (; i < count; ++i) to[i] = from[i];
  }
}

// Copies the vectors of each pixel to where those of all pixels are neighbours: the lines of a tensor with many
// channels are so far apart that they drive each other out of the first cache.
template <class T>
void bring_together(FilterJob<T>& job, index_t lanes) {
  struct Panel;
  const index_t width = job.vector_count * lanes;
  T* to = scratch<T, Panel>(job.line_count * job.pixels * width);
  FilterLine<T>* lines = scratch<FilterLine<T>, Panel>(job.line_count);
  for (index_t line = 0; line < job.line_count; ++line, to += job.pixels * width) {
    lines[line] = {job.lines[line].scalars, to};
    copy_pixels(job.pixels, job.lines[line].vectors + job.vector_offset, job.vector_step, width, to, width);
  }
  job.lines = lines;
  job.vector_offset = 0;
  job.vector_step = width;
}

// Adds the products of lines of pixels to the sums. Lines tell where their first pixel finds the first run;
// offsets are those of all runs.
template <class T>
void accumulate(const FilterPlan& p, const Runs& runs, FilterJob<T> job, T* sums) {
  constexpr index_t kOften = 8;
  const Conv2DGeometry& g = p.c.g;
  const index_t lanes = p.traits.lanes;
  const index_t* const offsets = p.offsets.data();
  const Cut cut(p, runs);
  job.tap_sums_step = p.run_step();
  job.scalar_sums_step = p.vectors * lanes;
  for (index_t at = 0; at < g.groups * cut.panels; ++at) {
    const index_t group = at % g.groups, v = cut.first_vector(at / g.groups);
    FilterJob<T> part = job;
    part.vector_count = cut.first_vector(at / g.groups + 1) - v;
    part.last_lanes = std::min(lanes, cut.in_vectors - (v + part.vector_count - 1) * lanes);
    const auto [tile_scalars, several] = cut.tile(part.vector_count);
    const index_t of_x = group * g.group_in(), of_dy = group * g.group_out();
    const index_t scalar_offset = p.vectors_from_x ? of_dy : of_x;
    const index_t vector_offset = v * lanes + (p.vectors_from_x ? of_x : of_dy);
    part.vector_offset = vector_offset;
    if (!p.vectors_from_x && cut.panels > 1 && cut.runs * divide_up(cut.scalars, tile_scalars) >= kOften)
      bring_together(part, lanes);
    for (index_t run = runs.first; run < runs.last; run += part.tap_count) {
      index_t taps[kMostTaps];
      part.taps = taps;
      part.tap_count = several && runs.last - run >= kMostTaps ? kMostTaps : 1;
      for (index_t t = 0; t < part.tap_count; ++t) taps[t] = offsets[run + t] - offsets[run];
      const index_t run_offset = offsets[run] - offsets[runs.first];
      if (p.vectors_from_x) part.vector_offset = vector_offset + run_offset;
      T* const to = sums + group * p.sums + run * p.run_step() + v * lanes;
      for (index_t s = 0; s < cut.scalars; s += tile_scalars) {
        part.scalar_offset = scalar_offset + s + (p.vectors_from_x ? 0 : run_offset);
        part.scalar_count = std::min(tile_scalars, cut.scalars - s);
        part.sums = to + (p.vectors_from_x ? s * p.vectors * lanes + runs.start
                                           : (runs.start + s) * p.vectors * lanes);
        accumulate_filter(part);
      }
    }
  }
}

// The sums, in the filter's order.
template <class T>
void write_filter(const FilterPlan& p, const T* sums, T* dw) {
  const Conv2DGeometry& g = p.c.g;
  const index_t lanes = p.traits.lanes;
  for (index_t run = 0; run < p.runs; ++run)
    for (index_t group = 0; group < g.groups; ++group) {
      const T* from = sums + group * p.sums + run * p.run_step();
      T* to = dw + run * p.run * g.out_channels + group * g.group_out();
      if (p.vectors_from_x)
        transpose(g.group_out(), p.run, from, p.vectors * lanes, to, g.out_channels);
      else
        for (index_t k = 0; k < p.run; ++k)
          std::copy_n(from + k * p.vectors * lanes, g.group_out(), to + k * g.out_channels);
    }
}

// Adds products to the sums, rectangle by rectangle of pixels that have the same taps inside of the image.
template <class T>
class Accumulator {
 public:
  Accumulator(const FilterPlan& plan, const T* x, const T* dy)
      : p_(plan),
        x_images_(x, g_.batch, g_.in_h * g_.in_w * g_.in_channels, slack(true)),
        dy_images_(dy, g_.batch, g_.out_h * g_.out_w * g_.out_channels, slack(false)) {}

  void add(const Strip& strip, T* sums) const {
    if (p_.by_taps) return add_by_taps(strip, sums);
    for (const Stretch& rows : p_.rows)
      for (const Stretch& columns : p_.columns) add_rectangle(strip, clip(rows, strip), columns, sums);
  }

 private:
  void add_rectangle(const Strip& strip, const Stretch& rows, const Stretch& columns, T* sums) const {
    if (rows.size() <= 0 || rows.taps() * columns.taps() == 0) return;
    const bool across = columns.size() >= rows.size();  // lines are rows, or columns
    // Rows that follow each other without a gap are one line.
    const bool joined =
        across && x_down_ == columns.size() * x_right_ && dy_down_ == columns.size() * dy_right_;
    const index_t count = joined ? 1 : across ? rows.size() : columns.size();
    const std::span<FilterLine<T>> lines = list_lines(strip, rows, columns, count, across);
    FilterJob<T> job{.lines = lines.data(),
                     .line_count = static_cast<index_t>(lines.size()),
                     .pixels = rows.size() * columns.size() / count,
                     .scalars_are_x = !p_.vectors_from_x,
                     .scalar_step = across ? x_right_ : x_down_,
                     .vector_step = across ? dy_right_ : dy_down_};
    if (p_.vectors_from_x) std::swap(job.scalar_step, job.vector_step);
    if (p_.whole_rows) {
      const index_t channels = g_.in_channels;
      accumulate(p_, {rows.first_tap, rows.last_tap, columns.first_tap * channels, columns.taps() * channels},
                 job, sums);
      return;
    }
    const index_t together = columns.taps() == g_.kernel_w ? rows.taps() : 1;  // rows of taps
    for (index_t row = rows.first_tap; row < rows.last_tap; row += together) {
      const index_t first = row * g_.kernel_w + columns.first_tap;
      accumulate(p_, {first, first + (together - 1) * g_.kernel_w + columns.taps(), 0, p_.run}, job, sums);
      for (FilterLine<T>& line : lines)
        (p_.vectors_from_x ? line.vectors : line.scalars) += g_.dilation_h * g_.in_w * g_.in_channels;
    }
  }

  // Many channels fill tiles tap by tap: there are no borders then, only the pixels that a tap reaches. The vectors of
  // dy are brought together for all taps: in panels, of what a tile takes. Of many panels all are used in turn, with
  // inputs that are brought together, too; of few, one stays in the first cache.
  void add_by_taps(const Strip& strip, T* sums) const {
    constexpr index_t kManyPanels = 5;
    struct Vectors;
    struct Inputs;
    const index_t lanes = p_.traits.lanes, image_pixels = (strip.end - strip.begin) * g_.out_w,
                  pixels = strip.images() * image_pixels;
    const Cut cut(p_, {0, 1, 0, g_.in_channels});
    const index_t width = divide_up(cut.vectors, cut.panels) * lanes, most = cut.tile(width / lanes).scalars;
    const bool many = cut.panels >= kManyPanels;
    T* const dy = scratch<T, Vectors>(cut.panels * pixels * width);
    for (index_t panel = 0; panel < cut.panels; ++panel) {
      const index_t v = cut.first_vector(panel), count = cut.first_vector(panel + 1) - v;
      for (index_t i = 0; i < strip.images(); ++i)
        copy_pixels(image_pixels, dy_images_[strip.first + i] + strip.begin * dy_down_ + v * lanes, dy_right_,
                    count * lanes, dy + (panel * pixels + i * image_pixels) * width, width);
    }
    const auto add_panels = [&](FilterJob<T> job, index_t tap, index_t first, index_t last) {
      for (index_t s = 0; s < g_.in_channels; s += most) {
        FilterJob<T> part = job;
        part.scalar_count = std::min(most, g_.in_channels - s);
        part.scalar_offset = s;
        if (many) bring_inputs_together(part, scratch<T, Inputs>(pixels * most));
        for (index_t panel = first; panel < last; ++panel) {
          const index_t v = cut.first_vector(panel);
          part.vector_offset = panel * pixels * width;
          part.vector_count = cut.first_vector(panel + 1) - v;
          part.last_lanes = std::min(lanes, cut.in_vectors - (v + part.vector_count - 1) * lanes);
          part.sums = sums + ((tap * g_.in_channels + s) * p_.vectors + v) * lanes;
          accumulate_filter(part);
        }
      }
    };
    for (index_t first = 0, step = many ? cut.panels : 1; first < cut.panels; first += step)
      for (index_t tap = 0; tap < g_.kernel_h * g_.kernel_w; ++tap)
        if (const FilterJob<T> job = job_of_tap(strip, tap, dy, width); job.line_count > 0)
          add_panels(job, tap, first, first + step);
  }

  // What a tap reaches in a strip, of x and of the panels of dy.
  FilterJob<T> job_of_tap(const Strip& strip, index_t tap, const T* dy, index_t width) const {
    static constexpr index_t kNoOffset = 0;
    const TapAxis &h = p_.c.phases.front().h, &w = p_.c.phases.front().w;
    const index_t i = tap / g_.kernel_w, j = tap % g_.kernel_w, height = strip.end - strip.begin;
    const auto [top, bottom] = h.reaching(i, g_.in_h);
    const auto [left, right] = w.reaching(j, g_.in_w);
    const index_t begin = std::max(top, strip.begin), end = std::min(bottom, strip.end);
    if (begin >= end || left >= right) return {};
    FilterLine<T>* const lines = scratch<FilterLine<T>>(strip.images() * (end - begin));
    const index_t x_column = left * g_.stride_w + j * g_.dilation_w - g_.pad_left;
    index_t count = 0;
    for (index_t image = strip.first; image < strip.last; ++image)
      for (index_t row = begin; row < end; ++row) {
        const index_t x_row = row * g_.stride_h + i * g_.dilation_h - g_.pad_top;
        const index_t line = (image - strip.first) * height + row - strip.begin;
        lines[count++] = {x_images_[image] + (x_row * g_.in_w + x_column) * g_.in_channels,
                          dy + (line * g_.out_w + left) * width};
      }
    return {.lines = lines,
            .line_count = count,
            .pixels = right - left,
            .taps = &kNoOffset,
            .tap_count = 1,
            .scalars_are_x = true,
            .scalar_step = x_right_,
            .vector_step = width,
            .scalar_sums_step = p_.vectors * p_.traits.lanes};
  }

  // The inputs of a job's pixels.
  void bring_inputs_together(FilterJob<T>& job, T* to) const {
    struct Together;
    FilterLine<T>* const lines = scratch<FilterLine<T>, Together>(job.line_count);
    for (index_t i = 0; i < job.line_count; ++i, to += job.pixels * job.scalar_count) {
      lines[i] = {to, job.lines[i].vectors};
      copy_pixels(job.pixels, job.lines[i].scalars + job.scalar_offset, job.scalar_step, job.scalar_count, to,
                  job.scalar_count);
    }
    job.lines = lines;
    job.scalar_offset = 0;
    job.scalar_step = job.scalar_count;
  }

  // Where the `count` lines of a rectangle begin in each image, in x and in dy.
  std::span<FilterLine<T>> list_lines(const Strip& strip, const Stretch& rows, const Stretch& columns,
                                      index_t count, bool across) const {
    const index_t x_top = rows.begin * g_.stride_h - g_.pad_top + rows.first_tap * g_.dilation_h;
    const index_t x_left = columns.begin * g_.stride_w - g_.pad_left + columns.first_tap * g_.dilation_w;
    FilterLine<T>* const lines = scratch<FilterLine<T>>(strip.images() * count);
    index_t at = 0;
    for (index_t image = strip.first; image < strip.last; ++image) {
      const T* from_x = x_images_[image] + (x_top * g_.in_w + x_left) * g_.in_channels;
      const T* from_dy = dy_images_[image] + rows.begin * dy_down_ + columns.begin * dy_right_;
      for (index_t line = 0; line < count; ++line) {
        const T* line_x = from_x + line * (across ? x_down_ : x_right_);
        const T* line_dy = from_dy + line * (across ? dy_down_ : dy_right_);
        lines[at++] = p_.vectors_from_x ? FilterLine<T>{line_dy, line_x} : FilterLine<T>{line_x, line_dy};
      }
    }
    return {lines, static_cast<std::size_t>(at)};
  }

  // A vector may end behind the last number of an image, unless vectors fit.
  index_t slack(bool of_x) const {
    const index_t channels = of_x ? g_.group_in() : g_.group_out();
    return p_.vectors_from_x == of_x && channels % p_.traits.lanes != 0 ? p_.traits.lanes : 0;
  }

  struct X;
  struct Dy;
  const FilterPlan& p_;
  const Conv2DGeometry& g_ = p_.c.g;
  index_t x_down_ = g_.stride_h * g_.in_w * g_.in_channels, x_right_ = g_.stride_w * g_.in_channels;
  index_t dy_down_ = g_.out_w * g_.out_channels, dy_right_ = g_.out_channels;
  ReadableImages<T, X> x_images_;
  ReadableImages<T, Dy> dy_images_;
};

}  // namespace

template <class T>
void direct_filter_gradient(const FilterPlan& plan, const T* x, const T* dy, T* dw) {
  const index_t size = plan.size, chunks = plan.chunks;
  if (chunks == 0) {
    std::fill_n(dw, plan.c.g.filter_shape().size(), T{0});
    return;
  }
  const Accumulator<T> accumulator(plan, x, dy);
  struct Sums;
  T* sums = scratch<T, Sums>(chunks * size);
  parallel_for(chunks, 1, [&](index_t first_chunk, index_t last_chunk) {
    for (index_t at = first_chunk; at < last_chunk; ++at) {
      std::fill_n(sums + at * size, size, T{0});
      for (index_t i = at * plan.chunk; i < std::min((at + 1) * plan.chunk, plan.strips.count()); ++i)
        accumulator.add(plan.strips[i], sums + at * size);
    }
  });
  parallel_for(chunks > 1 ? size : 0, kAdditionsPiece / chunks, [&](index_t begin, index_t end) {
    for (index_t at = 1; at < chunks; ++at)
      for (index_t i = begin; i < end; ++i) sums[i] += sums[at * size + i];
  });
  write_filter(plan, sums, dw);
}

template void direct_filter_gradient(const FilterPlan&, const float*, const float*, float*);
template void direct_filter_gradient(const FilterPlan&, const double*, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
