#include "tapegrad/ops/matmul.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/kernels/gemm.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

// All axes but the last two.
Shape batch_of(const Tensor& x) {
  return Shape(std::span(x.shape().begin(), x.shape().end() - 2));
}

// Where each matrix of x begins when x's batch is broadcast to this one.
detail::BlockVector<index_t> offsets(const Tensor& x, const Shape& batch) {
  const index_t matrix = x.shape()[-1] * x.shape()[-2];
  const kernels::Strides strides = kernels::broadcast_strides(batch_of(x), batch);
  detail::BlockVector<index_t> found(static_cast<std::size_t>(batch.size()));
  index_t number = 0;
  for (index_t& offset : found) {
    index_t rest = number++;
    for (int axis = batch.rank(); axis-- > 0; rest /= batch[axis])
      offset += rest % batch[axis] * strides.along[axis] * matrix;
  }
  return found;
}

// matmul where a is a row, or b a column, or both.
Tensor product_of_vectors(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  const bool is_row = a.rank() == 1, is_column = b.rank() == 1;
  if ((is_row && options.transpose_a) || (is_column && options.transpose_b))
    fail("matmul", "a vector has no transpose (a: {}, b: {}): leave transpose_{} out", a.shape(), b.shape(),
         is_row && options.transpose_a ? "a" : "b");
  const index_t inner = is_row ? a.size() : a.shape()[options.transpose_a ? -2 : -1];
  const index_t inner_of_b = is_column ? b.size() : b.shape()[options.transpose_b ? -1 : -2];
  if (inner != inner_of_b)
    fail("matmul", "the inner sizes must be equal, got {} and {} (a: {}, b: {})", inner, inner_of_b,
         a.shape(), b.shape());
  const Tensor y =
      matmul(is_row ? reshape(a, {1, a.size()}) : a, is_column ? reshape(b, {b.size(), 1}) : b, options);
  if (is_row && is_column) return reshape(y, Shape{});
  return squeeze(y, is_row ? -2 : -1);
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  const bool ta = options.transpose_a, tb = options.transpose_b;
  detail::require_defined("matmul", a);
  detail::require_defined("matmul", b);
  if (a.rank() < 1 || b.rank() < 1)
    fail("matmul", "takes matrices, batches of them, or vectors, got shapes {} and {}: use * for scalars",
         a.shape(), b.shape());
  if (a.rank() == 1 || b.rank() == 1) return product_of_vectors(a, b, options);
  if (a.dtype() != b.dtype() || !is_floating(a.dtype()))
    fail("matmul", "takes two Float32 or two Float64 matrices, not {} {} and {} {}", a.dtype(), a.shape(),
         b.dtype(), b.shape());
  const index_t m = a.shape()[ta ? -1 : -2], k = a.shape()[ta ? -2 : -1];
  const index_t n = b.shape()[tb ? -2 : -1], k_of_b = b.shape()[tb ? -1 : -2];
  if (k != k_of_b)
    fail("matmul", "the inner sizes must be equal, got {} and {} (a: {}{}, b: {}{})", k, k_of_b, a.shape(),
         ta ? " transposed" : "", b.shape(), tb ? " transposed" : "");
  const Shape batch = broadcast("matmul", batch_of(a), batch_of(b));
  detail::Sizes sizes(batch.begin(), batch.end());
  sizes.insert(sizes.end(), {m, n});
  // A batch times one matrix is one tall product, and so are its gradients.
  if (a.rank() > 2 && b.rank() == 2 && !ta)
    return reshape(matmul(reshape(a, {detail::size_product("matmul", batch.size(), m), k}), b, options),
                   detail::result_shape("matmul", sizes));

  Tensor y = TensorAccess::empty(detail::result_shape("matmul", sizes), a.dtype(), "matmul");
  dispatch_floating(a.dtype(), [&]<class T>(std::type_identity<T>) {
    if (y.size() == 0) return;  // of a batch that may be larger than any table of where its matrices begin
    const kernels::Product<T> first = {
        {a.data<T>(), a.shape()[-1], ta}, {b.data<T>(), b.shape()[-1], tb}, {y.mutable_data<T>(), n}};
    if (batch.size() == 1) return kernels::matmul<T>(m, n, k, {&first, 1});
    const auto in_a = offsets(a, batch), in_b = offsets(b, batch);
    detail::BlockVector<kernels::Product<T>> products(in_a.size(), first);
    for (std::size_t i = 0; i < products.size(); ++i) {
      products[i].a.data += in_a[i];
      products[i].b.data += in_b[i];
      products[i].c.data += static_cast<index_t>(i) * m * n;
    }
    kernels::matmul<T>(m, n, k, products);
  });

  // y = A B: dA = g B^T, dB = A^T g; for a transposed operand the transposes of these.
  detail::note("transpose_a", ta);
  detail::note("transpose_b", tb);
  return record("matmul", std::move(y),
                {{a,
                  [b = Saved(b), ta, tb, shape = a.shape()](const Tensor& g) {
                    return detail::summed_to(ta ? matmul(b(), g, {.transpose_a = tb, .transpose_b = true})
                                                : matmul(g, b(), {.transpose_b = !tb}),
                                             shape);
                  }},
                 {b, [a = Saved(a), ta, tb, shape = b.shape()](const Tensor& g) {
                    return detail::summed_to(tb ? matmul(g, a(), {.transpose_a = true, .transpose_b = ta})
                                                : matmul(a(), g, {.transpose_a = !ta}),
                                             shape);
                  }}});
}

