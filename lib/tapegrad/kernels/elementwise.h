#pragma once

// Loops over elements, with broadcasting: one code for all ops that join elements at the same place.

#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>

#include "tapegrad/base/shape.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {

/// y[i] = f(x0[i], x1[i], ...) for i < n, type-erased: only this loop is compiled for each op and dtype. One code for all ops
/// cuts the work into pieces and broadcasts.
struct Loop {
  static constexpr std::size_t kMostInputs = 4;
  using Run = void (*)(const void* f, index_t n, void* y, const void* const* xs);

  const void* f;  ///< not owned
  Run run;
  Run run_with_one;                               ///< of two inputs, with x1[0] for all x1[i]; or null
  index_t output_size, input_sizes[kMostInputs];  ///< of an element, in bytes
};

template <class Out, class F, class... In>
void run_loop(index_t n, F f, Out* y, const In*... xs) {
  for (index_t i = 0; i < n; ++i) y[i] = static_cast<Out>(f(xs[i]...));
}

/// The type-erased loop of F, and that of a pair with one number in place of the second input.
template <class F, class Out, class... In>
inline constexpr Loop::Run run_of = []<std::size_t... k>(std::index_sequence<k...>)->Loop::Run {
  return [](const void* function, index_t n, void* y, const void* const* xs) {
    run_loop(n, *static_cast<const F*>(function), static_cast<Out*>(y), static_cast<const In*>(xs[k])...);
  };
}
(std::index_sequence_for<In...>{});
template <class F, class Out, class A, class B>
inline constexpr Loop::Run run_with_one_of =
    [](const void* function, index_t n, void* y, const void* const* xs) {
      const auto with_one = [f = *static_cast<const F*>(function), b = *static_cast<const B*>(xs[1])](A a) {
        return f(a, b);
      };
      run_loop(n, with_one, static_cast<Out*>(y), static_cast<const A*>(xs[0]));
    };

template <class Out, class... In, class F>
Loop loop(const F& f) {
  static_assert(sizeof...(In) <= Loop::kMostInputs);
  return {&f, run_of<F, Out, In...>, nullptr, sizeof(Out), {sizeof(In)...}};
}

/// A loop over pairs, which is run with one number in place of the second input as well.
template <class Out, class A, class B, class F>
Loop pair_loop(const F& f) {
  return {&f, run_of<F, Out, A, B>, run_with_one_of<F, Out, A, B>, sizeof(Out), {sizeof(A), sizeof(B)}};
}

/// A loop's input: elements in row-major order.
struct Operand {
  const void* data;
  const Shape& shape;
};

/// Runs the loop in parallel for a result y of this shape, the operands (as many as the loop takes) broadcast
/// to it. y may be an operand that has its shape.
void map(const Loop& loop, const Shape& shape, void* y, std::initializer_list<Operand> xs);

/// As above, for operands that all have n elements (no broadcasting).
void map(const Loop& loop, index_t n, void* y, std::span<const void* const> xs);

/// y[i] = f(x0[i], x1[i], ...) for i < n. y may be one of the xs.
template <class Out, class F, class... In>
void map(index_t n, Out* y, const F& f, const In*... xs) {
  const void* const inputs[] = {xs...};
  map(loop<Out, In...>(f), n, y, inputs);
}

/// The steps, in elements, from one index of each axis of `whole` to the next in a contiguous tensor of shape
/// `part` that is broadcast to it: 0 where part's size is 1 and along the axes that it does not have.
struct Strides {
  index_t along[Shape::kMaxRank] = {};
};
Strides strides_of(const Shape& shape);
Strides broadcast_strides(const Shape& part, const Shape& whole);

/// Copies shape.size() elements of 1, 4 or 8 bytes from one place to another, each walked with strides of its
/// own (0 and negative ones too; those of `to` must not visit an element twice). Permuting, slicing and
/// padding are this.
void copy_strided(const Shape& shape, index_t element_size, void* to, const Strides& to_strides,
                  const void* from, const Strides& from_strides);

}  // namespace tapegrad::inline v0::kernels
