#pragma once

// Internal: states whose filters are laid out as PyTorch does it.

#include <string>
#include <string_view>

#include "tapegrad/nn/module.h"

namespace tapegrad::inline v0::detail {

/// What PyTorch's layers call a tensor that is called this here ("kernel" is "weight"); any other name as it is.
std::string_view pytorch_name(std::string_view name);

/// A tensor of PyTorch as its counterpart `own`, a member of `owner`, is laid out. Throws for one that may be a filter or not.
Tensor from_oihw(const Module& owner, const std::string& path, const Tensor& own, const Tensor& given);

/// A state that PyTorch made for a model built like this one, as the module names and lays out its tensors;
/// what the module does not know stays as it is.
State from_oihw(Module& module, const State& state);

}  // namespace tapegrad::inline v0::detail
