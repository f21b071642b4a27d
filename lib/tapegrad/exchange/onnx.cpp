#include "tapegrad/exchange/onnx.h"

#include "tapegrad/exchange/onnx_program_internal.h"
#include "tapegrad/io/file_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 31;  // protobuf has no longer messages

std::unique_ptr<detail::OnnxProgram> program_of(const onnx::Source& source, std::string_view bytes,
                                                const OnnxOptions& options) {
  const onnx::ModelProto model = onnx::read_model(source, bytes);
  try {
    return onnx::build_program(source, model, options);
  } catch (const Error& error) {
    if (error.op() == "load_onnx") throw;
    throw Error("load_onnx", source.what + " cannot be loaded: " + error.what());
  }
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

OnnxModel::OnnxModel(std::unique_ptr<detail::OnnxProgram> program) : program_(std::move(program)) {
  train(program_->begins_in_training);
}
OnnxModel::OnnxModel(const OnnxModel& other, Cloning cloning)
    : program_(std::make_unique<detail::OnnxProgram>(*other.program_, cloning)) {}
OnnxModel::OnnxModel(OnnxModel&& other) noexcept = default;
OnnxModel& OnnxModel::operator=(OnnxModel&& other) noexcept = default;
OnnxModel::~OnnxModel() = default;

Tensor OnnxModel::forward(const Tensor& x) {
  return program_->run({x}, training()).front();
}

std::vector<Tensor> OnnxModel::run(const std::vector<Tensor>& inputs) {
  return program_->run(inputs, training());
}

void OnnxModel::visit(Visitor& visitor) {
  for (detail::OnnxProgram::Weight& weight : program_->weights) visitor(weight.name, weight.value.tensor);
  for (std::size_t i = 0; i < program_->dropouts.size(); ++i)
    visitor(program_->dropout_names[i], program_->dropouts[i]);
}

const std::vector<OnnxValueInfo>& OnnxModel::inputs() const {
  return program_->inputs;
}

const std::vector<OnnxValueInfo>& OnnxModel::outputs() const {
  return program_->outputs;
}

State OnnxModel::state_as_in_file() const {
  State state;
  for (const detail::OnnxProgram::Weight& weight : program_->weights)
    state.tensors.emplace_back(weight.name, onnx::natural({stop_gradient(weight.value.tensor),
                                                           weight.value.type, weight.value.order}));
  return state.copy();
}

OnnxModel load_onnx(const std::filesystem::path& path, const OnnxOptions& options) {
  const std::filesystem::path folder = path.parent_path();
  const onnx::Source source{"'" + path.string() + "'", folder.empty() ? "." : folder};
  const std::vector<std::uint8_t> content = detail::read_file("load_onnx", path, kMostBytes);
  return OnnxModel(program_of(source, text_of(content), options));
}

OnnxModel load_onnx(std::span<const std::uint8_t> bytes, const OnnxOptions& options) {
  const onnx::Source source{"the model", {}};
  return OnnxModel(program_of(source, text_of(bytes), options));
}

Tensor read_onnx_tensor(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> content = detail::read_file("read_onnx_tensor", path, kMostBytes);
  const onnx::Source source{"'" + path.string() + "'", {}};
  try {
    return onnx::for_caller(onnx::constant(source, onnx::read_tensor(source, text_of(content))), {});
  } catch (const Error& error) {
    throw Error("read_onnx_tensor", error.message());
  }
}

std::vector<std::string> onnx_ops() {
  std::vector<std::string> names;
  for (const auto& [name, op] : onnx::all_ops()) names.push_back(name);
  return names;
}

}  // namespace tapegrad::inline v0
