#include "tapegrad/transforms/batch_gradient.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "tapegrad/autograd/constant_filters_internal.h"
#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/kept_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/transforms/subtrees_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::BlockVector;
using detail::SampleChunk;
using Sums = BlockVector<Tensor>;  // whose memory goes back to the thread that took it
using List = detail::KeptList<std::vector<Tensor>>;

constexpr const char* kBatchGradient = "batch_gradient";

void check_arguments(const TensorFunction& loss, const std::vector<Tensor>& batch,
                     const std::vector<Tensor>& parameters, const BatchGradientOptions& options) {
  if (!loss) fail(kBatchGradient, "the loss must not be an empty function");
  if (is_recording())
    fail(
        kBatchGradient,
        "must not be called while a tape records, as it opens tapes of its own: call it outside of the tape, or "
        "inside a NoGrad");
  if (SampleChunk::current() != nullptr)
    fail(kBatchGradient, "must not be called by the loss of another batch_gradient");
  if (options.chunk && *options.chunk < 1)
    fail(kBatchGradient, "chunk must be at least 1, got chunks of {} samples", *options.chunk);
  if (batch.empty()) fail(kBatchGradient, "the batch must have at least one tensor, got no tensors");
  for (const std::vector<Tensor>* list : {&batch, &parameters})
    for (const Tensor& x : *list)
      if (!x.defined())
        fail(kBatchGradient, "a tensor of the {} was never given a value",
             list == &batch ? "batch" : "parameters");
  for (const Tensor& x : batch)
    if (x.rank() == 0 || x.shape()[0] != batch[0].shape()[0])
      fail(kBatchGradient,
           "the tensors of the batch must have the same number of samples (first axis), got shapes {} and {}",
           batch[0].shape(), x.shape());
  if (batch[0].shape()[0] == 0)
    fail(kBatchGradient, "the batch must have at least one sample, got no samples (shape {})",
         batch[0].shape());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i].is_parameter() || parameters[i].is_stopped())
      fail(kBatchGradient, "tensor {} of the parameters (shape {}) must be a parameter() that is not frozen",
           i, parameters[i].shape());
}

double bytes_of(const std::vector<Tensor>& tensors) {
  double bytes = 0;
  for (const Tensor& x : tensors)
    bytes += static_cast<double>(x.size()) * static_cast<double>(size_of(x.dtype()));
  return bytes;
}

// Adds up what the leaves first ... end - 1 of `count` bring, in whatever order they come, along a fixed binary tree:
// neighbours are added, then neighbouring sums. The result has the same bits whoever brings which leaf, and the other
// leaves are added up elsewhere. A sum waits until its neighbour is there: of leaves that come in order, about
// log2(count) wait.
class TreeSum {
 public:
  TreeSum(index_t count, index_t first, index_t end)
      : count_(static_cast<std::size_t>(count)),
        first_(static_cast<std::size_t>(first)),
        end_(static_cast<std::size_t>(end)),
        leaves_(std::bit_ceil(count_)),
        waiting_(2 * leaves_),
        arrived_(leaves_) {}

  void bring(index_t leaf, Sums sum) {
    std::size_t width = 1;  // of the leaves below a node
    std::size_t node = leaves_ + static_cast<std::size_t>(leaf);
    for (; node > 1; node /= 2, width *= 2) {
      const std::size_t neighbour = node ^ 1, before = (neighbour - leaves_ / width) * width;
      if (before >= count_) continue;  // at the end, where the tree is not complete
      if (before < first_ || std::min(before + width, count_) > end_) break;  // others have the neighbour
      waiting_[node] = std::move(sum);
      if (!arrived_[node / 2].exchange(true)) return;  // whoever brings the neighbour adds them
      sum = std::move(waiting_[std::min(node, neighbour)]);
      const Sums right = std::move(waiting_[std::max(node, neighbour)]);
      for (std::size_t i = 0; i < sum.size(); ++i) detail::add_in_place(sum[i], 0, right[i]);
    }
    waiting_[node] = std::move(sum);
  }

  std::vector<Tensor> take(const detail::Subtree& of) {
    return take((leaves_ + static_cast<std::size_t>(of.first)) / static_cast<std::size_t>(of.width));
  }
  std::vector<Tensor> take() { return take(1); }

 private:
  std::vector<Tensor> take(std::size_t node) {
    Sums& sum = waiting_[node];
    List taken;
    taken->assign(std::make_move_iterator(sum.begin()), std::make_move_iterator(sum.end()));
    sum.clear();
    return taken.release();
  }

