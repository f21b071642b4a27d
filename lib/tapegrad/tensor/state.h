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

/// The saved state of a module, an optimizer, a generator or a loader: tensors by name, in a fixed order, and numbers
/// by name.
///
/// state() is a snapshot everywhere: later changes of the module or optimizer do not change the snapshot. So this
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
  /// Numbers of 64 bits, such as seeds, which a double would round.
  std::map<std::string, std::uint64_t> integers = {};

  /// The tensor of this name, nullptr when there is none.
  const Tensor* find(const std::string& name) const {
    for (const auto& [key, value] : tensors)
      if (key == name) return &value;
    return nullptr;
  }
  /// A copy whose tensors are constants with memory of their own.
  [[nodiscard]] State copy() const;
  /// Throws an Error that names op when two tensors have the same name (find() would return only the first of them), or
  /// when a tensor was never given a value.
  void require_names_once(std::string_view op) const;
  /// The number of this name. Throws an Error that names op when there is none.
  double number(std::string_view op, const std::string& name) const;
  /// As number(); throws as well unless the number is whole and at least 0.
  std::int64_t count(std::string_view op, const std::string& name) const;
  /// As number(), for one of the integers.
  std::uint64_t integer(std::string_view op, const std::string& name) const;
};

/// The generator's seed, stream and position.
[[nodiscard]] State state(const Generator& generator);
/// Restores seed, stream and position. Throws, and changes nothing, when one of the three is missing.
void load_state(Generator& generator, const State& state);

}  // namespace v0
}  // namespace tapegrad
