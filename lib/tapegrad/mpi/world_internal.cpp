#include "tapegrad/mpi/world_internal.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <thread>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

constexpr int kPing = 7001;
constexpr std::uint64_t kWorks = 0, kFailed = 1, kLeaves = 2;
constexpr std::size_t kLongestMessage = 4096;

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "something was thrown that is not a std::exception";
  }
}

}  // namespace

World::World(const void* host, const CommunicatorOptions& options)
    : limit_(options.time_limit), uncaught_(std::uncaught_exceptions()) {
  constexpr const char* kOp = "Communicator";
  if (!(options.time_limit > 0) || !std::isfinite(options.time_limit))
    fail(kOp, "time_limit must be a number of seconds above 0, got {}", options.time_limit);
  int has_begun = 0, has_ended = 0;
  MPI_Initialized(&has_begun);
  MPI_Finalized(&has_ended);
  if (has_ended != 0)
    fail(kOp,
         "MPI has ended in this process and cannot begin again: make one Communicator for the whole program");
  if (has_begun == 0) {
    if (host != nullptr) fail(kOp, "the host's MPI_Comm needs a call of MPI_Init() before");
    int provided = 0;
    check(kOp, MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    owns_mpi_ = true;
  }
  const MPI_Comm from = host != nullptr ? *static_cast<const MPI_Comm*>(host) : MPI_COMM_WORLD;
  check(kOp, MPI_Comm_dup(from, &comm_));
  check(kOp, MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  check(kOp, MPI_Comm_rank(comm_, &process_));
  check(kOp, MPI_Comm_size(comm_, &processes_));
}

// Where a process has left, MPI_Finalize() would wait for it: what starts the processes ends them then.
World::~World() {
  if (alive_ && comm_ != MPI_COMM_NULL) leave();
  if (!alive_) {
    if (!abandoned_.empty()) new std::vector<Kept>(std::move(abandoned_));  // MPI may still write there
    return;
  }
  MPI_Comm_free(&comm_);
  if (owns_mpi_) MPI_Finalize();
}

void World::leave() {
  const bool in_error = std::uncaught_exceptions() > uncaught_;
  Header own;
  std::strncpy(own.op.data(), "~Communicator", own.op.size() - 1);
  own.state = in_error ? kLeaves : kWorks;
  try {
    if (processes_ == 1 || agree("Communicator", own)) return;
    for (const Header& header : gather<Header>("Communicator", std::span<const Header>(&own, 1)))
      if (header.op != own.op) alive_ = false;
  } catch (...) {
    alive_ = false;
  }
}

std::string World::name_of(int process) const {
  return fmt::format("process {} of {}", process, processes_);
}

void World::check(const char* op, int result) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  alive_ = false;
  fail(op, "MPI on {} says: {}", name_of(process_),
       std::string_view(text.data(), static_cast<std::size_t>(length)));
}

void World::wait(const char* op, std::span<MPI_Request> requests, Kept kept) {
  const Timed timed(*this);
  const double begin = MPI_Wtime();
  for (int turn = 0;; ++turn) {
    int done = 0;
    const int result =
        MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    if (result != MPI_SUCCESS) abandoned_.push_back(std::move(kept));
    check(op, result);
    if (done != 0) return;
    if (turn < 200) continue;
    const double waited = MPI_Wtime() - begin;
    if (waited > limit_) {
      abandoned_.push_back(std::move(kept));
      give_up(op);
    }
    // Others may need the core: more processes than cores is how small machines try things.
    if (waited < 2e-3)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(waited < 0.1 ? 50 : 500));
  }
}

// Tells the others that this process is still here, and hears who of them is.
void World::give_up(const char* op) {
  alive_ = false;
  std::vector<bool> here(static_cast<std::size_t>(processes_));
  here[static_cast<std::size_t>(process_)] = true;
  const auto ping = std::make_shared<int>(1);
  abandoned_.push_back(ping);
  for (int other = 0; other < processes_; ++other) {
    MPI_Request request;
    if (other != process_) MPI_Isend(ping.get(), 1, MPI_INT, other, kPing, comm_, &request);
  }
  for (const double end = MPI_Wtime() + std::min(limit_, 2.0); MPI_Wtime() < end;) {
    int found = 0, got = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, kPing, comm_, &found, &status) != MPI_SUCCESS) break;
    if (found != 0) {
      MPI_Recv(&got, 1, MPI_INT, status.MPI_SOURCE, kPing, comm_, MPI_STATUS_IGNORE);
      here[static_cast<std::size_t>(status.MPI_SOURCE)] = true;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  std::vector<std::string> missing;
  for (int other = 0; other < processes_; ++other)
    if (!here[static_cast<std::size_t>(other)]) missing.push_back(name_of(other));
  constexpr std::size_t kMostNamed = 8;
  const std::string rest =
      missing.size() > kMostNamed ? fmt::format(" and {} more", missing.size() - kMostNamed) : "";
  missing.resize(std::min(missing.size(), kMostNamed));
  fail(
      op,
      "{} has waited {:g} seconds for {}{}, which has ended, is stopped, or computes for longer: time_limit of "
      "CommunicatorOptions sets how long to wait",
      name_of(process_), limit_, missing.empty() ? "the others" : join(missing, ", "), rest);
}

