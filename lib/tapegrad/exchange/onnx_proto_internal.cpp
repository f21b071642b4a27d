#include "tapegrad/exchange/onnx_proto_internal.h"

#include <algorithm>
#include <array>
#include <protozero/pbf_reader.hpp>

namespace tapegrad::inline v0::onnx {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

constexpr std::array kTypeNames{"UNDEFINED", "FLOAT",  "UINT8",     "INT8",       "UINT16",  "INT16",
                                "INT32",     "INT64",  "STRING",    "BOOL",       "FLOAT16", "DOUBLE",
                                "UINT32",    "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16"};

// Reads the fields of one message. protozero only asserts that a field has the wire type that is asked for: here it is
// checked before each.
class Message {
 public:
  Message(const Source& source, const char* what, pbf_reader reader)
      : source_(source), what_(what), reader_(reader) {}

  bool next() { return reader_.next(); }
  std::uint32_t field() const { return reader_.tag(); }
  void skip() { reader_.skip(); }

  std::int64_t integer() {
    require(pbf_wire_type::varint);
    return reader_.get_int64();
  }
  float number() {
    require(pbf_wire_type::fixed32);
    return reader_.get_float();
  }
  std::string_view bytes() {
    require(pbf_wire_type::length_delimited);
    const protozero::data_view view = reader_.get_view();
    return {view.data(), view.size()};
  }
  std::string text() { return std::string(bytes()); }
  ElementType element_type() {
    const std::int64_t number = integer();
    return number == static_cast<std::int32_t>(number) ? static_cast<ElementType>(number)
                                                       : ElementType::Undefined;
  }
  Message message(const char* what) {
    require(pbf_wire_type::length_delimited);
    return {source_, what, reader_.get_message()};
  }

  /// Appends the values of a repeated field, which stand there one by one or packed.
  template <class T>
  void append_integers(std::vector<T>& values) {
    if (reader_.wire_type() != pbf_wire_type::length_delimited) return append(values, integer());
    const auto [first, last] = reader_.get_packed_int64();
    for (auto at = first; at != last; ++at) append(values, *at);
  }
  void append_floats(std::vector<float>& values) {
    if (reader_.wire_type() != pbf_wire_type::length_delimited) return values.push_back(number());
    const auto [first, last] = reader_.get_packed_float();
    values.insert(values.end(), first, last);
  }
  void append_doubles(std::vector<double>& values) {
    if (reader_.wire_type() != pbf_wire_type::length_delimited) {
      require(pbf_wire_type::fixed64);
      return values.push_back(reader_.get_double());
    }
    const auto [first, last] = reader_.get_packed_double();
    values.insert(values.end(), first, last);
  }

 private:
  void require(pbf_wire_type wanted) const {
    if (reader_.wire_type() != wanted)
      source_.fail("is not an ONNX model, or damaged: field {} of a {} has the wire type {}, not {}",
                   reader_.tag(), what_, static_cast<int>(reader_.wire_type()), static_cast<int>(wanted));
  }
  template <class T>
  void append(std::vector<T>& values, std::int64_t value) const {
    if (static_cast<std::int64_t>(static_cast<T>(value)) != value)
      source_.fail("is damaged: field {} of a {} has the number {}, which is too large", reader_.tag(), what_,
                   value);
    values.push_back(static_cast<T>(value));
  }

