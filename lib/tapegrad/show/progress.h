#pragma once

// Progress: a line on the terminal that shows how far a training run is.

#include <cstdio>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

namespace detail {
struct Piece;
}

struct ProgressOptions {
  int epochs = 1;                   ///< number of epochs of the run
  index_t samples = 0;              ///< number of samples in an epoch
  int epochs_done = 0;              ///< epochs that a run that is continued has done before
  index_t samples_done = 0;         ///< samples of the next epoch that were done before
  std::string unit = "images";      ///< name of the samples
  double plain_interval = 30;       ///< seconds between lines when the output is not a terminal
  std::optional<bool> terminal{};   ///< whether to draw in place; not set: asks the stream
  int columns = 0;                  ///< the terminal's width; 0: asks the terminal
  std::function<double()> clock{};  ///< returns a time in seconds; not set: a steady clock
};

/// Shows the progress of a training run. On a terminal, one line that is redrawn at most ten times a second:
/// "epoch 2/5 [=====>    ] 61% loss 0.0123 5120 images/s left: epoch 0:12, run 1:40"; elsewhere plain lines, few enough
/// for a log file. On a narrow terminal whole parts of the line are left out. Each epoch leaves one line behind. Must
/// not be used by several threads at once.
class Progress {
 public:
  /// Numbers to show, by name: {{"loss", loss}}.
  using Value = std::pair<std::string_view, double>;
  using Values = std::initializer_list<Value>;

  /// out must outlive the Progress. Throws when epochs or samples are not positive, or if epochs_done or samples_done
  /// is negative.
  Progress(std::FILE* out, ProgressOptions options);
  /// Ends an unfinished line, so that what is printed next does not run into it.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Counts samples of the epoch that were done since the last call. The first call after end_epoch() begins the next
  /// epoch.
  void advance(index_t samples, std::span<const Value> values);
  void advance(index_t samples, Values values = {}) {
    advance(samples, std::span(values.begin(), values.size()));
  }
  /// Ends the epoch and writes its final line.
  void end_epoch(std::span<const Value> values);
  void end_epoch(Values values = {}) { end_epoch(std::span(values.begin(), values.size())); }

 private:
  void begin_epoch();
  std::string time_left(double rate) const;
  void write_line(std::vector<detail::Piece> pieces, std::optional<double> share);
  int columns() const;

  std::FILE* out_;
  ProgressOptions options_;
  bool terminal_;
  int epoch_ = 0;
  bool in_epoch_ = false, line_open_ = false;
  index_t done_ = 0, done_before_ = 0;  // of the epoch; done_before_: in an earlier process
  double started_ = 0, shown_ = 0;
};

}  // namespace v0
}  // namespace tapegrad
