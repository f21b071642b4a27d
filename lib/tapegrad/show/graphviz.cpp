#include "tapegrad/show/graphviz.h"

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string size_text(std::size_t bytes) {
  if (bytes < 10'000) return fmt::format("{} B", bytes);
  if (bytes < 10'000'000) return fmt::format("{} kB", bytes / 1000);
  return fmt::format("{} MB", bytes / 1'000'000);
}

}  // namespace

std::string to_graphviz(const Graph& graph) {
  std::string text =
      "digraph tape {\n  rankdir=TB;\n  node [shape=box, fontname=\"Helvetica\", fontsize=11];\n"
      "  edge [color=\"#555555\"];\n";
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode& node = graph.nodes[i];
    const bool leaf = node.inputs.empty();
    const std::string title = escaped(node.name.empty() ? node.op : node.name);
    const std::string kept = node.bytes == 0 ? "" : fmt::format("\\nkeeps {}", size_text(node.bytes));
    text +=
        fmt::format("  n{} [label=\"{}\\n{} {}{}\"{}];\n", i, title, to_string(node.dtype), node.shape.str(),
                    kept, leaf ? ", style=\"rounded,filled\", fillcolor=\"#dce9f7\"" : "");
    for (const int input : node.inputs) text += fmt::format("  n{} -> n{};\n", input, i);
  }
  return text + "}\n";
}

}  // namespace tapegrad::inline v0
