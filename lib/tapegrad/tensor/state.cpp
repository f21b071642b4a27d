#include "tapegrad/tensor/state.h"

#include <cmath>
#include <set>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"

namespace tapegrad::inline v0 {

State State::copy() const {
  State copied = *this;
  for (auto& [name, tensor] : copied.tensors) tensor = TensorAccess::clone(tensor);
  return copied;
}

void State::require_names_once(std::string_view op) const {
  std::set<std::string_view> known;
  for (const auto& [name, tensor] : tensors) {
    if (!known.insert(name).second)
      fail(op, "two tensors of the state are called '{}': each must have a name of its own", name);
    if (!tensor.defined()) fail(op, "'{}' of the state was never given a value", name);
  }
}

double State::number(std::string_view op, const std::string& name) const {
  const auto found = numbers.find(name);
  if (found == numbers.end()) fail(op, "the state has no number '{}'", name);
  return found->second;
}

std::int64_t State::count(std::string_view op, const std::string& name) const {
  const double value = number(op, name);
  if (!(value >= 0 && value <= 0x1p53 && value == std::floor(value)))
    fail(op, "the state's number '{}' must be a whole number and at least 0, got {}", name, value);
  return static_cast<std::int64_t>(value);
}

std::uint64_t State::integer(std::string_view op, const std::string& name) const {
  const auto found = integers.find(name);
  if (found == integers.end()) fail(op, "the state has no integer '{}'", name);
  return found->second;
}

State state(const Generator& generator) {
  const auto [seed, stream, drawn] = generator.position();
  return {.integers = {{"seed", seed}, {"stream", stream}, {"drawn", drawn}}};
}

void load_state(Generator& generator, const State& state) {
  constexpr const char* kName = "generator";
  generator = Generator(Generator::Position{.seed = state.integer(kName, "seed"),
                                            .stream = state.integer(kName, "stream"),
                                            .drawn = state.integer(kName, "drawn")});
}

}  // namespace tapegrad::inline v0
