#pragma once

// Loader, which shuffles a data set and hands it out in batches that other threads prepare.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "tapegrad/data/dataset.h"
#include "tapegrad/data/samples.h"
#include "tapegrad/data/transforms.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct LoaderOptions {
  index_t batch_size = 32;       ///< samples in a batch
  bool shuffle = true;           ///< a new random order in each epoch; otherwise that of the data set
  std::uint64_t seed = 0;        ///< of the shuffling, and of what the transform draws
  bool drop_last = false;        ///< leave out a last batch that is not full
  DType dtype = DType::Float32;  ///< of the inputs handed out
  Transform transform{};         ///< done to each image, after it was converted to dtype
  int workers = 1;               ///< threads that read and transform samples; batches do not depend on it
};

struct Batch {
  Tensor inputs;       ///< [n, ...]
  Tensor targets;      ///< [n, ...]; not defined when the loader has none
  index_t epoch = 0;   ///< the number that epoch() was called with
  index_t number = 0;  ///< of this batch in its epoch, from 0
  index_t first = 0;   ///< samples of the epoch before this batch
};

/// Cuts a data set into batches, in an order that is a function of the seed and the epoch's number alone:
///
///   const Loader loader(data, {.batch_size = 128, .seed = 7, .transform = random_shift(2)});
///   for (index_t epoch = 0; epoch < 5; ++epoch)
///     for (const Batch& batch : loader.epoch(epoch)) ...
///
/// What a transform draws for a sample is a function of the seed, the epoch and the sample's number in the
/// data set. So two numbers say where a training is: after batch it goes on with loader.epoch(batch.epoch,
/// batch.number + 1), and the rest of the epoch is the same as if it had never stopped.
///
/// The next batch is prepared on other threads while the caller works on this one. Every batch has memory of
/// its own, which is never written again. The data set must not be changed while an epoch is read. What is
/// thrown on those threads reaches the caller, when it steps to that batch, as an Error that names the
/// sample's number in the data set; std::rethrow_if_nested gives what was thrown. A std::bad_alloc stays one. A process
/// made by fork() during an epoch may leave it or go on with it.
class Loader {
 public:
  /// Inputs of another dtype than options.dtype are converted to it: UInt8 to a floating dtype by dividing by
  /// 255, so that pixels lie in [0, 1]; others by value. Targets, which need not be defined, keep their dtype.
  /// Throws for different numbers of inputs and targets, a batch size that is not positive, and inputs that
  /// would have to be converted to integers.
  explicit Loader(Samples inputs, Samples targets = {}, const LoaderOptions& options = {});
  /// Inputs without targets.
  Loader(Samples inputs, const LoaderOptions& options) : Loader(std::move(inputs), Samples(), options) {}
  explicit Loader(const Dataset& data, const LoaderOptions& options = {})
      : Loader(data.inputs, data.targets, options) {}

  class Epoch;
  /// The batches of an epoch, from first_batch on (batches() leaves none), for one pass of a range-for.
  /// Throws when a number is negative, and when first_batch is more than batches().
  Epoch epoch(index_t number, index_t first_batch = 0) const;

  /// Batches in an epoch.
  index_t batches() const;
  /// Samples in an epoch: all, but for a last batch that is dropped.
  index_t samples() const;

 private:
  struct Source;
  std::shared_ptr<const Source> source_;
};

/// One pass over a Loader's data. It may outlive the Loader, and may be left early.
class Loader::Epoch {
 public:
  class Iterator;

  Epoch(Epoch&&) noexcept;
  ~Epoch();

  /// Begins the pass; a second call goes on where the first one is.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class Loader;
  struct Pass;
  explicit Epoch(std::unique_ptr<Pass> pass);
  std::unique_ptr<Pass> pass_;
};

/// An input iterator. A reference to a Batch is good until the next step; copies of it stay.
class Loader::Epoch::Iterator {
 public:
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;

  const Batch& operator*() const;
  const Batch* operator->() const { return &**this; }
  Iterator& operator++();
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& at, std::default_sentinel_t) { return at.at_end(); }

 private:
  friend class Epoch;
  explicit Iterator(Pass* pass) : pass_(pass) {}
  bool at_end() const;
  Pass* pass_;
};

}  // namespace v0
}  // namespace tapegrad
