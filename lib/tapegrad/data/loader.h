#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

struct LoaderOptions {
  index_t batch_size = 32;
  bool shuffle = true;
  std::uint64_t seed = 0;        ///< of the shuffling
  bool drop_last = false;        ///< leave out a last batch that is not full
  DType dtype = DType::Float32;  ///< of the images handed out
};

struct Batch {
  Tensor images;       ///< [n, ...]
  Tensor labels;       ///< [n, ...]; not defined when the loader has none
  index_t number = 0;  ///< of this batch in its epoch, from 0
  index_t first = 0;   ///< samples that the epoch handed out before this batch
};

/// Cuts a data set into batches, in an order that is a function of the seed and the epoch's number alone:
///
///   const Loader loader(data.images, data.labels, {.batch_size = 128, .seed = 7});
///   for (index_t epoch = 0; epoch < 5; ++epoch)
///     for (const Batch& batch : loader.epoch(epoch)) ...
///
/// The next batch is prepared on another thread while the caller works on this one. Every batch has memory of
/// its own, which is never written again. The data set must not be changed while an epoch is read.
class Loader {
 public:
  /// images and labels (which need not be defined) have their samples along the first axis. Images of another
  /// dtype than options.dtype are converted to it: UInt8 to a floating dtype by dividing by 255, so that they
  /// lie in [0, 1]; others by value. Labels keep their dtype. Throws for scalars, different numbers of
  /// samples, a batch size that is not positive, and images that would have to be converted to integers.
  explicit Loader(Tensor images, Tensor labels = {}, const LoaderOptions& options = {});

  class Epoch;
  /// The batches of an epoch, for one pass of a range-for. Throws when number is negative.
  Epoch epoch(index_t number) const;

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

}  // namespace tapegrad
