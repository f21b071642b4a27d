#include "tapegrad/mpi/distributed.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/mpi/world_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/transforms/subtrees_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Subtree;
using detail::World;

constexpr const char* kOp = "distributed_batch_gradient";

// How a batch is cut into chunks, and which of them each process has.
struct Shares {
  index_t samples, chunk, chunks;
  int processes;

  Shares(index_t all, const std::optional<index_t>& asked, int count)
      : samples(all),
        chunk(detail::chunk_size(all, asked)),
        chunks((all + chunk - 1) / chunk),
        processes(count) {}

  index_t first_of(int process) const { return chunks * process / processes; }
  index_t end_of(int process) const { return first_of(process + 1); }
  BatchPart part(int process) const {
    const index_t begin = std::min(first_of(process) * chunk, samples);
    return {.first = begin, .count = std::min(end_of(process) * chunk, samples) - begin, .samples = samples};
  }
  std::vector<Subtree> subtrees(int process) const {
    return detail::subtrees_of(first_of(process), end_of(process), chunks);
  }
};

// Numbers of one type, of many tensors in a row: what is exchanged.
template <class T>
MPI_Datatype type_of() {
  return std::is_same_v<T, float> ? MPI_FLOAT : MPI_DOUBLE;
}

int count_for_mpi(std::size_t count) {
  if (count > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    fail(kOp, "{} numbers are more than MPI moves at once: use Adding::ByAllreduce, or fewer processes",
         count);
  return static_cast<int>(count);
}

// The gradients of one dtype on their way through the processes. Each process adds one segment of the numbers, for all.
template <class T>
class Exchange {
 public:
  Exchange(World& world, const Shares& shares, const std::vector<Tensor>& parameters)
      : world_(world), shares_(shares) {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].dtype() == dtype_of<T>) {
        which_.push_back(i);
        size_ += static_cast<std::size_t>(parameters[i].size());
      }
  }

  /// Throws, on all processes alike, where MPI cannot move so many numbers at once.
  void require_movable() const {
    std::size_t most = 0, all = 0;
    for (int p = 0; p < world_.processes(); ++p) {
      most = std::max(most, shares_.subtrees(p).size());
      all += shares_.subtrees(p).size();
    }
    (void)count_for_mpi(most * size_);
    (void)count_for_mpi(all * (size_ / static_cast<std::size_t>(world_.processes()) + 1));
  }

  /// Adds in the tree of chunks. sums: of this process' subtrees. result: of all parameters, those of this dtype are set.
  void in_tree(const std::vector<std::vector<Tensor>>& sums, std::vector<Tensor>& result) {
    if (size_ == 0) return;
    const std::vector<T> added = add_segment(pack(sums));
    unpack(gather(added), result);
  }

  /// Adds one sum of each process, as MPI likes.
  void by_allreduce(const std::vector<Tensor>& own, std::vector<Tensor>& result) {
    if (size_ == 0) return;
    const auto buffers = std::make_shared<std::array<std::vector<T>, 2>>();
    (*buffers)[0].resize(size_);
    (*buffers)[1].resize(size_);
    flatten(own, (*buffers)[0].data());
    constexpr std::size_t kMost = std::size_t{1} << 28;
    for (std::size_t at = 0; at < size_; at += kMost) {
      MPI_Request request;
      world_.check(kOp, MPI_Iallreduce((*buffers)[0].data() + at, (*buffers)[1].data() + at,
                                       static_cast<int>(std::min(kMost, size_ - at)), type_of<T>(), MPI_SUM,
                                       world_.comm(), &request));
      world_.wait(kOp, {&request, 1}, buffers);
    }
    world_.count_bytes(static_cast<double>(size_ * sizeof(T)));
    unpack((*buffers)[1], result);
  }

 private:
  std::size_t begin_of(int process) const {
    return size_ * static_cast<std::size_t>(process) / static_cast<std::size_t>(world_.processes());
  }
  std::size_t length_of(int process) const { return begin_of(process + 1) - begin_of(process); }

  void flatten(const std::vector<Tensor>& tensors, T* to) const {
    for (const std::size_t i : which_) to = std::ranges::copy(tensors[i].values<T>(), to).out;
  }

  // The segments of all of this process' sums, by the process that they go to.
  std::vector<T> pack(const std::vector<std::vector<Tensor>>& sums) const {
    std::vector<T> packed(sums.size() * size_), flat(size_);
    for (std::size_t k = 0; k < sums.size(); ++k) {
      flatten(sums[k], flat.data());
      for (int to = 0; to < world_.processes(); ++to)
        std::copy_n(flat.data() + begin_of(to), length_of(to),
                    packed.data() + sums.size() * begin_of(to) + k * length_of(to));
    }
    return packed;
  }

  // This process' segment of the sum of all chunks.
  std::vector<T> add_segment(std::vector<T> packed) {
    const int processes = world_.processes();
    struct Buffers {
      std::vector<T> sent, got;
      std::vector<int> send_counts, send_at, counts, at;
    };
    const auto b = std::make_shared<Buffers>();
    b->sent = std::move(packed);
    const std::size_t length = length_of(world_.process());
    const std::size_t own = b->sent.size() / size_;
    std::vector<Subtree> subtrees;
    std::size_t sent = 0, got = 0;
    for (int p = 0; p < processes; ++p) {
      const std::vector<Subtree> theirs = shares_.subtrees(p);
      subtrees.insert(subtrees.end(), theirs.begin(), theirs.end());
      b->send_at.push_back(count_for_mpi(sent));
      b->send_counts.push_back(count_for_mpi(own * length_of(p)));
      b->at.push_back(count_for_mpi(got));
      b->counts.push_back(count_for_mpi(theirs.size() * length));
      sent += own * length_of(p);
      got += theirs.size() * length;
    }
    b->got.resize(got);
    MPI_Request request;
    world_.check(kOp, MPI_Ialltoallv(b->sent.data(), b->send_counts.data(), b->send_at.data(), type_of<T>(),
                                     b->got.data(), b->counts.data(), b->at.data(), type_of<T>(),
                                     world_.comm(), &request));
    world_.wait(kOp, {&request, 1}, b);
    world_.count_bytes(static_cast<double>((b->sent.size() - own * length) * sizeof(T)));
    const auto sum_of = [&](std::size_t i) { return b->got.data() + i * length; };
    detail::add_subtrees(subtrees, shares_.chunks, [&](std::size_t left, std::size_t right) {
      for (std::size_t j = 0; j < length; ++j) sum_of(left)[j] += sum_of(right)[j];
    });
    b->got.resize(length);
    return std::move(b->got);
  }

  // The segments of all processes.
  std::vector<T> gather(const std::vector<T>& segment) {
    struct Buffers {
      std::vector<T> own, all;
      std::vector<int> counts, at;
    };
    const auto b = std::make_shared<Buffers>();
    b->own = segment;
    b->all.resize(size_);
    for (int p = 0; p < world_.processes(); ++p) {
      b->counts.push_back(count_for_mpi(length_of(p)));
      b->at.push_back(count_for_mpi(begin_of(p)));
    }
    MPI_Request request;
    world_.check(kOp,
                 MPI_Iallgatherv(b->own.data(), static_cast<int>(b->own.size()), type_of<T>(), b->all.data(),
                                 b->counts.data(), b->at.data(), type_of<T>(), world_.comm(), &request));
    world_.wait(kOp, {&request, 1}, b);
    world_.count_bytes(static_cast<double>(b->own.size() * sizeof(T)));
    return std::move(b->all);
  }

  void unpack(const std::vector<T>& all, std::vector<Tensor>& result) const {
    const T* from = all.data();
    for (const std::size_t i : which_) {
      std::copy_n(from, result[i].size(), result[i].mutable_data<T>());
      from += result[i].size();
    }
  }

  World& world_;
  const Shares& shares_;
  std::vector<std::size_t> which_;
  std::size_t size_ = 0;
};

