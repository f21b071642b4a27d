#pragma once

#include "common/exercise.h"

namespace exercise_13 {

using namespace exercises;

/// A convolution along one axis.
struct Axis {
  index_t kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;
};

/// Rows that are cut off.
struct Cut {
  index_t before = 0, after = 0;
  friend bool operator==(const Cut&, const Cut&) = default;
};

struct Answers {
  std::function<index_t(index_t size, const Axis& a)> convolved_size;
  std::function<std::vector<index_t>(index_t out, index_t kernel, index_t stride)> valid_sources;
  std::function<std::vector<index_t>(index_t out, index_t stride)> same_sources;
  std::function<index_t(index_t in, const Axis& a, index_t output_padding)> transposed_size;
  std::function<index_t(index_t wanted, index_t in, const Axis& a)> output_padding_for;
  std::function<Cut(index_t wanted, index_t in, index_t kernel, index_t stride)> same_cut;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_13
