#pragma once

// Data sets: inputs with their targets, split and put together.

#include <cstdint>
#include <string>
#include <vector>

#include "tapegrad/data/samples.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The inputs of a network, such as images or rows of numbers, and their targets. Any Samples make a data set, such as
/// tensors and arrays in files: Dataset{.inputs = open_npy("x.npy"), .targets = read_npy("y.npy")}.
struct Dataset {
  Samples inputs{};   ///< [n, ...]
  Samples targets{};  ///< [n, ...]; for classes Int32 of shape [n]; undefined if there are none
  std::vector<std::string> class_names{};  ///< names of the labels 0, 1, ..., if they are known
};

/// The samples with these numbers, in this order; a number may occur several times. Throws for numbers that are not in
/// 0..size() - 1.
[[nodiscard]] Dataset subset(const Dataset& data, std::vector<index_t> numbers);

/// The samples of all sets, one set after the other. Throws when there are no sets, when inputs or targets differ in
/// shape or dtype, when only some sets have targets, and for different class names.
[[nodiscard]] Dataset concatenate(const std::vector<Dataset>& sets);

/// Distributes the samples over sets of these sizes, in a random order that depends on the seed only. Samples may be
/// left over. Throws when a size is negative, and when the sizes add up to more than there are samples.
[[nodiscard]] std::vector<Dataset> split_counts(const Dataset& data, const std::vector<index_t>& counts,
                                                std::uint64_t seed);

/// As split_counts(), for fractions of all samples, such as {0.8, 0.2}. Set boundaries are the rounded sums of
/// fractions, so that fractions that add up to 1 leave no sample over. Throws when a fraction is negative, and when
/// they add up to more than 1.
[[nodiscard]] std::vector<Dataset> split_fractions(const Dataset& data, const std::vector<double>& fractions,
                                                   std::uint64_t seed);

}  // namespace v0
}  // namespace tapegrad
