#pragma once

// What layers ask about the run they are in: a chunk of batch_gradient(), or the second run of checkpoint().

#include <cstdint>
#include <functional>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// For layers that mix the samples of a batch, such as batch norm in training: throws inside
/// batch_gradient().
void require_whole_batch(const char* op);

/// For layers that number the samples they see, such as dropout: the number of the first of `samples` samples
/// that are seen now, given the next number by the layer's own count. The new count is handed to store, when
/// that is due: not in the second run of a checkpoint(), and once for all chunks of a batch_gradient().
[[nodiscard]] std::uint64_t count_samples(const void* layer, std::uint64_t next, index_t samples,
                                          std::function<void(std::uint64_t)> store);

/// For layers that remember something, such as how many random numbers were drawn: passes value on, except in
/// the second run of a checkpointed function, where it returns what was passed in the first one.
[[nodiscard]] std::uint64_t replayed(std::uint64_t value);
/// Whether this is the second run of a checkpointed function: what a layer remembers was changed by the
/// first.
[[nodiscard]] bool is_replaying();

}  // namespace v0
}  // namespace tapegrad
