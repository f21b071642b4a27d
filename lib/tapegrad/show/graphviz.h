#pragma once

// Drawings of what a tape recorded.

#include <string>

#include "tapegrad/tensor/graph.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The graph in the DOT language of Graphviz, to be drawn with `dot -Tsvg`: ops as boxes with their shape and the bytes
/// that they keep, parameters and watched tensors as rounded boxes.
[[nodiscard]] std::string to_graphviz(const Graph& graph);

}  // namespace v0
}  // namespace tapegrad
