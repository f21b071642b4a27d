#pragma once

// Internal: states whose filters are laid out as PyTorch does it, for load_state().

#include "tapegrad/nn/module.h"

namespace tapegrad::inline v0::detail {

/// A state that PyTorch made for a model built like this one, as the module names and lays out its tensors;
/// what the module does not know stays as it is.
State from_oihw(Module& module, const State& state);

}  // namespace tapegrad::inline v0::detail
