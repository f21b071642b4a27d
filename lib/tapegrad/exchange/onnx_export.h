#pragma once

// ONNX: Modules and functions of this library, for other programs.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tapegrad/nn/module.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct OnnxExportOptions {
  int opset = 17;  ///< the opset of ONNX that is written, 13 to 17
  /// Whether the model takes batches of any size: the first axis of the first example, and of all examples that are as
  /// long along it, is the batch. Otherwise the file's sizes are those of the examples.
  bool dynamic_batch = true;
  /// Whether inputs and results of rank 4 are images that the file has as NCHW. Inside, images are NCHW in any case.
  bool channels_first = false;
  /// Whether a batch norm behind a convolution becomes a part of that: its own parameters are not in the file then.
  bool fold_batch_norm = false;
  std::vector<std::string> input_names = {};   ///< "input", or "input_0", "input_1", ... if empty
  std::vector<std::string> output_names = {};  ///< "output", or "output_0", "output_1", ... if empty
  /// Of the parameters that a function uses, as named_parameters() gives them; a Module names its own. A parameter
  /// without a name is "parameter_1", "parameter_2", ...
  NamedTensors names = {};
};

/// A function of tensors to write as a model.
using OnnxFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

/// Writes what a module computes in eval mode, as a model with one input and one result:
///
///   save_onnx("classifier.onnx", net, first_batch);  // an example: its shape and dtype count
///
/// Parameters and buffers keep their paths as names. Filters are written as OIHW, and kernels of Dense as [units, features],
/// as PyTorch exports its layers; images between convolutions are NCHW, with transposes where ops need NHWC. Float32 is
/// FLOAT, Float64 DOUBLE, Int32 INT32 and UInt8 UINT8.
///
/// The module is called with batches of three and five made of the example's rows, the second with other numbers. What
/// differs between the two beside the inputs, such as a number taken out of a tensor with item(), or a random draw, is an
/// error that names the op and its layer, and so is an op that ONNX has no counterpart of. (A branch that both batches take
/// alike, and an integer of which there is one, do not show.) Then the model is loaded as by load_onnx(), and must give the
/// module's results, for a single sample, too. Only then is anything written. Throws besides when the file cannot be written.
///
/// ONNX Runtime has no convolutions of DOUBLE: call to(DType::Float32) before.
void save_onnx(const std::filesystem::path& path, Module& module, const Tensor& example,
               const OnnxExportOptions& options = {});
/// The same for a function of one or more tensors; it draws nothing, and its modules must be in eval mode.
void save_onnx(const std::filesystem::path& path, const OnnxFunction& f, const std::vector<Tensor>& examples,
               const OnnxExportOptions& options = {});

/// The bytes of the file that save_onnx() writes.
[[nodiscard]] std::vector<std::uint8_t> onnx_bytes(Module& module, const Tensor& example,
                                                   const OnnxExportOptions& options = {});
/// The bytes of the file that save_onnx() writes.
[[nodiscard]] std::vector<std::uint8_t> onnx_bytes(const OnnxFunction& f, const std::vector<Tensor>& examples,
                                                   const OnnxExportOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
