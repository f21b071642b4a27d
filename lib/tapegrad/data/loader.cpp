#include "tapegrad/data/loader.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/base/background.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"

namespace tapegrad::inline v0 {
namespace {

// Which children of the seed's generator shuffle and transform: a program that seeds other things alike gets
// other numbers there.
constexpr std::uint64_t kShuffling = 0x73687566666c65, kTransforming = 0x7472616e73666d;

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, std::uint8_t> && std::is_floating_point_v<To>) {
    return static_cast<To>(value) / To{255};
  } else {
    return static_cast<To>(value);
  }
}

// Writes a sample, converted, over the elements of `to` from `first` on.
void copy_sample(const Tensor& sample, Tensor& to, index_t first) {
  dispatch(sample.dtype(), [&](auto from_type) {
    dispatch(to.dtype(), [&](auto to_type) {
      using From = typename decltype(from_type)::type;
      using To = typename decltype(to_type)::type;
      std::ranges::transform(sample.values<From>(), to.mutable_data<To>() + first, convert<To, From>);
    });
  });
}

// Room for samples of this shape.
Tensor room(index_t samples, const Shape& sample_shape, DType dtype) {
  std::vector<index_t> sizes(sample_shape.begin(), sample_shape.end());
  sizes.insert(sizes.begin(), samples);
  return TensorAccess::empty(Shape(sizes), dtype);
}

}  // namespace

struct Loader::Source {
  Samples images, labels;
  LoaderOptions options;

  index_t total() const { return images.size(); }
  index_t batches() const {
    const index_t full = total() / options.batch_size;
    return full * options.batch_size == total() || options.drop_last ? full : full + 1;
  }
  index_t samples() const { return options.drop_last ? batches() * options.batch_size : total(); }

  // What this sample's image is in this epoch.
  Tensor transformed(index_t epoch, index_t number) const {
    Tensor image = TensorAccess::empty(images.sample_shape(), options.dtype);
    copy_sample(images[number], image, 0);
    Generator generator = Generator(options.seed)
                              .child(kTransforming)
                              .child(static_cast<std::uint64_t>(epoch))
                              .child(static_cast<std::uint64_t>(number));
    image = options.transform(std::move(image), generator);
    if (image.dtype() != options.dtype)  // throws when it is not defined
      fail("transform", "an image of {} became one of {}", options.dtype, image.dtype());
    return image;
  }
};

struct Loader::Epoch::Pass {
  Pass(std::shared_ptr<const Source> data, index_t epoch_number, index_t first_batch)
      : source(std::move(data)), epoch(epoch_number), first(first_batch) {
    if (!source->options.transform) image_shape = source->images.sample_shape();
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
    const index_t begin = number * source->options.batch_size;
    const index_t count = std::min(source->options.batch_size, source->samples() - begin);
    next = {.images = {}, .labels = {}, .epoch = epoch, .number = number, .first = begin};
    if (image_shape) next->images = room(count, *image_shape, source->options.dtype);
    const Samples& labels = source->labels;
    if (labels.defined()) next->labels = room(count, labels.sample_shape(), labels.dtype());
    background.start([this, begin, count] {
      const ThreadCountScope workers(source->options.workers);
      const index_t done = image_shape ? 0 : 1;
      if (done == 1) fill(begin, count, 0);
      parallel_for(count - done, 1, [&](index_t from, index_t to) {
        for (index_t place = from + done; place < to + done; ++place) fill(begin, count, place);
      });
    });
  }

  // Reads one sample of the next batch to its place there.
  void fill(index_t begin, index_t count, index_t place) {
    const index_t number = order[static_cast<std::size_t>(begin + place)];
    try {
      const Tensor image =
          source->options.transform ? source->transformed(epoch, number) : source->images[number];
      if (!image_shape) {  // what a transform makes of an image is known from the first one on
        image_shape = image.shape();
        next->images = room(count, *image_shape, source->options.dtype);
      }
      if (image.shape() != *image_shape)
        fail("transform", "it became an image of shape {}, but the first one has {}", image.shape(),
             *image_shape);
      copy_sample(image, next->images, place * image.size());
      if (next->labels.defined()) {
        const Tensor label = source->labels[number];
        copy_sample(label, next->labels, place * label.size());
      }
    } catch (const std::exception& error) {
      fail("loader", "sample {}: {}", number, error.what());
    } catch (...) {
      fail("loader", "sample {}: something was thrown that is not a std::exception", number);
    }
  }

  void advance() {
    current.reset();  // its memory, if nobody kept it, is there for the batch after the next one
    try {
      background.wait();
    } catch (...) {
      next.reset();  // the pass has ended
      throw;
    }
    current = std::exchange(next, std::nullopt);
    if (current) prepare(current->number + 1);
  }

  std::shared_ptr<const Source> source;
  index_t epoch, first;
  std::vector<index_t> order;
  std::optional<Shape> image_shape;
  std::optional<Batch> current, next;
  bool begun = false;
  Background background;  // last, so that it ends before what its task uses
};

Loader::Loader(Samples images, Samples labels, const LoaderOptions& options) {
  if (!images.defined()) fail("loader", "there are no images: their Samples, or Tensor, is not defined");
  if (labels.defined() && labels.size() != images.size())
    fail("loader", "there are {} images (shape {}), but the labels have shape {}", images.size(),
         images.shape(), labels.shape());
  if (options.batch_size < 1) fail("loader", "a batch size of {} was asked for", options.batch_size);
  if (options.dtype != images.dtype() && !is_floating(options.dtype))
    fail("loader", "images of {} cannot be handed out as {}", images.dtype(), options.dtype);
  if (options.workers < 1 || options.workers > 1024)
    fail("loader", "{} workers were asked for; 1 to 1024 are possible", options.workers);
  source_ = std::make_shared<const Source>(Source{std::move(images), std::move(labels), options});
}

Loader::Epoch Loader::epoch(index_t number, index_t first_batch) const {
  if (number < 0) fail("loader", "epoch {} was asked for; they are counted from 0", number);
  if (first_batch < 0 || first_batch > batches())
    fail("loader", "an epoch of {} batches cannot begin at batch {}", batches(), first_batch);
  return Epoch(std::make_unique<Epoch::Pass>(source_, number, first_batch));
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
    pass_->prepare(pass_->first);
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

}  // namespace tapegrad::inline v0
