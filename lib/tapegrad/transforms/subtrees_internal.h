#pragma once

// The tree in which the sums of a batch's chunks are added: what of it lies in some of the chunks.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::detail {

/// A node of the binary tree over chunks 0, 1, ...: chunks [first, first + width), as far as there are so many.
struct Subtree {
  index_t first, width;
};

/// The largest subtrees that lie in chunks [first, end) of `count`, from the left.
inline std::vector<Subtree> subtrees_of(index_t first, index_t end, index_t count) {
  const auto leaves = static_cast<index_t>(std::bit_ceil(static_cast<std::uint64_t>(count)));
  std::vector<Subtree> found;
  for (index_t width = 1; first < end; first += width) {
    width = 1;
    while (width < leaves && first % (2 * width) == 0 && std::min(first + 2 * width, count) <= end)
      width *= 2;
    found.push_back({first, width});
  }
  return found;
}

/// Adds the sums of subtrees that together hold all chunks, from the left, along the tree: add(i, j) adds that of
/// subtree j to that of subtree i. The total is that of subtree 0.
template <class Add>
void add_subtrees(const std::vector<Subtree>& subtrees, index_t count, const Add& add) {
  struct OpenSum {
    Subtree of;
    std::size_t number;
  };
  std::vector<OpenSum> open;
  for (std::size_t i = 0; i < subtrees.size(); ++i) {
    OpenSum node{subtrees[i], i};
    for (; node.of.first > 0; node.of.width *= 2) {
      const auto [first, width] = node.of;
      if (first % (2 * width) != 0) {  // its neighbour is at its left, and open
        const std::size_t left = open.back().number;
        open.pop_back();
        add(left, node.number);
        node = {{first - width, width}, left};
      } else if (first + width < count) {  // its neighbour is still to come
        break;
      }
    }
    open.push_back(node);
  }
}

}  // namespace tapegrad::inline v0::detail
