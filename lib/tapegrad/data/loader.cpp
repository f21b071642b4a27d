#include "tapegrad/data/loader.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "tapegrad/base/background.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/data/convert_internal.h"

namespace tapegrad::inline v0 {
namespace {

// Which children of the seed's generator shuffle and transform: a program that seeds other things alike gets
// other numbers there.
constexpr std::uint64_t kShuffling = 0x73687566666c65, kTransforming = 0x7472616e73666d;

// Room for samples of this shape.
Tensor room(index_t samples, const Shape& sample_shape, DType dtype) {
  std::vector<index_t> sizes(sample_shape.begin(), sample_shape.end());
  sizes.insert(sizes.begin(), samples);
  return TensorAccess::empty(Shape(sizes), dtype, "loader");
}

}  // namespace

struct Loader::Source {
  Samples inputs, targets;
  LoaderOptions options;

  index_t total() const { return inputs.size(); }
  index_t batches() const {
    const index_t full = total() / options.batch_size;
    return full * options.batch_size == total() || options.drop_last ? full : full + 1;
  }
  index_t samples() const { return options.drop_last ? batches() * options.batch_size : total(); }

  // What is read of this batch.
  BatchPart part_of(index_t epoch, index_t number) const {
    const index_t count = std::min(options.batch_size, samples() - number * options.batch_size);
    BatchPart part = {.count = count};
    if (options.part) part = options.part(count);
    if (part.first < 0 || part.count < 0 || part.count > count - part.first)
      fail("loader", "the part of a batch must lie in its {} samples, got {} samples from {} on", count,
           part.count, part.first);
    part.samples = count;
    part.key = options.seed;
    for (const index_t value : {total(), epoch, number, index_t{options.shuffle}})
      part.key = (part.key + static_cast<std::uint64_t>(value) + 1) * 0x9e3779b97f4a7c15;
    return part;
  }

  // What this sample's image is in this epoch.
  Tensor transformed(index_t epoch, index_t number) const {
    Tensor image = TensorAccess::empty(inputs.sample_shape(), options.dtype);
    detail::copy_converted(inputs[number], image, 0);
    Generator generator = Generator(options.seed)
                              .child(kTransforming)
                              .child(static_cast<std::uint64_t>(epoch))
                              .child(static_cast<std::uint64_t>(number));
    image = options.transform(std::move(image), generator);
    if (image.dtype() != options.dtype)  // throws when it is not defined
      fail("transform", "the transforms must keep the dtype {}, got {}", options.dtype, image.dtype());
    return image;
  }
};

struct Loader::Epoch::Pass : std::enable_shared_from_this<Pass> {
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() { forget_lost(); }
  Pass(std::shared_ptr<const Source> data, index_t epoch_number, index_t first_batch)
      : source(std::move(data)), epoch(epoch_number), first(first_batch) {
    if (!source->options.transform) image_shape = known_shape = source->inputs.sample_shape();
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
    prepared = number;
    if (number >= source->batches()) return;
    const index_t begin = number * source->options.batch_size;
    const BatchPart part = source->part_of(epoch, number);
    next = {.inputs = {}, .targets = {}, .epoch = epoch, .number = number, .first = begin, .part = part};
    const index_t count = part.count;
    if (image_shape) next->inputs = room(count, *image_shape, source->options.dtype);
    const Samples& targets = source->targets;
    if (targets.defined()) next->targets = room(count, targets.sample_shape(), targets.dtype());
    start(begin + part.first, count);
  }

  void start(index_t begin, index_t count) try {
    background.start([this, self = shared_from_this(), begin, count] {
      const ThreadCountScope workers(source->options.workers);
      const index_t done = image_shape || count == 0 ? 0 : 1;
      if (done == 1) fill(begin, count, 0);
      parallel_for(count - done, 1, [&](index_t from, index_t to) {
        for (index_t place = from + done; place < to + done; ++place) fill(begin, count, place);
      });
    });
  } catch (const std::system_error& error) {
    fail("loader", "the system has no thread to read batches: {}", error.what());
  }

