#pragma once

// Internal: an ONNX model as plain structs, its reader and its writer. The structs have the names and fields of ONNX's protobuf
// messages, without what this library has no use for.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/exchange/onnx_fail_internal.h"

namespace tapegrad::inline v0::onnx {

/// TensorProto.DataType: its numbers.
enum class ElementType : std::int32_t {
  Undefined = 0,
  Float = 1,
  UInt8 = 2,
  Int8 = 3,
  UInt16 = 4,
  Int16 = 5,
  Int32 = 6,
  Int64 = 7,
  String = 8,
  Bool = 9,
  Float16 = 10,
  Double = 11,
  UInt32 = 12,
  UInt64 = 13,
  Complex64 = 14,
  Complex128 = 15,
  BFloat16 = 16,
};
/// "FLOAT", "INT64", ...; "type 99" for a number that ONNX 1.12 does not have.
std::string name(ElementType type);

struct TensorProto {
  std::string name;
  ElementType type = ElementType::Undefined;
  std::vector<std::int64_t> dims;
  /// The elements: little-endian bytes (a view of the file's, or of the caller's), or one of the lists.
  std::string_view raw;
  bool has_raw = false;
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<std::int32_t> int32s;  ///< also of the smaller types, and the bits of FLOAT16 and BFLOAT16
  std::vector<std::int64_t> int64s;
  std::vector<std::uint64_t> uint64s;
  bool has_strings = false, has_segment = false;
  bool is_external = false;
  std::vector<std::pair<std::string, std::string>> external;  ///< "location", "offset", "length"
};

struct AttributeProto {
  /// AttributeProto.AttributeType: its numbers.
  enum class Type : std::int32_t {
    Undefined = 0,
    Float = 1,
    Int = 2,
    String = 3,
    Tensor = 4,
    Graph = 5,
    Floats = 6,
    Ints = 7,
    Strings = 8,
    Other = 9,
  };
  std::string name;
  Type type = Type::Undefined;
  float f = 0;
  std::int64_t i = 0;
  std::string s;
  TensorProto t;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
};

struct NodeProto {
  std::string name, op_type, domain;
  std::vector<std::string> inputs, outputs;  ///< "" for one that is left out
  std::vector<AttributeProto> attributes;
};

struct ValueInfoProto {
  struct Dimension {
    std::int64_t size = -1;  ///< -1 if it is not fixed
    std::string name;        ///< of a size that is not fixed, if it has one
  };
  std::string name;
  bool is_tensor = false;
  ElementType type = ElementType::Undefined;
  bool has_shape = false;
  std::vector<Dimension> shape;
};

struct GraphProto {
  std::string name;
  std::vector<NodeProto> nodes;
  std::vector<TensorProto> initializers;
  std::vector<ValueInfoProto> inputs, outputs;
  bool has_sparse_initializers = false;
};

struct ModelProto {
  struct Opset {
    std::string domain;
    std::int64_t version = 0;
  };
  std::int64_t ir_version = 0;
  std::string producer;
  std::vector<Opset> opsets;
  GraphProto graph;
};

/// Reads a model. The views of raw bytes in the result are of `bytes`.
ModelProto read_model(const Source& source, std::string_view bytes);
/// Reads a TensorProto by itself, as ONNX's test data has them.
TensorProto read_tensor(const Source& source, std::string_view bytes);

/// The bytes of a model's file. Tensors are written with their raw bytes; external ones and graphs inside are not.
std::string written(const ModelProto& model);

}  // namespace tapegrad::inline v0::onnx
