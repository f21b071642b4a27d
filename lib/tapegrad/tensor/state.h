#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// What a module, an optimizer, a generator or a loader needs to be saved and restored: tensors by name, in a
/// fixed order, and numbers by name.
struct State {
  std::vector<std::pair<std::string, Tensor>> tensors = {};
  std::map<std::string, double> numbers = {};
  /// What has 64 bits, as a seed does; a double would lose some of them.
  std::map<std::string, std::uint64_t> integers = {};

  /// The tensor of that name, nullptr when there is none.
  const Tensor* find(const std::string& name) const {
    for (const auto& [key, value] : tensors)
      if (key == name) return &value;
    return nullptr;
  }
  /// The number of that name. Throws an error of op when there is none.
  double number(std::string_view op, const std::string& name) const;
  /// As number(), and throws unless it is whole and 0 or more.
  std::int64_t count(std::string_view op, const std::string& name) const;
  /// As number(), of integers.
  std::uint64_t integer(std::string_view op, const std::string& name) const;
};

/// Seed, stream and position.
State state(const Generator& generator);
/// Throws, and changes nothing, when one of them is missing.
void load_state(Generator& generator, const State& state);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
