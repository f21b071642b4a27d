#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

/// What a module, an optimizer, a generator or a loader needs to be saved and restored: tensors by name, in a
/// fixed order, and numbers by name.
struct State {
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::map<std::string, double> numbers;

  /// The tensor of that name, nullptr when there is none.
  const Tensor* find(const std::string& name) const {
    for (const auto& [key, value] : tensors)
      if (key == name) return &value;
    return nullptr;
  }
};

}  // namespace tapegrad