// A call on this process.
struct Call {
  World& world;
  const TensorFunction& loss;
  const std::vector<Tensor>& batch;
  const std::vector<Tensor>& parameters;
  const DistributedOptions& options;
};

// What this process has computed of its share.
struct Own {
  index_t samples = 0;
  BatchPart part;
  bool is_whole = false;
  detail::ChunkSums sums;
};

void check_call(const Call& call, const Own& own) {
  const auto& [world, loss, batch, parameters, options] = call;
  if (options.one_tape && options.adding == Adding::InTree)
    fail(kOp,
         "one_tape needs Adding::ByAllreduce: what is computed on one tape has no chunks to add in a tree");
  if (options.check_every < 0) fail(kOp, "check_every must be at least 0, got {}", options.check_every);
  if (options.chunk && *options.chunk < 1) fail(kOp, "chunk must be at least 1, got {}", *options.chunk);
  const Shares shares(own.samples, options.chunk, world.processes());
  const BatchPart expected = shares.part(world.process());
  if (expected.first != own.part.first || expected.count != own.part.count)
    fail(
        kOp,
        "{} must get samples {} to {} of a batch of {}, got {} to {}: give the Loader batch_part(world), with the same "
        "chunk as here",
        world.name_of(world.process()), expected.first, expected.first + expected.count, own.samples,
        own.part.first, own.part.first + own.part.count);
  for (const Tensor& x : batch)
    if (own.part.count > 0 &&
        (x.rank() == 0 || x.shape()[0] != (own.is_whole ? own.samples : own.part.count)))
      fail(kOp, "the tensors of the batch must have {} samples (first axis), got shape {}",
           own.is_whole ? own.samples : own.part.count, x.shape());
}

