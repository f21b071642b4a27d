#include "tapegrad/nn/initializers.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/tensor/draws_internal.h"

namespace tapegrad::inline v0 {
namespace {

struct Fans {
  double in = 1, out = 1;
};

Fans fans_of(const char* initializer, const Shape& shape, DType dtype) {
  if (!is_floating(dtype)) fail(initializer, "the dtype must be Float32 or Float64, got {}", dtype);
  if (shape.rank() < 2)
    fail(initializer, "the shape must have at least two axes (fan-in and fan-out), got {}", shape);
  double taps = 1;
  for (int axis = 0; axis < shape.rank() - 2; ++axis) taps *= static_cast<double>(shape[axis]);
  return {taps * static_cast<double>(shape[-2]), taps * static_cast<double>(shape[-1])};
}

// With mean 0 and this variance.
Tensor draw_uniform(const Shape& shape, double variance, Generator& generator, DType dtype) {
  const double limit = std::sqrt(3 * variance);
  return uniform(shape, -limit, limit, generator, dtype);
}

Tensor draw_normal(const Shape& shape, double variance, Generator& generator, DType dtype) {
  return normal(shape, 0, std::sqrt(variance), generator, dtype);
}

double glorot_variance(const char* initializer, const Shape& shape, DType dtype) {
  const Fans fans = fans_of(initializer, shape, dtype);
  return 2 / (fans.in + fans.out);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

// Gram and Schmidt's: what lies along the vectors before it is taken away, twice, because rounding leaves
// some of it the first time. Normal vectors have no direction that they prefer, so neither has the result.
std::vector<std::vector<double>> orthonormal(std::size_t count, std::size_t length, Generator& generator) {
  std::vector<std::vector<double>> vectors;
  while (vectors.size() < count) {
    std::vector<double> v(length);
    for (double& x : v) x = generator.normal();
    const double drawn = dot(v, v);
    for (int round = 0; round < 2; ++round)
      for (const std::vector<double>& u : vectors) {
        const double along = dot(u, v);
        for (std::size_t i = 0; i < length; ++i) v[i] -= along * u[i];
      }
    const double left = dot(v, v);
    if (left <= 1e-20 * drawn) continue;  // nearly along the others: drawn again
    for (double& x : v) x /= std::sqrt(left);
    vectors.push_back(std::move(v));
  }
  return vectors;
}

}  // namespace

Tensor glorot_uniform(const Shape& shape, Generator& generator, DType dtype) {
  return draw_uniform(shape, glorot_variance("glorot_uniform", shape, dtype), generator, dtype);
}

Tensor glorot_normal(const Shape& shape, Generator& generator, DType dtype) {
  return draw_normal(shape, glorot_variance("glorot_normal", shape, dtype), generator, dtype);
}

Tensor he_uniform(const Shape& shape, Generator& generator, DType dtype) {
  return draw_uniform(shape, 2 / fans_of("he_uniform", shape, dtype).in, generator, dtype);
}

Tensor he_normal(const Shape& shape, Generator& generator, DType dtype) {
  return draw_normal(shape, 2 / fans_of("he_normal", shape, dtype).in, generator, dtype);
}

Tensor lecun_uniform(const Shape& shape, Generator& generator, DType dtype) {
  return draw_uniform(shape, 1 / fans_of("lecun_uniform", shape, dtype).in, generator, dtype);
}

Tensor lecun_normal(const Shape& shape, Generator& generator, DType dtype) {
  return draw_normal(shape, 1 / fans_of("lecun_normal", shape, dtype).in, generator, dtype);
}

Tensor orthogonal(const Shape& shape, Generator& generator, DType dtype) {
  detail::require_draws_in_order("orthogonal");
  if (shape.rank() < 2) fail("orthogonal", "the shape must have at least two axes, got {}", shape);
  if (!is_floating(dtype)) fail("orthogonal", "the dtype must be Float32 or Float64, got {}", dtype);
  if (shape.size() == 0) return zeros(shape, dtype);
  const auto columns = static_cast<std::size_t>(shape[-1]);
  const std::size_t rows = static_cast<std::size_t>(shape.size()) / columns;
  const auto vectors = orthonormal(std::min(rows, columns), std::max(rows, columns), generator);
  std::vector<double> values(rows * columns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      values[r * columns + c] = rows >= columns ? vectors[c][r] : vectors[r][c];
  Tensor made = TensorAccess::empty(shape, dtype, "orthogonal");
  dispatch(dtype, [&]<class T>(std::type_identity<T>) {
    std::ranges::transform(values, made.mutable_data<T>(), [](double v) { return static_cast<T>(v); });
  });
  return made;
}

Initializer constant_initializer(double value) {
  detail::require_finite("constant_initializer", "value", value);
  return [value](const Shape& shape, Generator&, DType dtype) { return full(shape, value, dtype); };
}

Initializer uniform_initializer(double limit) {
  detail::require_not_negative("uniform_initializer", "limit", limit);
  return [limit](const Shape& shape, Generator& generator, DType dtype) {
    return uniform(shape, -limit, limit, generator, dtype);
  };
}

Initializer normal_initializer(double standard_deviation) {
  if (!(standard_deviation >= 0 && std::isfinite(standard_deviation)))
    fail("normal_initializer", "standard_deviation must be finite and at least 0, got {}",
         standard_deviation);
  return [standard_deviation](const Shape& shape, Generator& generator, DType dtype) {
    return normal(shape, 0, standard_deviation, generator, dtype);
  };
}

}  // namespace tapegrad::inline v0