// Whether all headers are the same: by the largest word and the largest complement.
bool World::agree(const char* op, const Header& own) {
  constexpr std::size_t kAll = kWords + 2;
  using Values = std::array<std::uint64_t, 2 * kAll>;
  struct Buffers {
    Values own, all;
  };
  const auto buffers = std::make_shared<Buffers>();
  Values& values = buffers->own;
  values[0] = hash_of(std::as_bytes(std::span(own.op)));
  values[1] = own.state;
  std::ranges::copy(own.words, values.begin() + 2);
  for (std::size_t i = 0; i < kAll; ++i) values[kAll + i] = ~values[i];
  MPI_Request request;
  check(op, MPI_Iallreduce(values.data(), buffers->all.data(), static_cast<int>(values.size()), MPI_UINT64_T,
                           MPI_MAX, comm_, &request));
  wait(op, {&request, 1}, buffers);
  for (std::size_t i = 0; i < kAll; ++i)
    if (buffers->all[i] != ~buffers->all[kAll + i]) return false;
  return true;
}

void World::meet(const char* op, std::span<const Word> words, const std::exception_ptr& failure) {
  const Timed timed(*this);
  if (!alive_)
    fail(op, "{} is no longer together with the others, after an earlier error or as one has left",
         name_of(process_));
  Header own;
  std::strncpy(own.op.data(), op, own.op.size() - 1);
  own.state = failure ? kFailed : kWorks;
  if (!failure)
    for (std::size_t i = 0; i < words.size(); ++i) own.words[i] = words[i].value;
  if (processes_ > 1 && !agree(op, own)) tell_difference(op, own, words, failure);
  if (failure) tell_failure(op, processes_ > 1 ? 0 : process_, failure);
}

// The first process whose value is not that of most; -1 if all have the same.
int World::stranger(const std::vector<Header>& all, const std::function<std::uint64_t(const Header&)>& value,
                    std::uint64_t& common) const {
  std::map<std::uint64_t, int> counts;
  for (const Header& header : all) ++counts[value(header)];
  common = value(all[0]);
  for (const auto& [candidate, count] : counts)
    if (count > counts[common]) common = candidate;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (value(all[i]) != common) return static_cast<int>(i);
  return -1;
}

void World::tell_difference(const char* op, const Header& own, std::span<const Word> words,
                            const std::exception_ptr& failure) {
  const std::vector<Header> all = gather<Header>(op, std::span<const Header>(&own, 1));
  // A process that leaves is not there for any later call.
  for (int i = 0; i < processes_; ++i) {
    const Header& header = all[static_cast<std::size_t>(i)];
    if (std::string_view(header.op.data()) != "~Communicator") continue;
    alive_ = false;
    fail(op, "{} has left{} while the others go on: all processes must make the same calls", name_of(i),
         header.state == kLeaves ? ", with an error of its own," : "");
  }
  for (int i = 0; i < processes_; ++i)
    if (all[static_cast<std::size_t>(i)].state == kFailed) tell_failure(op, i, failure);
  std::uint64_t common = 0;
  const auto op_of = [](const Header& header) { return hash_of(std::as_bytes(std::span(header.op))); };
  if (const int i = stranger(all, op_of, common); i >= 0) {
    const auto usual = std::ranges::find(all, common, op_of);
    fail(op,
         "{} calls {} while the others call {}: all processes must make the same calls, in the same order",
         name_of(i), all[static_cast<std::size_t>(i)].op.data(), usual->op.data());
  }
  for (std::size_t w = 0; w < words.size(); ++w) {
    const auto word = [w](const Header& header) { return header.words[w]; };
    const int i = stranger(all, word, common);
    if (i < 0) continue;
    const Word& differs = words[w];
    if (differs.is_number)
      fail(op, "{} must be the same on all processes, but {} has {}, and the others {}", differs.what,
           name_of(i), word(all[static_cast<std::size_t>(i)]), common);
    fail(op, "{} must be the same on all processes, but {} has another one than the others", differs.what,
         name_of(i));
  }
  fail(op, "the processes differ in how many values they compare");
}