  // Node 1 is the root, and 2 n and 2 n + 1 are below node n; the leaves come last.
  const std::size_t count_, first_, end_, leaves_;
  BlockVector<Sums> waiting_;               // by node
  BlockVector<std::atomic<bool>> arrived_;  // by node: one of the two sums below it is there
};

// A loss and its batch, of which the work on any samples is asked for. The batch holds those from `offset` on.
class Problem {
 public:
  Problem(const TensorFunction& loss, const std::vector<Tensor>& batch, const std::vector<Tensor>& parameters,
          const BatchGradientOptions& options, index_t samples, index_t offset = 0)
      : loss_(loss),
        batch_(batch),
        parameters_(parameters),
        mean_(options.mean),
        all_parameters_(options.all_parameters),
        samples_(samples),
        offset_(offset) {}

  index_t samples() const { return samples_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }

  struct Result {
    double loss = 0;
    Sums gradients;
    std::vector<SampleChunk::Count> counts;  // what layers have counted to, for the whole batch
    double saved = 0;                        // bytes of activations that the tape kept
  };
  /// With the weight of these samples in the whole batch. Without gradients if the tape kept at most `too_little` bytes.
  Result run(index_t first, index_t count, double too_little = -1) const {
    SampleChunk part(first, count, samples_);
    Tape tape;
    const Tensor value = loss_of(first, count);
    Result result;
    result.saved = static_cast<double>(part.bytes_saved());
    if (result.saved <= too_little) return result;
    const double weight = mean_ ? static_cast<double>(count) / static_cast<double>(samples_) : 1;
    result.loss = weight * value.item();
    const Gradients found = tape.gradient(
        value, parameters_,
        {.all_parameters = all_parameters_, .output_gradient = full(value.shape(), weight, value.dtype())});
    result.gradients.assign(found.begin(), found.end());
    result.counts = part.take_counts();
    return result;
  }

 private:
  Tensor loss_of(index_t first, index_t count) const {
    detail::KeptList<std::vector<Tensor>> slices;
    for (const Tensor& x : batch_) {
      index_t sizes[Shape::kMaxRank];
      std::ranges::copy(x.shape(), sizes);
      sizes[0] = count;
      const Shape shape(std::span(sizes, static_cast<std::size_t>(x.rank())));
      slices->push_back(detail::view("slice", x, shape, (first - offset_) * (x.size() / x.shape()[0])));
    }
    Tensor value = loss_(*slices);
    if (!value.defined()) fail(kBatchGradient, "the loss returned a Tensor that was never given a value");
    if (value.size() != 1)
      fail(kBatchGradient, "the loss of {} samples must have one element, got shape {}", count,
           value.shape());
    return value;
  }

  const TensorFunction& loss_;
  const std::vector<Tensor>& batch_;
  const std::vector<Tensor>& parameters_;
  const bool mean_, all_parameters_;
  const index_t samples_, offset_;
};

constexpr double kSmall = 1 << 17;  // bytes of parameters that stay in a cache
constexpr double kLarge = 1 << 26;  // bytes of parameters of which a second set of gradients is too many

// Each chunk costs a pass over the gradients of all parameters, which should be little beside the work on its samples:
// where parameters outweigh what the tape kept of the first chunk, the others are larger. By sizes only, so that the cut
// does not depend on the number of threads.
index_t size_of_others(const Problem& problem, const Problem::Result& first, index_t first_size) {
  const double of_a_sample = first.saved / static_cast<double>(first_size);
  const double enough = std::ceil(bytes_of(problem.parameters()) / std::max(of_a_sample, 1.0));
  return static_cast<index_t>(
      std::clamp(enough, static_cast<double>(first_size), static_cast<double>(problem.samples())));
}

// The batch, cut into `heads` chunks of `head` samples, which were chosen before anything was known of the loss, and
// others of `chunk` samples.
struct Cut {
  index_t samples, heads, head, chunk;

  index_t begin(index_t number) const {
    return number < heads ? number * head : heads * head + (number - heads) * chunk;
  }
  index_t size(index_t number) const {
    return std::min(number < heads ? head : chunk, samples - begin(number));
  }
  index_t count() const { return heads + (samples - heads * head + chunk - 1) / chunk; }
};

