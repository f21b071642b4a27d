#pragma once

// ParameterList: parameters with or without their names, as optimizers take them.

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The parameters of an optimizer or of an average: net.parameters(), or net.named_parameters(), whose names then
/// appear in errors and in the state.
class ParameterList {
 public:
  ParameterList() = default;
  ParameterList(std::vector<Tensor> tensors) : tensors_(std::move(tensors)), names_(tensors_.size()) {}
  ParameterList(std::initializer_list<Tensor> tensors) : ParameterList(std::vector<Tensor>(tensors)) {}
  ParameterList(const NamedTensors& named) {
    for (const auto& [name, tensor] : named) {
      tensors_.push_back(tensor);
      names_.push_back(name);
    }
  }

  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// One name for each tensor; empty where no name is known.
  const std::vector<std::string>& names() const { return names_; }
  std::size_t size() const { return tensors_.size(); }

 private:
  std::vector<Tensor> tensors_;
  std::vector<std::string> names_;
};

}  // namespace v0
}  // namespace tapegrad
