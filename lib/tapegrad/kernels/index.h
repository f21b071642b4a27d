#pragma once

// Kernels that read and write at places that an index tensor names.

#include <algorithm>
#include <cstdint>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {

/// y[o, j, i] = x[o, indices[j], i], for x of shape [outer, size, inner] and count indices.
template <class T>
void gather(index_t outer, index_t size, index_t inner, index_t count, const std::int32_t* indices,
            const T* x, T* y) {
  parallel_for(outer * count, units_in_piece(kElementwisePiece, inner), [=](index_t begin, index_t end) {
    index_t o = begin / count, j = begin % count;
    for (index_t at = begin; at < end; ++at) {
      const T* from = x + (o * size + indices[j]) * inner;
      if (inner == 1)
        y[at] = *from;
      else
        std::copy_n(from, inner, y + at * inner);
      if (++j == count) j = 0, ++o;
    }
  });
}

/// The adjoint: y[o, indices[j], i] += x[o, j, i], for y of shape [outer, size, inner]. Within `parts` equal parts
/// of the indices one after the other; indices of different parts must be different. In parallel over what cannot
/// meet: the outer axis, parts, and columns. The order of additions is that of the indices.
template <class T>
void scatter_add(index_t outer, index_t size, index_t inner, index_t count, index_t parts,
                 const std::int32_t* indices, const T* x, T* y) {
  constexpr index_t kColumns = 32;
  const index_t blocks = std::max<index_t>(1, inner / kColumns), each = count / parts;
  parallel_for(
      outer * parts * blocks, units_in_piece(kElementwisePiece, each * inner / blocks),
      [=](index_t begin, index_t end) {
        for (index_t task = begin; task < end; ++task) {
          const index_t block = task % blocks, part = task / blocks % parts, o = task / blocks / parts;
          const index_t left = block * kColumns, right = block + 1 == blocks ? inner : left + kColumns;
          for (index_t j = part * each; j < (part + 1) * each; ++j) {
            T* to = y + (o * size + indices[j]) * inner;
            const T* from = x + (o * count + j) * inner;
            for (index_t i = left; i < right; ++i) to[i] = static_cast<T>(to[i] + from[i]);
          }
        }
      });
}

}  // namespace tapegrad::inline v0::kernels
