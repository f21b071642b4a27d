#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tapegrad/data/loader.h"
#include "tapegrad/io/checkpoint.h"
#include "tapegrad/transforms/batch_gradient.h"

namespace common {

namespace tg = tapegrad;

/// The processes that train together: those of mpirun, if the examples are built with TAPEGRAD_MPI; else this one alone,
/// for which everything here costs nothing. What they compute does not depend on their number.
class Processes {
 public:
  Processes();
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  int count() const;
  int number() const;  ///< of this process, from 0: process 0 shows and writes what all have done
  bool is_first() const { return number() == 0; }
  /// Whether mpirun has started this program, of however many processes.
  bool are_started() const { return world_ != nullptr; }
  /// Threads for this process: asked if the user has, else its part of those of its machine.
  int threads(int asked, bool is_asked) const;

  /// For LoaderOptions::part.
  std::function<tg::BatchPart(tg::index_t)> part() const;
  /// tg::batch_gradient() of all, of what a Loader with part() gave to each.
  tg::BatchGradient gradient(const tg::TensorFunction& loss, const std::vector<tg::Tensor>& batch,
                             const tg::BatchPart& part, const std::vector<tg::Tensor>& parameters);

  bool any(bool yes);
  /// On process 0 alone; the others wait. What is wrong there is an error of all.
  void on_first(const std::function<void()>& f);
  std::optional<tg::Checkpoints::Newest> newest(tg::Checkpoints& checkpoints);
  /// The numbers of all, by process.
  std::vector<double> gather(double number);
  /// Runs work(i) for each i below count on whichever process is free, and done(i, its result) on process 0.
  void hand_out(tg::index_t count, const std::function<std::string(tg::index_t)>& work,
                const std::function<void(tg::index_t, const std::string&)>& done);

  /// Seconds that this process has spent in communication so far.
  double seconds_communicating() const;

 private:
  struct World;
  std::unique_ptr<World> world_;
};

}  // namespace common
