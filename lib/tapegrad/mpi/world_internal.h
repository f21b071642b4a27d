#pragma once

// Internal: the one place that calls MPI. All other files of this room meet through a World.

#include <mpi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/mpi/communicator.h"

namespace tapegrad::inline v0::detail {

/// What must be the same on all processes in a call.
struct Word {
  const char* what;
  std::uint64_t value;
  bool is_number = true;  ///< otherwise a hash, which is not told
};

/// Memory of a call that MPI may still write to after the call was given up.
using Kept = std::shared_ptr<void>;

class World {
 public:
  World(const void* host, const CommunicatorOptions& options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  static World& of(Communicator& communicator) { return *communicator.world_; }
  static const World& of(const Communicator& communicator) { return *communicator.world_; }

  MPI_Comm comm() const { return comm_; }
  int process() const { return process_; }
  int processes() const { return processes_; }
  bool alive() const { return alive_; }
  double seconds() const { return seconds_; }
  double bytes() const { return bytes_; }
  std::uint64_t next_call() { return calls_++; }

  /// The beginning of a call by all: throws the same on all processes unless all make this call with the same words, and
  /// none has failed.
  void meet(const char* op, std::span<const Word> words = {}, const std::exception_ptr& failure = {});
  void meet(const char* op, std::initializer_list<Word> words, const std::exception_ptr& failure = {}) {
    meet(op, std::span(words.begin(), words.size()), failure);
  }
  /// Meets as one that leaves; throws nothing.
  void leave();

  /// Waits for requests, to the time limit; kept is what they read and write.
  void wait(const char* op, std::span<MPI_Request> requests, Kept kept);
  /// Throws for a result of MPI that is not a success.
  void check(const char* op, int result);
  void count_bytes(double bytes) { bytes_ += bytes; }

  /// Counts time as spent in communication.
  class Timed {
   public:
    explicit Timed(World& world) : world_(world), outermost_(!world.timed_), begin_(MPI_Wtime()) {
      world.timed_ = true;
    }
    ~Timed() {
      if (!outermost_) return;
      world_.seconds_ += MPI_Wtime() - begin_;
      world_.timed_ = false;
    }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

   private:
    World& world_;
    const bool outermost_;
    const double begin_;
  };

  // Collective calls below do not meet.

  /// Values of all processes, by process.
  template <class T>
  std::vector<T> gather(const char* op, std::span<const T> own) {
    struct Buffers {
      std::vector<T> own, all;
    };
    const auto buffers = std::make_shared<Buffers>();
    buffers->own.assign(own.begin(), own.end());
    buffers->all.resize(own.size() * static_cast<std::size_t>(processes_));
    const int bytes = static_cast<int>(own.size_bytes());
    MPI_Request request;
    check(op, MPI_Iallgather(buffers->own.data(), bytes, MPI_BYTE, buffers->all.data(), bytes, MPI_BYTE,
                             comm_, &request));
    wait(op, {&request, 1}, buffers);
    return std::move(buffers->all);
  }
  /// Bytes of process `from` into those of the others.
  void broadcast(const char* op, std::span<std::byte> bytes, int from, const Kept& kept);
  void broadcast(const char* op, std::string& text, int from = 0);

  /// "process 2 of 4"
  std::string name_of(int process) const;

 private:
  static constexpr std::size_t kWords = 8;
  struct Header {
    std::array<char, 40> op{};
    std::uint64_t state = 0;
    std::array<std::uint64_t, kWords> words{};
  };
  [[noreturn]] void give_up(const char* op);
  [[noreturn]] void tell_difference(const char* op, const Header& own, std::span<const Word> words,
                                    const std::exception_ptr& failure);
  [[noreturn]] void tell_failure(const char* op, int process, const std::exception_ptr& failure);
  bool agree(const char* op, const Header& own);
  int stranger(const std::vector<Header>& all, const std::function<std::uint64_t(const Header&)>& value,
               std::uint64_t& common) const;

  MPI_Comm comm_ = MPI_COMM_NULL;
  int process_ = 0, processes_ = 1;
  double limit_;
  bool owns_mpi_ = false, alive_ = true, timed_ = false;
  double seconds_ = 0, bytes_ = 0;
  std::uint64_t calls_ = 0;
  int uncaught_;
  std::vector<Kept> abandoned_;
};

/// A hash of elements, shape and dtype; of many bytes fast, against accidents alone.
std::uint64_t hash_of(const Tensor& x);
std::uint64_t hash_of(std::span<const std::byte> bytes, std::uint64_t seed = 0);
/// Of shapes and dtypes alone.
std::uint64_t hash_of_shapes(std::span<const Tensor> tensors);

/// Throws on all, and names the first of the processes and things that differ, unless all have the same hashes.
void require_same_hashes(World& world, const char* op, const std::vector<std::uint64_t>& hashes,
                         const std::function<std::string(std::size_t)>& name_of);

/// The elements as bytes, for writing: a tape notices.
std::span<std::byte> writable(Tensor& x);
std::span<const std::byte> readable(const Tensor& x);

}  // namespace tapegrad::inline v0::detail
