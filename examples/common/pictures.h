#pragma once

#include <string_view>

#include "tapegrad/io/image.h"

namespace common {

namespace tg = tapegrad;

/// The picture, with a line below it that says what it shows; wider than before if the line is.
tg::Image with_caption(const tg::Image& picture, std::string_view caption);

}  // namespace common
