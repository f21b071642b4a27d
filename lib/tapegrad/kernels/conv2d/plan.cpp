#include "tapegrad/kernels/conv2d/plan.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/thread_memory.h"
#include "tapegrad/kernels/conv2d/depthwise_tiles.h"

namespace tapegrad::inline v0::kernels {
namespace {

// The sizes of caches, in floats; of doubles, half as many fit.
index_t fitting(index_t floats, const VectorTraits& traits) {
  return floats * static_cast<index_t>(sizeof(float)) / traits.bytes;
}

// Whether all taps of a row of the window are one run, and how many numbers a run has.
bool whole_rows(const Correlation& c, const TapAxis& w) {
  return w.dilation == 1 && c.g.groups == 1;
}
index_t run_length(const Correlation& c, const TapAxis& w, index_t column_taps) {
  return whole_rows(c, w) ? column_taps * c.in_channels : c.group_in;
}

// How many inputs of a run a vector holds of each channel: as many as leave room for all channels. If a run is always all of the
// window's row, it may end with a group that has fewer.
index_t group_in_vector(const Correlation& c, index_t length, bool parts, index_t tail_group, index_t lanes) {
  const index_t least = parts ? c.group_in : length;
  index_t group = 1;
  for (index_t wider = 2; wider <= lanes && lanes / wider >= c.group_out; wider *= 2)
    if (least % wider == 0 || (wider <= tail_group && !parts && c.group_out > 1 && length >= wider))
      group = wider;
  return c.group_out == 1 && !parts && length > 2 * group ? lanes : group;
}

// The columns use the taps [first, last) of the window's rows, or some of them.
PhasePlan plan_columns(const Correlation& c, index_t at, std::vector<Stretch> columns, index_t first,
                       index_t last, const VectorTraits& traits) {
  const Phase& phase = c.phases[static_cast<std::size_t>(at)];
  PhasePlan p{};
  p.phase = at;
  p.rows = phase.h.stretches(c.in_h);
  p.columns = std::move(columns);
  p.first_column = first;
  p.column_taps = last - first;
  p.length = run_length(c, phase.w, p.column_taps);
  // At the sides of the image a run may be a part of a row.
  const bool parts = p.columns.size() > 1 || p.columns[0].taps() < p.column_taps;
  const auto group_of = [&](index_t lanes) {
    return group_in_vector(c, p.length, parts, traits.tail_group, lanes);
  };
  p.narrow = traits.narrow_lanes < traits.lanes && c.group_out <= traits.narrow_lanes &&
             (2 * c.group_out > traits.narrow_lanes || group_of(traits.lanes) == 1);
  p.lanes = p.narrow ? traits.narrow_lanes : traits.lanes;
  p.group = p.narrow ? 1 : group_of(p.lanes);
  p.taps_in_row = whole_rows(c, phase.w) ? p.taps_in_run() : p.column_taps * p.taps_in_run();
  p.taps = phase.h.taps * p.taps_in_row;
  p.vectors = c.group_out > p.lanes ? kMostVectors : 1;
  p.block = p.vectors * p.lanes / p.group;
  p.blocks = divide_up(c.group_out, p.block);
  return p;
}

// Vectors of several neighbours in a run are counted from where the run begins: if a run of the whole window ends with a vector
// that has fewer, each stretch of columns has a filter of its own, as it always has for a single channel.
void plan_phase(const Correlation& c, index_t at, const VectorTraits& traits, std::vector<PhasePlan>& plans) {
  const TapAxis& w = c.phases[static_cast<std::size_t>(at)].w;
  const std::vector<Stretch> columns = w.stretches(c.in_w);
  if (columns.empty()) return;
  const auto group = [&](bool parts) {
    return group_in_vector(c, run_length(c, w, w.taps), parts, traits.tail_group, traits.lanes);
  };
  if (c.group_out > 1 && group(true) == group(false)) {
    plans.push_back(plan_columns(c, at, columns, 0, w.taps, traits));
    return;
  }
  for (const Stretch& s : columns) plans.push_back(plan_columns(c, at, {s}, s.first_tap, s.last_tap, traits));
}

// Where the taps of a window are, from its first one on.
void list_taps(const Correlation& c, const PhasePlan& p, index_t* to) {
  const Phase& phase = c.phases[static_cast<std::size_t>(p.phase)];
  const index_t down = phase.h.dilation * c.in_w * c.in_channels, right = phase.w.dilation * c.in_channels;
  const index_t runs = p.taps_in_row / std::max<index_t>(1, p.taps_in_run());
  for (index_t row = 0; row < phase.h.taps; ++row)
    for (index_t run = 0; run < runs; ++run)
      for (index_t k = 0, at = row * down + run * right; k < p.length; k += p.group) *to++ = at + k;
}

// Output rows (of all phases) whose inputs stay in the cache, and which have enough pixels for a block of the filter to be
// worth loading.
index_t rows_in_cache(const Correlation& c, index_t rows, const VectorTraits& traits) {
  constexpr index_t kPixels = 128, kInputs = 64 * 1024;
  const index_t pixels = divide_up(c.out_w, c.step.width);
  const index_t inputs = c.in_w * c.in_channels * std::max<index_t>(1, c.in_h / rows);
  return std::max(divide_up(kPixels, pixels), fitting(kInputs, traits) / std::max<index_t>(1, inputs));
}

// Rows of dy whose pixels stay in a cache while all tiles read them: in the second, if these are few; else in
// the first one, of which a tile reads only some lines a pixel (as many of doubles, since their vectors are brought
// together). More rows mean fewer additions to the sums. Tap by tap, a tile's vectors are to fill half of the first one.
index_t rows_together(const FilterPlan& p) {
  constexpr index_t kFew = 16, kSecond = 128 * 1024, kFirst = 24 * 1024, kPixels = 128, kMostPixels = 192;
  const Conv2DGeometry& g = p.c.g;
  const index_t row = g.out_w * g.out_channels + g.stride_h * g.in_w * g.in_channels;
  if (g.groups * p.sums <= kFew * p.traits.filter_sums * p.traits.lanes)
    return fitting(kSecond, p.traits) / row;
  const index_t rows = std::max(kFirst / row, kPixels / g.out_w);
  return p.by_taps ? std::min(rows, divide_up(kMostPixels, g.out_w)) : rows;
}

constexpr index_t kMostChunks = 16, kMostSums = 4 << 20;  // of a filter gradient

void plan_depthwise_filter(FilterPlan& p) {
  const Conv2DGeometry& g = p.c.g;
  const index_t taps = g.kernel_h * g.kernel_w, rows = g.batch * g.out_h;
  p.size = taps * depthwise_sums(g.in_channels, p.traits.lanes);
  const index_t together =
      divide_up(kDepthwiseGradientWork, std::max<index_t>(1, g.out_w * g.in_channels * taps));
  const index_t most = std::clamp<index_t>(kMostSums / p.size, 1, kMostChunks);
  p.chunk = std::max(divide_up(rows, most), together);
  p.chunks = divide_up(rows, p.chunk);
}

void plan_direct_filter(FilterPlan& p) {
  const Conv2DGeometry& g = p.c.g;
  const index_t lanes = p.traits.lanes;
  p.whole_rows = g.dilation_w == 1 && g.groups == 1;
  p.runs = p.whole_rows ? g.kernel_h : g.kernel_h * g.kernel_w;
  p.run = p.whole_rows ? g.kernel_w * g.in_channels : g.group_in();
  const index_t from_x = divide_up(p.run, lanes), from_dy = divide_up(g.group_out(), lanes);
  // Of equally many products, a tile of one or two vectors has more loads for each.
  const index_t products_x = from_x * g.group_out(), products_dy = from_dy * p.run;
  p.vectors_from_x = products_x < products_dy ||
                     (products_x == products_dy && from_dy < std::min(from_x, kMostFilterVectors));
  p.scalars = p.vectors_from_x ? g.group_out() : p.run;
  p.vectors = p.vectors_from_x ? from_x : from_dy;
  constexpr index_t kManyChannels = 32;
  p.by_taps = g.groups == 1 && !p.vectors_from_x && std::min(g.in_channels, g.out_channels) >= kManyChannels;
  p.sums = p.runs * p.run_step();
  p.size = g.groups * p.sums + lanes;  // a part of a run may end behind all of them
  const index_t x_row = g.in_w * g.in_channels;
  for (index_t run = 0; run < p.runs; ++run)
    p.offsets.push_back(p.whole_rows ? run * g.dilation_h * x_row
                                     : run / g.kernel_w * g.dilation_h * x_row +
                                           run % g.kernel_w * g.dilation_w * g.in_channels);
  const Phase& phase = p.c.phases.front();
  p.rows = phase.h.stretches(g.in_h);
  p.columns = phase.w.stretches(g.in_w);
  // A chunk's sums are set to zero and added up, which takes as long as the products of some 30 pixels. Of a few chunks an even
  // number, for two threads.
  constexpr index_t kChunkPixels = 160;
  const index_t work = g.out_shape().size() * g.window(), pixels = g.batch * g.out_h * g.out_w;
  const index_t most =
      std::clamp<index_t>(std::min(kMostSums / p.size, pixels / kChunkPixels), 1, kMostChunks);
  const index_t chunks = std::clamp<index_t>(work / kFilterGradientWork, 1, most);
  const index_t even = chunks == 1 ? 1 : chunks / 2 * 2;
  p.strips = Strips(g.batch, g.out_h, std::min(rows_together(p), divide_up(g.batch * g.out_h, even)));
  p.chunk = divide_up(p.strips.count(), even);
  p.chunks = divide_up(p.strips.count(), p.chunk);
}

}  // namespace

Family family_of(const Conv2DGeometry& g) {
  const bool depthwise = g.groups == g.in_channels && g.groups == g.out_channels && g.groups > 1;
  return depthwise ? Family::Depthwise : Family::Direct;
}

index_t CorrelationPlan::first_of(const PhasePlan& p, index_t block) const {
  const bool fill = p.group == 1 && c.group_out >= p.lanes;
  return fill ? std::min(block * p.block, c.group_out - p.lanes) : block * p.block;
}
index_t CorrelationPlan::channels_of(const PhasePlan& p, index_t block) const {
  return std::min(p.block, c.group_out - first_of(p, block));
}
index_t CorrelationPlan::vectors_of(const PhasePlan& p, index_t block) const {
  return std::min(p.vectors, divide_up(channels_of(p, block) * p.group, p.lanes));
}

CorrelationPlan plan_correlation(const Conv2DGeometry& g, bool transposed, Family family,
                                 const VectorTraits& traits) {
  CorrelationPlan plan{};
  plan.c = transposed ? transposed_correlation(g) : forward_correlation(g);
  plan.family = family;
  const Correlation& c = plan.c;
  if (family == Family::Depthwise || c.g.batch * c.out_h * c.out_w * c.out_channels == 0) return plan;
  for (std::size_t at = 0; at < c.phases.size(); ++at)
    plan_phase(c, static_cast<index_t>(at), traits, plan.phases);
  index_t tap_count = 0;
  const auto aligned = [&](index_t numbers) { return divide_up(numbers, traits.lanes) * traits.lanes; };
  for (PhasePlan& p : plan.phases) {  // of which some may be narrow
    p.first_weight = aligned(plan.weights);
    p.first_bias = aligned(plan.biases);
    p.first_tap = tap_count;
    plan.weights = p.first_weight + g.groups * p.blocks * p.packed();
    plan.biases = p.first_bias + g.groups * p.blocks * p.vectors * p.lanes;
    tap_count += std::max<index_t>(1, p.taps);
  }
  const bool separate = std::ranges::all_of(plan.phases, [&](const PhasePlan& p) {
    return plan.first_of(p, p.blocks - 1) == (p.blocks - 1) * p.block;
  });
  for (const PhasePlan& p : plan.phases)
    if (separate) plan.separate_blocks += g.groups * p.blocks;
  plan.taps.resize(static_cast<std::size_t>(tap_count));
  for (const PhasePlan& p : plan.phases) list_taps(c, p, plan.taps.data() + p.first_tap);
  plan.rows = divide_up(c.out_h, c.step.height);
  plan.rows_in_cache = rows_in_cache(c, plan.rows, traits);
  // Lanes that hold nothing are multiplied, too; and each result is written.
  for (const PhasePlan& p : plan.phases)
    for (const Stretch& columns : p.columns)
      plan.row_work += columns.size() * g.groups * p.blocks * (p.taps + 1) * p.vectors * p.lanes;
  return plan;
}

Strips CorrelationPlan::strips(int threads) const {
  constexpr index_t kPixels = 64, kCachedWeights = 128 * 1024;
  if (phases.empty()) return {};
  index_t together = rows_in_cache;
  if (threads > 1 && shared()) {
    // Some strips for each thread, so that none waits long for the last one. But each strip has borders, and reads all of the
    // filter, from the last cache if that is large.
    const index_t for_each = weights > kCachedWeights ? 4 : 8;
    const index_t pixels = divide_up(c.out_w, c.step.width);
    together =
        std::min(together, std::max({divide_up(kPixels, pixels), c.g.batch * rows / (for_each * threads),
                                     divide_up(kConvolutionWork, std::max<index_t>(1, row_work))}));
  }
  return Strips(c.g.batch, rows, together);
}

bool CorrelationPlan::by_blocks(int threads) const {
  if (threads == 1 || !shared()) return false;
  const index_t count = strips(threads).count();
  return count < 2 * threads && count < separate_blocks;
}

FilterPlan plan_filter(const Conv2DGeometry& g, Family family, const VectorTraits& traits) {
  FilterPlan p{};
  p.c = forward_correlation(g);
  p.family = family;
  p.traits = traits;
  if (g.filter_shape().size() * g.in_shape().size() * g.out_shape().size() == 0) return p;
  family == Family::Depthwise ? plan_depthwise_filter(p) : plan_direct_filter(p);
  return p;
}

namespace {

std::size_t bytes(const CorrelationPlan& plan) {
  std::size_t stretches = 0;
  for (const PhasePlan& p : plan.phases) stretches += p.rows.size() + p.columns.size();
  return plan.taps.size() * sizeof(index_t) + stretches * sizeof(Stretch);
}
std::size_t bytes(const FilterPlan& plan) {
  return plan.offsets.size() * sizeof(index_t) + (plan.rows.size() + plan.columns.size()) * sizeof(Stretch);
}

// The plans that a thread used last, but for very large ones. A plan that is in use stays alive when it is dropped
// here.
template <class Plan>
class PlanCache final : public detail::ThreadMemory {
 public:
  void release() override { entries_ = {}; }

