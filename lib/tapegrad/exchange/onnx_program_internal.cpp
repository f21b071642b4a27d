#include "tapegrad/exchange/onnx_program_internal.h"

#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::detail {
namespace {

// A model whose numbers are FLOAT computes with Float64 after to(DType::Float64): its constants follow.
void use_one_dtype(std::vector<onnx::Value>& values) {
  const auto has = [&](DType dtype) {
    for (const onnx::Value& value : values)
      if (value.defined() && onnx::is_floating(value.type) && value.type != onnx::ElementType::Double &&
          value.tensor.dtype() == dtype)
        return true;
    return false;
  };
  if (!has(DType::Float64) || !has(DType::Float32)) return;
  for (onnx::Value& value : values)
    if (value.defined() && value.tensor.dtype() == DType::Float32)
      value.tensor = cast(value.tensor, DType::Float64);
}

std::string text_of(const std::vector<index_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i > 0 ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return text + "]";
}

std::string reason(const Error& error) {
  return error.op() == "load_onnx" ? std::string(error.message()) : error.what();
}

}  // namespace

OnnxProgram::OnnxProgram(const OnnxProgram& other, Cloning cloning)
    : inputs(other.inputs),
      outputs(other.outputs),
      input_types(other.input_types),
      input_slots(other.input_slots),
      output_slots(other.output_slots),
      weights(other.weights),
      constants(other.constants),
      steps(other.steps),
      dropouts(cloning(other.dropouts)),
      dropout_names(other.dropout_names),
      slots(other.slots),
      images(other.images),
      begins_in_training(other.begins_in_training) {}

onnx::Value OnnxProgram::input_value(std::size_t i, const Tensor& given) const {
  const OnnxValueInfo& info = inputs[i];
  try {
    onnx::Value value = onnx::from_caller(given, input_types[i]);
    if (images == ImageOrder::NHWC && value.rank() == 4) value.order = onnx::channels_last(4);
    const std::vector<index_t> sizes = value.sizes();
    bool fits = !info.has_shape || sizes.size() == info.shape.size();
    for (std::size_t axis = 0; fits && info.has_shape && axis < sizes.size(); ++axis)
      fits = info.shape[axis] < 0 || info.shape[axis] == sizes[axis];
    if (!fits)
      fail("load_onnx", "the file says {}, got {}: a size that varies must be dynamic in the file",
           text_of(info.shape), text_of(sizes));
    return value;
  } catch (const Error& error) {
    fail("OnnxModel", "input '{}': {}", info.name, reason(error));
  }
}

std::vector<Tensor> OnnxProgram::run(const std::vector<Tensor>& given, bool training) {
  if (given.size() != inputs.size())
    fail("OnnxModel", "the model has {} inputs, got {}: run() takes a list", inputs.size(), given.size());
  std::vector<onnx::Value> values(static_cast<std::size_t>(slots));
  const auto at = [&](int slot) -> onnx::Value& { return values[static_cast<std::size_t>(slot)]; };
  for (const auto& [slot, value] : constants) at(slot) = value;
  for (const Weight& weight : weights) at(weight.slot) = weight.value;
  for (std::size_t i = 0; i < given.size(); ++i) at(input_slots[i]) = input_value(i, given[i]);
  std::vector<onnx::Value> taken;
  for (const Step& step : steps) {
    taken.clear();
    for (const int slot : step.inputs) taken.push_back(slot == kNone ? onnx::Value{} : at(slot));
    for (const int slot : step.last_used) at(slot) = {};
    try {
      use_one_dtype(taken);
      onnx::Results results = step.compute({.inputs = taken, .training = training, .dropouts = dropouts});
      for (std::size_t i = 0; i < step.results.size(); ++i) {
        if (step.results[i] == kNone) continue;
        if (i >= results.size()) fail("load_onnx", "it has no result {}", i);
        at(step.results[i]) = std::move(results[i]);
      }
    } catch (const Error& error) {
      fail("OnnxModel", "{}: {}", step.what, reason(error));
    }
  }
  std::vector<Tensor> made;
  for (std::size_t i = 0; i < output_slots.size(); ++i) {
    const bool as_nhwc = images == ImageOrder::NHWC;
    try {
      made.push_back(onnx::for_caller(at(output_slots[i]), as_nhwc ? onnx::channels_last(4) : onnx::Order{}));
    } catch (const Error& error) {
      fail("OnnxModel", "output '{}': {}", outputs[i].name, reason(error));
    }
  }
  return made;
}

}  // namespace tapegrad::inline v0::detail
