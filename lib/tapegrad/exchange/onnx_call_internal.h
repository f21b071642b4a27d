#pragma once

// Internal: an op of a trace that save_onnx() writes as nodes, and the table of ops.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/exchange/onnx_graph_internal.h"

namespace tapegrad::inline v0::onnx {

/// A value in the file. Images are there as NHWC, as NCHW, or as both.
struct FileValue {
  Sizes sizes;
  std::string natural, nchw;  ///< names; "" for what is not there yet
};

class Call;
using WriteOp = std::function<void(Call&)>;
using OpTable = std::map<std::string, WriteOp, std::less<>>;

/// The model while it is written.
class Exporter {
 public:
  Exporter(Runs& of, const OnnxExportOptions& given);
  /// The names of parameters and buffers.
  void set_paths(std::map<Key, std::string> paths) { paths_ = std::move(paths); }

  /// Writes all ops, and the results.
  ModelProto model();

  /// The writer of an op; nullptr if there is none.
  const WriteOp* writer(const TracedOp& op) const;
  /// "the op 'exp' of layer 'encoder.0'"
  std::string str(const TracedOp& op) const;

  /// A value, which is made if it is a leaf.
  FileValue& value(const Twin& twin, const std::string& what);
  const std::string& natural(FileValue& value);
  const std::string& nchw(FileValue& value);
  /// A filter in the file's order. A parameter is stored in that order.
  std::string filter(const Twin& w, const std::vector<int>& order, const std::string& what);
  /// Its path, if a value is a parameter or buffer; else "".
  std::string path_of(const Tensor& x) const;
  /// Whether no op computes the value, and it is not an input: its elements are those of the file.
  bool is_given(const Tensor& x) const;

  Graph graph;
  Runs& runs;
  const OnnxExportOptions& options;
  std::map<const Module*, std::string> layers;
  std::set<Key> folded;  ///< results that an earlier op computes
  std::map<Key, FileValue> values;

 private:
  void add_inputs();
  void add_outputs();
  ValueInfoProto info(const Twin& twin, const std::string& name, bool is_nchw) const;
  void reserve_names();
  FileValue leaf(const Twin& twin, const std::string& what);
  std::string repeated(const Twin& twin, const Sizes& sizes, const std::string& what);

  OpTable table_;
  std::map<Key, std::string> paths_;
  std::vector<std::string> input_names_, output_names_;
  std::set<Key> made_;  // by ops, and inputs
  std::map<Key, std::pair<std::string, std::vector<int>>> filters_;
};

/// One op, asked for its inputs and options, and given the names of what it becomes. An option that is not asked for is an
/// error: the op is not what the writer takes it for.
class Call {
 public:
  Call(Exporter& of, const TwinOp& op) : exporter(of), graph(of.graph), op_(op) {}

  Exporter& exporter;
  Graph& graph;
  const TracedOp& first() const { return *op_.first; }
  const TracedOp& second() const { return *op_.second; }
  std::string str() const { return exporter.str(*op_.first); }
  template <class... Args>
  [[noreturn, gnu::cold]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    throw Error("save_onnx", str() + " " + fmt::vformat(message, fmt::make_format_args(args...)));
  }

  bool has(std::string_view option) const;
  double number(std::string_view option) const;
  double number(std::string_view option, double otherwise) const;
  std::vector<int> axes(std::string_view option = "axes") const;
  int axis() const { return static_cast<int>(number("axis")); }
  /// The option in each of the runs.
  std::pair<std::vector<double>, std::vector<double>> both(std::string_view option) const;
  const Conv2DGeometry& geometry() const;

  std::size_t inputs() const { return op_.first->inputs.size(); }
  Twin input(std::size_t i) const;
  const Sizes& sizes(std::size_t i) const;
  Sizes result_sizes() const { return exporter.runs.sizes(op_.output(), "the result of " + str()); }
  DType dtype() const { return op_.first->output.dtype(); }
  DType dtype(std::size_t i) const { return input(i).first.dtype(); }
  int rank() const { return op_.first->output.rank(); }
  int rank(std::size_t i) const { return input(i).first.rank(); }

  /// The name of an input with its axes as they are here.
  std::string in(std::size_t i) const;
  std::string in_nchw(std::size_t i) const;
  /// An input of rank up to 4 that is broadcast with images in NCHW.
  std::string in_beside_nchw(std::size_t i) const;
  std::string filter(std::size_t i, const std::vector<int>& order) const {
    return exporter.filter(input(i), order, str());
  }
  /// Whether an image is there as NCHW alone, so that the op is best computed with NCHW.
  bool prefers_nchw(std::size_t i) const;
  bool any_prefers_nchw() const;

  void result(const std::string& name);
  void result_nchw(const std::string& name);
  /// One of both, for ops that know either order.
  void result(const std::string& name, bool is_nchw) { is_nchw ? result_nchw(name) : result(name); }
  /// The only op that uses the result, once; nullptr if there is none, and if the result is one of the model's.
  const TwinOp* only_use() const;
  /// The result is that of `next`, too, which is not written any more.
  void computes(const TwinOp& next);
  /// A result of type BOOL, which is UInt8 here.
  void bool_result(const std::string& name, bool is_nchw);

  std::string node(const char* type, const std::vector<std::string>& inputs,
                   std::vector<AttributeProto> attributes = {}) {
    return graph.node(type, inputs, std::move(attributes));
  }
  /// A number of the result's dtype.
  std::string constant(double value) { return graph.number(value, dtype()); }

  void require_all_read() const;

 private:
  const OpOption* find(const TracedOp& op, std::string_view option) const;
  TwinOp op_;
  mutable std::set<std::string_view> read_;
};

/// The axis of NCHW that is this axis of NHWC, if is_nchw.
inline int file_axis(int axis, bool is_nchw) {
  constexpr int kPlaces[] = {0, 2, 3, 1};
  return is_nchw ? kPlaces[axis] : axis;
}

/// A reshape of `x` from sizes to sizes.
std::string reshaped(Call& call, const std::string& x, const Sizes& from, const Sizes& to);

void add_elementwise(OpTable& table);
void add_windows(OpTable& table);
void add_shapes(OpTable& table);
void add_reductions(OpTable& table);
void add_choices(OpTable& table);
void add_losses(OpTable& table);
/// Writers of ops that are told by their options, whatever their names are: parts of tensors and gathers, and convolutions
/// with what layers do to the result. nullptr for others.
const WriteOp* part_writer(const TracedOp& op);
const WriteOp* fused_writer(const TracedOp& op);

}  // namespace tapegrad::inline v0::onnx
