#pragma once

// Whose state a State is: that of another class may have numbers and tensors of the same names, which mean something else.

#include <string_view>

#include "tapegrad/tensor/state.h"

namespace tapegrad::inline v0::detail {

/// Marks the state as that of the class.
void mark_class(State& state, std::string_view name);
/// Throws, in the name of the class, unless the state is marked as that of the class, and of no other.
void require_class(const State& state, std::string_view name);

}  // namespace tapegrad::inline v0::detail
