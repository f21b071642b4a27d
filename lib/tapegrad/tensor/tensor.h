#pragma once

// Tensor, and the functions that make one from values, a shape or random numbers.

#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/tensor/origin.h"
#include "tapegrad/tensor/storage.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

/// A handle on an n-dimensional array. Copying a Tensor copies the handle, not the elements: both see the
/// same memory. The elements are contiguous and row-major, always. const protects the handle, not the
/// elements, as with a shared pointer. What computes new tensors are free functions (ops/); these members
/// only look.
class Tensor {
 public:
  /// No tensor at all: defined() is false, it is no parameter and not stopped, and it can be printed; every other
  /// use of it is an error.
  Tensor() = default;
  Tensor(const Tensor& other) noexcept;
  Tensor& operator=(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(Tensor&& other) noexcept = default;
  ~Tensor() = default;

  /// The caller's memory as a tensor, without a copy. It must hold shape.size() elements and outlive every
  /// handle and every tape that saved one. Writes behind the tensor's back are not seen by the tape's checks.
  template <class T>
  requires is_element<std::remove_const_t<T>>
  static Tensor wrap(T* data, const Shape& shape) {
    return wrap_memory(const_cast<std::remove_const_t<T>*>(data), dtype_of<std::remove_const_t<T>>, shape,
                       std::is_const_v<T>);
  }

  bool defined() const { return static_cast<bool>(storage_); }
  const Shape& shape() const {
    if (!storage_) refuse_undefined("shape");
    return shape_;
  }
  int rank() const {
    if (!storage_) refuse_undefined("rank");
    return shape_.rank();
  }
  /// The number of elements.
  index_t size() const {
    if (!storage_) refuse_undefined("size");
    return shape_.size();
  }
  DType dtype() const { return storage("dtype").dtype(); }

  /// The elements, in row-major order. Throws when T is not the tensor's element type.
  template <class T>
  std::span<const T> values() const {
    return {static_cast<const T*>(raw("values", dtype_of<T>)), static_cast<std::size_t>(shape_.size())};
  }
  /// The elements for writing. Whatever a tape saved of them will be recognized as changed. Throws for the
  /// result of an op on a tape that is still recording, on whatever thread (its gradient would be wrong), and for
  /// read-only memory. Write at once: a tape does not see what is written later, through a span or a pointer that
  /// was taken before an op used the elements.
  template <class T>
  std::span<T> mutable_values() {
    return {static_cast<T*>(raw_mutable(dtype_of<T>)), static_cast<std::size_t>(shape_.size())};
  }
  template <class T>
  const T* data() const {
    return values<T>().data();
  }
  template <class T>
  T* mutable_data() {
    return mutable_values<T>().data();
  }

  /// One element, whatever the dtype; negative indices count from the end. Throws when out of bounds.
  double at(std::initializer_list<index_t> index) const;
  /// Writes one element, converted to the dtype. Throws when out of bounds, when the value is not one of the
  /// dtype (300 or 0.5 for UInt8), and as mutable_values.
  void set(std::initializer_list<index_t> index, double value);
  /// The only element of a tensor that has one. Throws otherwise.
  double item() const;

  /// Made by parameter(), or a view of such a tensor.
  bool is_parameter() const { return storage_ && storage_->parameter_shape != nullptr; }
  /// Whether gradients stop here: see stop_gradient.
  bool is_stopped() const { return stopped_; }

 private:
  friend struct TensorAccess;
  static Tensor wrap_memory(void* data, DType dtype, const Shape& shape, bool read_only);
  detail::Storage& storage(const char* asked_by) const {
    if (!storage_) refuse_undefined(asked_by);
    return *storage_.get();
  }
  [[noreturn, gnu::cold]] static void refuse_undefined(const char* asked_by);
  const void* raw(const char* asked_by, DType asked) const;
  void* raw_mutable(DType asked);
  index_t element(std::initializer_list<index_t> index) const;

  Shape shape_;
  detail::StorageHandle storage_;
  index_t offset_ = 0;  // of the first element, in elements
  detail::Origin origin_;
  bool stopped_ = false;
};

/// What the rooms above build tensors with. Not for users: a view made here has no gradient unless autograd
/// is told.
struct TensorAccess {
  /// Uninitialized.
  static Tensor empty(const Shape& shape, DType dtype);
  /// The same memory from element offset on, with another shape; keeps the marks (parameter, stopped), not
  /// the origin. offset counts from x's first element.
  static Tensor view(const Tensor& x, const Shape& shape, index_t offset = 0);
  /// A copy in memory of its own, without origin or marks.
  static Tensor clone(const Tensor& x);

