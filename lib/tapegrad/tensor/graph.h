#pragma once

// Graph: a plain description of what a tape recorded.

#include <cstddef>
#include <string>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// One node of a Graph: an op that a tape recorded, a parameter, or a watched tensor.
struct GraphNode {
  std::string op;                ///< the op's name; "parameter" and "watch" have no inputs
  std::string name;              ///< the name of a parameter, empty if it is not known
  Shape shape;                   ///< shape of the result
  DType dtype = DType::Float32;  ///< dtype of the result
  /// Bytes of the tensors that this node keeps for the backward pass; other nodes may keep the same.
  std::size_t bytes = 0;
  std::vector<int> inputs;  ///< positions of the tracked inputs among the nodes, all smaller than this node's
};

/// What a tape recorded, for drawings and exports: Tape::graph() makes it.
struct Graph {
  std::vector<GraphNode> nodes;  ///< in the order of execution

  /// Bytes that all nodes keep. A tensor that several nodes keep counts for each of them.
  std::size_t bytes() const {
    std::size_t total = 0;
    for (const GraphNode& node : nodes) total += node.bytes;
    return total;
  }
};

/// A table with one line for each node: number, op, shape, dtype, bytes kept, inputs.
[[nodiscard]] std::string to_string(const Graph& graph);

}  // namespace v0
}  // namespace tapegrad
