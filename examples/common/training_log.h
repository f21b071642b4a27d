#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "common/command_line.h"
#include "tapegrad/data/loader.h"
#include "tapegrad/show/metrics.h"
#include "tapegrad/show/plot.h"
#include "tapegrad/show/progress.h"

namespace common {

namespace tg = tapegrad;

/// Shows and keeps how a training run goes: on the standard output, as a line of JSON for every step and
/// every epoch, and as a chart in the end:
///
///   TrainingLog log(options, loader);
///   for (index_t epoch = 0; log.begin_epoch(epoch); ++epoch) {
///     for (const Batch& batch : loader.epoch(epoch)) {
///       ...
///       log.step(batch, {{"loss", loss.item()}});
///       if (log.finished()) break;
///     }
///     log.end_epoch({{"train_loss", log.mean("loss")}, {"test_loss", ...}});
///   }
class TrainingLog {
 public:
  using Values = tg::Progress::Values;

  /// Throws when the file of the metrics cannot be written.
  TrainingLog(const TrainingOptions& options, const tg::Loader& loader);

  /// False when there is no such epoch: all of them, or all steps that were asked for, are over.
  bool begin_epoch(tg::index_t epoch);
  /// A step with this batch is done. Throws when a value is not finite.
  void step(const tg::Batch& batch, Values values);
  /// Whether there were as many steps as --max-steps allows.
  bool finished() const { return max_steps_ > 0 && steps_ >= max_steps_; }
  /// The mean of a value of the steps, over the images of this epoch so far.
  double mean(std::string_view name) const;
  void end_epoch(Values values);

  /// The values with these names over the epochs. Throws when none of them was logged.
  void draw(const std::filesystem::path& path, std::initializer_list<std::string_view> names,
            const tg::ChartOptions& chart) const;

 private:
  double epochs_done() const { return static_cast<double>(steps_) / steps_per_epoch_; }

  tg::Metrics metrics_;
  tg::Progress progress_;
  tg::index_t epochs_, max_steps_, epoch_ = 0, steps_ = 0, images_ = 0;
  double steps_per_epoch_;
  std::map<std::string, double, std::less<>> sums_;  // over the images of this epoch
  std::chrono::steady_clock::time_point started_;    // of the step
};

}  // namespace common
