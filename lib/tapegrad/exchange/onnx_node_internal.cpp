#include "tapegrad/exchange/onnx_node_internal.h"

#include <algorithm>

namespace tapegrad::inline v0::onnx {

std::string Node::str() const {
  const std::string& first = proto_.outputs.empty() ? proto_.op_type : proto_.outputs.front();
  return fmt::format("node '{}' ({} of opset {})", proto_.name.empty() ? first : proto_.name, proto_.op_type,
                     opset_);
}

const AttributeProto* Node::find(std::string_view name, AttributeProto::Type type) const {
  for (const AttributeProto& attribute : proto_.attributes) {
    if (attribute.name != name) continue;
    if (attribute.type != type) fail("has an attribute '{}' of another type than ONNX gives it", name);
    read_.insert(attribute.name);
    return &attribute;
  }
  return nullptr;
}

bool Node::has(std::string_view name) const {
  for (const AttributeProto& attribute : proto_.attributes)
    if (attribute.name == name) return read_.insert(attribute.name), true;
  return false;
}

std::int64_t Node::integer(std::string_view name, std::int64_t otherwise) const {
  const AttributeProto* found = find(name, AttributeProto::Type::Int);
  return found != nullptr ? found->i : otherwise;
}

std::int64_t Node::required_integer(std::string_view name) const {
  if (!has(name)) fail("lacks its attribute '{}'", name);
  return integer(name, 0);
}

double Node::number(std::string_view name, double otherwise) const {
  const AttributeProto* found = find(name, AttributeProto::Type::Float);
  return found != nullptr ? static_cast<double>(found->f) : otherwise;
}

std::string Node::text(std::string_view name, std::string_view otherwise) const {
  const AttributeProto* found = find(name, AttributeProto::Type::String);
  return found != nullptr ? found->s : std::string(otherwise);
}

std::optional<std::vector<std::int64_t>> Node::integers(std::string_view name) const {
  const AttributeProto* found = find(name, AttributeProto::Type::Ints);
  return found != nullptr ? std::optional(found->ints) : std::nullopt;
}

std::optional<std::vector<float>> Node::numbers(std::string_view name) const {
  const AttributeProto* found = find(name, AttributeProto::Type::Floats);
  return found != nullptr ? std::optional(found->floats) : std::nullopt;
}

const TensorProto* Node::tensor(std::string_view name) const {
  const AttributeProto* found = find(name, AttributeProto::Type::Tensor);
  return found != nullptr ? &found->t : nullptr;
}

std::string Node::one_of(std::string_view name, std::string_view otherwise,
                         std::initializer_list<std::string_view> allowed) const {
  std::string value = text(name, otherwise);
  if (std::ranges::find(allowed, value) == allowed.end())
    fail("has {} '{}'; known are {}", name, value, join(allowed, ", "));
  return value;
}

void Node::require_all_read() const {
  std::set<std::string_view> names;
  for (const AttributeProto& attribute : proto_.attributes) {
    if (!names.insert(attribute.name).second) fail("has the attribute '{}' twice", attribute.name);
    // What opsets before 7 said of memory, of training and of broadcasting changes nothing where there is no `axis`.
    const bool old = opset_ < 7 && (attribute.name == "consumed_inputs" || attribute.name == "is_test" ||
                                    attribute.name == "broadcast");
    if (!old && !read_.contains(attribute.name))
      fail("has an attribute '{}', which is not known of that op in opsets {} to {}", attribute.name,
           kOldestOpset, kNewestOpset);
  }
}

void Node::require_results(std::size_t count, std::string_view why) const {
  for (std::size_t i = count; i < proto_.outputs.size(); ++i)
    if (is_read(proto_.outputs[i])) fail("returns '{}' as result {}, {}", proto_.outputs[i], i, why);
}

AxesOf axes_of(const Node& node, std::int64_t input_since, std::size_t input) {
  if (node.opset() < input_since) return [axes = node.integers("axes")](const Run&) { return axes; };
  return
      [input](const Run& run) { return run.has(input) ? std::optional(integers(run[input])) : std::nullopt; };
}

Ops all_ops() {
  Ops ops;
  add_elementwise_ops(ops);
  add_binary_ops(ops);
  add_convolutions(ops);
  add_pooling(ops);
  add_normalizations(ops);
  add_products(ops);
  add_reductions(ops);
  add_shape_ops(ops);
  add_indexing(ops);
  add_resizing(ops);
  return ops;
}

}  // namespace tapegrad::inline v0::onnx
