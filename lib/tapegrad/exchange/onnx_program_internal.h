#pragma once

// Internal: an ONNX model that is ready to run.

#include <string>
#include <utility>
#include <vector>

#include "tapegrad/exchange/onnx.h"
#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/nn/layers.h"

namespace tapegrad::inline v0::detail {

/// The nodes of a model in the order in which they run. Values lie in numbered slots.
class OnnxProgram {
 public:
  static constexpr int kNone = -1;  ///< the slot of an input or result that is left out

  /// A parameter or a buffer.
  struct Weight {
    std::string name;
    onnx::Value value;
    int slot = kNone;
  };
  struct Step {
    std::string what;  ///< the node, for errors
    onnx::Compute compute;
    std::vector<int> inputs, results;
    std::vector<int> last_used;  ///< slots that no later step reads
  };

  OnnxProgram() = default;
  OnnxProgram(const OnnxProgram& other, Cloning cloning);

  std::vector<Tensor> run(const std::vector<Tensor>& given, bool training);

  std::vector<OnnxValueInfo> inputs, outputs;
  std::vector<onnx::ElementType> input_types;
  std::vector<int> input_slots, output_slots;
  std::vector<Weight> weights;
  std::vector<std::pair<int, onnx::Value>> constants;
  std::vector<Step> steps;
  std::vector<Dropout> dropouts;
  std::vector<std::string> dropout_names;
  int slots = 0;
  ImageOrder images = ImageOrder::AsInFile;
  bool begins_in_training = false;

 private:
  onnx::Value input_value(std::size_t i, const Tensor& given) const;
};

}  // namespace tapegrad::inline v0::detail

namespace tapegrad::inline v0::onnx {

/// Checks a model, reads its constants, and prepares its nodes.
std::unique_ptr<detail::OnnxProgram> build_program(const Source& source, const ModelProto& model,
                                                   const OnnxOptions& options);

}  // namespace tapegrad::inline v0::onnx
