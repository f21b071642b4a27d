#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/options.h"
#include "common/processes.h"
#include "tapegrad/data/loader.h"
#include "tapegrad/io/checkpoint.h"
#include "tapegrad/show/metrics.h"
#include "tapegrad/show/plot.h"
#include "tapegrad/show/progress.h"

namespace common {

namespace tg = tapegrad;

struct RunOptions {
  std::string metric = {};  ///< the value of an epoch that tells which checkpoint is the best; empty: none
  bool higher_is_better = false;  ///< of the metric: for an accuracy, not for a loss
  /// Those that train together, whose first one shows and writes everything; null: this one alone.
  Processes* processes = nullptr;
};

/// The length of a run that draws its own samples in each step, without a data set.
struct Steps {
  tg::index_t total = 0;  ///< steps of the whole run
  tg::index_t per_epoch =
      0;  ///< steps until a result is shown and a checkpoint saved; the last epoch may be shorter
};

/// How fast a run was, by the metrics of its steps, those of an earlier process included.
struct Speed {
  tg::index_t steps = 0;
  double images = 0;
  double seconds = 0;  ///< in steps, without evaluations
  double images_per_second() const { return seconds > 0 ? images / seconds : 0; }
};
Speed speed_of(const tg::Metrics& metrics);

/// A training run that can be interrupted (Ctrl-C) and continued (--resume) to the same bits; it shows on the
/// standard output how it gets on, and keeps the metrics as lines of JSON, one for every step and every epoch:
///
///   TrainingRun run(options, loader, {.metric = "test_loss"});
///   run.add("net", net).add("adam", adam);
///   run.train([&](const Batch& batch) { ...; return TrainingRun::Values{{"loss", loss.item()}}; },
///             [&] { return TrainingRun::Values{{"train_loss", run.mean("loss")}, {"test_loss", ...}}; });
class TrainingRun {
 public:
  using Values = std::vector<tg::Progress::Value>;

  /// Both must outlive it. Without --resume, moves the checkpoints and metrics of an earlier run aside. Throws, and
  /// leaves the earlier run alone, when a batch is larger than the data set and when the file of the metrics cannot be
  /// written.
  TrainingRun(const TrainingOptions& options, const tg::Loader& loader, const RunOptions& run = {});
  /// A run without a data set. Only the options that add_run_options() adds count.
  TrainingRun(const TrainingOptions& options, const Steps& length, const RunOptions& run = {});

  /// What the run has to remember to be continued: nets, optimizers, schedules, generators. They must outlive
  /// the run.
  template <class T>
  TrainingRun& add(const std::string& name, T& part) {
    state_.add(name, part);
    return *this;
  }
  /// An option that must be the same when the run is continued.
  template <class T>
  TrainingRun& require(const std::string& option, T value) {
    state_.require(option, value);
    return *this;
  }

  /// Runs step for each batch, and end_epoch after each epoch, and keeps and shows the values that they return.
  /// Continues the newest checkpoint first if --resume says so.
  /// Throws when a value is not finite, and cli::Interrupted, after a checkpoint, when Ctrl-C was pressed.
  void train(const std::function<Values(const tg::Batch&)>& step, const std::function<Values()>& end_epoch);
  /// The same for a run without a data set.
  void train(const std::function<Values()>& step, const std::function<Values()>& end_epoch) {
    train([&](const tg::Batch&) { return step(); }, end_epoch);
  }

  /// How many steps the epochs that were asked for have, at least 2: what schedules are made for.
  static tg::index_t planned_steps(const TrainingOptions& options, const tg::Loader& loader);
  tg::index_t steps() const { return step_; }
  /// The mean of a value of the steps, over the images (without a data set, the steps) of this epoch so far.
  double mean(std::string_view name) const;
  /// Of process 0.
  const tg::Metrics& metrics() const { return metrics_.value(); }

  /// How many images a process has computed each second of its own work, and which part of its time it spent in
  /// communication, waiting for others included.
  struct ProcessSpeed {
    double images_per_second = 0, communication = 0;
  };
  /// Of all processes of this part of the run; for all of them to call after train().
  std::vector<ProcessSpeed> process_speeds() const;
  /// Prints them, on process 0, if mpirun has started the program; for all to call.
  void show_processes() const;

  /// A chart of the values with these names, each with its title, over the epochs (without a data set, over the steps).
  void draw(const std::filesystem::path& path,
            std::initializer_list<std::pair<std::string_view, std::string_view>> names,
            const tg::ChartOptions& chart) const;

 private:
  TrainingRun(const TrainingOptions& options, const tg::Loader* loader, const Steps& length,
              const RunOptions& run);

  // Sums of values over the images of an epoch, by name.
  struct Sums {
    std::map<std::string, double> of;
    tg::State state() const;
    void load_state(const tg::State& state) { of = state.numbers; }
  };

  void restore();
  void save(std::optional<double> metric);
  tg::index_t epochs() const;
  double epochs_done() const { return static_cast<double>(step_) / static_cast<double>(length_.per_epoch); }
  tg::index_t batches() const;  // of the epoch that the run is in
  void for_each_batch(const std::function<bool(const tg::Batch&)>& f) const;
  bool enough() const { return options_.max_steps > 0 && step_ >= options_.max_steps; }
  bool train_epoch(tg::Progress& progress, const std::function<Values(const tg::Batch&)>& step,
                   const std::function<bool()>& interrupted);
  void note_step(tg::index_t images, double seconds, const Values& values);
  std::optional<double> note_epoch(tg::Progress& progress, const Values& values);
  [[noreturn]] void interrupt() const;

  const TrainingOptions& options_;
  bool is_first() const { return run_.processes == nullptr || run_.processes->is_first(); }
  bool any(bool yes) const { return run_.processes == nullptr ? yes : run_.processes->any(yes); }

  const tg::Loader* loader_;  // null: no data set
  Steps length_;
  RunOptions run_;
  tg::Checkpoints checkpoints_;
  std::optional<tg::Metrics> metrics_;  // of process 0
  tg::TrainingState state_;
  // Where the run is: steps done, the batch that comes next; and, of this epoch, images (or steps) and sums so far.
  tg::index_t step_ = 0, epoch_ = 0, next_ = 0, seen_ = 0;
  Sums sums_;
  double own_images_ = 0, seconds_ = 0, communicating_ = 0;  // of this process, in steps
};

}  // namespace common
