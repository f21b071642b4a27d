#pragma once

#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"

namespace tapegrad::kernels {

/// Elements per piece of a parallel elementwise loop: some microseconds of work.
inline constexpr index_t kElementwisePiece = 16384;

/// y[i] = f(x0[i], x1[i], ...) for i < n. y may be one of the xs.
template <class Out, class F, class... In>
void map(index_t n, Out* y, F f, const In*... xs) {
  parallel_for(n, kElementwisePiece, [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) y[i] = f(xs[i]...);
  });
}

/// The steps, in elements, from one index of each axis of `whole` to the next in a contiguous tensor of shape
/// `part` that is broadcast to it: 0 where part's size is 1 and along the axes that it does not have.
struct Strides {
  index_t along[Shape::kMaxRank] = {};
};
Strides strides_of(const Shape& shape);
Strides broadcast_strides(const Shape& part, const Shape& whole);

/// Runs f(output offset, a's offset, b's offset, count, a's step, b's step) for every row of the last axis of
/// shape, in parallel. Axes that lie next to each other in both operands are merged first, so that rows are
/// long.
template <class F>
void for_rows(const Shape& shape, Strides a, Strides b, F f) {
  index_t sizes[Shape::kMaxRank + 1] = {};
  Strides merged_a, merged_b;
  int rank = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const index_t size = shape[axis];
    if (size == 1) continue;
    const bool merges = rank > 0 && merged_a.along[rank - 1] == a.along[axis] * size &&
                        merged_b.along[rank - 1] == b.along[axis] * size;
    if (!merges) ++rank;
    sizes[rank - 1] = merges ? sizes[rank - 1] * size : size;
    merged_a.along[rank - 1] = a.along[axis];
    merged_b.along[rank - 1] = b.along[axis];
  }
  if (rank == 0) sizes[rank++] = 1;
  const index_t row = sizes[rank - 1];
  if (shape.size() == 0) return;
  const index_t rows = shape.size() / row;
  parallel_for(rows, std::max<index_t>(1, kElementwisePiece / row), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      index_t at_a = 0, at_b = 0;
      for (index_t left = r, axis = rank - 2; axis >= 0; --axis) {
        at_a += left % sizes[axis] * merged_a.along[axis];
        at_b += left % sizes[axis] * merged_b.along[axis];
        left /= sizes[axis];
      }
      f(r * row, at_a, at_b, row, merged_a.along[rank - 1], merged_b.along[rank - 1]);
    }
  });
}

/// y = f(a, b), element by element, a and b broadcast to y's shape.
template <class Out, class F, class A, class B>
void map_broadcast(const Shape& shape, Out* y, F f, const A* a, const Shape& a_shape, const B* b,
                   const Shape& b_shape) {
  if (a_shape == shape && b_shape == shape) return map(shape.size(), y, f, a, b);
  for_rows(shape, broadcast_strides(a_shape, shape), broadcast_strides(b_shape, shape),
           [=](index_t at, index_t at_a, index_t at_b, index_t count, index_t step_a, index_t step_b) {
             Out* out = y + at;
             const A* pa = a + at_a;
             const B* pb = b + at_b;
             if (step_a == 1 && step_b == 1) {
               for (index_t i = 0; i < count; ++i) out[i] = f(pa[i], pb[i]);
             } else if (step_a == 1 && step_b == 0) {
               for (index_t i = 0; i < count; ++i) out[i] = f(pa[i], *pb);
             } else if (step_a == 0 && step_b == 1) {
               for (index_t i = 0; i < count; ++i) out[i] = f(*pa, pb[i]);
             } else {
               for (index_t i = 0; i < count; ++i) out[i] = f(pa[i * step_a], pb[i * step_b]);
             }
           });
}

/// Copies shape.size() elements from one place to another, each walked with strides of its own (0 and
/// negative ones too; those of `to` must not visit an element twice). Permuting, slicing, padding and
/// broadcasting are this.
template <class T>
void copy_strided(const Shape& shape, T* to, const Strides& to_strides, const T* from,
                  const Strides& from_strides) {
  for_rows(shape, to_strides, from_strides,
           [=](index_t, index_t at_to, index_t at_from, index_t count, index_t step_to, index_t step_from) {
             T* out = to + at_to;
             const T* in = from + at_from;
             if (step_to == 1 && step_from == 1) {
               std::copy_n(in, count, out);
             } else {
               for (index_t i = 0; i < count; ++i) out[i * step_to] = in[i * step_from];
             }
           });
}

}  // namespace tapegrad::kernels
