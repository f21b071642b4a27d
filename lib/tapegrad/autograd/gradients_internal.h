#pragma once

// Internal: which tensor is which, among parameters, gradients and sources.

#include <cstddef>
#include <span>
#include <vector>

#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

class Recording;
struct Node;

inline constexpr std::size_t kNotFound = static_cast<std::size_t>(-1);
/// For each tensor, the position of a tensor in `among` with the same elements (the same part of the same storage,
/// whatever its shape); kNotFound if there is none.
BlockVector<std::size_t> positions_of(const std::vector<Tensor>& tensors, const std::vector<Tensor>& among);

/// Throws when `last` depends on a parameter that is not one of the sources, by what tape number `tape` recorded
/// from node `mark` on.
void require_all_parameters(const Recording& recording, const Node& last, index_t mark, int tape,
                            std::span<Node* const> sources);

}  // namespace tapegrad::inline v0::detail