// Which samples the batch holds, and which of them this process works on.
void find_share(const Call& call, Own& own) {
  const auto& [world, loss, batch, parameters, options] = call;
  if (batch.empty()) fail(kOp, "the batch must have at least one tensor, got no tensors");
  for (const Tensor& x : parameters)
    if (!x.defined()) fail(kOp, "a tensor of the parameters was never given a value");
  own.is_whole = !options.part;
  if (own.is_whole && (!batch[0].defined() || batch[0].rank() == 0))
    fail(kOp, "the batch must hold tensors with samples along their first axis");
  own.samples = own.is_whole ? batch[0].shape()[0] : options.part->samples;
  if (own.samples < 1) fail(kOp, "the batch must have at least one sample, got {}", own.samples);
  if (options.chunk && *options.chunk < 1) fail(kOp, "chunk must be at least 1, got {}", *options.chunk);
  own.part = own.is_whole ? Shares(own.samples, options.chunk, world.processes()).part(world.process())
                          : *options.part;
  check_call(call, own);
}

std::vector<Tensor> share(const Call& call, const Own& own) {
  if (!own.is_whole) return call.batch;
  std::vector<Tensor> parts;
  for (const Tensor& x : call.batch)
    parts.push_back(slice(x, {{own.part.first, own.part.first + own.part.count}}));
  return parts;
}

// The gradient of this process' share, with its weight in the batch.
void compute(const Call& call, Own& own) {
  const auto& [world, loss, batch, parameters, options] = call;
  if (own.part.count == 0 && options.one_tape)
    fail(kOp, "with one_tape each process must have samples, and {} has none of {}",
         world.name_of(world.process()), own.samples);
  if (own.part.count == 0) return;
  const Shares shares(own.samples, options.chunk, world.processes());
  const std::vector<Tensor> mine = share(call, own);
  if (!options.one_tape) {
    BatchGradientOptions chunked{
        .chunk = options.chunk, .mean = options.mean, .all_parameters = options.all_parameters};
    if (options.adding == Adding::ByAllreduce) chunked.chunk = shares.chunk;  // no bits to be kept
    own.sums = detail::chunk_sums(loss, mine, parameters, chunked,
                                  {.chunk = shares.chunk,
                                   .samples = own.samples,
                                   .first = shares.first_of(world.process()),
                                   .end = shares.end_of(world.process())});
    return;
  }
  Tape tape;
  const Tensor value = loss(mine);
  if (!value.defined() || value.size() != 1)
    fail(kOp, "the loss must have one element, got {}",
         value.defined() ? fmt::format("shape {}", value.shape()) : "none");
  const double weight =
      options.mean ? static_cast<double>(own.part.count) / static_cast<double>(own.samples) : 1.0;
  own.sums.losses = {weight * value.item()};
  own.sums.sums = {tape.gradient(value, parameters,
                                 {.all_parameters = options.all_parameters,
                                  .output_gradient = full(value.shape(), weight, value.dtype())})
                       .tensors()};
}