// Work on independent chunks: several are shared among the threads, and of one the ops use all threads.
template <class Run>
void run_chunks(index_t first, index_t end, const Run& run) {
  if (end - first == 1)
    run(first);
  else
    parallel_for(end - first, 1, [&](index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) run(first + i);
    });
}

// How many chunks are of the size that was chosen first: two, as one alone would leave a second thread with little to do.
index_t heads_of(double bytes, const Cut& cut) {
  return bytes >= kLarge || 2 * cut.head > cut.samples ? 1 : 2;
}

// The results of the first chunks, and with them how the others are cut.
BlockVector<Problem::Result> run_heads(const Problem& problem, Cut& cut) {
  const double bytes = bytes_of(problem.parameters());
  // Of large models, whose parameters outweigh what a tape keeps of all samples, these are one chunk: a second set of
  // gradients would take more memory than that. The first samples have their forward pass twice, then.
  const bool large = bytes >= kLarge;
  BlockVector<Problem::Result> results(static_cast<std::size_t>(heads_of(bytes, cut)));
  const double share = static_cast<double>(cut.head) / static_cast<double>(cut.samples);
  run_chunks(0, std::ssize(results), [&](index_t number) {
    results[static_cast<std::size_t>(number)] =
        problem.run(number * cut.head, cut.head, large ? share * bytes : -1);
  });
  if (results[0].gradients.empty()) {
    cut.chunk = cut.samples;
    return {};
  }
  cut.heads = std::ssize(results);
  cut.chunk = size_of_others(problem, results[0], cut.head);
  return results;
}

// Throws where run_heads() would not cut all of the batch as its first chunk is cut.
void require_same_cut(const Problem& problem, const Problem::Result& result, const Cut& cut) {
  const double bytes = bytes_of(problem.parameters());
  const index_t left = cut.samples - heads_of(bytes, cut) * cut.head;
  const bool one = bytes >= kLarge &&
                   result.saved <= bytes * static_cast<double>(cut.head) / static_cast<double>(cut.samples);
  if (bytes <= kSmall || cut.head == cut.samples ||
      (!one && (left <= cut.head || size_of_others(problem, result, cut.head) == cut.head)))
    return;
  fail(
      kBatchGradient,
      "the model's parameters take more memory than what a tape keeps of {} samples, for which batch_gradient() cuts "
      "larger chunks than processes can share: set the option chunk, there as well if both shall have the same bits",
      cut.head);
}

struct Whole {
  double loss = 0;
  std::vector<Tensor> gradients;
  std::vector<SampleChunk::Count> counts;
};

Whole in_chunks(const Problem& problem, const std::optional<index_t>& asked) {
  const index_t samples = problem.samples(), usual = detail::chunk_size(samples, asked);
  Cut cut{.samples = samples, .heads = 0, .head = usual, .chunk = usual};
  BlockVector<Problem::Result> heads;
  if (!asked && usual < samples && bytes_of(problem.parameters()) > kSmall) heads = run_heads(problem, cut);
  TreeSum sums(cut.count(), 0, cut.count());
  BlockVector<double> losses(static_cast<std::size_t>(cut.count()));
  Whole whole;
  const auto keep = [&](index_t number, Problem::Result result) {
    losses[static_cast<std::size_t>(number)] = result.loss;
    if (number == 0) whole.counts = std::move(result.counts);  // the others count to the same
    sums.bring(number, std::move(result.gradients));
  };
  for (index_t i = 0; i < cut.heads; ++i) keep(i, std::move(heads[static_cast<std::size_t>(i)]));
  run_chunks(cut.heads, cut.count(),
             [&](index_t number) { keep(number, problem.run(cut.begin(number), cut.size(number))); });
  for (const double value : losses) whole.loss += value;
  whole.gradients = sums.take();
  return whole;
}

double inner_product(const Tensor& a, const Tensor& b) {
  double total = 0;
  dispatch_floating(a.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto x = a.values<T>(), y = b.values<T>();
    for (std::size_t i = 0; i < x.size(); ++i) total += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  });
  return total;
}

