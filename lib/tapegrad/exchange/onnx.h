#pragma once

// ONNX: models of other frameworks, as Modules that compute and train.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/nn/module.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

namespace detail {
class TAPEGRAD_INTERNAL OnnxProgram;
}

/// The order of the axes of images that a model takes and returns.
enum class ImageOrder {
  AsInFile,  ///< that of the file: NCHW in nearly all
  NHWC,      ///< that of this library, of a model whose file has NCHW: every tensor of rank 4 is an image
};

struct OnnxOptions {
  ImageOrder images = ImageOrder::AsInFile;  ///< of inputs and results
  /// Whether a floating initializer of this name and shape (in the file's order) becomes a parameter. Without the
  /// function all do that the model computes with, but scalars, running statistics, and the settings of ops (Clip's
  /// bounds, Resize's scales). Running statistics and settings never do.
  std::function<bool(std::string_view name, const Shape& shape)> is_parameter = nullptr;
  std::uint64_t seed = 0;  ///< of the masks of Dropout
  /// What batch norms keep of a batch's variance in training mode. By default Unbiased in models that PyTorch wrote, as
  /// PyTorch does, and Biased in others, as ONNX says.
  std::optional<MovingVariance> moving_variance = std::nullopt;
};

/// What a model takes or returns.
struct OnnxValueInfo {
  std::string name;
  std::string type;            ///< "FLOAT", "INT64", ...: the names that ONNX has
  std::vector<index_t> shape;  ///< in the file's order; -1 for a size that is not fixed, such as the batch's
  bool has_shape = true;       ///< false if the file does not say how many axes there are
};

/// A model of an ONNX file. Its weights are its parameters, visited under the file's names ("conv1.weight"), the running
/// statistics of batch normalization are buffers; filters are stored as HWIO and the weights of linear layers as [in,
/// out], as everywhere in this library. Inside, images stay NHWC from one convolution to the next.
///
///   OnnxModel net = load_onnx("classifier.onnx");
///   Tensor scores = net(images);  // as the file says: [n, channels, height, width]
///   net.train();
///   Adam adam(net.parameters(), {.learning_rate = 1e-3});
///
/// Types: FLOAT (and FLOAT16 and BFLOAT16, which become Float32) and DOUBLE, BOOL as UInt8, whole numbers as Int32. A
/// number beyond Int32 is exact inside (up to 2^53), and an error where it is returned.
class OnnxModel : public Module {
 public:
  OnnxModel(const OnnxModel& other, Cloning cloning);
  OnnxModel(OnnxModel&& other) noexcept;
  OnnxModel& operator=(OnnxModel&& other) noexcept;
  ~OnnxModel() override;

  /// Of a model with one input: its first result.
  Tensor forward(const Tensor& x) override;
  /// All results, given all inputs, in the file's order.
  [[nodiscard]] std::vector<Tensor> run(const std::vector<Tensor>& inputs);
  void visit(Visitor& visitor) override;

  const std::vector<OnnxValueInfo>& inputs() const;
  const std::vector<OnnxValueInfo>& outputs() const;
  /// The parameters and the running statistics with the file's order of axes (OIHW), as copies: what PyTorch's
  /// load_state_dict() takes, if PyTorch wrote the file.
  [[nodiscard]] State state_as_in_file() const;

 private:
  friend OnnxModel load_onnx(const std::filesystem::path& path, const OnnxOptions& options);
  friend OnnxModel load_onnx(std::span<const std::uint8_t> bytes, const OnnxOptions& options);
  explicit OnnxModel(std::unique_ptr<detail::OnnxProgram> program);
  std::unique_ptr<detail::OnnxProgram> program_;
};

/// Reads a model of opsets 1 to 21. External data is read from files in the model's folder, and below. The model begins
/// in eval mode, unless the file has a BatchNormalization or Dropout in training mode. Throws, naming the file and the
/// node, for what is damaged, and for ops and attributes that are not known.
[[nodiscard]] OnnxModel load_onnx(const std::filesystem::path& path, const OnnxOptions& options = {});
/// A model in memory, without external data.
[[nodiscard]] OnnxModel load_onnx(std::span<const std::uint8_t> bytes, const OnnxOptions& options = {});

/// Reads a tensor by itself, a file of one TensorProto, as the inputs and results of ONNX's test data are.
[[nodiscard]] Tensor read_onnx_tensor(const std::filesystem::path& path);

/// The ops that load_onnx() knows, in alphabetical order.
[[nodiscard]] std::vector<std::string> onnx_ops();

}  // namespace v0
}  // namespace tapegrad
