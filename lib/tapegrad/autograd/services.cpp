#include "tapegrad/autograd/services.h"

#include <algorithm>

#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace detail {
namespace {

// Workers see the run of the thread that started their loop; what they would count has no order.
void require_same_loop(const char* op, int loop_depth) {
  if (context().loop_depth != loop_depth)
    fail(
        op,
        "a layer that counts samples or random numbers must not be called inside a parallel loop of the function: "
        "call the layer outside of the loop");
}

}  // namespace

SampleChunk::SampleChunk(index_t first, index_t count, index_t batch)
    : first_(first), count_(count), batch_(batch), loop_depth_(context().loop_depth) {
  context().chunk = this;
}

SampleChunk::~SampleChunk() {
  context().chunk = nullptr;
}

std::uint64_t SampleChunk::count_samples(const void* layer, std::uint64_t next, index_t samples,
                                         std::function<void(std::uint64_t)> store) {
  constexpr const char* kOp = "batch_gradient";
  require_same_loop(kOp, loop_depth_);
  if (samples % count_ != 0)
    fail(
        kOp,
        "a layer that numbers its samples (Dropout) must get a multiple of the chunk's {} samples, got {}: do not mix "
        "or drop samples before it",
        count_, samples);
  auto at = std::ranges::find(counts_, layer, &Count::layer);
  if (at == counts_.end()) at = counts_.insert(at, {layer, next, std::move(store)});
  const std::uint64_t begin = at->next;
  const auto per_sample = static_cast<std::uint64_t>(samples / count_);
  at->next += per_sample * static_cast<std::uint64_t>(batch_);
  return begin + per_sample * static_cast<std::uint64_t>(first_);
}

CheckpointRun::CheckpointRun(std::vector<std::uint64_t>& values, bool again)
    : values_(values), again_(again), loop_depth_(context().loop_depth), outer_(innermost()) {
  context().run = this;
}

CheckpointRun::~CheckpointRun() {
  context().run = outer_;
}

// Runs around this one know best: inside the second run of one, this may be a first.
std::uint64_t CheckpointRun::replay(std::uint64_t value) {
  require_same_loop("checkpoint", loop_depth_);
  if (outer_ != nullptr) value = outer_->replay(value);
  if (!again_) {
    values_.push_back(value);
    return value;
  }
  if (next_ == values_.size())
    fail(
        "checkpoint",
        "the second run of the function, for the gradient, asks its layers for more than the first: the function must "
        "do the same each time");
  return values_[next_++];
}

// What nobody but the list holds was made inside of the run.
void CheckpointRun::forget_temporaries() {
  std::erase_if(constants_, [](const Constant& c) { return TensorAccess::storage(c.x)->use_count() == 1; });
}

void CheckpointRun::note_constant(const Tensor& x) {
  if (outer_ != nullptr) outer_->note_constant(x);
  if (again_ || context().loop_depth != loop_depth_) return;
  forget_temporaries();
  const Storage* storage = TensorAccess::storage(x);
  for (const Constant& known : constants_)
    if (TensorAccess::storage(known.x) == storage) return;
  constants_.push_back({TensorAccess::view(x, x.shape()), storage->version()});
}

std::vector<CheckpointRun::Constant> CheckpointRun::take_captured() {
  forget_temporaries();
  return std::move(constants_);
}

}  // namespace detail

void require_whole_batch(const char* op) {
  if (detail::SampleChunk::current() != nullptr)
    fail(
        op,
        "mixes the samples of a batch, but batch_gradient() computes a few samples at a time: take the gradient with a "
        "Tape, or use a layer that treats each sample by itself");
}

std::uint64_t count_samples(const void* layer, std::uint64_t next, index_t samples,
                            std::function<void(std::uint64_t)> store) {
  if (detail::SampleChunk* chunk = detail::SampleChunk::current(); chunk != nullptr && !is_replaying())
    return replayed(chunk->count_samples(layer, next, samples, std::move(store)));
  const std::uint64_t first = replayed(next);
  if (!is_replaying()) store(first + static_cast<std::uint64_t>(samples));
  return first;
}

std::uint64_t replayed(std::uint64_t value) {
  detail::CheckpointRun* run = detail::CheckpointRun::innermost();
  return run == nullptr ? value : run->replay(value);
}

bool is_replaying() {
  const detail::CheckpointRun* run = detail::CheckpointRun::innermost();
  return run != nullptr && run->again();
}

}  // namespace tapegrad::inline v0