// Whether chunks can compute this loss: against one tape around the whole batch.
void require_same_as_one_tape(const Problem& problem, const Whole& found) {
  const Problem::Result right = problem.run(0, problem.samples());
  constexpr const char* kWays =
      "The loss must be the mean over the samples that it is given, or with .mean = false their sum. A masked mean, a "
      "variance over the batch, or a weight decay that each chunk adds anew need a Tape around the whole batch";
  double all = 0;
  for (const Tensor& g : right.gradients) all += inner_product(g, g);
  const auto tolerance = [](DType dtype) { return dtype == DType::Float32 ? 2e-3 : 1e-8; };
  for (std::size_t i = 0; i < right.gradients.size(); ++i) {
    const Tensor &r = right.gradients[i], &g = found.gradients[i];
    const double rr = inner_product(r, r), rg = inner_product(r, g), gg = inner_product(g, g);
    if (!std::isfinite(rr)) continue;  // there is no right size to compare with
    const double difference = std::sqrt(std::max(rr - 2 * rg + gg, 0.0));
    // The difference of squares is known to the square root of double's precision only, which is enough.
    const double most =
        tolerance(r.dtype()) * (std::sqrt(std::max(rr, gg)) + 1e-2 * std::sqrt(all)) + 1e-7 * std::sqrt(rr);
    if (std::isfinite(gg) && difference <= most) continue;
    fail(
        kBatchGradient,
        "the gradient of parameter {} (shape {}) differs from that of the whole batch on one tape: it is {:.4g} times "
        "as large, and the rest differs by {:.2g} of its size. {}",
        i, r.shape(), rr > 0 ? rg / rr : 0, rr > 0 ? std::sqrt(std::max(gg - rg * rg / rr, 0.0) / rr) : 1,
        kWays);
  }
  const DType dtype = right.gradients.empty() ? DType::Float32 : right.gradients.front().dtype();
  if (!(std::abs(found.loss - right.loss) <= tolerance(dtype) * std::abs(right.loss) + 1e-6) &&
      std::isfinite(right.loss))
    fail(kBatchGradient, "the loss in chunks is {} but on one tape {}: {:.4g} times as large. {}", found.loss,
         right.loss, right.loss != 0 ? found.loss / right.loss : 0, kWays);
}

bool check_by_default() {
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

}  // namespace

BatchGradient batch_gradient(const TensorFunction& loss, const std::vector<Tensor>& batch,
                             const std::vector<Tensor>& parameters, const BatchGradientOptions& options) {
  check_arguments(loss, batch, parameters, options);
  const Problem problem(loss, batch, parameters, options, batch[0].shape()[0]);
  const detail::ConstantFilters filters(parameters);  // packed once, not in each chunk
  Whole whole = in_chunks(problem, options.chunk);
  if (options.check.value_or(check_by_default())) require_same_as_one_tape(problem, whole);
  List of;
  of->assign(parameters.begin(), parameters.end());
  BatchGradient result{whole.loss, Gradients(of.release(), std::move(whole.gradients))};
  for (const SampleChunk::Count& count : whole.counts)
    count.store(count.next);  // last: what threw has no result
  return result;
}

namespace detail {

index_t chunk_size(index_t samples, const std::optional<index_t>& asked) {
  return std::min(asked.value_or(std::clamp<index_t>(samples / 8, 4, 16)), samples);
}

ChunkSums chunk_sums(const TensorFunction& loss, const std::vector<Tensor>& batch,
                     const std::vector<Tensor>& parameters, const BatchGradientOptions& options,
                     const ChunkRange& range) {
  check_arguments(loss, batch, parameters, options);
  const Cut cut{.samples = range.samples, .heads = 0, .head = range.chunk, .chunk = range.chunk};
  const Problem problem(loss, batch, parameters, options, range.samples, cut.begin(range.first));
  const ConstantFilters filters(parameters);
  TreeSum sums(cut.count(), range.first, range.end);
  ChunkSums found;
  found.losses.resize(static_cast<std::size_t>(range.end - range.first));
  std::vector<SampleChunk::Count> counts;
  run_chunks(range.first, range.end, [&](index_t number) {
    Problem::Result result = problem.run(cut.begin(number), cut.size(number));
    if (number == range.first) {
      if (!options.chunk && cut.size(number) == cut.head) require_same_cut(problem, result, cut);
      counts = std::move(result.counts);
    }
    found.losses[static_cast<std::size_t>(number - range.first)] = result.loss;
    sums.bring(number, std::move(result.gradients));
  });
  for (const Subtree& subtree : subtrees_of(range.first, range.end, cut.count()))
    found.sums.push_back(sums.take(subtree));
  if (!counts.empty())
    found.store_counts = [counts = std::move(counts)] {
      for (const SampleChunk::Count& count : counts) count.store(count.next);
    };
  return found;
}

}  // namespace detail

}  // namespace tapegrad::inline v0
