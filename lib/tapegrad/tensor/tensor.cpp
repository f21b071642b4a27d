#include "tapegrad/tensor/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tapegrad/base/context.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/tensor/defined_internal.h"
#include "tapegrad/tensor/draws_internal.h"
#include "tapegrad/tensor/no_memory_internal.h"
#include "tapegrad/tensor/serial_internal.h"

namespace tapegrad::inline v0 {

void detail::require_draws_in_order(std::string_view op) {
  if (context().chunk != nullptr)
    fail(
        op,
        "cannot draw from a generator inside batch_gradient(), whose chunks run on several threads in no order: draw "
        "for the whole batch before batch_gradient() and pass the result as one more tensor of the batch, or use a "
        "layer that numbers its samples (Dropout)");
}

namespace {

// Converts a number to an element, or says that the dtype has no such value. Floats are rounded, never
// refused.
template <class T>
T element_from(std::string_view op, double value) {
  if constexpr (std::is_integral_v<T>) {
    constexpr double low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
    if (!(value >= low && value <= high) || value != std::trunc(value))
      fail(op, "{} is not a value of {}, which holds the whole numbers {} to {}", value, dtype_of<T>, low,
           high);
  }
  return static_cast<T>(value);
}

// The new tensor whose element i, in row-major order, is value(i).
template <class F>
Tensor generate(const char* op, const Shape& shape, DType dtype, F&& value) {
  Tensor made = TensorAccess::empty(shape, dtype, op);
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    index_t i = 0;
    for (T& element : made.mutable_values<T>()) element = element_from<T>(op, value(i++));
  });
  return made;
}

constexpr index_t kMovedPiece = 1 << 16;  // elements that are filled or copied, a piece of a parallel loop

void require_floating(std::string_view op, DType dtype) {
  if (!is_floating(dtype)) fail(op, "the dtype must be Float32 or Float64, got {}", dtype);
}

// The new tensor that fill(generator, values) makes, on several threads. `words` tells how many of the
// generator's each element takes: every piece begins where it would if all were drawn in a row.
template <class F>
Tensor drawn(const char* op, const Shape& shape, DType dtype, Generator& generator, std::uint64_t words,
             F fill) {
  detail::require_draws_in_order(op);
  require_floating(op, dtype);
  Tensor made = TensorAccess::empty(shape, dtype, op);
  const auto generator_at = [words, first = generator.position()](index_t element) {
    Generator::Position position = first;
    position.drawn += words * static_cast<std::uint64_t>(element);
    return Generator(position);
  };
  dispatch(dtype, [&]<class T>(std::type_identity<T>) {
    constexpr index_t kPiece = 4096;
    T* to = made.mutable_data<T>();
    parallel_for(made.size(), kPiece, [&](index_t begin, index_t end) {
      Generator from = generator_at(begin);
      double values[512];
      for (index_t at = begin; at < end;) {
        const index_t count = std::min<index_t>(end - at, std::size(values));
        fill(from, std::span(values, static_cast<std::size_t>(count)));
        std::transform(values, values + count, to + at, [](double v) { return static_cast<T>(v); });
        at += count;
      }
    });
  });
  generator = generator_at(made.size());
  return made;
}

void literal_shape(const Literal& literal, std::vector<index_t>& sizes) {
  for (const Literal* at = &literal; !at->is_number(); at = &at->rows().front()) {
    sizes.push_back(static_cast<index_t>(at->rows().size()));
    if (at->rows().empty()) return;
  }
}

void flatten(const Literal& literal, std::span<const index_t> sizes, std::vector<double>& values) {
  if (literal.is_number() != sizes.empty() ||
      (!sizes.empty() && static_cast<index_t>(literal.rows().size()) != sizes.front()))
    fail("tensor", "the nested braces must have rows of the same length");
  if (literal.is_number()) values.push_back(literal.value());
  for (const Literal& row : literal.rows()) flatten(row, sizes.subspan(1), values);
}

}  // namespace

void Tensor::refuse_undefined(const char* asked_by) {
  fail(asked_by, "{}() was called on a Tensor that was never given a value", asked_by);
}

// Not inline: copies are made everywhere.
Tensor::Tensor(const Tensor& other) noexcept = default;
Tensor& Tensor::operator=(const Tensor& other) noexcept = default;

Tensor Tensor::wrap_memory(void* data, DType dtype, const Shape& shape, bool read_only) {
  if (data == nullptr && shape.size() > 0)
    fail("wrap", "the pointer must not be null, as shape {} has {} elements", shape, shape.size());
  if (reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) != 0)
    fail("wrap",
         "the pointer must be aligned for {}, to a multiple of {} bytes: copy the elements to memory that is",
         dtype, size_of(dtype));
  return {shape, detail::StorageHandle(detail::Storage::wrap(dtype, data, shape.size(), read_only))};
}

