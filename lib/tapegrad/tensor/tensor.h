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

/// A handle on an n-dimensional array. Copying a Tensor copies the handle, not the elements: both handles see the same
/// memory. The elements are always contiguous and row-major. const protects the handle, not the elements, as with a
/// shared pointer. Functions that compute new tensors are free functions (ops/); members read and write elements.
class Tensor {
 public:
  /// An undefined tensor, which has no elements: defined(), is_parameter() and is_stopped() are false, and it can be
  /// printed; every other use throws.
  Tensor() = default;
  Tensor(const Tensor& other) noexcept;
  Tensor& operator=(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(Tensor&& other) noexcept = default;
  ~Tensor() = default;

  /// A tensor on the caller's memory, without a copy. The memory must hold shape.size() elements and outlive every
  /// handle on it and every tape that saved one. A tape does not notice writes through the caller's own pointer. A
  /// pointer to const gives a read-only tensor. Throws when the pointer is null though there are elements, or not aligned.
  template <class T>
  requires is_element<std::remove_const_t<T>>
  static Tensor wrap(T* data, const Shape& shape) {
    return wrap_memory(const_cast<std::remove_const_t<T>*>(data), dtype_of<std::remove_const_t<T>>, shape,
                       std::is_const_v<T>);
  }

  /// Whether the tensor has a value: false for Tensor().
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
  /// The elements, for writing. A tape that saved them for its backward pass will notice the change and throw. Throws
  /// for the result of an op on a tape that is still recording, on any thread (its gradient would be wrong), and for
  /// read-only memory. Write at once: a tape does not notice later writes through a span or pointer that was taken
  /// before an op used the elements.
  template <class T>
  std::span<T> mutable_values() {
    return {static_cast<T*>(raw_mutable("mutable_values", dtype_of<T>)),
            static_cast<std::size_t>(shape_.size())};
  }
  /// A pointer to the first element; throws as values().
  template <class T>
  const T* data() const {
    return static_cast<const T*>(raw("data", dtype_of<T>));
  }
  /// A pointer to the first element, for writing; as mutable_values().
  template <class T>
  T* mutable_data() {
    return static_cast<T*>(raw_mutable("mutable_data", dtype_of<T>));
  }

  /// One element, converted to double; negative indices count from the end. Throws when an index is out of bounds.
  [[nodiscard]] double at(std::initializer_list<index_t> index) const;
  /// Writes one element, converted to the dtype. Throws when an index is out of bounds, when the dtype cannot hold the
  /// value (300 or 0.5 for UInt8), and as mutable_values().
  void set(std::initializer_list<index_t> index, double value);
  /// The element of a tensor that has exactly one, converted to double. Throws for any other number of elements.
  double item() const;

  /// Whether this tensor was made by parameter() or is a view of one that was.
  bool is_parameter() const { return storage_ && storage_->parameter_shape != nullptr; }
  /// Whether tapes treat this handle as a constant: see stop_gradient().
  bool is_stopped() const { return stopped_; }

 private:
  friend struct TensorAccess;
  Tensor(const Shape& shape, detail::StorageHandle storage) : shape_(shape), storage_(std::move(storage)) {}
  static Tensor wrap_memory(void* data, DType dtype, const Shape& shape, bool read_only);
  detail::Storage& storage(const char* asked_by) const {
    if (!storage_) refuse_undefined(asked_by);
    return *storage_.get();
  }
  [[noreturn, gnu::cold]] static void refuse_undefined(const char* asked_by);
  const void* raw(const char* asked_by, DType asked) const;
  void* raw_mutable(const char* asked_by, DType asked);
  index_t element(const char* asked_by, std::initializer_list<index_t> index) const;

  Shape shape_;
  detail::StorageHandle storage_;
  index_t offset_ = 0;  // of the first element, in elements
  detail::Origin origin_;
  bool stopped_ = false;
};

/// Access to a tensor's parts for the rest of the library. Not for users: no gradient flows through a view that is made
/// here, as no tape records the view.
struct TensorAccess {
  /// A new tensor with uninitialized elements, for op. Where there is no memory, the error names the op that the user
  /// called: the one that op computes a part of, or op.
  static Tensor empty(const Shape& shape, DType dtype, const char* op = "tensor");
  /// A tensor of another shape on x's memory, from element `offset` (counted from x's first) on. Keeps the marks
  /// (parameter, stopped), not the origin.
  static Tensor view(const Tensor& x, const Shape& shape, index_t offset = 0);
  /// A copy in memory of its own, without origin or marks.
  static Tensor clone(const Tensor& x, const char* op = "tensor");

  /// The elements as bytes, unchecked: only code that has just made the tensor may write to them.
  static std::byte* elements(const Tensor& x) {
    return static_cast<std::byte*>(x.storage("elements").data()) +
           static_cast<std::size_t>(x.offset_) * size_of(x.dtype());
  }

  /// The parameter that x, a parameter or a view of one, is a view of.
  static Tensor parameter_of(const Tensor& x);

  /// The shape; [] for an undefined tensor.
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
  template <detail::Arithmetic T>
  Literal(T value) : value_(static_cast<double>(value)), is_number_(true) {}
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
/// A copy of values with this shape. Throws unless there are shape.size() values.
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
/// std::vector<bool> stores bits: convert to std::vector<std::uint8_t>.
Tensor tensor(const std::vector<bool>& values, const Shape& shape) = delete;

[[nodiscard]] Tensor zeros(const Shape& shape, DType dtype = DType::Float32);
[[nodiscard]] Tensor ones(const Shape& shape, DType dtype = DType::Float32);
/// Throws when the dtype cannot hold value.
[[nodiscard]] Tensor full(const Shape& shape, double value, DType dtype = DType::Float32);
/// Zeros of x's shape and dtype.
[[nodiscard]] Tensor zeros_like(const Tensor& x);
/// Ones of x's shape and dtype.
[[nodiscard]] Tensor ones_like(const Tensor& x);
/// start, start + step, ... up to but without stop; none if stop lies in the other direction. Throws for step 0 and for
/// values that the dtype cannot hold.
[[nodiscard]] Tensor arange(double start, double stop, double step = 1, DType dtype = DType::Float32);
/// 0, 1, ... up to but without stop.
[[nodiscard]] Tensor arange(double stop, DType dtype = DType::Float32);
/// Numbers drawn uniformly from [low, high); Float32 or Float64. Throws unless low and high are finite and low <= high.
[[nodiscard]] Tensor uniform(const Shape& shape, double low, double high, Generator& generator,
                             DType dtype = DType::Float32);
/// Numbers drawn from the normal distribution with this mean and standard deviation; Float32 or Float64.
[[nodiscard]] Tensor normal(const Shape& shape, double mean, double standard_deviation, Generator& generator,
                            DType dtype = DType::Float32);

/// Whether shapes, dtypes and all elements are equal (a NaN equals nothing).
[[nodiscard]] bool equal(const Tensor& a, const Tensor& b);

/// A copy of x in memory of its own, marked as trainable: every tape records the ops that use the copy or a view of it.
/// Throws unless x is Float32 or Float64.
[[nodiscard]] Tensor parameter(const Tensor& x);
/// A handle on x's elements that every tape treats as a constant.
[[nodiscard]] Tensor stop_gradient(const Tensor& x);

/// x as NumPy prints arrays: columns aligned, at most eight digits, long tensors with "..." in the middle.
[[nodiscard]] std::string to_string(const Tensor& x);
std::ostream& operator<<(std::ostream& stream, const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
