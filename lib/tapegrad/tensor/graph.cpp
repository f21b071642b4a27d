#include "tapegrad/tensor/graph.h"

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

std::string to_string(const Graph& graph) {
  std::string text =
      fmt::format("{:>5}  {:<24} {:<18} {:<8} {:>12}  inputs\n", "", "op", "shape", "dtype", "bytes kept");
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode& node = graph.nodes[i];
    const std::string what = node.name.empty() ? node.op : node.op + " " + node.name;
    text += fmt::format("{:>5}  {:<24} {:<18} {:<8} {:>12}  {}\n", i, what, node.shape.str(),
                        to_string(node.dtype), node.bytes, join(node.inputs, ", "));
  }
  return text + fmt::format("{} nodes keep {} bytes\n", graph.nodes.size(), graph.bytes());
}

}  // namespace tapegrad::inline v0
