#include "tapegrad/show/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/show/system_internal.h"

namespace tapegrad::inline v0 {
namespace detail {

// A part of a line that is shown whole or not at all. Where a line is too long, parts of the highest rank go first.
struct Piece {
  std::string text;
  int rank;
};

}  // namespace detail
namespace {

constexpr double kRedrawInterval = 0.1;  // seconds
constexpr int kDefaultColumns = 80, kMostBar = 30, kLeastBar = 5;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// 8123 images/s, 7.2 images/s, 0.031 images/s: never 0 for what is slow.
std::string rate_text(double rate, std::string_view unit) {
  if (rate < 0.05) return fmt::format("{:.2g} {}/s", rate, unit);
  return fmt::format("{:.{}f} {}/s", rate, rate < 10 ? 1 : 0, unit);
}

// What took so long: 0.55 s, 7.2 s, and then as clock_text() shows it.
std::string clock_text(double seconds);
std::string duration(double seconds) {
  constexpr double kShort = 9.95;
  if (seconds >= kShort) return clock_text(std::round(seconds));
  return seconds < 1 ? fmt::format("{:.2g} s", seconds) : fmt::format("{:.1f} s", seconds);
}

// 0:07, 12:34 or 1:02:03
std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(std::clamp(std::ceil(seconds), 0.0, 1e9));
  const long hours = whole / 3600, minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

using detail::Piece;
enum Rank { kName, kShare, kFirstValue, kTimeLeft, kOtherValues, kRate };

void add_values(std::vector<Piece>& pieces, std::span<const Progress::Value> values) {
  int rank = kFirstValue;
  for (const auto& [name, value] : values)
    pieces.push_back({fmt::format("{} {:.4g}", name, value), std::exchange(rank, kOtherValues)});
}

std::size_t length_of(const std::vector<Piece>& pieces) {
  std::size_t length = 0;
  for (const Piece& piece : pieces) length += piece.text.size() + 1;
  return length;  // with a space behind each
}

// Leaves out what does not fit, the last of the highest rank first.
void fit(std::vector<Piece>& pieces, std::size_t room) {
  while (!pieces.empty() && length_of(pieces) > room + 1) {
    auto least = pieces.begin();
    for (auto at = pieces.begin(); at != pieces.end(); ++at)
      if (at->rank >= least->rank) least = at;
    pieces.erase(least);
  }
}

std::string joined(const std::vector<Piece>& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += fmt::format("{}{}", text.empty() ? "" : " ", piece.text);
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
      terminal_(options_.terminal.value_or(detail::system::is_terminal(out))),
      epoch_(options_.epochs_done) {
  if (options_.epochs < 1 || options_.samples < 1)
    fail("progress", "epochs and samples must be at least 1, got {} epochs of {} samples", options_.epochs,
         options_.samples);
  if (options_.epochs_done < 0 || options_.samples_done < 0)
    fail("progress", "epochs_done and samples_done must not be negative, got {} epochs and {} samples",
         options_.epochs_done, options_.samples_done);
  if (!options_.clock) options_.clock = steady_seconds;
}

Progress::~Progress() {
  if (!line_open_) return;
  std::fputc('\n', out_);
  std::fflush(out_);
}

int Progress::columns() const {
  if (options_.columns > 0) return options_.columns;
  const int found = detail::system::columns(out_);
  return found > 0 ? found : kDefaultColumns;
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
  std::vector<Piece> pieces = {{fmt::format("epoch {}/{}", epoch_, options_.epochs), kName},
                               {fmt::format("{:.0f}%", std::floor(share * 100)), kShare}};
  add_values(pieces, values);
  if (const double elapsed = now - started_; elapsed > 0 && done_ > done_before_) {
    const double rate = static_cast<double>(done_ - done_before_) / elapsed;
    pieces.push_back({rate_text(rate, options_.unit), kRate});
    pieces.push_back({time_left(rate), kTimeLeft});
  }
  write_line(std::move(pieces), share);
}

std::string Progress::time_left(double rate) const {
  const auto epoch = static_cast<double>(std::max(options_.samples - done_, index_t{0}));
  const auto later =
      static_cast<double>(std::max(options_.epochs - epoch_, 0)) * static_cast<double>(options_.samples);
  if (later == 0) return fmt::format("left: run {}", clock_text(epoch / rate));
  return fmt::format("left: epoch {}, run {}", clock_text(epoch / rate), clock_text((epoch + later) / rate));
}

void Progress::end_epoch(std::span<const Value> values) {
  begin_epoch();
  in_epoch_ = false;
  const double elapsed = options_.clock() - started_;
  const index_t done = done_ - done_before_;
  std::vector<Piece> pieces = {{fmt::format("epoch {}/{}", epoch_, options_.epochs), kName}};
  add_values(pieces, values);
  pieces.push_back({fmt::format("{} {} in {}", done, options_.unit, duration(elapsed)), kOtherValues});
  if (elapsed > 0)
    pieces.push_back({"at " + rate_text(static_cast<double>(done) / elapsed, options_.unit), kOtherValues});
  write_line(std::move(pieces), {});
  if (!line_open_) return;
  std::fputc('\n', out_);
  std::fflush(out_);
  line_open_ = false;
}

void Progress::write_line(std::vector<detail::Piece> pieces, std::optional<double> share) {
  std::string line;
  if (terminal_) {
    const auto room =
        static_cast<std::size_t>(std::max(columns() - 1, 0));  // the cursor needs the last column
    fit(pieces, room);
    const std::size_t used = length_of(pieces) + 2;  // and the bar's brackets
    if (share && pieces.size() > 1 && room >= used + kLeastBar)
      pieces.front().text +=
          fmt::format(" [{}]", bar(*share, static_cast<int>(std::min<std::size_t>(room - used, kMostBar))));
    line = fmt::format("\r{}\x1b[K", joined(pieces));  // erases what a longer line left behind
    line_open_ = true;
  } else {
    line = joined(pieces) + '\n';
  }
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
}

}  // namespace tapegrad::inline v0
