#pragma once

// Communicator, the processes that work together, and what they tell each other.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tapegrad/io/checkpoint.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

namespace detail {
class TAPEGRAD_INTERNAL World;
}  // namespace detail

struct CommunicatorOptions {
  /// Seconds that a call waits for the other processes before it throws: more than one of them may compute between two
  /// calls.
  double time_limit = 300;
};

/// The processes of an MPI program. All calls below that are marked "by all" are made by all processes, in the same
/// order, from the thread that made the Communicator. What is wrong on one process is an Error on all of them, which
/// names the process: an exception, another call than the others make, other arguments, a process that has ended. After
/// such an error the processes are together again and may go on, unless one has left (alive() is false).
class Communicator {
 public:
  /// All processes of the program (MPI_COMM_WORLD). Calls MPI_Init_thread(), and MPI_Finalize() at its end, unless the
  /// program has called it. By all. Throws for a time limit that is not above 0, and where MPI has ended already.
  explicit Communicator(const CommunicatorOptions& options = {});
  /// The processes of a communicator (an MPI_Comm) of a program that has called MPI_Init() itself, of which this uses a
  /// duplicate. By all of them.
  template <class Comm>
  [[nodiscard]] static Communicator of(const Comm& host, const CommunicatorOptions& options = {}) {
    static_assert(std::is_trivially_copyable_v<Comm>, "host must be an MPI_Comm");
    return Communicator(static_cast<const void*>(&host), options);
  }
  /// By all. While an exception is on its way, tells the others that this process leaves: their calls throw.
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) = delete;

  int process() const;    ///< number of this process, from 0
  int processes() const;  ///< how many there are
  bool is_first() const { return process() == 0; }
  bool alive() const;             ///< false after an error that ends the work together
  double seconds_waited() const;  ///< that this process has spent in communication so far, waiting included
  double bytes_sent() const;      ///< by this process, so far; of what trees inside MPI send on, once

  /// Waits until all processes are here. By all.
  void barrier();
  /// Whether any process says yes. By all.
  [[nodiscard]] bool any(bool yes);
  /// The numbers of all processes, by process. By all.
  [[nodiscard]] std::vector<double> gather(double number);
  /// Runs f on process 0; an exception there is an error on all. By all, which wait: for writing files.
  void on_first(const std::function<void()>& f);

  /// Runs work(i) for each i in [0, count), whichever process is free next, and done(i, result) on process 0 for each
  /// result. Process 0 only hands out, unless it is alone. work() may take any time. An exception of work() ends the
  /// call with an error on all. By all.
  void hand_out(index_t count, const std::function<std::string(index_t)>& work,
                const std::function<void(index_t, const std::string&)>& done);

 private:
  friend class detail::World;
  Communicator(const void* host, const CommunicatorOptions& options);
  std::unique_ptr<detail::World> world_;
};

// All by all processes.

/// Writes the elements of process 0's tensors into those of the others. Throws on all unless shapes and dtypes are the
/// same everywhere.
void broadcast(Communicator& world, const std::vector<Tensor>& tensors);
/// Process 0's state becomes that of the others, whatever they had.
void broadcast(Communicator& world, State& state);
/// Process 0's text becomes that of the others.
void broadcast(Communicator& world, std::string& text);

/// Throws on all, and names the process and the first tensor that differs, unless all have the same bits. What is asked
/// each N calls of distributed_batch_gradient().
void require_same(Communicator& world, const NamedTensors& tensors);

/// The sum of x over all processes, on each of them. Differentiable, any number of times, if all processes compute the
/// same function of their x: then the gradient is the sum of theirs. Throws on all unless shapes and dtypes are the same.
[[nodiscard]] Tensor sum_over(Communicator& world, const Tensor& x);

/// Checkpoints::save() on process 0; what is wrong there is an error on all.
void save(Communicator& world, Checkpoints& checkpoints, const Checkpoint& checkpoint);
/// Checkpoints::newest() of process 0, on all: no other process reads a file.
[[nodiscard]] std::optional<Checkpoints::Newest> newest(Communicator& world, Checkpoints& checkpoints);

}  // namespace v0
}  // namespace tapegrad
