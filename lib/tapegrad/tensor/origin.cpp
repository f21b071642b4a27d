#include "tapegrad/tensor/origin.h"

namespace tapegrad::inline v0::detail {

bool is_open(std::uint64_t tape) {
  if (tape == 0) return false;
  for (const Scope* scope = innermost_scope(); scope != nullptr; scope = scope->outer)
    if (scope->tape == tape) return true;
  return false;
}

}  // namespace tapegrad::inline v0::detail