  // Reads one sample of the next batch to its place there.
  void fill(index_t begin, index_t count, index_t place) {
    const index_t number = order[static_cast<std::size_t>(begin + place)];
    try {
      const Tensor image =
          source->options.transform ? source->transformed(epoch, number) : source->inputs[number];
      if (!image_shape) {  // what a transform makes of an image is known from the first one on
        image_shape = image.shape();
        next->inputs = room(count, *image_shape, source->options.dtype);
      }
      if (image.shape() != *image_shape)
        fail("transform", "the transforms must make images of one shape, got {} after {}", image.shape(),
             *image_shape);
      detail::copy_converted(image, next->inputs, place * image.size());
      if (next->targets.defined()) {
        const Tensor label = source->targets[number];
        detail::copy_converted(label, next->targets, place * label.size());
      }
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      std::throw_with_nested(Error("loader", fmt::format("sample {}: {}", number, error.what())));
    } catch (...) {
      std::throw_with_nested(Error(
          "loader", fmt::format("sample {}: something was thrown that is not a std::exception", number)));
    }
  }

  // In a process made by fork(): forgets the batch that the parent's thread was at, in whatever state, without
  // touching it. Returns whether there was one.
  bool forget_lost() {
    if (!background.lost()) return false;
    std::construct_at(&next);
    image_shape = known_shape;
    return true;
  }

  // Waits for the batch that is prepared, unless it is the preparation that ends the pass: then the task keeps the pass.
  void end() {
    try {
      background.wait();
    } catch (...) {  // nobody asks any more
    }
  }

  void advance() {
    if (background.runs_here())
      fail("loader", "a sample must not be made by stepping the epoch that it is made for");
    current.reset();  // its memory, if nobody kept it, is there for the batch after the next one
    or_end([&] {
      if (forget_lost()) prepare(prepared);
      background.wait();
      known_shape = image_shape;
      current = std::exchange(next, std::nullopt);
      if (current) prepare(current->number + 1);
    });
  }

  void begin() {
    if (std::exchange(begun, true)) return;
    or_end([&] { prepare(first); });
    advance();
  }

  // f(), and if it throws the end of the pass: a batch that is not whole is never handed out.
  template <class F>
  void or_end(const F& f) {
    try {
      f();
    } catch (...) {
      current.reset();
      next.reset();
      prepared = source->batches();
      throw;
    }
  }

  std::shared_ptr<const Source> source;
  index_t epoch, first;
  std::vector<index_t> order;
  std::optional<Shape> image_shape, known_shape;  // known_shape: as of the last batch that was waited for
  index_t prepared = 0;                           // the number of the batch that is prepared, or was
  std::optional<Batch> current, next;
  bool begun = false;
  Background background;  // last, so that it ends before what its task uses
};

Loader::Loader(Samples inputs, Samples targets, const LoaderOptions& options) {
  if (!inputs.defined()) fail("loader", "inputs must be defined, got Samples (or a Tensor) that are not");
  if (targets.defined() && targets.size() != inputs.size())
    fail("loader", "there are {} inputs (shape {}), but the targets have shape {}", inputs.size(),
         inputs.shape(), targets.shape());
  if (options.batch_size < 1) fail("loader", "batch_size must be at least 1, got {}", options.batch_size);
  if (options.dtype != inputs.dtype() && !is_floating(options.dtype))
    fail("loader", "dtype must be {}, as the inputs are, or a floating one, got {}", inputs.dtype(),
         options.dtype);
  if (options.workers < 1 || options.workers > 1024)
    fail("loader", "workers must be 1 to 1024, got {}", options.workers);
  source_ = std::make_shared<const Source>(Source{std::move(inputs), std::move(targets), options});
}

Loader::Epoch Loader::epoch(index_t number, index_t first_batch) const {
  if (number < 0) fail("loader", "the epoch must be at least 0, got {}", number);
  if (first_batch < 0 || first_batch > batches())
    fail("loader", "the first batch must be 0 to {}, the number of batches, got {}", batches(), first_batch);
  return Epoch(std::make_shared<Epoch::Pass>(source_, number, first_batch));
}

index_t Loader::batches() const {
  return source_->batches();
}

index_t Loader::samples() const {
  return source_->samples();
}

Loader::Epoch::Epoch(std::shared_ptr<Pass> pass) : pass_(std::move(pass)) {}
Loader::Epoch::Epoch(Epoch&&) noexcept = default;
Loader::Epoch::~Epoch() {
  if (pass_) pass_->end();
}

Loader::Epoch::Iterator Loader::Epoch::begin() {
  pass_->begin();
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
