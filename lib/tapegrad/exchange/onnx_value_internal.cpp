#include "tapegrad/exchange/onnx_value_internal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/rounding.h"

namespace tapegrad::inline v0::onnx {
namespace {

constexpr double kExact = 0x1p53;  // up to here Float64 has every whole number

Order identity(int rank) {
  Order order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Order full(const Order& order, int rank) {
  return order.empty() ? identity(rank) : order;
}

// Bits of a whole type, and whether it has a sign.
struct Width {
  int bits;
  bool is_signed;
};
Width width_of(ElementType type) {
  switch (type) {
    case ElementType::UInt8:
      return {8, false};
    case ElementType::Int8:
      return {8, true};
    case ElementType::UInt16:
      return {16, false};
    case ElementType::Int16:
      return {16, true};
    case ElementType::UInt32:
      return {32, false};
    case ElementType::Int32:
      return {32, true};
    case ElementType::UInt64:
      return {64, false};
    default:
      return {64, true};
  }
}

}  // namespace

bool is_floating(ElementType type) {
  return type == ElementType::Float || type == ElementType::Double || type == ElementType::Float16 ||
         type == ElementType::BFloat16;
}

bool is_whole(ElementType type) {
  using enum ElementType;
  return type == UInt8 || type == Int8 || type == UInt16 || type == Int16 || type == Int32 || type == Int64 ||
         type == UInt32 || type == UInt64;
}

DType stored_dtype(ElementType type) {
  if (type == ElementType::Bool) return DType::UInt8;
  if (type == ElementType::Double || is_whole(type)) return DType::Float64;
  if (is_floating(type)) return DType::Float32;
  fail("load_onnx", "elements of type {} cannot be computed with", name(type));
}

index_t Value::size_of_axis(int axis) const {
  return tensor.shape()[stored_axis(axis)];
}

std::vector<index_t> Value::sizes() const {
  std::vector<index_t> sizes(tensor.shape().begin(), tensor.shape().end());
  for (std::size_t i = 0; i < order.size(); ++i)
    sizes[static_cast<std::size_t>(order[i])] = tensor.shape()[static_cast<int>(i)];
  return sizes;
}

int Value::stored_axis(std::int64_t axis) const {
  if (axis < -rank() || axis >= rank())
    fail("load_onnx", "axis {} is not one of shape {}", axis, Shape(sizes()));
  const int at = static_cast<int>(axis < 0 ? axis + rank() : axis);
  return order.empty() ? at : static_cast<int>(std::ranges::find(order, at) - order.begin());
}

Order channels_last(int rank) {
  if (rank < 3) return {};
  Order order = identity(rank);
  std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return order;
}

Tensor in_order(const Value& value, const Order& order) {
  if (value.order == order) return value.tensor;
  const int rank = value.rank();
  std::vector<int> moves;
  std::vector<index_t> sizes;
  std::vector<int> large;  // the stored axes that have more than one index, as they come
  for (const int axis : full(order, rank)) {
    moves.push_back(value.stored_axis(axis));
    sizes.push_back(value.tensor.shape()[moves.back()]);
    if (sizes.back() != 1) large.push_back(moves.back());
  }
  if (moves == identity(rank)) return value.tensor;
  return std::ranges::is_sorted(large) ? reshape(value.tensor, Shape(sizes)) : permute(value.tensor, moves);
}

Value value_of(const std::vector<std::int64_t>& numbers, ElementType type) {
  Tensor made = TensorAccess::empty({static_cast<index_t>(numbers.size())}, DType::Float64);
  std::ranges::transform(numbers, made.mutable_values<double>().begin(),
                         [](std::int64_t n) { return static_cast<double>(n); });
  return value_of(std::move(made), type);
}

std::vector<std::int64_t> integers(const Value& value) {
  const Tensor x = cast(natural(value), DType::Float64);
  std::vector<std::int64_t> numbers;
  for (const double v : x.values<double>()) {
    if (!(std::trunc(v) == v)) fail("load_onnx", "a number must be whole, got {}", v);
    numbers.push_back(v >= 0x1p63    ? std::numeric_limits<std::int64_t>::max()
                      : v <= -0x1p63 ? std::numeric_limits<std::int64_t>::min()
                                     : static_cast<std::int64_t>(v));
  }
  return numbers;
}

double number(const Value& value) {
  if (value.tensor.size() != 1)
    fail("load_onnx", "an input must be a single number, got shape {}", Shape(value.sizes()));
  return value.tensor.item();
}

Tensor as_int32(const Tensor& whole) {
  return cast(whole, DType::Int32);
}

Aligned aligned(const std::vector<Value>& values) {
  Aligned made;
  int rank = 0;
  index_t largest = -1;
  for (const Value& value : values) rank = std::max(rank, value.rank());
  for (const Value& value : values)
    if (value.rank() == rank && value.tensor.size() > largest) {
      largest = value.tensor.size();
      made.order = value.order;
    }
  for (const Value& value : values) {
    if (made.order.empty() || value.order == made.order) {
      made.tensors.push_back(in_order(value, made.order));
      continue;
    }
    std::vector<index_t> sizes = value.sizes();
    sizes.insert(sizes.begin(), static_cast<std::size_t>(rank - value.rank()), 1);
    const Value whole =
        value.rank() == rank ? value : Value{reshape(natural(value), Shape(sizes)), value.type, {}};
    made.tensors.push_back(in_order(whole, made.order));
  }
  return made;
}

Tensor wrapped(const Tensor& x, ElementType type) {
  const auto [bits, is_signed] = width_of(type);
  double largest = 0;
  for (const double v : x.values<double>())
    largest = std::max(largest, std::isnan(v) ? 2 * kExact : std::abs(v));
  if (largest <= (is_signed ? std::exp2(bits - 1) - 1 : 0) || largest == 0) return x;
  if (largest > kExact && bits == 64)
    fail("load_onnx", "arithmetic with {} must stay within 2^53, or divides by zero", name(type));
  if (bits == 64) return x;
  if (!std::isfinite(largest) || largest > kExact) fail("load_onnx", "a whole number is divided by zero");
  const double range = std::exp2(bits), low = is_signed ? -range / 2 : 0;
  return x - range * floor((x - low) * (1 / range));
}

Value from_caller(const Tensor& x, ElementType type) {
  if (!x.defined()) fail("load_onnx", "an input was never given a value");
  if (tapegrad::is_floating(x.dtype()) != is_floating(type) || type == ElementType::Undefined)
    fail("load_onnx", "an input must be of type {}, got {} {}", name(type), x.dtype(), x.shape());
  if (is_floating(type)) return value_of(type == ElementType::Double ? cast(x, DType::Float64) : x, type);
  if (type == ElementType::Bool) return value_of(x.dtype() == DType::UInt8 ? x : not_equals(x, 0), type);
  return value_of(cast(x, DType::Float64), type);
}

Tensor for_caller(const Value& value, const Order& order) {
  const Tensor x = in_order(value, value.rank() == static_cast<int>(order.size()) ? order : Order{});
  if (!is_whole(value.type)) return x;
  return cast(x, value.type == ElementType::UInt8 ? DType::UInt8 : DType::Int32);
}

}  // namespace tapegrad::inline v0::onnx
