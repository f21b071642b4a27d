// Exercise 13 (40 minutes): output sizes, and which inputs give the same output

#include "checks/13_output_sizes.h"

using namespace exercise_13;

index_t convolved_size(index_t size, const Axis& a) {
  const index_t ke = (a.kernel - 1) * a.dilation + 1;
  return (size + a.before + a.after - ke) / a.stride + 1;
}

std::vector<index_t> valid_sources(index_t out, index_t kernel, index_t stride) {
  std::vector<index_t> sizes;
  const index_t smallest = (out - 1) * stride + kernel;
  for (index_t more = 0; more < stride; ++more) sizes.push_back(smallest + more);
  return sizes;
}

std::vector<index_t> same_sources(index_t out, index_t stride) {
  std::vector<index_t> sizes;
  for (index_t size = (out - 1) * stride + 1; size <= out * stride; ++size) sizes.push_back(size);
  return sizes;
}

index_t transposed_size(index_t in, const Axis& a, index_t output_padding) {
  const index_t stamp = (a.kernel - 1) * a.dilation + 1;
  return (in - 1) * a.stride + stamp - a.before - a.after + output_padding;
}

index_t output_padding_for(index_t wanted, index_t in, const Axis& a) {
  const index_t more = wanted - transposed_size(in, a, 0);
  return more >= 0 && more < a.stride ? more : -1;
}

Cut same_cut(index_t wanted, index_t in, index_t kernel, index_t stride) {
  const index_t covered = (in - 1) * stride + kernel;
  const index_t total = covered > wanted ? covered - wanted : 0;
  const index_t before = total / 2;
  return {.before = before, .after = covered - wanted - before};
}

Answers answers() {
  return {.convolved_size = convolved_size,
          .valid_sources = valid_sources,
          .same_sources = same_sources,
          .transposed_size = transposed_size,
          .output_padding_for = output_padding_for,
          .same_cut = same_cut};
}