// The losses of all chunks on their way to all processes, while gradients are exchanged. They are added in the order of the
// chunks, as batch_gradient() does.
class Losses {
 public:
  Losses(World& world, const Shares& shares, bool one_tape, const std::vector<double>& own)
      : world_(world), b_(std::make_shared<Buffers>()) {
    b_->own = own;
    int total = 0;
    for (int p = 0; p < world.processes(); ++p) {
      b_->at.push_back(total);
      b_->counts.push_back(one_tape ? 1 : static_cast<int>(shares.end_of(p) - shares.first_of(p)));
      total += b_->counts.back();
    }
    b_->all.resize(static_cast<std::size_t>(total));
    world.check(kOp, MPI_Iallgatherv(b_->own.data(), static_cast<int>(own.size()), MPI_DOUBLE, b_->all.data(),
                                     b_->counts.data(), b_->at.data(), MPI_DOUBLE, world.comm(), &request_));
  }

  // After an error of the exchange nobody may write here any more.
  ~Losses() {
    if (!is_done_) new std::shared_ptr<Buffers>(b_);
  }
  Losses(const Losses&) = delete;
  Losses& operator=(const Losses&) = delete;

  double sum() {
    world_.wait(kOp, {&request_, 1}, b_);
    is_done_ = true;
    double sum = 0;
    for (const double value : b_->all) sum += value;
    return sum;
  }

 private:
  struct Buffers {
    std::vector<double> own, all;
    std::vector<int> counts, at;
  };
  World& world_;
  std::shared_ptr<Buffers> b_;
  MPI_Request request_;
  bool is_done_ = false;
};

void check_parameters(World& world, const std::vector<Tensor>& parameters) {
  std::vector<std::uint64_t> hashes;
  for (const Tensor& x : parameters) hashes.push_back(detail::hash_of(x));
  detail::require_same_hashes(world, kOp, hashes, [&](std::size_t i) {
    return fmt::format("parameter {} (shape {})", i, parameters[i].shape());
  });
}

// Before anything is added: that all have come, and with the same.
void meet(const Call& call, const Own& own, const std::exception_ptr& failure) {
  const auto& [world, loss, batch, parameters, options] = call;
  if (failure) return world.meet(kOp, {}, failure);
  std::uint64_t key = own.part.key;
  if (own.is_whole && world.processes() > 1)
    for (const Tensor& x : batch) key = key * 31 + detail::hash_of(x);
  const std::uint64_t of_options =
      (static_cast<std::uint64_t>(options.adding) * 2 + (options.mean ? 1 : 0)) * 2 +
      (options.one_tape ? 1 : 0);
  world.meet(kOp,
             {{"the number of samples in the batch", static_cast<std::uint64_t>(own.samples)},
              {"the option chunk", static_cast<std::uint64_t>(options.chunk.value_or(0))},
              {"the list of the parameters' shapes and dtypes", detail::hash_of_shapes(parameters), false},
              {"the set of options", of_options, false},
              {"check_every", static_cast<std::uint64_t>(options.check_every)},
              {"the batch", key, false}});
}

