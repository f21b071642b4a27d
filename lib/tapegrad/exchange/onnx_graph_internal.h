#pragma once

// Internal: an ONNX graph while save_onnx() builds it.

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tapegrad/exchange/onnx_proto_internal.h"
#include "tapegrad/exchange/onnx_runs_internal.h"

namespace tapegrad::inline v0::onnx {

using Ints = std::vector<std::int64_t>;

ElementType element_type(DType dtype);

AttributeProto attribute(const char* name, std::int64_t value);
AttributeProto attribute(const char* name, double value);
AttributeProto attribute(const char* name, const char* value);
AttributeProto attribute(const char* name, Ints values);

/// Axes of images: to_nchw()[i] is the axis of NHWC that NCHW has as its axis i.
inline std::vector<int> to_nchw() {
  return {0, 3, 1, 2};
}
inline std::vector<int> to_nhwc() {
  return {0, 2, 3, 1};
}

/// Nodes, constants and initializers, each with a name of its own.
class Graph {
 public:
  explicit Graph(std::int64_t opset) : opset_(opset) {}
  std::int64_t opset() const { return opset_; }

  /// `wanted`, or `wanted` with a number behind it, if another value is called so.
  std::string unique(const std::string& wanted);
  /// What new nodes are called.
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }

  /// Adds a node, and returns the name of its result; an empty input is left out.
  std::string node(const char* type, const std::vector<std::string>& inputs,
                   std::vector<AttributeProto> attributes = {});
  /// The names of a node's first `count` results.
  std::vector<std::string> nodes(const char* type, const std::vector<std::string>& inputs, std::size_t count,
                                 std::vector<AttributeProto> attributes = {});
  std::string transposed(const std::string& x, const std::vector<int>& order);
  std::string cast(const std::string& x, ElementType type);

  /// A node that is a constant tensor; a name for it must be unique().
  std::string constant(const Tensor& x, const std::string& name = "");
  /// One that is a number; the same number is added once.
  std::string number(double value, DType dtype);
  /// A vector of INT64; the same vector is added once.
  std::string integers(const Ints& values);
  /// Adds an initializer, whose name must be unique().
  void initializer(const std::string& name, const Tensor& x);
  /// An INT64 vector of sizes, some of which are multiples of the batch's size.
  std::string sizes(const Sizes& wanted);

  /// Makes `from` a result of the model, under a name that its users know it by.
  void output(const std::string& from, const std::string& name);

  GraphProto proto;
  std::string batched_input;  ///< an input whose first axis is the batch

 private:
  TensorProto tensor(const Tensor& x);
  std::int64_t opset_;
  std::string prefix_;
  std::deque<std::string> bytes_;     // of constants and initializers
  std::map<std::string, int> names_;  // with how many were made of it
  std::set<std::string> outputs_;
  std::map<std::pair<std::uint64_t, DType>, std::string> numbers_;  // by the bits of a double
  std::map<Ints, std::string> integers_;
};

}  // namespace tapegrad::inline v0::onnx
