#include "tapegrad/optim/class_internal.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

static constexpr std::string_view kKey = "class.";

void mark_class(State& state, std::string_view name) {
  state.integers[fmt::format("{}{}", kKey, name)] = 1;
}

void require_class(const State& state, std::string_view name) {
  const std::string own = fmt::format("{}{}", kKey, name);
  for (const auto& [key, value] : state.integers)
    if (key.starts_with(kKey) && key != own)
      fail(name, "the state must be that of the same class, got that of {}", key.substr(kKey.size()));
  (void)state.integer(name, own);
}

static std::string key_of_values(const std::string& parameter) {
  return "values." + parameter;
}

// FNV-1a (Fowler, Noll, Vo) of the elements' halves or wholes of 32 bits.
static std::uint64_t sum_of_values(const Tensor& x) {
  const auto bytes = static_cast<std::size_t>(x.size()) * size_of(x.dtype());
  const std::byte* from = TensorAccess::elements(x);
  std::uint64_t sum = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < bytes; i += sizeof(std::uint32_t)) {
    std::uint32_t word = 0;
    std::memcpy(&word, from + i, sizeof word);
    sum = (sum ^ word) * 0x100000001b3;
  }
  return sum;
}

void mark_values(State& state, const NamedTensors& unnamed) {
  for (const auto& [key, x] : unnamed) state.integers[key_of_values(key)] = sum_of_values(x);
}

void require_same_places(const State& state, std::string_view name, const NamedTensors& unnamed, bool moved) {
  std::vector<std::uint64_t> marked, own;
  for (const auto& [key, x] : unnamed) {
    marked.push_back(state.integer(name, key_of_values(key)));
    own.push_back(moved ? marked.back() : sum_of_values(x));
  }
  // Whose place the values of parameter i had; its own where that is not known.
  const auto place_of = [&](std::size_t i) {
    if (own[i] == marked[i]) return i;
    for (std::size_t j = 0; j < own.size(); ++j)
      if (own[i] == marked[j] && own[j] != marked[j]) return j;
    return i;
  };
  // Only those that changed places among themselves: single values may well have become those of another, such as zeros.
  for (std::size_t i = 0; i < own.size(); ++i) {
    std::size_t at = place_of(i);
    for (std::size_t steps = 0; at != i && place_of(at) != at && steps < own.size(); ++steps)
      at = place_of(at);
    if (at == i && place_of(i) != i)
      fail(
          name,
          "the parameters must be in the order of those of the state, got as parameter {} (shape {}) the one that was "
          "parameter {}: give them in the same order, or with their names (named_parameters())",
          unnamed[i].first, unnamed[i].second.shape(), unnamed[place_of(i)].first);
  }
}

}  // namespace tapegrad::inline v0::detail
