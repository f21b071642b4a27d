#include "tapegrad/base/window.h"

#include <limits>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

Padding Padding::Explicit(index_t top, index_t bottom, index_t left, index_t right) {
  constexpr index_t kLargest = std::numeric_limits<std::int32_t>::max();
  for (const index_t side : {top, bottom, left, right})
    if (side < 0 || side > kLargest)
      fail("padding", "each side must be 0 to {}, got top {}, bottom {}, left {}, right {}", kLargest, top,
           bottom, left, right);
  Padding padding(Kind::Explicit);
  padding.sides_ = {top, bottom, left, right};
  return padding;
}

Padding Padding::Explicit(Size2D both_sides) {
  return Explicit(both_sides.height, both_sides.height, both_sides.width, both_sides.width);
}

std::string Padding::str() const {
  switch (kind_) {
    case Kind::Same:
      return "SAME";
    case Kind::Full:
      return "FULL";
    case Kind::Explicit:
      return fmt::format("EXPLICIT{{{}}}", join(sides_, ","));
    case Kind::Valid:
      break;
  }
  return "VALID";
}

}  // namespace tapegrad::inline v0
