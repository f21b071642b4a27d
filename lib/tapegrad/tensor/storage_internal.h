#pragma once

// Internal: what a thread has taken of memory, for tests and progress.

#include <cstdint>

namespace tapegrad::inline v0::detail {

/// The bytes of all blocks that the calling thread has taken for elements of tensors so far, new ones and those that were
/// used again: what its ops have written, whatever became of it. 0 once the thread ends.
std::uint64_t bytes_taken();

}  // namespace tapegrad::inline v0::detail
