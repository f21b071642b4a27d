#include "tapegrad/optim/class_internal.h"

#include <string>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

static constexpr std::string_view kKey = "class.";

void mark_class(State& state, std::string_view name) {
  state.integers[fmt::format("{}{}", kKey, name)] = 1;
}

void require_class(const State& state, std::string_view name) {
  const std::string own = fmt::format("{}{}", kKey, name);
  for (const auto& [key, value] : state.integers)
    if (key.starts_with(kKey) && key != own)
      fail(name, "the state must be that of the same class, got that of {}", key.substr(kKey.size()));
  (void)state.integer(name, own);
}

}  // namespace tapegrad::inline v0::detail
