#include "tapegrad/nn/module.h"

#include <algorithm>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad {

void Visitor::operator()(std::string_view name, Tensor& tensor) {
  if (tensor.defined()) function_(path_ + std::string(name), tensor);
}

void Visitor::operator()(std::string_view name, Module& module) {
  const std::string outer = path_;
  path_ += std::string(name) + ".";
  module.visit(*this);
  path_ = outer;
}

std::vector<Tensor> Module::parameters() {
  std::vector<Tensor> found;
  Visitor visitor([&](const std::string&, Tensor& tensor) {
    if (tensor.is_parameter()) found.push_back(tensor);
  });
  visit(visitor);
  return found;
}

State Module::state() {
  State state;
  Visitor visitor([&](const std::string& path, Tensor& tensor) { state.tensors.emplace_back(path, tensor); });
  visit(visitor);
  return state;
}

void Module::load_state(const State& state) {
  const PauseRecording pause;
  const State own = this->state();
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (const auto& [path, tensor] : own.tensors) {
    const Tensor* given = state.find(path);
    if (given == nullptr)
      fail("load_state", "the state has no tensor '{}' ({} {})", path, tensor.dtype(), tensor.shape());
    if (given->shape() != tensor.shape())
      fail("load_state", "'{}' has shape {} in the state but {} in the module", path, given->shape(),
           tensor.shape());
    copies.emplace_back(tensor, cast(*given, tensor.dtype()));
  }
  for (const auto& [path, tensor] : state.tensors)
    if (own.find(path) == nullptr)
      fail("load_state", "the module has no tensor '{}' ({} {})", path, tensor.dtype(), tensor.shape());
  for (auto& copy : copies)
    dispatch(copy.first.dtype(), [&]<class T>(std::type_identity<T>) {
      std::ranges::copy(copy.second.values<T>(), copy.first.mutable_values<T>().begin());
    });
}

void Module::to(DType dtype) {
  if (!is_floating(dtype)) fail("module", "parameters are Float32 or Float64, not {}", dtype);
  const PauseRecording pause;
  Visitor visitor([&](const std::string&, Tensor& tensor) {
    if (!is_floating(tensor.dtype())) return;
    const bool trained = tensor.is_parameter();
    tensor = cast(tensor, dtype);
    if (trained && !tensor.is_parameter()) tensor = parameter(tensor);
  });
  visit(visitor);
}

}  // namespace tapegrad
