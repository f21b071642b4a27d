#include "tapegrad/exchange/onnx_graph_internal.h"

#include <algorithm>
#include <bit>

#include "tapegrad/ops/create.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::onnx {

ElementType element_type(DType dtype) {
  switch (dtype) {
    case DType::Float64:
      return ElementType::Double;
    case DType::Int32:
      return ElementType::Int32;
    case DType::UInt8:
      return ElementType::UInt8;
    case DType::Float32:
      break;
  }
  return ElementType::Float;
}

namespace {

AttributeProto attribute_of(const char* name, AttributeProto::Type type) {
  AttributeProto made;
  made.name = name;
  made.type = type;
  return made;
}

}  // namespace

AttributeProto attribute(const char* name, std::int64_t value) {
  AttributeProto made = attribute_of(name, AttributeProto::Type::Int);
  made.i = value;
  return made;
}

AttributeProto attribute(const char* name, double value) {
  AttributeProto made = attribute_of(name, AttributeProto::Type::Float);
  made.f = static_cast<float>(value);
  return made;
}

AttributeProto attribute(const char* name, const char* value) {
  AttributeProto made = attribute_of(name, AttributeProto::Type::String);
  made.s = value;
  return made;
}

AttributeProto attribute(const char* name, Ints values) {
  AttributeProto made = attribute_of(name, AttributeProto::Type::Ints);
  made.ints = std::move(values);
  return made;
}

std::string Graph::unique(const std::string& wanted) {
  std::string name = wanted;
  while (!names_.emplace(name, 1).second) name = fmt::format("{}_{}", wanted, ++names_[wanted]);
  return name;
}

std::vector<std::string> Graph::nodes(const char* type, const std::vector<std::string>& inputs,
                                      std::size_t count, std::vector<AttributeProto> attributes) {
  NodeProto node;
  node.op_type = type;
  node.inputs = inputs;
  node.attributes = std::move(attributes);
  for (std::size_t i = 0; i < count; ++i) node.outputs.push_back(unique(prefix_ + type));
  node.name = node.outputs.front();
  proto.nodes.push_back(node);
  return node.outputs;
}

std::string Graph::node(const char* type, const std::vector<std::string>& inputs,
                        std::vector<AttributeProto> attributes) {
  return nodes(type, inputs, 1, std::move(attributes)).front();
}

std::string Graph::transposed(const std::string& x, const std::vector<int>& order) {
  if (std::ranges::is_sorted(order)) return x;
  return node("Transpose", {x}, {attribute("perm", Ints(order.begin(), order.end()))});
}

std::string Graph::cast(const std::string& x, ElementType type) {
  return node("Cast", {x}, {attribute("to", static_cast<std::int64_t>(type))});
}

TensorProto Graph::tensor(const Tensor& x) {
  TensorProto made;
  made.type = element_type(x.dtype());
  made.dims.assign(x.shape().begin(), x.shape().end());
  const auto count = static_cast<std::size_t>(x.size()) * size_of(x.dtype());
  bytes_.emplace_back(reinterpret_cast<const char*>(TensorAccess::elements(x)), count);
  made.raw = bytes_.back();
  return made;
}

std::string Graph::constant(const Tensor& x, const std::string& name) {
  AttributeProto value = attribute_of("value", AttributeProto::Type::Tensor);
  value.t = tensor(x);
  if (name.empty()) return node("Constant", {}, {value});
  proto.nodes.push_back({name, "Constant", "", {}, {name}, {value}});
  return name;
}

std::string Graph::number(double value, DType dtype) {
  std::string& name = numbers_[{std::bit_cast<std::uint64_t>(value), dtype}];
  return name.empty() ? name = constant(full({}, value, dtype)) : name;
}

std::string Graph::integers(const Ints& values) {
  const auto found = integers_.find(values);
  if (found != integers_.end()) return found->second;
  AttributeProto value = attribute_of("value", AttributeProto::Type::Tensor);
  value.t.type = ElementType::Int64;
  value.t.dims = {static_cast<std::int64_t>(values.size())};
  bytes_.emplace_back(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int64_t));
  value.t.raw = bytes_.back();
  return integers_[values] = node("Constant", {}, {value});
}

void Graph::initializer(const std::string& name, const Tensor& x) {
  proto.initializers.push_back(tensor(x));
  proto.initializers.back().name = name;
}

std::string Graph::sizes(const Sizes& wanted) {
  if (std::ranges::none_of(wanted, &Size::is_open)) {
    Ints numbers;
    for (const Size& size : wanted) numbers.push_back(size.number);
    return integers(numbers);
  }
  const std::string batch =
      node("Slice", {node("Shape", {batched_input}), integers({0}), integers({1}), integers({0})});
  std::vector<std::string> parts;
  for (const Size& size : wanted)
    parts.push_back(!size.is_open()        ? integers({size.number})
                    : size.per_sample == 1 ? batch
                                           : node("Mul", {batch, integers({size.per_sample})}));
  return parts.size() == 1 ? parts[0] : node("Concat", parts, {attribute("axis", std::int64_t{0})});
}

void Graph::output(const std::string& from, const std::string& name) {
  const auto makes = [&](const NodeProto& node) {
    return std::ranges::find(node.outputs, from) != node.outputs.end();
  };
  const auto maker = std::ranges::find_if(proto.nodes, makes);
  outputs_.insert(name);
  if (maker == proto.nodes.end() || maker->op_type == "Constant" || outputs_.contains(from)) {
    proto.nodes.push_back({name, "Identity", "", {from}, {name}, {}});
    return;
  }
  for (NodeProto& node : proto.nodes) {
    std::ranges::replace(node.inputs, from, name);
    std::ranges::replace(node.outputs, from, name);
  }
}

}  // namespace tapegrad::inline v0::onnx
