#include "common/training_log.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "tapegrad/base/error.h"
#include "tapegrad/io/image.h"

namespace common {

TrainingLog::TrainingLog(const TrainingOptions& options, const tg::Loader& loader)
    : metrics_(options.metrics.empty() ? options.out / "metrics.jsonl" : options.metrics),
      progress_(stdout, {.epochs = static_cast<int>(options.epochs), .samples = loader.samples()}),
      epochs_(options.epochs),
      max_steps_(options.max_steps),
      steps_per_epoch_(static_cast<double>(loader.batches())) {}

bool TrainingLog::begin_epoch(tg::index_t epoch) {
  if (epoch >= epochs_ || finished()) return false;
  epoch_ = epoch;
  images_ = 0;
  sums_.clear();
  progress_.advance(0);
  started_ = std::chrono::steady_clock::now();
  return true;
}

void TrainingLog::step(const tg::Batch& batch, Values values) {
  ++steps_;
  std::vector<tg::Metrics::Entry> line = {{"step", steps_}, {"epochs", epochs_done()}};
  const tg::index_t images = batch.images.shape()[0];
  for (const auto& [name, value] : values) {
    if (!std::isfinite(value))
      throw tg::Error("train", fmt::format("the {} is {} at step {}: try a smaller --learning-rate", name,
                                           value, steps_));
    sums_[std::string(name)] += value * static_cast<double>(images);
    line.emplace_back(name, value);
  }
  images_ += images;

  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> took = now - started_;
  started_ = now;
  line.emplace_back("images_per_s", static_cast<double>(images) / took.count());
  metrics_.write(line);
  progress_.advance(images, values);
}

double TrainingLog::mean(std::string_view name) const {
  const auto sum = sums_.find(name);
  if (sum == sums_.end()) throw tg::Error("metrics", fmt::format("no step has logged '{}'", name));
  return sum->second / static_cast<double>(images_);
}

void TrainingLog::end_epoch(Values values) {
  std::vector<tg::Metrics::Entry> line = {{"epoch", epoch_ + 1}, {"epochs", epochs_done()}};
  for (const auto& [name, value] : values) line.emplace_back(name, value);
  metrics_.write(line);
  progress_.end_epoch(values);
}

void TrainingLog::draw(const std::filesystem::path& path, std::initializer_list<std::string_view> names,
                       const tg::ChartOptions& chart) const {
  std::vector<tg::Series> shown;
  for (const std::string_view name : names)
    shown.push_back(metrics_.series("epochs", name, std::string(name)));
  tg::write_png(path, tg::line_chart(shown, chart));
}

}  // namespace common
