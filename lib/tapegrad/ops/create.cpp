#include "tapegrad/ops/create.h"

#include <limits>
#include <numeric>

#include "tapegrad/autograd/called_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/tensor/draws_internal.h"

namespace tapegrad::inline v0 {

Tensor full_like(const Tensor& x, double value) {
  detail::require_defined("full_like", x);
  const detail::CalledOp called("full_like", {});
  try {
    return full(x.shape(), value, x.dtype());
  } catch (const Error& error) {  // no value of the dtype
    fail("full_like", "{}", error.message());
  }
}

Tensor linspace(double start, double stop, index_t count, DType dtype) {
  if (count < 0) fail("linspace", "count must be at least 0, got {}", count);
  detail::require_finite("linspace", "start", start);
  detail::require_finite("linspace", "stop", stop);
  if (!is_floating(dtype)) fail("linspace", "dtype must be Float32 or Float64, got {}", dtype);
  Tensor y = TensorAccess::empty(detail::result_shape("linspace", {count}), dtype, "linspace");
  dispatch(dtype, [&]<class T>(std::type_identity<T>) {
    T* to = y.mutable_data<T>();
    const double gaps = static_cast<double>(count - 1);
    for (index_t i = 0; i < count; ++i) {
      const double part = count == 1 ? 0 : static_cast<double>(i) / gaps;
      to[i] = static_cast<T>(i == count - 1 && count > 1 ? stop : (1 - part) * start + part * stop);
    }
  });
  return y;
}

Tensor eye(index_t size, DType dtype) {
  return eye(size, size, dtype);
}

Tensor eye(index_t rows, index_t columns, DType dtype) {
  const detail::CalledOp called("eye", {});
  Tensor y = zeros(detail::result_shape("eye", {rows, columns}), dtype);
  dispatch(dtype, [&]<class T>(std::type_identity<T>) {
    T* to = y.mutable_data<T>();
    for (index_t i = 0; i < rows && i < columns; ++i) to[i * columns + i] = T{1};
  });
  return y;
}

Tensor randint(const Shape& shape, std::int64_t low, std::int64_t high, Generator& generator, DType dtype) {
  detail::require_draws_in_order("randint");
  if (low >= high) fail("randint", "low must be less than high, got {} and {}", low, high);
  Tensor y = TensorAccess::empty(shape, dtype, "randint");
  dispatch(dtype, [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>)
      if (low < std::numeric_limits<T>::lowest() || high - 1 > std::numeric_limits<T>::max())
        fail("randint", "low and high must lie in {} to {} for {}, got {} and {}",
             std::numeric_limits<T>::lowest(), std::int64_t{std::numeric_limits<T>::max()} + 1, dtype, low,
             high);
    const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    for (T& value : y.mutable_values<T>())
      value = static_cast<T>(
          static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + generator.integer(range)));
  });
  return y;
}

Tensor randperm(index_t count, Generator& generator) {
  detail::require_draws_in_order("randperm");
  if (count < 0 || count > std::numeric_limits<std::int32_t>::max())
    fail("randperm", "count must be in 0 to {}, got {}", std::numeric_limits<std::int32_t>::max(), count);
  Tensor y = TensorAccess::empty({count}, DType::Int32, "randperm");
  const auto values = y.mutable_values<std::int32_t>();
  std::iota(values.begin(), values.end(), 0);
  generator.shuffle(values);
  return y;
}

}  // namespace tapegrad::inline v0
