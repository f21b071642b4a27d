#pragma once

// Graph: a plain description of what a tape recorded.

#include <cstddef>
#include <string>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A plain description of what a tape recorded, for drawings and exports.
struct GraphNode {
  std::string op;    ///< the op's name; "parameter" and "watch" have no inputs
  std::string name;  ///< of a parameter, if it is known
  Shape shape;       ///< of the result
  DType dtype = DType::Float32;
  std::size_t bytes = 0;    ///< of tensors that are kept for the backward pass
  std::vector<int> inputs;  ///< positions of the tracked inputs among the nodes, all smaller than this node's
};

struct Graph {
  std::vector<GraphNode> nodes;  ///< in the order of execution

  /// Bytes that all nodes keep.
  std::size_t bytes() const {
    std::size_t total = 0;
    for (const GraphNode& node : nodes) total += node.bytes;
    return total;
  }
};

/// A table, one line a node: number, op, shape, dtype, bytes kept, inputs.
[[nodiscard]] std::string to_string(const Graph& graph);

}  // namespace v0
}  // namespace tapegrad
