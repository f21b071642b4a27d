#include "lesson.h"

#include <fmt/format.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace conv2d_explained {
namespace {

// [1, 5, 5, 1] and [3, 3, 1, 1] are read as the planes they are.
tg::Tensor without_axes_of_one(const tg::Tensor& x) {
  std::vector<tg::index_t> sizes(x.shape().begin(), x.shape().end());
  while (sizes.size() > 2 && sizes.back() == 1) sizes.pop_back();
  while (sizes.size() > 2 && sizes.front() == 1) sizes.erase(sizes.begin());
  return tg::reshape(x, sizes);
}

std::string indented(std::string_view lines) {
  std::istringstream in{std::string(lines)};
  std::string result;
  for (std::string line; std::getline(in, line);) result += line.empty() ? "\n" : "    " + line + "\n";
  return result;
}

// Float32 sums such as 0.06999999 are shown as the 0.07 that they stand for; the elements themselves stay as they are.
tg::Tensor to_six_decimals(const tg::Tensor& x) {
  if (x.dtype() != tg::DType::Float32) return x;
  std::vector<double> rounded;
  for (const float value : x.values<float>())
    rounded.push_back(std::round(static_cast<double>(value) * 1e6) / 1e6);
  return tg::tensor(rounded, x.shape());
}

}  // namespace

void Lesson::begin_block() {
  if (after_claim_) fmt::print("\n");
  after_claim_ = false;
}

void Lesson::say(std::string_view text) {
  begin_block();
  constexpr std::size_t kWidth = 88;
  std::istringstream words{std::string(text)};
  std::string line, word;
  while (words >> word) {
    if (!line.empty() && line.size() + 1 + word.size() > kWidth) {
      fmt::print("  {}\n", line);
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  fmt::print("  {}\n\n", line);
}

void Lesson::print(std::string_view lines) {
  begin_block();
  fmt::print("{}\n", indented(lines));
}

void Lesson::heading(std::string_view text) {
  begin_block();
  fmt::print("  {}\n  {}\n\n", text, std::string(text.size(), '-'));
}

void Lesson::show(std::string_view name, const tg::Tensor& x) {
  begin_block();
  fmt::print("  {}  {}\n{}\n", name, x.shape().str(),
             indented(tg::to_string(to_six_decimals(without_axes_of_one(x)))));
}

void Lesson::check(std::string_view claim, bool holds) {
  fmt::print("  > {}: {}\n", claim, holds ? "yes" : "NO");
  after_claim_ = true;
  ++claims_;
  if (!holds) ++failures_;
}

}  // namespace conv2d_explained
