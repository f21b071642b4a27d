#pragma once

// Loader, which shuffles a data set and hands it out in batches that other threads prepare.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>

#include "tapegrad/data/dataset.h"
#include "tapegrad/data/samples.h"
#include "tapegrad/data/transforms.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Some of the samples of a batch, [first, first + count) of `samples`: those that one of several processes works on.
struct BatchPart {
  index_t first = 0, count = 0, samples = 0;
  /// Tells batches apart: of a Loader it depends on the seed, the data set's size, the epoch and the number.
  std::uint64_t key = 0;
};

struct LoaderOptions {
  index_t batch_size = 32;       ///< number of samples in a batch
  bool shuffle = true;           ///< whether each epoch has a new random order
  std::uint64_t seed = 0;        ///< seed of the shuffling and of the transforms
  bool drop_last = false;        ///< leave out a last batch that is not full
  DType dtype = DType::Float32;  ///< dtype of the inputs in a batch
  Transform transform{};         ///< applied to each image, after its conversion to dtype
  int workers = 1;               ///< threads that read and transform samples; batches do not depend on it
  /// Which samples of a batch of so many are read (first and count); empty: all. The order and what transforms draw
  /// stay as they are, so that parts together are the batch.
  std::function<BatchPart(index_t samples)> part{};
};

struct Batch {
  Tensor inputs;       ///< [n, ...]
  Tensor targets;      ///< [n, ...]; undefined when the loader has none
  index_t epoch = 0;   ///< the number that epoch() was called with
  index_t number = 0;  ///< the number of this batch in its epoch, from 0
  index_t first = 0;   ///< number of samples of the epoch before this batch
  /// The samples that inputs and targets hold: all, unless LoaderOptions::part says otherwise. Of a part without samples
  /// whose shape is not known yet, as a transform may change it, inputs are undefined.
  BatchPart part = {};
};

/// Splits a data set into batches, in an order that depends only on the seed and the number of the epoch:
///
///   const Loader loader(data, {.batch_size = 128, .seed = 7, .transform = random_shift(2)});
///   for (index_t epoch = 0; epoch < 5; ++epoch)
///     for (const Batch& batch : loader.epoch(epoch)) ...
///
/// What a transform draws for a sample depends only on the seed, the epoch and the sample's number in the data set. So
/// two numbers describe the position of a training run: after a batch, loader.epoch(batch.epoch, batch.number + 1)
/// continues, and the rest of the epoch is the same as if the run had never stopped.
///
/// Other threads prepare the next batch while the caller works on this one. Every batch has memory of its own, which is
/// never overwritten. The data set must not be changed while an epoch is read. An exception on one of these threads
/// reaches the caller at the step to that batch, as an Error that names the sample's number in the data set;
/// std::rethrow_if_nested gives the original exception. A std::bad_alloc is rethrown as it is. A process made by fork()
/// during an epoch may abandon the epoch or continue it.
class Loader {
 public:
  /// Inputs are converted to options.dtype: UInt8 to a floating dtype by dividing by 255, so that pixels lie in [0, 1];
  /// other dtypes by value. Targets, which may be undefined, keep their dtype. Throws for different numbers of inputs
  /// and targets, a batch size that is not positive, and inputs that would have to be converted to integers.
  explicit Loader(Samples inputs, Samples targets = {}, const LoaderOptions& options = {});
  /// Inputs without targets.
  Loader(Samples inputs, const LoaderOptions& options) : Loader(std::move(inputs), Samples(), options) {}
  explicit Loader(const Dataset& data, const LoaderOptions& options = {})
      : Loader(data.inputs, data.targets, options) {}

  class Epoch;
  /// The batches of an epoch, from first_batch on (none if first_batch is batches()), for one pass of a range-for.
  /// Throws when number or first_batch is negative, and when first_batch is more than batches().
  [[nodiscard]] Epoch epoch(index_t number, index_t first_batch = 0) const;

  /// Batches in an epoch.
  index_t batches() const;
  /// Samples in an epoch: all, except those of a last batch that is dropped.
  index_t samples() const;

 private:
  struct Source;
  std::shared_ptr<const Source> source_;
};

/// One pass over a Loader's data. An Epoch may outlive its Loader, and may be abandoned early. What reads or transforms
/// samples must not step the Epoch that it is called by: the step throws.
class Loader::Epoch {
 public:
  class Iterator;

  Epoch(Epoch&&) noexcept;
  ~Epoch();

  /// Begins the pass; a second call continues where the first one is.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class Loader;
  struct Pass;
  explicit Epoch(std::shared_ptr<Pass> pass);
  std::shared_ptr<Pass> pass_;
};

/// An input iterator. A reference to a Batch is valid until the next step; copies of the Batch stay valid.
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
