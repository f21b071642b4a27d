// Exercise 18 (50 minutes): double backward of the convolution
//
// A gradient penalty, a Hessian times a vector, meta-learning: all differentiate a gradient once more. The
// backward pass is a function like any other, with inputs x, w, dy and results dx, dw, and it is
// differentiated like any other:
//
//      forward     y  = conv(x, w)
//      backward    dx = input_gradient(w, dy)          does not depend on x
//                  dw = filter_gradient(x, dy)         does not depend on w
//
// All three are the same sum of products, over different indices:
//
//      T(x, w, dy) = sum over n, p, q, i, j, c, o of  x[n, p s + i - top, ..., c]  w[i, j, c, o]  dy[n, p, q, o]
//
//      T = <conv(x, w), dy> = <x, input_gradient(w, dy)> = <w, filter_gradient(x, dy)>
//
// T is linear in each of the three, and each kernel is its derivative with respect to one of them. So
// whatever one differentiates, nothing but these three kernels comes out: of second, third, of any order.
// With u the gradient of dx (of x's shape) and v that of dw (of w's shape), the number to be differentiated
// is
//
//      <u, dx> + <v, dw>  =  T(u, w, dy) + T(x, v, dy)
//
//                      T(u, w, dy)                    T(x, v, dy)
//      by x            -                              input_gradient(v, dy)
//      by w            filter_gradient(u, dy)         -
//      by dy           conv(u, w)                     conv(x, v)
//
// That is the first part: three gradients, one of them with two terms.
//
// The second part lets the tape do it. An op tells the tape its rules: from g, the gradient of its result,
// the gradient of each input, and the rules are made of ops that have rules themselves. So the three ops
// name each other:
//
//      Tensor square(const Tensor& x) {                     (an example: the rule's g * x is made of ops)
//        return tg::record("square", x * x, {{x, [x = tg::Saved(x)](const Tensor& g) { return 2.0 * g * x(); }}});
//      }
//
// tg::Saved(x) keeps a tensor for the rule; x() is that tensor, with its place on the tape. If a rule is
// computed with the kernels themselves (raw::conv and so on), which the tape does not see, its result is a
// constant for whoever differentiates it: first derivatives are right, second ones are not. tapegrad
// refuses such a rule; many home-made tapes return a wrong number. The same happens when a rule keeps a
// copy of the numbers in place of the tensor ("a saved value used in a second derivative").
//
// What you have: raw::conv(x, w, o), raw::input_gradient(x_shape, w, dy, o),
// raw::filter_gradient(x, w_shape, dy, o): the kernels of exercises 6 to 11, which no tape sees; o are the
// strides and the padding, and go into every call.

#include "checks/18_double_backward.h"

using namespace exercise_18;

// The gradients of <u, dx> + <v, dw> with respect to x, w and dy. u has x's shape and v has w's.
Tensors double_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Tensor& u, const Tensor& v,
                        const Options& o) {
  not_written();  // write the body in place of this line
}

// Three ops with rules. Each calls its kernel in raw::, and its rules call the other two ops.
Tensor conv(const Tensor& x, const Tensor& w, const Options& o);
Tensor input_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o);
Tensor filter_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o);

Tensor conv(const Tensor& x, const Tensor& w, const Options& o) {
  not_written();
}

Tensor input_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o) {
  not_written();
}

Tensor filter_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o) {
  not_written();
}

Answers answers() {
  return {.double_backward = double_backward,
          .conv = conv,
          .input_gradient = input_gradient,
          .filter_gradient = filter_gradient};
}