const void* Tensor::raw(const char* asked_by, DType asked) const {
  const detail::Storage& memory = storage(asked_by);
  if (asked != memory.dtype())
    fail(asked_by, "{}() of a {} tensor of shape {} was called for elements of {}: convert with cast()",
         asked_by, memory.dtype(), shape_, asked);
  return static_cast<const std::byte*>(memory.data()) + static_cast<std::size_t>(offset_) * size_of(asked);
}

void* Tensor::raw_mutable(const char* asked_by, DType asked) {
  const void* elements = raw(asked_by, asked);
  detail::Storage& memory = *storage_.get();
  if (memory.read_only())
    fail(asked_by, "a tensor of shape {} cannot be written, as it wraps read-only memory: write to a copy()",
         shape_);
  if (detail::is_open(memory.recorded_by) || detail::is_open(origin_.tape))
    fail(asked_by,
         "a tensor of shape {} cannot be written while its tape is recording, as gradients would be wrong: "
         "write before the tape, after gradient(), or to a copy()",
         shape_);
  memory.raise_version();
  return const_cast<void*>(elements);
}

index_t Tensor::element(const char* asked_by, std::initializer_list<index_t> index) const {
  bool inside = static_cast<int>(index.size()) == rank();
  index_t at = 0;
  for (int axis = 0; inside && axis < rank(); ++axis) {
    const index_t i = index.begin()[axis], size = shape_[axis];
    inside = i >= -size && i < size;
    if (inside) at = at * size + (i < 0 ? i + size : i);
  }
  if (!inside)
    fail(asked_by, "index [{}] is out of bounds for a tensor of shape {}", join(index, ", "), shape_);
  return at;
}

double Tensor::at(std::initializer_list<index_t> index) const {
  storage("at");
  const index_t i = element("at", index);
  return dispatch(dtype(),
                  [&](auto type) { return static_cast<double>(data<typename decltype(type)::type>()[i]); });
}

void Tensor::set(std::initializer_list<index_t> index, double value) {
  storage("set");
  const index_t i = element("set", index);
  dispatch(dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T converted = element_from<T>("set", value);
    static_cast<T*>(raw_mutable("set", dtype()))[i] = converted;
  });
}

double Tensor::item() const {
  storage("item");
  if (size() != 1) fail("item", "the tensor must have one element, got shape {} with {}", shape_, size());
  return dispatch(dtype(),
                  [&](auto type) { return static_cast<double>(data<typename decltype(type)::type>()[0]); });
}

Tensor TensorAccess::empty(const Shape& shape, DType dtype, const char* op) {
  detail::Storage* memory = detail::Storage::allocate(dtype, shape.size());
  if (memory == nullptr) {
    const char* called = detail::context().called;
    throw detail::NoMemory(
        called == nullptr ? op : called,
        fmt::format("there is no memory for {} elements of {} (shape {}, {} bytes)", shape.size(),
                    to_string(dtype), shape.str(), static_cast<std::size_t>(shape.size()) * size_of(dtype)));
  }
  return {shape, detail::StorageHandle(memory)};
}

Tensor TensorAccess::view(const Tensor& x, const Shape& shape, index_t offset) {
  x.storage("view");  // there must be one
  if (offset < 0 || offset > x.size() - shape.size())
    fail("view", "{} elements from element {} on do not lie inside a tensor of shape {}", shape.size(),
         offset, x.shape());
  Tensor made(shape, x.storage_);
  made.offset_ = x.offset_ + offset;
  made.stopped_ = x.stopped_;
  return made;
}

Tensor TensorAccess::parameter_of(const Tensor& x) {
  return {*x.storage("parameter_of").parameter_shape, x.storage_};
}

Tensor TensorAccess::clone(const Tensor& x, const char* op) {
  const Shape& shape = x.shape();  // first with every compiler: it says what is wrong with an undefined x
  Tensor made = empty(shape, x.dtype(), op);
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T* from = x.data<T>();
    T* to = made.mutable_data<T>();
    parallel_for(made.size(), kMovedPiece,
                 [=](index_t begin, index_t end) { std::copy(from + begin, from + end, to + begin); });
  });
  return made;
}

Tensor tensor(const Literal& values, DType dtype) {
  std::vector<index_t> sizes;
  literal_shape(values, sizes);
  std::vector<double> flat;
  flatten(values, sizes, flat);
  return generate("tensor", Shape(sizes), dtype,
                  [&](index_t i) { return flat[static_cast<std::size_t>(i)]; });
}

