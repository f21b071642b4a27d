#pragma once

// Kernels that read and write at places that an index tensor names.

#include <cstdint>

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

/// y[o, j, i] = x[o, indices[j], i], for x of shape [outer, size, inner] and count indices.
template <class T>
void gather(index_t outer, index_t size, index_t inner, index_t count, const std::int32_t* indices,
            const T* x, T* y);

/// What is known of indices: cut into `count` parts of about the same size, no index of one part is one of another.
struct IndexParts {
  index_t count = 1;
  bool in_order = true;  ///< the indices of part p lie in part p of [0, size), and count divides both
  index_t columns = 1;   ///< j % columns == indices[j] % columns: those of different columns are different
};
/// Of so many indices that are all different.
IndexParts parts_of_different(index_t indices);

/// What y holds when scatter_add() begins.
enum class Scatter { IntoZeros, IntoSum };

/// The adjoint: y[o, indices[j], i] += x[o, j, i], for y of shape [outer, size, inner], which IntoZeros sets to 0 first. In
/// parallel over what cannot meet: the outer axis, parts, and where these are few, rows or columns of y. Sums of the same place
/// are added up in the order of the indices.
template <class T>
void scatter_add(index_t outer, index_t size, index_t inner, index_t count, const IndexParts& parts,
                 const std::int32_t* indices, const T* x, T* y, Scatter into);

}  // namespace tapegrad::inline v0::kernels
