#pragma once

// What stands behind services.h. The transforms make these objects; layers ask them through the thread's context.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tapegrad/base/context.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// The samples [first, first + count) of a batch that a batch_gradient() works on, while it does so on this thread.
class SampleChunk {
 public:
  SampleChunk(index_t first, index_t count, index_t batch);
  ~SampleChunk();
  SampleChunk(const SampleChunk&) = delete;
  SampleChunk& operator=(const SampleChunk&) = delete;

  /// The calling thread's, nullptr outside of batch_gradient().
  static SampleChunk* current() { return context().chunk; }

  /// As tapegrad::count_samples(): by the layer's count before the batch, and what this chunk has added to it.
  std::uint64_t count_samples(const void* layer, std::uint64_t next, index_t samples,
                              std::function<void(std::uint64_t)> store);

  struct Count {
    const void* layer;
    std::uint64_t next;
    std::function<void(std::uint64_t)> store;
  };
  std::vector<Count> take_counts() { return std::move(counts_); }

  /// What rules have saved so far, but for parameters.
  std::size_t bytes_saved() const { return bytes_saved_; }
  void add_saved(std::size_t bytes) {
    if (context().loop_depth == loop_depth_) bytes_saved_ += bytes;  // else others do the same at this moment
  }

 private:
  index_t first_, count_, batch_;
  const int loop_depth_;
  std::vector<Count> counts_;
  std::size_t bytes_saved_ = 0;
};

/// A run of a checkpointed function on this thread.
class CheckpointRun {
 public:
  /// The first run notes in `values` what it is told; the second one (again) is told the same.
  CheckpointRun(std::vector<std::uint64_t>& values, bool again);
  ~CheckpointRun();
  CheckpointRun(const CheckpointRun&) = delete;
  CheckpointRun& operator=(const CheckpointRun&) = delete;

  static CheckpointRun* innermost() { return context().run; }

  std::uint64_t replay(std::uint64_t value);
  /// Notes a constant that an op reads, with its version: in the first run, and in first runs around this one.
  void note_constant(const Tensor& x);
  /// A tensor that the function has read, and how often that had been written to before.
  struct Constant {
    Tensor x;
    std::uint64_t version;
  };
  /// Those that live on after the run, which the function has captured.
  std::vector<Constant> take_captured();
  /// Whether this run or one around it is a second one.
  bool again() const { return again_ || (outer_ != nullptr && outer_->again()); }
  /// Whether all values were asked for again.
  bool finished() const { return next_ == values_.size(); }

 private:
  std::vector<std::uint64_t>& values_;
  std::size_t next_ = 0;
  const bool again_;
  const int loop_depth_;
  CheckpointRun* const outer_;
  void forget_temporaries();
  std::vector<Constant> constants_;
};

}  // namespace tapegrad::inline v0::detail
