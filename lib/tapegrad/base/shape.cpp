#include "tapegrad/base/shape.h"

#include <algorithm>
#include <limits>
#include <ostream>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

// So that the bytes of the widest element type can be counted in index_t as well.
constexpr index_t kMaxElements = std::numeric_limits<index_t>::max() / 16;

Shape::Shape(std::span<const index_t> sizes) {
  if (sizes.size() > static_cast<std::size_t>(kMaxRank))
    fail("shape", "a tensor has at most {} axes, got {}", kMaxRank, sizes.size());
  for (const index_t size : sizes) {
    if (size < 0) fail("shape", "no size may be negative, got [{}]", join(sizes, ", "));
    sizes_[rank_++] = size;
  }
  // An empty tensor is empty however large its other axes are, but their product must still be a number.
  index_t nonzero = 1;
  for (const index_t size : sizes) {
    if (size == 0) continue;
    if (nonzero > kMaxElements / size)
      fail("shape", "[{}] has more elements than memory can address", join(sizes, ", "));
    nonzero *= size;
  }
  size_ = std::find(sizes.begin(), sizes.end(), 0) == sizes.end() ? nonzero : 0;
}

std::string Shape::str() const {
  return fmt::format("[{}]", join(*this, ", "));
}

std::ostream& operator<<(std::ostream& stream, const Shape& shape) {
  return stream << shape.str();
}

std::vector<index_t> Shape::position(index_t i) const {
  if (i < 0 || i >= size_)
    fail("shape", "an element of shape {} must be 0 to {}, got {}", *this, size_ - 1, i);
  std::vector<index_t> at(static_cast<std::size_t>(rank_));
  for (int axis = rank(); axis-- > 0; i /= sizes_[axis])
    at[static_cast<std::size_t>(axis)] = i % sizes_[axis];
  return at;
}

void Shape::refuse_axis(int axis) const {
  if (rank_ == 0) fail("shape", "a scalar has no axes, and so no axis {}", axis);
  fail("shape", "an axis of a tensor of shape {} must be {} to {}, got {}", *this, -rank_, rank_ - 1, axis);
}

Shape broadcast(std::string_view op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  index_t sizes[Shape::kMaxRank] = {};
  for (int from_end = 1; from_end <= rank; ++from_end) {
    const index_t in_a = from_end <= a.rank() ? a[-from_end] : 1;
    const index_t in_b = from_end <= b.rank() ? b[-from_end] : 1;
    if (in_a != in_b && in_a != 1 && in_b != 1)
      fail(op,
           "shapes {} and {} do not fit together: axis {} is {} in one and {} in the other (equal, or one of "
           "them 1)",
           a, b, -from_end, in_a, in_b);
    sizes[rank - from_end] = in_a == 1 ? in_b : in_a;
  }
  return Shape(std::span<const index_t>(sizes, static_cast<std::size_t>(rank)));
}

}  // namespace tapegrad::inline v0
