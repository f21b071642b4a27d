#pragma once

// The backward pass: one reverse loop over what was recorded.

#include <span>
#include <vector>

#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/base/kept_internal.h"

namespace tapegrad::inline v0::detail {

/// One call of gradient(): from the node `last` back to the sources (nullptr for one that was never used).
struct BackwardPass {
  Recording& recording;
  index_t mark;  // a tape's own nodes are those from here on
  int tape;      // the number of the tape that is asked
  const Node& last;
  std::span<Node* const> sources;
  bool recorded;  // the pass is recorded itself
  bool forget;    // what a node saved is freed behind the pass
};

/// Runs the rules and hooks, the last op's first. One gradient for each source, undefined for those that are not
/// reached.
KeptList<std::vector<Tensor>> run_backward(const BackwardPass& pass, Tensor seed);

/// Whether x alone holds its memory, so that it may be written to.
bool nobody_else_holds(const Tensor& x);

}  // namespace tapegrad::inline v0::detail
