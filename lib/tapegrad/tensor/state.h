#pragma once

// State: named tensors and numbers, which modules, optimizers and generators are saved as.

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

/// Tensors by name, in a fixed order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// What a module, an optimizer, a generator or a loader needs to be saved and restored: tensors by name, in a
/// fixed order, and numbers by name.
///
/// state() is a snapshot everywhere: what happens to the module or optimizer afterwards does not change it. So this
/// brings the best weights back:
///
///   State best = net.state();
///   ...  // train on
///   net.load_state(best);
///
/// state_view() holds the tensors themselves instead of copies: for writing a file, and to show parameters by name.
struct State {
  NamedTensors tensors = {};
  std::map<std::string, double> numbers = {};
  /// What has 64 bits, as a seed does; a double would lose some of them.
  std::map<std::string, std::uint64_t> integers = {};

  /// The tensor of that name, nullptr when there is none.
  const Tensor* find(const std::string& name) const {
    for (const auto& [key, value] : tensors)
      if (key == name) return &value;
    return nullptr;
  }
  /// The same with tensors in memory of their own, all of them constants.
  [[nodiscard]] State copy() const;
  /// Throws an error of op when two tensors have the same name: only the first of them would be found.
  void require_names_once(std::string_view op) const;
  /// The number of that name. Throws an error of op when there is none.
  double number(std::string_view op, const std::string& name) const;
  /// As number(), and throws unless it is whole and 0 or more.
  std::int64_t count(std::string_view op, const std::string& name) const;
  /// As number(), of integers.
  std::uint64_t integer(std::string_view op, const std::string& name) const;
};

/// Seed, stream and position.
[[nodiscard]] State state(const Generator& generator);
/// Throws, and changes nothing, when one of them is missing.
void load_state(Generator& generator, const State& state);

}  // namespace v0
}  // namespace tapegrad
