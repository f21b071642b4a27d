#include "common/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "common/interrupt.h"
#include "common/system.h"
#include "tapegrad/io/image.h"

namespace common {

tg::State TrainingRun::Sums::state() const {
  tg::State state;
  state.numbers = of;
  return state;
}

namespace {

// Checks the options before anything of an earlier run is touched, and moves that run aside if this one begins anew, its
// metrics with its checkpoints: without them it could not be continued. Returns the file of the metrics.
std::filesystem::path prepare(const TrainingOptions& options, const tg::Loader* loader,
                              tg::Checkpoints& checkpoints) {
  if (loader != nullptr && options.batch > loader->samples())
    throw std::invalid_argument(fmt::format(
        "--batch must be at most {}the number of training images, got {}",
        loader->samples() > 0 ? fmt::format("{}, ", loader->samples()) : std::string(), options.batch));
  const std::filesystem::path metrics =
      options.metrics.empty() ? options.out / "metrics.jsonl" : options.metrics;
  check_output(metrics, "--metrics");
  const std::filesystem::path inside =
      std::filesystem::proximate(metrics, checkpoints.folder());  // which may be moved aside
  if (*inside.begin() != "..")
    throw std::invalid_argument(fmt::format("--metrics must be a file outside of '{}', got '{}'",
                                            checkpoints.folder().string(), metrics.string()));
  if (options.resume) return metrics;
  if (const auto aside = checkpoints.set_aside()) {
    std::error_code none;  // there may be no metrics, or on another disk
    std::filesystem::rename(metrics, *aside / "metrics.jsonl", none);
    fmt::print(
        "the checkpoints and metrics of an earlier run, which --resume would have continued, are in {}\n",
        aside->string());
  }
  return metrics;
}

}  // namespace

TrainingRun::TrainingRun(const TrainingOptions& options, const tg::Loader* loader, const Steps& length,
                         const RunOptions& run)
    : options_(options),
      loader_(loader),
      length_(length),
      run_(run),
      checkpoints_(options.out / "checkpoints",
                   {.keep = options.keep, .higher_is_better = run.higher_is_better}) {
  const auto begin = [&] {
    metrics_.emplace(prepare(options, loader, checkpoints_), tg::MetricsOptions{.keep = options.resume});
    state_.add("metrics", *metrics_);
  };
  if (run_.processes != nullptr)
    run_.processes->on_first(begin);
  else
    begin();
  state_.add("step", step_).add("epoch", epoch_).add("next", next_).add("seen", seen_).add("sums", sums_);
  state_.require("--seed", options.seed);
}

TrainingRun::TrainingRun(const TrainingOptions& options, const tg::Loader& loader, const RunOptions& run)
    : TrainingRun(options, &loader, {options.epochs * loader.batches(), loader.batches()}, run) {
  state_.require("--batch", options.batch).require("--learning-rate", options.learning_rate);
  state_.require("images", loader.samples());
}

TrainingRun::TrainingRun(const TrainingOptions& options, const Steps& length, const RunOptions& run)
    : TrainingRun(options, nullptr, length, run) {
  state_.require("--steps", length.total);
}

tg::index_t TrainingRun::planned_steps(const TrainingOptions& options, const tg::Loader& loader) {
  return std::max<tg::index_t>(2, options.epochs * loader.batches());
}

tg::index_t TrainingRun::epochs() const {
  return (length_.total + length_.per_epoch - 1) / length_.per_epoch;
}

tg::index_t TrainingRun::batches() const {
  return std::min(length_.per_epoch, length_.total - epoch_ * length_.per_epoch);
}

// Calls f with each batch of the epoch that is left, until it returns false; without a data set with empty ones.
void TrainingRun::for_each_batch(const std::function<bool(const tg::Batch&)>& f) const {
  if (loader_ == nullptr) {
    while (f({})) {
    }
    return;
  }
  for (const tg::Batch& batch : loader_->epoch(epoch_, next_))
    if (!f(batch)) return;
}

void TrainingRun::restore() {
  if (!options_.resume) return;
  auto newest = run_.processes != nullptr ? run_.processes->newest(checkpoints_) : checkpoints_.newest();
  if (!newest)
    throw std::invalid_argument(
        fmt::format("--resume must find a checkpoint in '{}', and there is none: begin a new run without it",
                    checkpoints_.folder().string()));
  if (!is_first()) {  // the metrics are process 0's
    tg::State& state = newest->checkpoint.state;
    const auto of_metrics = [](const auto& entry) { return entry.first.starts_with("metrics/"); };
    std::erase_if(state.tensors, of_metrics);
    std::erase_if(state.numbers, of_metrics);
    std::erase_if(state.integers, of_metrics);
    state_.load_state(state);
    return;
  }
  for (const std::string& what : newest->damaged)
    fmt::print(stderr, "a newer checkpoint is passed over: {}\n", what);
  state_.load_state(newest->checkpoint.state);
  fmt::print("continues after step {}\n", newest->checkpoint.step);
  if (epoch_ >= epochs() && loader_ == nullptr)
    fmt::print("all {} steps are done\n", step_);
  else if (epoch_ >= epochs())
    fmt::print("all {} epochs are done: a larger --epochs goes on\n", epoch_);
  else if (enough())
    fmt::print("all {} steps are done: a larger --max-steps goes on\n", step_);
}

void TrainingRun::save(std::optional<double> metric) {
  const auto write = [&] {
    checkpoints_.save({.state = state_.state_view(), .step = step_, .metric = metric});
  };
  if (run_.processes != nullptr)
    run_.processes->on_first(write);
  else
    write();
}

void TrainingRun::interrupt() const {
  throw cli::Interrupted{"interrupted; all that was done is saved: --resume continues it"};
}

void TrainingRun::train(const std::function<Values(const tg::Batch&)>& step,
                        const std::function<Values()>& end_epoch) {
  restore();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> nowhere(std::fopen(system::nowhere(), "w"),
                                                                std::fclose);
  tg::Progress progress(is_first() ? stdout : nowhere.get(),
                        {.epochs = static_cast<int>(std::max(epochs(), epoch_)),
                         .samples = loader_ != nullptr ? loader_->samples() : length_.per_epoch,
                         .epochs_done = static_cast<int>(epoch_),
                         .samples_done = seen_,
                         .unit = loader_ != nullptr ? "images" : "steps"});
  const InterruptScope scope;
  const auto interrupted = [&] { return any(scope.requested()); };
  while (epoch_ < epochs() && (!enough() || next_ > 0)) {
    progress.advance(0);  // the epoch begins
    if (!train_epoch(progress, step, interrupted)) interrupt();
    const std::optional<double> metric = note_epoch(progress, end_epoch());
    if (next_ < batches()) break;  // a run of more steps would go on with this epoch
    ++epoch_;
    next_ = seen_ = 0;
    sums_.of.clear();
    save(metric);
    if (interrupted()) interrupt();
  }
}

// Whether it came to the end of the epoch, or of the steps; not if it was interrupted.
bool TrainingRun::train_epoch(tg::Progress& progress, const std::function<Values(const tg::Batch&)>& step,
                              const std::function<bool()>& interrupted) {
  auto last = std::chrono::steady_clock::now();
  const auto communicating = [&] {
    return run_.processes == nullptr ? 0 : run_.processes->seconds_communicating();
  };
  bool stopped = false;
  for_each_batch([&](const tg::Batch& batch) {
    if (enough() || next_ == batches()) return false;
    const double before = communicating();
    const Values values = step(batch);
    communicating_ += communicating() - before;
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> took = now - last;  // with the time that the batch was waited for
    last = now;
    const tg::index_t images = loader_ != nullptr ? batch.part.samples : 1;
    own_images_ += static_cast<double>(loader_ != nullptr ? batch.part.count : 1);
    seconds_ += took.count();
    note_step(images, took.count(), values);
    progress.advance(images, values);

    if (next_ == batches()) return false;  // the epoch's end has a checkpoint of its own
    const bool due = options_.checkpoint_every > 0 && step_ % options_.checkpoint_every == 0;
    stopped = interrupted();
    if (due || enough() || stopped) save({});
    return !stopped;
  });
  return !stopped;
}

void TrainingRun::note_step(tg::index_t images, double seconds, const Values& values) {
  ++step_;
  ++next_;
  seen_ += images;
  std::vector<tg::Metrics::Entry> line = {{"step", step_}};
  if (loader_ != nullptr) line.emplace_back("epochs", epochs_done());
  for (const auto& [name, value] : values) {
    if (!std::isfinite(value))
      throw std::runtime_error(
          fmt::format("the {} is {} at step {}: try a smaller --learning-rate", name, value, step_));
    sums_.of[std::string(name)] += value * static_cast<double>(images);
    line.emplace_back(name, value);
  }
  if (loader_ != nullptr) line.emplace_back("images", images);
  line.emplace_back(loader_ != nullptr ? "images_per_s" : "steps_per_s",
                    static_cast<double>(images) / seconds);
  if (metrics_) metrics_->write(line);
}

// The value that tells which checkpoint is the best.
std::optional<double> TrainingRun::note_epoch(tg::Progress& progress, const Values& values) {
  std::vector<tg::Metrics::Entry> line = {{"epoch", epoch_ + 1}};
  if (loader_ != nullptr)
    line.emplace_back("epochs", epochs_done());
  else
    line.emplace_back("step", step_);
  std::optional<double> metric;
  for (const auto& [name, value] : values) {
    line.emplace_back(name, value);
    if (name == run_.metric) metric = value;
  }
  if (metrics_) metrics_->write(line);
  progress.end_epoch(values);
  return metric;
}

std::vector<TrainingRun::ProcessSpeed> TrainingRun::process_speeds() const {
  const double work = seconds_ - communicating_;
  const double rate = work > 0 ? own_images_ / work : 0, part = seconds_ > 0 ? communicating_ / seconds_ : 0;
  if (run_.processes == nullptr) return {{rate, part}};
  const std::vector<double> rates = run_.processes->gather(rate), parts = run_.processes->gather(part);
  std::vector<ProcessSpeed> speeds;
  for (std::size_t i = 0; i < rates.size(); ++i) speeds.push_back({rates[i], parts[i]});
  return speeds;
}

void TrainingRun::show_processes() const {
  if (run_.processes == nullptr || !run_.processes->are_started()) return;
  const std::vector<ProcessSpeed> speeds = process_speeds();
  for (std::size_t i = 0; is_first() && i < speeds.size(); ++i)
    fmt::print("process {} of {}: {:.0f} images/s, {:.0f}% of the time in communication\n", i, speeds.size(),
               speeds[i].images_per_second, 100 * speeds[i].communication);
}

Speed speed_of(const tg::Metrics& metrics) {
  const tg::Series rates = metrics.series("images", "images_per_s", "");
  Speed speed{.steps = static_cast<tg::index_t>(rates.x.size())};
  // The mean of the rates would count a fast step as much as a slow one.
  for (std::size_t i = 0; i < rates.x.size(); ++i) {
    speed.images += rates.x[i];
    speed.seconds += rates.x[i] / rates.y[i];
  }
  return speed;
}

double TrainingRun::mean(std::string_view name) const {
  const auto sum = sums_.of.find(std::string(name));
  if (sum == sums_.of.end()) throw std::logic_error(fmt::format("no step has a value called '{}'", name));
  return sum->second / static_cast<double>(seen_);
}

void TrainingRun::draw(const std::filesystem::path& path,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> names,
                       const tg::ChartOptions& chart) const {
  if (step_ == 0 || !metrics_) return;
  std::vector<tg::Series> shown;
  for (const auto& [name, title] : names)
    shown.push_back(metrics_->series(loader_ != nullptr ? "epochs" : "step", name, std::string(title)));
  tg::write_png(path, tg::line_chart(shown, chart));
}

}  // namespace common
