#include "common/training_log.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "tapegrad/base/error.h"
#include "tapegrad/io/image.h"

namespace common {
namespace {

nlohmann::ordered_json line_of(const char* head, tg::index_t number, TrainingLog::Values values) {
  nlohmann::ordered_json line = {{head, number}};
  for (const auto& [name, value] : values) line[std::string(name)] = value;
  return line;
}

}  // namespace

TrainingLog::TrainingLog(const TrainingOptions& options, const tg::Loader& loader)
    : path_(options.metrics.empty() ? options.out / "metrics.jsonl" : options.metrics),
      file_(path_),
      progress_(stdout, {.epochs = static_cast<int>(options.epochs), .samples = loader.samples()}),
      epochs_(options.epochs),
      max_steps_(options.max_steps),
      steps_per_epoch_(static_cast<double>(loader.batches())) {
  if (!file_) throw tg::Error("metrics", fmt::format("cannot write '{}'", path_.string()));
}

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
  const tg::index_t images = batch.images.shape()[0];
  for (const auto& [name, value] : values) {
    if (!std::isfinite(value))
      throw tg::Error("train", fmt::format("the {} is {} at step {}: try a smaller --learning-rate", name,
                                           value, steps_));
    sums_[std::string(name)] += value * static_cast<double>(images);
  }
  images_ += images;
  keep(values);

  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> took = now - started_;
  started_ = now;
  auto line = line_of("step", steps_, values);
  line["images_per_s"] = static_cast<double>(images) / took.count();
  write(line.dump());
  progress_.advance(images, values);
}

double TrainingLog::mean(std::string_view name) const {
  const auto sum = sums_.find(name);
  if (sum == sums_.end()) throw tg::Error("metrics", fmt::format("no step has logged '{}'", name));
  return sum->second / static_cast<double>(images_);
}

void TrainingLog::end_epoch(Values values) {
  keep(values);
  write(line_of("epoch", epoch_ + 1, values).dump());
  progress_.end_epoch(values);
}

void TrainingLog::draw(const std::filesystem::path& path, std::initializer_list<std::string_view> names,
                       const tg::ChartOptions& chart) const {
  std::vector<tg::Series> shown;
  for (const std::string_view name : names)
    if (const auto found = series_.find(name); found != series_.end()) shown.push_back(found->second);
  tg::write_png(path, tg::line_chart(shown, chart));
}

void TrainingLog::keep(Values values) {
  for (const auto& [name, value] : values) {
    tg::Series& series = series_[std::string(name)];
    series.name = name;
    series.x.push_back(static_cast<double>(steps_) / steps_per_epoch_);
    series.y.push_back(value);
  }
}

void TrainingLog::write(const std::string& line) {
  file_ << line << std::endl;
  if (!file_) throw tg::Error("metrics", fmt::format("cannot write '{}'", path_.string()));
}

}  // namespace common
