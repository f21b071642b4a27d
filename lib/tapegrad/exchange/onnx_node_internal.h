#pragma once

// Internal: what a node of an ONNX model becomes, and the table of ops.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/exchange/onnx_value_internal.h"

namespace tapegrad::inline v0 {
class Dropout;
}

namespace tapegrad::inline v0::onnx {

constexpr std::int64_t kOldestOpset = 1, kNewestOpset = 21;

using Results = std::vector<Value>;

/// One run of a node.
struct Run {
  std::span<const Value> inputs;  ///< those that the node names; one that is left out is not defined
  bool training = false;
  std::span<Dropout> dropouts = {};  ///< of the model

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i].defined(); }
  const Value& operator[](std::size_t i) const {
    if (!has(i)) fail("load_onnx", "input {} is missing", i);
    return inputs[i];
  }
};

/// A node that is ready to run: its attributes are read and checked.
using Compute = std::function<Results(const Run&)>;

/// What a convolution does to its result in place of the nodes behind it.
struct Epilogue {
  Compute normalize =
      nullptr;         ///< a BatchNormalization, whose inputs 1 to 4 are the convolution's 3 to 6; or empty
  double epsilon = 0;  ///< of that
  bool relu = false;
};

/// A node while it is prepared. What it does not ask for, a model must not say: an attribute that was not read is an error.
class Node {
 public:
  Node(const Source& source, const NodeProto& proto, std::int64_t opset)
      : source_(source), proto_(proto), opset_(opset) {}

  std::int64_t opset() const { return opset_; }
  const NodeProto& proto() const { return proto_; }
  /// "node 'conv1' (Conv of opset 13)"
  std::string str() const;
  template <class... Args>
  [[noreturn, gnu::cold]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    source_.fail("has a {} that {}", str(), fmt::vformat(message, fmt::make_format_args(args...)));
  }

  bool has(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double number(std::string_view name, double otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  std::optional<std::vector<std::int64_t>> integers(std::string_view name) const;
  std::optional<std::vector<float>> numbers(std::string_view name) const;
  const TensorProto* tensor(std::string_view name) const;
  /// integer(), of an attribute that must be there.
  std::int64_t required_integer(std::string_view name) const;
  /// Throws unless value is one of these.
  std::string one_of(std::string_view name, std::string_view otherwise,
                     std::initializer_list<std::string_view> allowed) const;
  /// Reads an attribute that changes nothing here.
  void ignore(std::string_view name) const { (void)has(name); }
  /// Throws for an attribute that nobody asked for.
  void require_all_read() const;
  /// Throws when results beyond the first `count` are used.
  void require_results(std::size_t count, std::string_view why) const;
  const Source& source() const { return source_; }

  /// The value of an input that is a constant of the model, else nullptr.
  std::function<const Value*(std::size_t)> constant;
  /// Whether a node, or the model's caller, reads the result of this name.
  std::function<bool(const std::string&)> is_read;
  Epilogue epilogue;
  bool has_unbiased_variance = false;  ///< in the running statistics of batch norms
  /// A new Dropout layer of the model with this rate, by its index.
  std::function<std::size_t(double)> add_dropout;

 private:
  const AttributeProto* find(std::string_view name, AttributeProto::Type type) const;
  const Source& source_;
  const NodeProto& proto_;
  std::int64_t opset_;
  mutable std::set<std::string_view> read_;
};

/// An op of the table.
struct Op {
  std::size_t required = 1;  ///< inputs that must be there
  /// What each input is; '*' repeats the one before it.
  ///   x  what is computed with: a floating initializer becomes a parameter, unless it is a scalar
  ///   w  a weight: also if it is a scalar
  ///   f  the filter of a convolution: stored as HWIO
  ///   g  Gemm's matrix: stored as [in, out]
  ///   s  running statistics: a buffer
  ///   o  a setting of the op: a constant
  std::string_view roles = "x";
  std::function<Compute(const Node&)> prepare = nullptr;
  /// Whether it is computed on loading, if its inputs are constants: its result is not much larger than they are.
  bool folds = true;
};
using Ops = std::map<std::string, Op, std::less<>>;

/// All ops.
Ops all_ops();
void add_elementwise_ops(Ops& ops);
void add_binary_ops(Ops& ops);
void add_convolutions(Ops& ops);
void add_pooling(Ops& ops);
void add_normalizations(Ops& ops);
void add_products(Ops& ops);
void add_reductions(Ops& ops);
void add_shape_ops(Ops& ops);
void add_indexing(Ops& ops);
void add_resizing(Ops& ops);

/// The axes that a node names in an attribute, or, from an opset on, in an input; nothing if it names none.
using AxesOf = std::function<std::optional<std::vector<std::int64_t>>(const Run&)>;
AxesOf axes_of(const Node& node, std::int64_t input_since, std::size_t input);

}  // namespace tapegrad::inline v0::onnx
