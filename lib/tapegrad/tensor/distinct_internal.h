#pragma once

// Internal: whether tensors share elements, for those that write to several tensors.

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// Whether two tensors have an element in common.
bool overlap(const Tensor& a, const Tensor& b);

/// Two of the tensors that have an element in common and belong to different groups: their places, the earlier one first.
std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const std::vector<Tensor>& tensors,
                                                                const std::vector<std::size_t>& group_of);

/// Throws an error of op when two of the tensors have an element in common. Says what would happen to them otherwise:
/// "it would be trained twice".
void require_distinct(const char* op, const std::vector<Tensor>& tensors, const char* consequence);

/// Throws, as an Error of op, what mutable_data() would for one of the tensors, before any of them is changed.
void require_writable(const char* op, const std::vector<Tensor>& tensors);

}  // namespace tapegrad::inline v0::detail
