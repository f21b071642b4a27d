#pragma once

// Internal: what flows from node to node of an ONNX model.

#include <functional>
#include <vector>

#include "tapegrad/exchange/onnx_proto_internal.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::onnx {

/// The order in which the axes of a value are stored: stored axis i is the file's axis order[i]. Empty: as in the file.
using Order = std::vector<int>;

/// A tensor of a model. Floating types are stored as Float32 or Float64, booleans as UInt8; whole numbers as Float64,
/// which holds all of Int32 and those of Int64 up to 2^53, and which all ops compute with.
struct Value {
  Tensor tensor = {};
  ElementType type = ElementType::Undefined;
  Order order = {};

  bool defined() const { return tensor.defined(); }
  int rank() const { return tensor.rank(); }
  /// The size of an axis of the file.
  index_t size_of_axis(int axis) const;
  /// The sizes in the file's order.
  std::vector<index_t> sizes() const;
  /// The stored axis that is the file's axis. Throws for one that there is not.
  int stored_axis(std::int64_t axis) const;
  /// A value of the same type and order.
  Value with(Tensor other) const { return {std::move(other), type, order}; }
};

bool is_floating(ElementType type);
bool is_whole(ElementType type);
/// The dtype that a type is stored as. Throws for strings and complex numbers.
DType stored_dtype(ElementType type);

/// [0, 2, 3, 1] for rank 4: the channels, the file's axis 1, last.
Order channels_last(int rank);
/// The value's elements with its axes in this order. Without a copy, where axes of size 1 are all that moves.
Tensor in_order(const Value& value, const Order& order);
/// In the file's order.
inline Tensor natural(const Value& value) {
  return in_order(value, {});
}

/// A tensor that is computed with others, as a value in the file's order.
inline Value value_of(Tensor tensor, ElementType type) {
  return {std::move(tensor), type, {}};
}
/// Whole numbers as a vector.
Value value_of(const std::vector<std::int64_t>& numbers, ElementType type = ElementType::Int64);
/// The whole numbers of a value, in the file's order. Numbers beyond 2^53 become the nearest that std::int64_t has.
std::vector<std::int64_t> integers(const Value& value);
/// The single number of a value. Throws when it has several.
double number(const Value& value);
/// Whole numbers as Int32, for ops that take indices. Throws for those that do not fit.
Tensor as_int32(const Tensor& whole);

/// Values that are combined element by element: brought to one order and rank, so that tensors can be broadcast.
struct Aligned {
  std::vector<Tensor> tensors;
  Order order;
};
Aligned aligned(const std::vector<Value>& values);

/// What arithmetic with whole numbers of a type gives: wrapped to the type's bits. Throws for numbers that Float64 does
/// not hold exactly.
Tensor wrapped(const Tensor& x, ElementType type);

/// The constant of a TensorProto. Throws the source's error for what is damaged.
Value constant(const Source& source, const TensorProto& proto);

/// A caller's tensor as a value of a declared type.
Value from_caller(const Tensor& x, ElementType type);
/// A value, brought to this order, as a tensor for the caller: whole numbers as Int32, or UInt8.
Tensor for_caller(const Value& value, const Order& order);

}  // namespace tapegrad::inline v0::onnx
