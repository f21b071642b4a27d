#include "tapegrad/tensor/origin.h"

namespace tapegrad::detail {

Scope*& innermost_scope() {
  thread_local Scope* scope = nullptr;
  return scope;
}

bool is_open(std::uint64_t tape) {
  if (tape == 0) return false;
  for (const Scope* scope = innermost_scope(); scope != nullptr; scope = scope->outer)
    if (scope->tape == tape) return true;
  return false;
}

}  // namespace tapegrad::detail
