#pragma once

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

/// The adjoint: y[o, indices[j], i] += x[o, j, i], for y of shape [outer, size, inner].
template <class T>
void scatter_add(index_t outer, index_t size, index_t inner, index_t count, const std::int32_t* indices,
                 const T* x, T* y) {
  // Not parallel over the indices: two may be equal.
  parallel_for(outer, units_in_piece(kElementwisePiece, inner * count), [=](index_t begin, index_t end) {
    for (index_t o = begin; o < end; ++o)
      for (index_t j = 0; j < count; ++j) {
        T* to = y + (o * size + indices[j]) * inner;
        const T* from = x + (o * count + j) * inner;
        for (index_t i = 0; i < inner; ++i) to[i] = static_cast<T>(to[i] + from[i]);
      }
  });
}

}  // namespace tapegrad::inline v0::kernels
