// Where the wrong entries are.

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

bool are_unwritten(const Case& c) {
  return !c.wrong.empty() && !c.right.empty() &&
         std::ranges::all_of(c.wrong, [&](std::size_t i) { return c.analytic[i] == 0; });
}

std::string unwritten_place(const Case& c) {
  const std::string place = c.where();
  return place.empty() ? c.border_place() : place;
}

GradcheckHint unwritten(const Case& c, const std::string& place) {
  return {"", fmt::format("{} of {} entries are never written (the gradient is exactly 0 there){}{}",
                          c.wrong.size(), c.checked.size(), place.empty() ? "" : ": those with ", place)};
}

Hint unwritten_there(const Case& c) {
  const std::string place = unwritten_place(c);
  return place.empty() ? std::nullopt : Hint(unwritten(c, place));
}

Hint unwritten_somewhere(const Case& c) {
  return unwritten(c, unwritten_place(c));
}

Hint border(const Case& c) {
  const std::string place = c.border_place();
  if (place.empty()) return std::nullopt;
  return GradcheckHint{
      "border",
      fmt::format("wrong only at the border ({}): look at padding and at the bounds of loops", place)};
}

Hint place(const Case& c) {
  const std::string found = c.right.empty() ? "" : c.where();
  if (found.empty()) return std::nullopt;
  return GradcheckHint{"place", "wrong only in entries with " + found};
}

constexpr Pattern kPlacePatterns[] = {
    {"unwritten", Strength::Exact, are_unwritten, unwritten_there},
    {"unwritten", Strength::Likely, are_unwritten, unwritten_somewhere},
    {"border", Strength::Vague, some_wrong, border},
    {"place", Strength::Vague, some_wrong, place},
};

}  // namespace

std::span<const Pattern> place_patterns() {
  return kPlacePatterns;
}

}  // namespace tapegrad::inline v0::detail
