#include "common/pictures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tapegrad/show/draw.h"

namespace common {

tg::Image with_caption(const tg::Image& picture, std::string_view caption) {
  constexpr int kAround = 6;  // pixels
  const int line = static_cast<int>(std::ceil(tg::text_height())),
            width = static_cast<int>(std::ceil(tg::text_width(caption))) + 2 * kAround;
  tg::Image made(picture.height + line + kAround, std::max(picture.width, width), picture.channels,
                 tg::kWhite);
  for (int y = 0; y < picture.height; ++y)
    std::copy_n(picture.at(y, 0), static_cast<std::ptrdiff_t>(picture.width) * picture.channels,
                made.at(y, 0));
  tg::draw_text(made, kAround, picture.height, caption);
  return made;
}

}  // namespace common