Tensor dot(const Tensor& a, const Tensor& b) {
  const detail::CalledOp called("dot", {&a, &b});
  detail::require_floating("dot", a);
  detail::require_floating("dot", b);
  if (a.rank() != 1 || b.rank() != 1)
    fail("dot", "takes two vectors, got shapes {} and {}: use matmul()", a.shape(), b.shape());
  detail::require_same_dtype("dot", a, b);
  if (a.size() != b.size())
    fail("dot", "takes two vectors of the same length, got {} and {}", a.size(), b.size());
  return called.result(matmul(a, b));
}

namespace {

// The letters of some that others have, and that others do not have, in their order.
std::string common(const std::string& some, const std::string& others) {
  std::string found;
  for (const char letter : some)
    if (others.find(letter) != std::string::npos) found += letter;
  return found;
}
std::string without(const std::string& some, const std::string& others) {
  std::string found;
  for (const char letter : some)
    if (others.find(letter) == std::string::npos) found += letter;
  return found;
}

// A tensor whose axes have names of one letter.
struct Named {
  Tensor x;
  std::string letters;

  index_t size(const std::string& some) const {
    index_t product = 1;
    for (const char letter : some) product *= x.shape()[static_cast<int>(letters.find(letter))];
    return product;
  }
  // Summed over all letters but these.
  Named reduced_to(const std::string& kept) const {
    std::vector<int> axes;
    for (const char letter : without(letters, kept)) axes.push_back(static_cast<int>(letters.find(letter)));
    return axes.empty() ? *this : Named{sum(x, axes), common(letters, kept)};
  }
  // With the axes in this order.
  Tensor arranged(const std::string& order) const {
    if (letters == order) return x;
    std::vector<int> axes;
    for (const char letter : order) axes.push_back(static_cast<int>(letters.find(letter)));
    return permute(x, axes);
  }
  // As matrices [batch, rows, columns]. What already lies in the order of their transposes stays so.
  struct Matrices {
    Tensor x;
    bool transposed;
  };
  Matrices matrices(const std::string& batch, const std::string& rows, const std::string& columns) const {
    const bool transposed = letters != batch + rows + columns && letters == batch + columns + rows;
    const std::string &first = transposed ? columns : rows, &second = transposed ? rows : columns;
    return {reshape(arranged(batch + first + second), {size(batch), size(first), size(second)}), transposed};
  }
};

// Zeros, where one of both has no elements: the sizes of the others may be too large for a matrix of them. Made of
// both, so that it depends on both for a tape.
Tensor einsum_of_nothing(const Shape& result, const Tensor& a, const Tensor& b) {
  const auto nothing_of = [](const Tensor& x) { return sum(slice(reshape(x, x.size()), 0, 0)); };
  return zeros(result, a.dtype()) + (nothing_of(a) + nothing_of(b));
}

}  // namespace

