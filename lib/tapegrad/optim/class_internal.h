#pragma once

// Whose state a State is: that of another class may have numbers and tensors of the same names, which mean something else;
// and so do those of other parameters, where these have no names.

#include <string_view>

#include "tapegrad/tensor/state.h"

namespace tapegrad::inline v0::detail {

/// Marks the state as that of the class.
void mark_class(State& state, std::string_view name);
/// Throws, in the name of the class, unless the state is marked as that of the class, and of no other.
void require_class(const State& state, std::string_view name);

/// Marks what values these parameters have, which have no names but their numbers.
void mark_values(State& state, const NamedTensors& unnamed);
/// Throws, in the name of the class, when some of the parameters have changed places: each has the values that were marked
/// as those of the next. Values that were marked for none of them tell nothing, nor do those of parameters that have
/// `moved` since the class was told them: a step may have exchanged values. Throws as well when a parameter's values are not
/// marked.
void require_same_places(const State& state, std::string_view name, const NamedTensors& unnamed, bool moved);

}  // namespace tapegrad::inline v0::detail
