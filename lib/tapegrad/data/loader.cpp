#include "tapegrad/data/loader.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/base/background.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"

namespace tapegrad {
namespace {

// Which child of the seed's generator shuffles: a program that seeds other things alike gets other numbers
// there.
constexpr std::uint64_t kShuffling = 0x73687566666c65;

Shape with_samples(const Shape& shape, index_t samples) {
  std::vector<index_t> sizes(shape.begin(), shape.end());
  sizes.front() = samples;
  return Shape(sizes);
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, std::uint8_t> && std::is_floating_point_v<To>) {
    return static_cast<To>(value) / To{255};
  } else {
    return static_cast<To>(value);
  }
}

// Copies the samples of these numbers, one after the other.
void gather(const Tensor& from, std::span<const index_t> samples, Tensor& to) {
  dispatch(from.dtype(), [&](auto from_type) {
    dispatch(to.dtype(), [&](auto to_type) {
      using From = typename decltype(from_type)::type;
      using To = typename decltype(to_type)::type;
      if (to.size() == 0) return;
      const auto length = static_cast<std::size_t>(to.size()) / samples.size();
      auto target = to.mutable_values<To>().begin();
      for (const index_t sample : samples) {
        const auto elements = from.values<From>().subspan(static_cast<std::size_t>(sample) * length, length);
        target = std::ranges::transform(elements, target, convert<To, From>).out;
      }
    });
  });
}

}  // namespace

struct Loader::Source {
  Tensor images, labels;
  LoaderOptions options;

  index_t total() const { return images.shape()[0]; }
  index_t batches() const {
    const index_t full = total() / options.batch_size;
    return full * options.batch_size == total() || options.drop_last ? full : full + 1;
  }
  index_t samples() const { return options.drop_last ? batches() * options.batch_size : total(); }
};

struct Loader::Epoch::Pass {
  Pass(std::shared_ptr<const Source> data, index_t epoch) : source(std::move(data)) {
    order.resize(static_cast<std::size_t>(source->total()));
    std::iota(order.begin(), order.end(), index_t{0});
    if (source->options.shuffle)
      Generator(source->options.seed)
          .child(kShuffling)
          .child(static_cast<std::uint64_t>(epoch))
          .shuffle(std::span(order));
  }

  // Takes memory for a batch, on the caller's thread so that it is reused from batch to batch, and begins to
  // fill it.
  void prepare(index_t number) {
    if (number >= source->batches()) return;
    const index_t first = number * source->options.batch_size;
    const index_t count = std::min(source->options.batch_size, source->samples() - first);
    const Tensor &images = source->images, &labels = source->labels;
    next = {.images = TensorAccess::empty(with_samples(images.shape(), count), source->options.dtype),
            .labels = {},
            .number = number,
            .first = first};
    if (labels.defined())
      next->labels = TensorAccess::empty(with_samples(labels.shape(), count), labels.dtype());
    background.start([this, first, count] {
      const auto samples =
          std::span(order).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
      gather(source->images, samples, next->images);
      if (next->labels.defined()) gather(source->labels, samples, next->labels);
    });
  }

  void advance() {
    current.reset();  // its memory, if nobody kept it, is there for the batch after the next one
    background.wait();
    current = std::exchange(next, std::nullopt);
    if (current) prepare(current->number + 1);
  }

  std::shared_ptr<const Source> source;
  std::vector<index_t> order;
  std::optional<Batch> current, next;
  bool begun = false;
  Background background;  // last, so that it ends before what its task uses
};

Loader::Loader(Tensor images, Tensor labels, const LoaderOptions& options) {
  const DType dtype = images.dtype();  // throws when images is not defined
  if (images.rank() == 0) fail("loader", "the images have no axis of samples (shape {})", images.shape());
  if (labels.defined() && (labels.rank() == 0 || labels.shape()[0] != images.shape()[0]))
    fail("loader", "there are {} images (shape {}), but the labels have shape {}", images.shape()[0],
         images.shape(), labels.shape());
  if (options.batch_size < 1) fail("loader", "a batch size of {} was asked for", options.batch_size);
  if (options.dtype != dtype && !is_floating(options.dtype))
    fail("loader", "images of {} cannot be handed out as {}", dtype, options.dtype);
  source_ = std::make_shared<const Source>(Source{std::move(images), std::move(labels), options});
}

Loader::Epoch Loader::epoch(index_t number) const {
  if (number < 0) fail("loader", "epoch {} was asked for; they are counted from 0", number);
  return Epoch(std::make_unique<Epoch::Pass>(source_, number));
}

index_t Loader::batches() const {
  return source_->batches();
}

index_t Loader::samples() const {
  return source_->samples();
}

Loader::Epoch::Epoch(std::unique_ptr<Pass> pass) : pass_(std::move(pass)) {}
Loader::Epoch::Epoch(Epoch&&) noexcept = default;
Loader::Epoch::~Epoch() = default;

Loader::Epoch::Iterator Loader::Epoch::begin() {
  if (!std::exchange(pass_->begun, true)) {
    pass_->prepare(0);
    pass_->advance();
  }
  return Iterator(pass_.get());
}

const Batch& Loader::Epoch::Iterator::operator*() const {
  return *pass_->current;
}

Loader::Epoch::Iterator& Loader::Epoch::Iterator::operator++() {
  pass_->advance();
  return *this;
}

bool Loader::Epoch::Iterator::at_end() const {
  return !pass_->current.has_value();
}

}  // namespace tapegrad
