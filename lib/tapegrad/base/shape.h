#pragma once

// Shape, the sizes of a tensor's axes, and broadcasting.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Sizes, offsets and counts of elements.
using index_t = std::int64_t;

/// The sizes of a tensor's axes, at most kMaxRank of them; a shape without axes is that of a scalar. Sizes of 0 are
/// legal. Throws Error for a negative size, too many axes, or more elements than memory can address.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<index_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  /// One axis of this size: zeros(5) is zeros({5}).
  template <std::integral T>
  requires(!std::same_as<T, bool>) Shape(T size) : Shape({static_cast<index_t>(size)}) {}
  explicit Shape(std::span<const index_t> sizes);
  explicit Shape(const std::vector<index_t>& sizes) : Shape(std::span(sizes)) {}

  int rank() const { return static_cast<int>(rank_); }
  /// The number of elements: the product of all sizes, 1 for a scalar.
  index_t size() const { return size_; }
  /// The size of an axis; -1 is the last one. Throws when there is no such axis.
  index_t operator[](int axis) const { return sizes_[checked_axis(axis)]; }

  const index_t* begin() const { return sizes_; }
  const index_t* end() const { return sizes_ + rank_; }

  /// The axis counted from the front: checked_axis(-1) is rank() - 1. Throws when there is no such axis.
  int checked_axis(int axis) const {
    const int at = axis < 0 ? axis + rank() : axis;
    if (at < 0 || at >= rank()) refuse_axis(axis);
    return at;
  }

  /// The index along each axis of element `i` (in row-major order, counted from 0): in shape [2, 3], element 4 has the
  /// index {1, 1}. Throws unless 0 <= i < size().
  std::vector<index_t> position(index_t i) const;

  /// "[2, 3]", and "[]" for a scalar.
  std::string str() const;

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_ || a.size_ != b.size_) return false;
    for (index_t axis = 0; axis < a.rank_; ++axis)
      if (a.sizes_[axis] != b.sizes_[axis]) return false;
    return true;
  }

 private:
  [[noreturn]] void refuse_axis(int axis) const;

  index_t sizes_[kMaxRank] = {};
  index_t size_ = 1;
  index_t rank_ = 0;  // as wide as the rest, so that a copy is made of whole vectors
};

/// Writes shape.str().
std::ostream& operator<<(std::ostream& stream, const Shape& shape);

/// The shape of the result when a and b are combined element by element, by NumPy's rule: axes are aligned at the last
/// one, and an axis of size 1 is repeated. Throws an Error that names op and both shapes when they cannot be broadcast.
[[nodiscard]] Shape broadcast(std::string_view op, const Shape& a, const Shape& b);

}  // namespace v0
}  // namespace tapegrad