  const Source& source_;
  const char* what_;
  pbf_reader reader_;
};

std::pair<std::string, std::string> read_entry(Message message) {
  std::pair<std::string, std::string> entry;
  while (message.next()) {
    if (message.field() == 1)
      entry.first = message.text();
    else if (message.field() == 2)
      entry.second = message.text();
    else
      message.skip();
  }
  return entry;
}

TensorProto read_tensor(Message message) {
  TensorProto tensor;
  while (message.next()) switch (message.field()) {
      case 1:
        message.append_integers(tensor.dims);
        break;
      case 2:
        tensor.type = message.element_type();
        break;
      case 3:
        tensor.has_segment = true;
        message.skip();
        break;
      case 4:
        message.append_floats(tensor.floats);
        break;
      case 5:
        message.append_integers(tensor.int32s);
        break;
      case 6:
        tensor.has_strings = true;
        message.skip();
        break;
      case 7:
        message.append_integers(tensor.int64s);
        break;
      case 8:
        tensor.name = message.text();
        break;
      case 9:
        tensor.raw = message.bytes();
        tensor.has_raw = true;
        break;
      case 10:
        message.append_doubles(tensor.doubles);
        break;
      case 11:
        message.append_integers(tensor.uint64s);
        break;
      case 13:
        tensor.external.push_back(read_entry(message.message("StringStringEntryProto")));
        break;
      case 14:
        tensor.is_external = message.integer() != 0;
        break;
      default:
        message.skip();
    }
  return tensor;
}

// What a file of before IR version 3 leaves out.
AttributeProto::Type type_of_what_is_set(std::uint32_t field) {
  using Type = AttributeProto::Type;
  switch (field) {
    case 2:
      return Type::Float;
    case 3:
      return Type::Int;
    case 4:
      return Type::String;
    case 5:
      return Type::Tensor;
    case 6:
    case 11:
      return Type::Graph;
    case 7:
      return Type::Floats;
    case 8:
      return Type::Ints;
    case 9:
      return Type::Strings;
    default:
      return Type::Other;
  }
}

AttributeProto::Type attribute_type(std::int64_t number) {
  constexpr std::int64_t kGraphs = 10;
  if (number == kGraphs) return AttributeProto::Type::Graph;
  return number >= 0 && number < static_cast<int>(AttributeProto::Type::Other)
             ? static_cast<AttributeProto::Type>(number)
             : AttributeProto::Type::Other;
}

AttributeProto read_attribute(Message message) {
  AttributeProto attribute;
  AttributeProto::Type found = AttributeProto::Type::Undefined;
  while (message.next()) {
    const std::uint32_t field = message.field();
    constexpr std::uint32_t kDoc = 13;
    if (field > 1 && field != 20 && field != kDoc) found = type_of_what_is_set(field);
    switch (field) {
      case 1:
        attribute.name = message.text();
        break;
      case 2:
        attribute.f = message.number();
        break;
      case 3:
        attribute.i = message.integer();
        break;
      case 4:
        attribute.s = message.text();
        break;
      case 5:
        attribute.t = read_tensor(message.message("TensorProto"));
        break;
      case 7:
        message.append_floats(attribute.floats);
        break;
      case 8:
        message.append_integers(attribute.ints);
        break;
      case 9:
        attribute.strings.push_back(message.text());
        break;
      case 20:
        attribute.type = attribute_type(message.integer());
        break;
      default:  // graphs among others, which no op that is known has
        message.skip();
    }
  }
  if (attribute.type == AttributeProto::Type::Undefined) attribute.type = found;
  return attribute;
}

NodeProto read_node(Message message) {
  NodeProto node;
  while (message.next()) switch (message.field()) {
      case 1:
        node.inputs.push_back(message.text());
        break;
      case 2:
        node.outputs.push_back(message.text());
        break;
      case 3:
        node.name = message.text();
        break;
      case 4:
        node.op_type = message.text();
        break;
      case 5:
        node.attributes.push_back(read_attribute(message.message("AttributeProto")));
        break;
      case 7:
        node.domain = message.text();
        break;
      default:
        message.skip();
    }
  return node;
}

std::vector<ValueInfoProto::Dimension> read_shape(Message message) {
  std::vector<ValueInfoProto::Dimension> shape;
  while (message.next()) {
    if (message.field() != 1) {
      message.skip();
      continue;
    }
    ValueInfoProto::Dimension dimension;
    Message inner = message.message("TensorShapeProto.Dimension");
    while (inner.next()) {
      if (inner.field() == 1)
        dimension.size = inner.integer();
      else if (inner.field() == 2)
        dimension.name = inner.text();
      else
        inner.skip();
    }
    shape.push_back(std::move(dimension));
  }
  return shape;
}

void read_tensor_type(Message message, ValueInfoProto& info) {
  info.is_tensor = true;
  while (message.next()) {
    if (message.field() == 1) {
      info.type = message.element_type();
    } else if (message.field() == 2) {
      info.has_shape = true;
      info.shape = read_shape(message.message("TensorShapeProto"));
    } else {
      message.skip();
    }
  }
}

ValueInfoProto read_value_info(Message message) {
  ValueInfoProto info;
  while (message.next()) {
    if (message.field() == 1) {
      info.name = message.text();
    } else if (message.field() == 2) {
      Message type = message.message("TypeProto");
      while (type.next()) {
        if (type.field() == 1)
          read_tensor_type(type.message("TypeProto.Tensor"), info);
        else
          type.skip();
      }
    } else {
      message.skip();
    }
  }
  return info;
}

GraphProto read_graph(Message message) {
  GraphProto graph;
  while (message.next()) switch (message.field()) {
      case 1:
        graph.nodes.push_back(read_node(message.message("NodeProto")));
        break;
      case 2:
        graph.name = message.text();
        break;
      case 5:
        graph.initializers.push_back(read_tensor(message.message("TensorProto")));
        break;
      case 11:
        graph.inputs.push_back(read_value_info(message.message("ValueInfoProto")));
        break;
      case 12:
        graph.outputs.push_back(read_value_info(message.message("ValueInfoProto")));
        break;
      case 15:
        graph.has_sparse_initializers = true;
        message.skip();
        break;
      default:
        message.skip();
    }
  return graph;
}

ModelProto::Opset read_opset(Message message) {
  ModelProto::Opset opset;
  while (message.next()) {
    if (message.field() == 1)
      opset.domain = message.text();
    else if (message.field() == 2)
      opset.version = message.integer();
    else
      message.skip();
  }
  return opset;
}

// f(), where what protozero throws is an error of the file.
template <class F>
auto checked(const Source& source, const F& f) {
  try {
    return f();
  } catch (const protozero::exception& error) {
    source.fail(
        "is not an ONNX model, or damaged: its protobuf ends too early or has an impossible field ({})",
        error.what());
  }
}

}  // namespace

std::string name(ElementType type) {
  const auto number = static_cast<std::int64_t>(type);
  if (number >= 0 && number < static_cast<std::int64_t>(kTypeNames.size()))
    return kTypeNames[static_cast<std::size_t>(number)];
  return fmt::format("type {}", number);
}

ModelProto read_model(const Source& source, std::string_view bytes) {
  return checked(source, [&] {
    ModelProto model;
    bool has_graph = false;
    Message message(source, "ModelProto", pbf_reader(bytes.data(), bytes.size()));
    while (message.next()) switch (message.field()) {
        case 1:
          model.ir_version = message.integer();
          break;
        case 2:
          model.producer = message.text();
          break;
        case 7:
          if (std::exchange(has_graph, true)) source.fail("is damaged: it has two graphs");
          model.graph = read_graph(message.message("GraphProto"));
          break;
        case 8:
          model.opsets.push_back(read_opset(message.message("OperatorSetIdProto")));
          break;
        default:
          message.skip();
      }
    if (!has_graph) source.fail("is not an ONNX model: it has no graph");
    return model;
  });
}

TensorProto read_tensor(const Source& source, std::string_view bytes) {
  return checked(source, [&] {
    return read_tensor(Message(source, "TensorProto", pbf_reader(bytes.data(), bytes.size())));
  });
}

}  // namespace tapegrad::inline v0::onnx