// Layers that count samples (dropout) have counted on the processes that have some.
void require_all_count(World& world, const Own& own) {
  const bool counts = static_cast<bool>(own.sums.store_counts);
  const std::array<double, 2> mine = {counts ? 1.0 : 0.0, own.part.count == 0 ? 1.0 : 0.0};
  const std::vector<double> all = world.gather<double>(kOp, std::span<const double>(mine));
  bool some_count = false, some_have_none = false;
  for (std::size_t p = 0; p < all.size(); p += 2) {
    some_count |= all[p] != 0;
    some_have_none |= all[p + 1] != 0;
  }
  if (some_count && some_have_none)
    fail(
        kOp,
        "layers that number their samples (Dropout) need samples on each process, but {} samples in chunks make fewer "
        "than {} shares: set a smaller chunk, or drop_last of the Loader",
        own.samples, world.processes());
}

}  // namespace

BatchGradient distributed_batch_gradient(Communicator& communicator, const TensorFunction& loss,
                                         const std::vector<Tensor>& batch,
                                         const std::vector<Tensor>& parameters,
                                         const DistributedOptions& options) {
  World& world = World::of(communicator);
  const Call call{world, loss, batch, parameters, options};
  Own own;
  std::exception_ptr failure;
  try {
    find_share(call, own);
    compute(call, own);
  } catch (...) {
    failure = std::current_exception();
  }
  const World::Timed timed(world);
  meet(call, own, failure);
  if (options.check_every > 0 && world.next_call() % static_cast<std::uint64_t>(options.check_every) == 0)
    check_parameters(world, parameters);
  const Shares shares(own.samples, options.chunk, world.processes());
  if (shares.chunks < world.processes()) require_all_count(world, own);
  std::vector<Tensor> sums;
  for (const Tensor& x : parameters) sums.push_back(zeros_like(x));
  BatchGradient result;
  if (world.processes() == 1) {
    for (const double value : own.sums.losses) result.loss += value;
    result.gradients = Gradients(parameters, std::move(own.sums.sums[0]));
    if (own.sums.store_counts) own.sums.store_counts();
    return result;
  }
  if (options.adding == Adding::InTree) {
    Exchange<float>(world, shares, parameters).require_movable();
    Exchange<double>(world, shares, parameters).require_movable();
  }
  Losses losses(world, shares, options.one_tape, own.sums.losses);
  const auto add = [&]<class T>(std::type_identity<T>) {
    Exchange<T> exchange(world, shares, parameters);
    if (options.adding == Adding::InTree) {
      exchange.in_tree(own.sums.sums, sums);
    } else {
      for (std::size_t k = 1; k < own.sums.sums.size(); ++k)
        for (std::size_t i = 0; i < sums.size(); ++i) own.sums.sums[0][i] += own.sums.sums[k][i];
      if (own.sums.sums.empty()) own.sums.sums.push_back(sums);
      own.sums.sums.resize(1);
      exchange.by_allreduce(own.sums.sums[0], sums);
    }
  };
  add(std::type_identity<float>{});
  add(std::type_identity<double>{});
  result.loss = losses.sum();
  result.gradients = Gradients(parameters, std::move(sums));
  if (own.sums.store_counts) own.sums.store_counts();
  return result;
}

BatchPart share_of(const Communicator& world, index_t samples, const std::optional<index_t>& chunk) {
  if (samples < 1) fail("share_of", "samples must be at least 1, got {}", samples);
  if (chunk && *chunk < 1) fail("share_of", "chunk must be at least 1, got {}", *chunk);
  return Shares(samples, chunk, world.processes()).part(world.process());
}

std::function<BatchPart(index_t)> batch_part(const Communicator& world, const std::optional<index_t>& chunk) {
  if (chunk && *chunk < 1) fail("batch_part", "chunk must be at least 1, got {}", *chunk);
  return [chunk, processes = world.processes(), process = world.process()](index_t samples) {
    return Shares(samples, chunk, processes).part(process);
  };
}

}  // namespace tapegrad::inline v0
