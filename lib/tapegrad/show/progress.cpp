#include "tapegrad/show/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr double kRedrawInterval = 0.1;  // seconds
constexpr int kDefaultColumns = 80, kMostBar = 30, kLeastBar = 5;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// 0:07, 12:34 or 1:02:03
std::string duration(double seconds) {
  const auto whole = static_cast<long>(std::clamp(std::ceil(seconds), 0.0, 1e9));
  const long hours = whole / 3600, minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string list(std::span<const Progress::Value> values) {
  std::string text;
  for (const auto& [name, value] : values) text += fmt::format(" {} {:.4g}", name, value);
  return text;
}

std::string bar(double share, int length) {
  const int filled = static_cast<int>(share * length);
  std::string text(static_cast<std::size_t>(length), ' ');
  std::fill_n(text.begin(), filled, '=');
  if (filled < length) text[static_cast<std::size_t>(filled)] = '>';
  return text;
}

}  // namespace

Progress::Progress(std::FILE* out, ProgressOptions options)
    : out_(out),
      options_(std::move(options)),
      terminal_(options_.terminal.value_or(::isatty(::fileno(out)) == 1)),
      epoch_(options_.epochs_done) {
  if (options_.epochs < 1 || options_.samples < 1)
    fail("progress", "{} epochs of {} samples were announced", options_.epochs, options_.samples);
  if (options_.epochs_done < 0 || options_.samples_done < 0)
    fail("progress", "{} epochs and {} samples are said to be done", options_.epochs_done,
         options_.samples_done);
  if (!options_.clock) options_.clock = steady_seconds;
}

Progress::~Progress() {
  if (!line_open_) return;
  std::fputc('\n', out_);
  std::fflush(out_);
}

int Progress::columns() const {
  if (options_.columns > 0) return options_.columns;
  winsize size{};
  return ::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultColumns;
}

void Progress::begin_epoch() {
  if (in_epoch_) return;
  in_epoch_ = true;
  ++epoch_;
  done_ = done_before_ = std::exchange(options_.samples_done, 0);
  started_ = shown_ = options_.clock();
  if (terminal_) shown_ -= kRedrawInterval;  // the first call shows something
}

void Progress::advance(index_t samples, std::span<const Value> values) {
  begin_epoch();
  done_ += samples;
  const double now = options_.clock();
  if (now - shown_ < (terminal_ ? kRedrawInterval : options_.plain_interval)) return;
  shown_ = now;

  const double share =
      std::clamp(static_cast<double>(done_) / static_cast<double>(options_.samples), 0.0, 1.0);
  const double elapsed = now - started_;
  const std::string head = fmt::format("epoch {}/{}", epoch_, options_.epochs);
  std::string tail = fmt::format("{:.0f}%{}", std::floor(share * 100), list(values));
  if (elapsed > 0 && done_ > done_before_) {
    const double rate = static_cast<double>(done_ - done_before_) / elapsed;
    tail += fmt::format(" {:.{}f} {}/s", rate, rate < 10 ? 1 : 0, options_.unit);
    tail += fmt::format(" {} left", duration(static_cast<double>(options_.samples - done_) / rate));
  }
  if (!terminal_) {
    write_line(fmt::format("{} {}", head, tail));
    return;
  }
  // The cursor needs the last column.
  const int room = columns() - 1 - static_cast<int>(head.size() + tail.size()) - 4;
  write_line(room >= kLeastBar ? fmt::format("{} [{}] {}", head, bar(share, std::min(room, kMostBar)), tail)
                               : fmt::format("{} {}", head, tail));
}

void Progress::end_epoch(std::span<const Value> values) {
  begin_epoch();
  in_epoch_ = false;
  const double elapsed = options_.clock() - started_;
  const index_t done = done_ - done_before_;
  std::string line = fmt::format("epoch {}/{}{} {} {} in {}", epoch_, options_.epochs, list(values), done,
                                 options_.unit, duration(elapsed));
  if (elapsed > 0) line += fmt::format(", {:.0f} {}/s", static_cast<double>(done) / elapsed, options_.unit);
  write_line(line);
  if (!line_open_) return;
  std::fputc('\n', out_);
  std::fflush(out_);
  line_open_ = false;
}

void Progress::write_line(std::string line) {
  if (terminal_) {
    line.resize(std::min(line.size(), static_cast<std::size_t>(std::max(columns() - 1, 1))));
    line = fmt::format("\r{}\x1b[K", line);  // erases what a longer line left behind
    line_open_ = true;
  } else {
    line += '\n';
  }
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
}

}  // namespace tapegrad::inline v0
