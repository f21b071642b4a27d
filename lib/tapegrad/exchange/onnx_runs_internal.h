#pragma once

// Internal: what save_onnx() learns of a function by calling it twice, with two batches.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tapegrad/autograd/trace.h"
#include "tapegrad/exchange/onnx_export.h"

namespace tapegrad::inline v0::onnx {

/// f(inputs). An error says what f was called with, where that is not the caller's example.
std::vector<Tensor> results_of(const OnnxFunction& f, const std::vector<Tensor>& inputs, bool has_batch);

/// What tells a value of a trace from others.
struct Key {
  const void* elements = nullptr;
  std::vector<index_t> sizes;
  DType dtype = DType::Float32;
  friend auto operator<=>(const Key&, const Key&) = default;
};
Key key_of(const Tensor& x);

/// A size of a value: a number, or a multiple of the batch's size.
struct Size {
  index_t number = 0;      ///< in the first run
  index_t per_sample = 0;  ///< 0 if the size does not depend on the batch
  bool is_open() const { return per_sample != 0; }
  friend bool operator==(const Size&, const Size&) = default;
};
using Sizes = std::vector<Size>;

/// The same value in both runs.
struct Twin {
  Tensor first, second;
  Key key() const { return key_of(first); }
};

/// The same op in both runs.
struct TwinOp {
  const TracedOp* first = nullptr;
  const TracedOp* second = nullptr;
  Twin input(std::size_t i) const { return {first->inputs[i], second->inputs[i]}; }
  Twin output() const { return {first->output, second->output}; }
};

/// Both runs of a function, and those of the ops that its results depend on.
class Runs {
 public:
  /// Calls f. Throws what f throws.
  Runs(const OnnxFunction& f, const std::vector<Tensor>& examples, const OnnxExportOptions& options);

  /// What is asked about the ops of a trace.
  struct Questions {
    std::function<bool(const TracedOp&)> is_known;       ///< whether the op can be written
    std::function<bool(const Tensor&)> has_name;         ///< whether this is a parameter or a buffer
    std::function<std::string(const TracedOp&)> called;  ///< "the op 'exp' of layer 'encoder.0'"
  };
  /// Finds the ops. Of several ops with the same result the last one that can be written is taken.
  void find_ops(const Questions& questions);

  std::vector<Twin> inputs, outputs;
  std::vector<TwinOp> ops;                       ///< in the order of the first run
  std::map<Key, std::vector<std::size_t>> uses;  ///< of the first run's values, by the ops
  /// The examples with this many rows, where they have a batch.
  std::vector<Tensor> batch(index_t rows) const;
  /// Whether batches of other sizes than the example's are made.
  bool has_batch() const { return has_batch_[0]; }

  /// The sizes of a value. Throws, calling the value `what`, for a size that is not a number, nor a multiple of the batch's.
  Sizes sizes(const Twin& value, const std::string& what) const;
  /// A number that is the same in both runs, or a multiple of the batch's size.
  std::optional<Size> size(index_t first, index_t second) const;

 private:
  struct Run {
    std::vector<Tensor> inputs, outputs;
    std::vector<TracedOp> ops;
    std::map<Key, std::size_t> made_by;
  };
  static void find_makers(Run& run, const Questions& questions);
  Run runs_[2];
  index_t batches_[2] = {1, 1};
  std::vector<Tensor> examples_;
  std::vector<bool> has_batch_;
};

}  // namespace tapegrad::inline v0::onnx
