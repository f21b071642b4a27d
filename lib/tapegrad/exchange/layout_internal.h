#pragma once

// Internal: a module's tensors with what tells how PyTorch lays them out.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/nn/module.h"

namespace tapegrad::inline v0::detail {

/// Shapes of images, [channels, height, width], where features are flattened images, by the layer's path.
struct ImageShapes {
  const std::map<std::string, Shape>& flattened;    ///< before a Flatten in front of the layer
  const std::map<std::string, Shape>& unflattened;  ///< that a Reshape makes of the layer's result
};

/// A tensor that a module's visit() shows.
struct ModuleTensor {
  std::string path{}, pytorch_path{};
  Tensor tensor{};
  const Module* owner = nullptr;
  Shape input_image{}, output_image{};  ///< of rank 3 where the order of the features differs in PyTorch

  /// A generator's position, which no other program knows.
  bool is_generator() const;
};

/// All of them, in the order of visit(). Throws, as op, when a layer behind a Flatten or in front of a Reshape is not in
/// images, when a layer in images is not in the module, and when its features are not such images'.
std::vector<ModuleTensor> tensors_of(std::string_view op, Module& module, const ImageShapes& images);

/// The module's tensors as they are, in any layout.
std::vector<ModuleTensor> tensors_of(Module& module);

/// A tensor of PyTorch as `own` is laid out; of another shape if it does not fit. What was done is added to `done`.
Tensor from_pytorch(const ModuleTensor& own, const Tensor& given, std::string& done);
/// The module's tensor as PyTorch lays it out.
Tensor to_pytorch(const ModuleTensor& own);

}  // namespace tapegrad::inline v0::detail