template <class T>
Tensor detail::tensor_of(std::span<const T> values, const Shape& shape) {
  if (static_cast<index_t>(values.size()) != shape.size())
    fail("tensor", "there must be {} values for shape {}, got {}", shape.size(), shape, values.size());
  Tensor made = TensorAccess::empty(shape, dtype_of<T>);
  std::ranges::copy(values, made.mutable_values<T>().begin());
  return made;
}
template Tensor detail::tensor_of(std::span<const float>, const Shape&);
template Tensor detail::tensor_of(std::span<const double>, const Shape&);
template Tensor detail::tensor_of(std::span<const std::int32_t>, const Shape&);
template Tensor detail::tensor_of(std::span<const std::uint8_t>, const Shape&);

static Tensor filled(const char* op, const Shape& shape, double value, DType dtype) {
  Tensor made = TensorAccess::empty(shape, dtype, op);
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T element = element_from<T>(op, value);
    T* to = made.mutable_data<T>();
    parallel_for(made.size(), kMovedPiece,
                 [=](index_t begin, index_t end) { std::fill(to + begin, to + end, element); });
  });
  return made;
}

Tensor full(const Shape& shape, double value, DType dtype) {
  return filled("full", shape, value, dtype);
}

Tensor zeros(const Shape& shape, DType dtype) {
  return filled("zeros", shape, 0, dtype);
}

Tensor ones(const Shape& shape, DType dtype) {
  return filled("ones", shape, 1, dtype);
}

void detail::require_defined(const char* op, const Tensor& x, const char* what) {
  if (!x.defined()) fail(op, "{} was never given a value", what);
}

Tensor zeros_like(const Tensor& x) {
  detail::require_defined("zeros_like", x);
  return filled("zeros_like", x.shape(), 0, x.dtype());
}

Tensor ones_like(const Tensor& x) {
  detail::require_defined("ones_like", x);
  return filled("ones_like", x.shape(), 1, x.dtype());
}

Tensor arange(double start, double stop, double step, DType dtype) {
  const double steps = std::ceil((stop - start) / step);
  if (!(std::abs(steps) < 0x1p53))
    fail("arange", "start and stop must be finite, and step not 0, got start {}, stop {}, step {}", start,
         stop, step);
  const auto value = [&](index_t i) { return start + static_cast<double>(i) * step; };
  auto count = std::max(static_cast<index_t>(steps), index_t{0});
  // The quotient may have been rounded up past stop.
  while (count > 0 && !(step > 0 ? value(count - 1) < stop : value(count - 1) > stop)) --count;
  return generate("arange", Shape{count}, dtype, value);
}

Tensor arange(double stop, DType dtype) {
  return arange(0, stop, 1, dtype);
}

Tensor uniform(const Shape& shape, double low, double high, Generator& generator, DType dtype) {
  return drawn("uniform", shape, dtype, generator, 2, [=](Generator& from, std::span<double> values) {
    from.fill_uniform(values, low, high);
    if (dtype == DType::Float64 || low == high) return;
    for (double& value : values) {
      // Rounding to Float32 may leave the range at either end.
      constexpr float infinity = std::numeric_limits<float>::infinity();
      auto rounded = static_cast<float>(value);
      if (rounded >= high) rounded = std::nextafter(rounded, -infinity);
      if (rounded < low) rounded = std::nextafter(rounded, infinity);
      value = static_cast<double>(rounded);
    }
  });
}

Tensor normal(const Shape& shape, double mean, double standard_deviation, Generator& generator, DType dtype) {
  return drawn("normal", shape, dtype, generator, 4, [=](Generator& from, std::span<double> values) {
    from.fill_normal(values, mean, standard_deviation);
  });
}

bool equal(const Tensor& a, const Tensor& b) {
  detail::require_defined("equal", a);
  detail::require_defined("equal", b);
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  return dispatch(a.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    return std::ranges::equal(a.values<T>(), b.values<T>());
  });
}

Tensor parameter(const Tensor& x) {
  detail::require_defined("parameter", x);
  require_floating("parameter", x.dtype());
  Tensor made = TensorAccess::clone(x, "parameter");
  TensorAccess::storage(made)->parameter_shape = std::make_unique<const Shape>(x.shape());
  return made;
}

Tensor stop_gradient(const Tensor& x) {
  detail::require_defined("stop_gradient", x);
  Tensor stopped = TensorAccess::view(x, x.shape());
  TensorAccess::set_stopped(stopped, true);
  return stopped;
}

}  // namespace tapegrad::inline v0
