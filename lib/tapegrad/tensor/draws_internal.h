#pragma once

// Internal: where drawing from a generator is refused.

#include <string_view>

namespace tapegrad::inline v0::detail {

/// Throws inside a chunk of batch_gradient(): chunks run on several threads, so that a generator which they share would
/// be drawn from in no order, and one of a chunk's own would give each chunk the same numbers.
void require_draws_in_order(std::string_view op);

}  // namespace tapegrad::inline v0::detail
