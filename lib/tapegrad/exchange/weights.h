#pragma once

// Weights of other programs: files of every format that can be read, and which of their tensors goes where in a module.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tapegrad/nn/module.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Reads the tensors of a file, whatever its format is: safetensors (see read_safetensors()), PyTorch's .pt and .pth (see
/// read_pytorch()), or NumPy's .npz (see read_npz()). The content tells the format, not the name. Throws what the reader of the
/// format throws.
[[nodiscard]] State read_weights(const std::filesystem::path& path);

struct MatchOptions {
  /// Of the weights: OIHW for those of PyTorch.
  Layout layout = Layout::HWIO;
  /// Weights and tensors of the module that have no namesake are matched in order: the first with the first, and so on.
  /// All their shapes must fit, and a bias must stay a bias.
  bool by_order = false;
  /// With Layout::OIHW, for each layer behind a Flatten, by its path in the module, the shape of an image before that,
  /// [channels, height, width]: PyTorch flattens channels first.
  std::map<std::string, Shape> flattened = {};
  /// With Layout::OIHW, for each Dense in front of a Reshape to images, and normalizations in between, by path, their
  /// shape, [channels, height, width].
  std::map<std::string, Shape> unflattened = {};
};

/// Which weight goes where.
struct WeightMatch {
  struct Row {
    std::string path, name;   ///< of the tensor in the module, and of the weight
    Shape shape, from_shape;  ///< of these
    std::string
        how;  ///< "by name" or "by order", and what is done: ", OIHW to HWIO", ", transposed", ", channels last"
  };
  std::vector<Row> rows;  ///< in the order of the module
  std::vector<std::string>
      ignored;  ///< weights that no module here needs (num_batches_tracked of PyTorch's BatchNorm)
  State state;  ///< for module.load_state()

  /// The rows, as a table to print.
  [[nodiscard]] std::string table() const;
};

/// Finds the weight for each tensor of the module: by its path, or, with Layout::OIHW, by what PyTorch calls that
/// ("conv1.weight" is for conv1.kernel); then in order, if options.by_order. Changes nothing. Throws, and names the
/// tensors of both sides with their shapes, unless each tensor has a weight that fits and each weight is used. What Dropout
/// saves of its generator stays as it is.
[[nodiscard]] WeightMatch match_weights(Module& module, const State& weights,
                                        const MatchOptions& options = {});

/// match_weights(), then module.load_state(): all weights are loaded, or none. Returns what went where.
WeightMatch load_weights(Module& module, const State& weights, const MatchOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
