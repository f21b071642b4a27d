#pragma once

// For authors of layers: whether a layer is called for a chunk of batch_gradient(), or for the second run of a
// checkpoint(), and what the layer must do then.

#include <cstdint>
#include <functional>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Throws inside batch_gradient(), in the name of op. For layers that mix the samples of a batch, such as batch norm in
/// training.
void require_whole_batch(const char* op);

/// For layers that number their samples, such as dropout: returns the number of the first of the `samples` samples of
/// this call. `next` is the number that the layer's own count would give it. store receives the layer's new count: at
/// once; in batch_gradient() one time for all chunks; not at all in the second run of a checkpoint().
[[nodiscard]] std::uint64_t count_samples(const void* layer, std::uint64_t next, index_t samples,
                                          std::function<void(std::uint64_t)> store);

/// For layers with a memory, such as the number of random numbers drawn so far: returns value, but in the second run of
/// a checkpointed function the value that was given in the first run.
[[nodiscard]] std::uint64_t replayed(std::uint64_t value);
/// Whether this is the second run of a checkpointed function. A layer does not change its memory then, as the first run
/// has changed it.
[[nodiscard]] bool is_replaying();

}  // namespace v0
}  // namespace tapegrad