  struct Key {
    Conv2DGeometry g;
    bool transposed;
    VectorTraits traits;
    friend bool operator==(const Key&, const Key&) = default;
  };

  template <class Make>
  std::shared_ptr<const Plan> get(const Key& key, Make make) {
    auto at = std::ranges::find(entries_, key, &Entry::key);
    if (at == entries_.end()) {
      Entry made = {key, std::make_shared<const Plan>(make()), 0};
      if (bytes(*made.plan) > kMostBytes) return made.plan;
      if (entries_.size() < kMost) {
        at = entries_.insert(at, std::move(made));
      } else {
        at = std::ranges::min_element(entries_, {}, &Entry::used);
        *at = std::move(made);
      }
    }
    at->used = ++clock_;
    return at->plan;
  }

 private:
  static constexpr std::size_t kMost = 64, kMostBytes = std::size_t{1} << 18;  // plans, and bytes of one
  struct Entry {
    Key key;
    std::shared_ptr<const Plan> plan;
    std::uint64_t used;  // at that call of get()
  };
  std::vector<Entry> entries_;
  std::uint64_t clock_ = 0;
};

// From the cache of the thread, which changes no result.
template <class Plan, class Make>
std::shared_ptr<const Plan> cached(const typename PlanCache<Plan>::Key& key, Make make) {
  if (auto* cache = detail::own_of_thread<PlanCache<Plan>>(); cache != nullptr) return cache->get(key, make);
  return std::make_shared<const Plan>(make());
}

}  // namespace

std::shared_ptr<const CorrelationPlan> cached_correlation(const Conv2DGeometry& g, bool transposed,
                                                          const VectorTraits& traits) {
  return cached<CorrelationPlan>({g, transposed, traits},
                                 [&] { return plan_correlation(g, transposed, family_of(g), traits); });
}

std::shared_ptr<const FilterPlan> cached_filter(const Conv2DGeometry& g, const VectorTraits& traits) {
  return cached<FilterPlan>({g, false, traits}, [&] { return plan_filter(g, family_of(g), traits); });
}

}  // namespace tapegrad::inline v0::kernels