  /// The elements, whatever their type, unchecked: writing to them is for who has just made the tensor.
  static std::byte* elements(const Tensor& x) {
    return static_cast<std::byte*>(x.storage("elements").data()) +
           static_cast<std::size_t>(x.offset_) * size_of(x.dtype());
  }

  /// The parameter that x, a parameter or a view of one, is a view of.
  static Tensor parameter_of(const Tensor& x);

  /// [] of a Tensor without a value.
  static const Shape& shape(const Tensor& x) { return x.shape_; }
  static detail::Storage* storage(const Tensor& x) { return x.storage_.get(); }
  static index_t offset(const Tensor& x) { return x.offset_; }
  static detail::Origin& origin(Tensor& x) { return x.origin_; }
  static const detail::Origin& origin(const Tensor& x) { return x.origin_; }
  static void set_stopped(Tensor& x, bool stopped) { x.stopped_ = stopped; }
};

/// Nested braces of numbers: {1, 2} or {{1, 2}, {3, 4}}.
class Literal {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> Literal(T value) : value_(static_cast<double>(value)), is_number_(true) {}
  Literal(std::initializer_list<Literal> rows) : rows_(rows) {}

  const std::vector<Literal>& rows() const { return rows_; }
  bool is_number() const { return is_number_; }
  double value() const { return value_; }

 private:
  std::vector<Literal> rows_;
  double value_ = 0;
  bool is_number_ = false;
};

/// tensor({{1, 2}, {3, 4}}) has shape [2, 2]; tensor(5) is a scalar. Throws for rows of unequal length, and
/// for values that the dtype cannot hold.
[[nodiscard]] Tensor tensor(const Literal& values, DType dtype = DType::Float32);
namespace detail {
// The namespace's attribute does not reach a template's instances.
template <class T>
TAPEGRAD_API Tensor tensor_of(std::span<const T> values, const Shape& shape);
}  // namespace detail
/// A copy of values with this shape. Throws when their number is not shape.size().
template <class T>
[[nodiscard]] Tensor tensor(std::span<const T> values, const Shape& shape) {
  static_assert(is_element<std::remove_const_t<T>>,
                "a tensor holds float, double, std::int32_t or std::uint8_t: convert the values first, for "
                "std::int64_t with std::vector<std::int32_t>(values.begin(), values.end())");
  if constexpr (is_element<std::remove_const_t<T>>)
    return detail::tensor_of<std::remove_const_t<T>>(values, shape);
  else
    return {};
}
template <class T>
[[nodiscard]] Tensor tensor(const std::vector<T>& values, const Shape& shape) {
  return tensor(std::span<const T>(values), shape);
}
/// std::vector<bool> has no elements in memory.
Tensor tensor(const std::vector<bool>& values, const Shape& shape) = delete;

[[nodiscard]] Tensor zeros(const Shape& shape, DType dtype = DType::Float32);
[[nodiscard]] Tensor ones(const Shape& shape, DType dtype = DType::Float32);
/// Throws when the dtype cannot hold value.
[[nodiscard]] Tensor full(const Shape& shape, double value, DType dtype = DType::Float32);
[[nodiscard]] Tensor zeros_like(const Tensor& x);
[[nodiscard]] Tensor ones_like(const Tensor& x);
/// start, start + step, ... below stop (above, for a negative step). Throws for step 0 and for values that
/// the dtype cannot hold.
[[nodiscard]] Tensor arange(double start, double stop, double step = 1, DType dtype = DType::Float32);
/// [0, stop)
[[nodiscard]] Tensor arange(double stop, DType dtype = DType::Float32);
/// Uniform in [low, high); Float32 or Float64.
[[nodiscard]] Tensor uniform(const Shape& shape, double low, double high, Generator& generator,
                             DType dtype = DType::Float32);
/// Normal with this mean and standard deviation; Float32 or Float64.
[[nodiscard]] Tensor normal(const Shape& shape, double mean, double standard_deviation, Generator& generator,
                            DType dtype = DType::Float32);

/// Whether shapes, dtypes and all elements are equal (a NaN equals nothing).
[[nodiscard]] bool equal(const Tensor& a, const Tensor& b);

/// A copy of x in storage of its own, marked as trainable: every tape records what is done with it, and with
/// its views. Float32 or Float64.
[[nodiscard]] Tensor parameter(const Tensor& x);
/// The same elements, but a constant for every tape.
[[nodiscard]] Tensor stop_gradient(const Tensor& x);

/// As NumPy prints: columns aligned, eight digits at most, long tensors with "..." in the middle.
[[nodiscard]] std::string to_string(const Tensor& x);
std::ostream& operator<<(std::ostream& stream, const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
