#include "pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "tapegrad/ops/layout.h"
#include "tapegrad/show/draw.h"

namespace mnist_classifier {
namespace {

using tg::Colour;

constexpr Colour kInk{40, 40, 40}, kGrid{225, 225, 225}, kRight{0, 90, 170}, kWrong{225, 110, 0};
constexpr double kCell = 44, kLeft = 84, kTop = 84;

void centred_text(tg::Image& image, double x, double y, std::string_view line, double scale,
                  Colour colour = kInk) {
  tg::draw_text(image, std::round(x - tg::text_width(line, scale) / 2),
                std::round(y - tg::text_height(scale) / 2), line, colour, scale);
}

}  // namespace

tg::Image confusion_image(const tg::Tensor& labels, const tg::Tensor& predictions) {
  std::array<std::array<int, 10>, 10> confusion{};
  const auto are = labels.values<std::int32_t>(), seem = predictions.values<std::int32_t>();
  for (std::size_t i = 0; i < are.size(); ++i)
    ++confusion.at(static_cast<std::size_t>(are[i])).at(static_cast<std::size_t>(seem[i]));

  constexpr double kSide = 10 * kCell;
  tg::Image image(static_cast<int>(kTop + kSide + 20), static_cast<int>(kLeft + kSide + 20), 3, tg::kWhite);
  tg::draw_rectangle(image, {kLeft, kTop}, {kLeft + kSide + 1, kTop + kSide + 1}, kGrid);
  centred_text(image, kLeft + kSide / 2, 22, "seen as", 1.6);
  const double title_width = tg::text_width("digit", 1.6);
  tg::draw_text_upwards(image, 12, kTop + (kSide + title_width) / 2, "digit", kInk, 1.6);
  for (std::size_t digit = 0; digit < 10; ++digit) {
    const auto& row = confusion[digit];
    const int images = std::max(1, std::accumulate(row.begin(), row.end(), 0));
    const double middle = (static_cast<double>(digit) + 0.5) * kCell;
    centred_text(image, kLeft + middle, kTop - 20, fmt::format("{}", digit), 1.6);
    centred_text(image, kLeft - 22, kTop + middle, fmt::format("{}", digit), 1.6);
    for (std::size_t seen_as = 0; seen_as < 10; ++seen_as) {
      const double left = kLeft + static_cast<double>(seen_as) * kCell,
                   top = kTop + static_cast<double>(digit) * kCell;
      const int count = row[seen_as];
      const bool right = seen_as == digit;
      // The root, so that a single mistake can be seen.
      const double share = std::sqrt(static_cast<double>(count) / images);
      tg::draw_rectangle(image, {left + 1, top + 1}, {left + kCell, top + kCell}, tg::kWhite);
      tg::draw_rectangle(image, {left + 1, top + 1}, {left + kCell, top + kCell}, right ? kRight : kWrong,
                         share);
      if (count > 0)
        centred_text(image, left + kCell / 2, top + kCell / 2, fmt::format("{}", count), 1.3,
                     right && share > 0.5 ? tg::kWhite : kInk);
    }
  }
  return image;
}

tg::Image mistakes_image(const tg::Samples& images, const tg::Tensor& labels, const tg::Tensor& predictions) {
  const auto are = labels.values<std::int32_t>(), seem = predictions.values<std::int32_t>();
  std::vector<std::size_t> wrong;
  std::vector<tg::Tensor> shown;
  for (std::size_t i = 0; i < are.size(); ++i)
    if (are[i] != seem[i]) {
      wrong.push_back(i);
      shown.push_back(images[static_cast<tg::index_t>(i)]);
    }
  if (wrong.empty()) {
    tg::Image image(60, 300, 1, tg::kWhite);
    centred_text(image, 150, 30, "no mistakes", 1.5);
    return image;
  }
  constexpr int kColumns = 8, kScale = 3, kGap = 22;  // the gap holds a line of text
  tg::Image image = tg::grid(tg::stack(shown), {.columns = kColumns, .scale = kScale, .gap = kGap});
  const int step_y = static_cast<int>(images.shape()[1]) * kScale + kGap,
            step_x = static_cast<int>(images.shape()[2]) * kScale + kGap;
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    const int place = static_cast<int>(i), row = place / kColumns + 1, column = place % kColumns;
    centred_text(image, column * step_x + (kGap + step_x) / 2.0, row * step_y + kGap / 2.0,
                 fmt::format("{} seen as {}", are[wrong[i]], seem[wrong[i]]), 1);
  }
  return image;
}

}  // namespace mnist_classifier
