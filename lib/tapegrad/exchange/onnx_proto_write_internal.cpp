#include <protozero/pbf_writer.hpp>

#include "tapegrad/exchange/onnx_proto_internal.h"

namespace tapegrad::inline v0::onnx {
namespace {

using protozero::pbf_writer;

// The numbers of the fields are those of onnx.proto3.

void write(pbf_writer to, const TensorProto& tensor) {
  for (const std::int64_t size : tensor.dims) to.add_int64(1, size);
  to.add_int32(2, static_cast<std::int32_t>(tensor.type));
  if (!tensor.name.empty()) to.add_string(8, tensor.name);
  to.add_bytes(9, tensor.raw.data(), tensor.raw.size());
}

void write(pbf_writer to, const AttributeProto& attribute) {
  using Type = AttributeProto::Type;
  to.add_string(1, attribute.name);
  if (attribute.type == Type::Float) to.add_float(2, attribute.f);
  if (attribute.type == Type::Int) to.add_int64(3, attribute.i);
  if (attribute.type == Type::String) to.add_string(4, attribute.s);
  if (attribute.type == Type::Tensor) write(pbf_writer(to, 5), attribute.t);
  for (const std::int64_t number : attribute.ints) to.add_int64(8, number);
  to.add_int32(20, static_cast<std::int32_t>(attribute.type));
}

void write(pbf_writer to, const NodeProto& node) {
  for (const std::string& input : node.inputs) to.add_string(1, input);
  for (const std::string& output : node.outputs) to.add_string(2, output);
  to.add_string(3, node.name);
  to.add_string(4, node.op_type);
  for (const AttributeProto& attribute : node.attributes) write(pbf_writer(to, 5), attribute);
}

void write(pbf_writer to, const ValueInfoProto& info) {
  to.add_string(1, info.name);
  pbf_writer type(to, 2), tensor(type, 1);
  tensor.add_int32(1, static_cast<std::int32_t>(info.type));
  std::string shape;  // of a number it is empty, which pbf_writer by itself would leave out
  pbf_writer sizes(shape);
  for (const auto& [size, name] : info.shape) {
    pbf_writer dimension(sizes, 1);
    if (size >= 0)
      dimension.add_int64(1, size);
    else
      dimension.add_string(2, name);
  }
  tensor.add_message(2, shape);
}

void write(pbf_writer to, const GraphProto& graph) {
  for (const NodeProto& node : graph.nodes) write(pbf_writer(to, 1), node);
  to.add_string(2, graph.name);
  for (const TensorProto& tensor : graph.initializers) write(pbf_writer(to, 5), tensor);
  for (const ValueInfoProto& info : graph.inputs) write(pbf_writer(to, 11), info);
  for (const ValueInfoProto& info : graph.outputs) write(pbf_writer(to, 12), info);
}

}  // namespace

std::string written(const ModelProto& model) {
  std::string bytes;
  pbf_writer to(bytes);
  to.add_int64(1, model.ir_version);
  to.add_string(2, model.producer);
  write(pbf_writer(to, 7), model.graph);
  for (const auto& [domain, version] : model.opsets) {
    pbf_writer opset(to, 8);
    opset.add_string(1, domain);
    opset.add_int64(2, version);
  }
  return bytes;
}

}  // namespace tapegrad::inline v0::onnx