void World::tell_failure(const char* op, int process, const std::exception_ptr& failure) {
  std::string text = failure ? text_of(failure) : "";
  if (text.size() > kLongestMessage) text.resize(kLongestMessage);
  if (processes_ > 1) broadcast(op, text, process);
  const std::string message = fmt::format("{} failed: {}", name_of(process), text);
  if (!failure) fail(op, "{}", message);
  try {
    std::rethrow_exception(failure);
  } catch (...) {
    std::throw_with_nested(Error(op, message));
  }
}

void World::broadcast(const char* op, std::span<std::byte> bytes, int from, const Kept& kept) {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  for (std::size_t at = 0; at < bytes.size(); at += kMost) {
    const int count = static_cast<int>(std::min(kMost, bytes.size() - at));
    MPI_Request request;
    check(op, MPI_Ibcast(bytes.data() + at, count, MPI_BYTE, from, comm_, &request));
    wait(op, {&request, 1}, kept);
    if (process_ == from) count_bytes(count);
  }
}

void World::broadcast(const char* op, std::string& text, int from) {
  const auto size = std::make_shared<std::uint64_t>(text.size());
  broadcast(op, std::as_writable_bytes(std::span(size.get(), 1)), from, size);
  const auto content = std::make_shared<std::string>(text);
  content->resize(*size);
  broadcast(op, std::as_writable_bytes(std::span(*content)), from, content);
  text = std::move(*content);
}

std::uint64_t hash_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  std::array<std::uint64_t, 4> lanes = {seed + 1, seed + 2, seed + 3, seed + 4};
  std::size_t at = 0;
  const auto word_at = [&](std::size_t place, std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + place, size);
    return word;
  };
  for (; at + 32 <= bytes.size(); at += 32)
    for (std::size_t lane = 0; lane < 4; ++lane)
      lanes[lane] = std::rotl((lanes[lane] ^ word_at(at + 8 * lane, 8)) * 0x9e3779b97f4a7c15, 31);
  std::uint64_t hash = bytes.size();
  for (; at < bytes.size(); at += 8)
    hash = mix(hash, word_at(at, std::min<std::size_t>(8, bytes.size() - at)));
  for (const std::uint64_t lane : lanes) hash = mix(hash, lane);
  return hash;
}

std::uint64_t hash_of_shapes(std::span<const Tensor> tensors) {
  std::uint64_t hash = tensors.size();
  for (const Tensor& x : tensors) {
    hash = mix(hash, static_cast<std::uint64_t>(x.dtype()) + 1);
    for (const index_t size : x.shape()) hash = mix(hash, static_cast<std::uint64_t>(size) + 7);
  }
  return hash;
}

std::uint64_t hash_of(const Tensor& x) {
  return hash_of(readable(x), hash_of_shapes({&x, 1}));
}

void require_same_hashes(World& world, const char* op, const std::vector<std::uint64_t>& hashes,
                         const std::function<std::string(std::size_t)>& name_of) {
  const std::uint64_t together = hash_of(std::as_bytes(std::span(hashes)));
  world.meet(op, {{"the number of tensors", hashes.size()}});
  std::uint64_t one = together;
  const std::vector<std::uint64_t> all =
      world.gather<std::uint64_t>(op, std::span<const std::uint64_t>(&one, 1));
  if (std::ranges::count(all, all[0]) == std::ssize(all)) return;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const std::vector<std::uint64_t> values =
        world.gather<std::uint64_t>(op, std::span<const std::uint64_t>(&hashes[i], 1));
    std::map<std::uint64_t, int> counts;
    for (const std::uint64_t value : values) ++counts[value];
    std::uint64_t common = values[0];
    for (const auto& [value, count] : counts)
      if (count > counts[common]) common = value;
    for (std::size_t process = 0; process < values.size(); ++process)
      if (values[process] != common)
        fail(op, "{} has another {} than the others: it has drifted, or did not begin with the same values",
             world.name_of(static_cast<int>(process)), name_of(i));
  }
}

std::span<std::byte> writable(Tensor& x) {
  return dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    return std::as_writable_bytes(x.mutable_values<T>());
  });
}

std::span<const std::byte> readable(const Tensor& x) {
  return dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) { return std::as_bytes(x.values<T>()); });
}

}  // namespace tapegrad::inline v0::detail
