#include "tapegrad/gradcheck/hints_internal.h"

#include <algorithm>

#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {

std::vector<GradcheckHint> find_hints(const Evidence& evidence) {
  constexpr std::size_t kMost = 3;
  const Case c(evidence);
  std::vector<GradcheckHint> found;
  for (const Strength strength :
       {Strength::Certain, Strength::Formula, Strength::Exact, Strength::Likely, Strength::Vague}) {
    for (const auto& patterns : {output_patterns(), conv2d_patterns(), formula_patterns(), scale_patterns(),
                                 layout_patterns(), factor_patterns(), place_patterns(), term_patterns()})
      for (const Pattern& pattern : patterns) {
        if (pattern.strength != strength || found.size() == kMost) continue;
        if ((pattern.costly && !found.empty()) || !pattern.applies(c)) continue;
        Hint hint = pattern.find(c);
        if (!hint) continue;
        if (hint->pattern.empty()) hint->pattern = pattern.name;
        if (std::ranges::none_of(found, [&](const GradcheckHint& h) { return h.text == hint->text; }))
          found.push_back(std::move(*hint));
      }
    if (!found.empty()) break;
  }
  return found;
}

}  // namespace tapegrad::inline v0::detail