Tensor einsum(std::string_view equation, const Tensor& a, const Tensor& b) {
  const detail::CalledOp called("einsum", {&a, &b});
  detail::require_defined("einsum", a);
  detail::require_defined("einsum", b);
  const auto refuse = [&](std::string_view why) {
    fail("einsum", "\"{}\" for shapes {} and {}: {}", equation, a.shape(), b.shape(), why);
  };
  std::array<std::string, 3> parts;  // the letters of a, of b and of the result
  std::size_t reading = 0;
  for (std::size_t i = 0; i < equation.size(); ++i) {
    const char c = equation[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter && parts[reading].find(c) != std::string::npos)
      refuse(fmt::format("'{}' occurs twice in \"{}\": there are no diagonals here", c, parts[reading] + c));
    if (letter)
      parts[reading] += c;
    else if (c == ',' && reading == 0)
      reading = 1;
    else if (equation.substr(i, 2) == "->" && reading == 1)
      reading = 2, ++i;
    else if (c != ' ')
      refuse(
          "the equation must be letters for the axes of two operands and of the result, as in \"ij,jk->ik\"");
  }
  if (reading != 2) refuse("the equation must name two operands and the result, as in \"ij,jk->ik\"");
  const Named left_whole{a, parts[0]}, right_whole{b, parts[1]};
  const std::string &of_a = parts[0], &of_b = parts[1], &out = parts[2];
  if (static_cast<int>(of_a.size()) != a.rank() || static_cast<int>(of_b.size()) != b.rank())
    refuse("each operand needs a letter for each of its axes");
  for (const char letter : common(of_a, of_b)) {
    const index_t in_a = left_whole.size({letter}), in_b = right_whole.size({letter});
    if (in_a != in_b) refuse(fmt::format("'{}' is {} in one and {} in the other", letter, in_a, in_b));
  }
  if (const std::string unknown = without(out, of_a + of_b); !unknown.empty())
    refuse(fmt::format("'{}' of the result occurs in no operand", unknown));
  if (a.dtype() != b.dtype() || !is_floating(a.dtype()))
    fail("einsum", "takes two Float32 or two Float64 tensors, not {} {} and {} {}", a.dtype(), a.shape(),
         b.dtype(), b.shape());

  std::vector<index_t> sizes;
  for (const char letter : out)
    sizes.push_back((of_a.find(letter) != std::string::npos ? left_whole : right_whole).size({letter}));
  const Shape result = detail::result_shape("einsum", sizes);
  if (a.size() == 0 || b.size() == 0) return called.result(einsum_of_nothing(result, a, b));

  // A matrix product for each index of the batch: letters that both have and the result keeps.
  const Named left = left_whole.reduced_to(of_b + out), right = right_whole.reduced_to(of_a + out);
  const std::string both = common(of_a, of_b), batch = common(both, out), inner = without(both, out);
  const std::string rows = without(left.letters, both), columns = without(right.letters, both);
  const auto p = left.matrices(batch, rows, inner), q = right.matrices(batch, inner, columns);
  const Tensor product = matmul(p.x, q.x, {.transpose_a = p.transposed, .transpose_b = q.transposed});

  std::vector<index_t> of_product;
  for (const char letter : batch + rows) of_product.push_back(left.size({letter}));
  for (const char letter : columns) of_product.push_back(right.size({letter}));
  return called.result(Named{reshape(product, Shape(of_product)), batch + rows + columns}.arranged(out));
}

}  // namespace tapegrad::inline v0
