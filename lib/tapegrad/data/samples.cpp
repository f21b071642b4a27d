#include "tapegrad/data/samples.h"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/data/convert_internal.h"

namespace tapegrad::inline v0 {
namespace {

Shape without_first(const Shape& shape) {
  return Shape(std::span(shape.begin(), shape.end()).subspan(1));
}

}  // namespace

Samples::Samples(Tensor rows) {
  if (!rows.defined()) return;
  if (rows.rank() == 0) fail("samples", "the tensor must have samples along its first axis, got a scalar");
  const Shape shape = rows.shape(), one = without_first(shape);
  const DType dtype = rows.dtype();
  *this = Samples(shape, dtype, [rows = std::move(rows), one](index_t i) {
    return TensorAccess::view(rows, one, i * one.size());
  });
}

Samples::Samples(const ArrayFile& file)
    : Samples(file.shape(), file.dtype(), [file](index_t i) {
        return TensorAccess::view(file.rows(i, 1), without_first(file.shape()));
      }) {}

Samples::Samples(const Shape& shape, DType dtype, Read read)
    : shape_(shape), dtype_(dtype), read_(std::move(read)) {
  if (shape.rank() == 0) fail("samples", "the shape must be [n, ...], for n samples, got {}", shape);
  if (!read_)
    fail("samples", "there is no function that reads samples (shape {}): pass a function that is not empty",
         shape);
  sample_shape_ = without_first(shape);
}

Tensor Samples::operator[](index_t i) const {
  if (i < 0 || i >= size())
    fail("samples", "index must be at least 0 and less than {}, the number of samples, got {}", size(), i);
  Tensor sample = read_(i);
  if (!sample.defined() || sample.shape() != sample_shape_ || sample.dtype() != dtype_)
    fail("samples", "sample {} must be {} of shape {}, but is {}", i, dtype_, sample_shape_,
         sample.defined() ? fmt::format("{} of shape {}", sample.dtype(), sample.shape()) : "not defined");
  return sample;
}

namespace detail {

void copy_converted(const Tensor& from, Tensor& to, index_t first) {
  dispatch(from.dtype(), [&](auto from_type) {
    dispatch(to.dtype(), [&](auto to_type) {
      using From = typename decltype(from_type)::type;
      using To = typename decltype(to_type)::type;
      constexpr bool kPixels = std::is_same_v<From, std::uint8_t> && std::is_floating_point_v<To>;
      std::ranges::transform(from.values<From>(), to.mutable_data<To>() + first, [](From value) {
        if constexpr (kPixels) {
          return static_cast<To>(value) / To{255};
        } else {
          return static_cast<To>(value);
        }
      });
    });
  });
}

}  // namespace detail

static void require_samples(const Samples& samples) {
  if (!samples.defined())
    fail("read_all", "the samples must be defined, got Samples (or a Tensor) that are not");
}

Tensor read_all(const Samples& samples, DType dtype) {
  require_samples(samples);
  if (dtype != samples.dtype() && !is_floating(dtype))
    fail("read_all", "dtype must be {}, as the samples are, or a floating one, got {}", samples.dtype(),
         dtype);
  Tensor all = TensorAccess::empty(samples.shape(), dtype, "read_all");
  for (index_t i = 0; i < samples.size(); ++i)
    detail::copy_converted(samples[i], all, i * samples.sample_shape().size());
  return all;
}

Tensor read_all(const Samples& samples) {
  require_samples(samples);
  Tensor all = TensorAccess::empty(samples.shape(), samples.dtype(), "read_all");
  dispatch(samples.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    auto target = all.mutable_values<T>().begin();
    for (index_t i = 0; i < samples.size(); ++i)
      target = std::ranges::copy(samples[i].values<T>(), target).out;
  });
  return all;
}

}  // namespace tapegrad::inline v0
