#pragma once

// Internal: blocks of memory that a thread keeps for reuse. Tensors live in them, and whatever else a training step makes and
// drops: once its sizes are known, a step asks the system for nothing.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <vector>

namespace tapegrad::inline v0::detail {

// Blocks come in sizes of four steps to each power of two from 128 bytes on: at most a quarter is left unused. The largest is
// as much as a pointer's width can count.
inline constexpr int kBlockClasses = sizeof(std::size_t) >= 8 ? 4 * 40 : 4 * 24;
constexpr std::size_t block_bytes(int size_class) {
  const int power = size_class / 4;
  const auto quarter = static_cast<std::size_t>(size_class % 4);
  return (std::size_t{128} << power) + ((std::size_t{32} << power) * quarter);
}
/// The class of the smallest blocks with this many bytes; kBlockClasses or more where there are none.
constexpr int block_class(std::uint64_t bytes) {
  if (bytes <= 128) return 0;
  const std::uint64_t last = bytes - 1;
  const int power = static_cast<int>(std::bit_width(last >> 7)) - 1;  // 128 << power <= last
  return 4 * power + static_cast<int>((last - (std::uint64_t{128} << power)) >> (power + 5)) + 1;
}

/// A block of a class, aligned to 64 bytes; nullptr where there is no memory for it.
void* take_block(int size_class);
/// Gives a block back, on whatever thread: the thread that took it has it again, when it needs one.
void give_block(void* block, int size_class);
/// The bytes that the calling thread keeps.
std::size_t kept_blocks();
/// The bytes of all blocks that the calling thread has taken so far, new ones and those that were used again: what its ops
/// have written, whatever became of it. For tests. 0 once the thread ends.
std::uint64_t bytes_taken();

/// An allocator of the standard library for what lives in such blocks.
template <class T>
struct BlockAllocator {
  using value_type = T;
  static_assert(alignof(T) <= 64);

  BlockAllocator() = default;
  template <class U>
  BlockAllocator(const BlockAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) {
    void* block =
        count > std::numeric_limits<std::size_t>::max() / kSize ? nullptr : take_block(class_of(count));
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, std::size_t count) noexcept { give_block(block, class_of(count)); }
  friend bool operator==(const BlockAllocator&, const BlockAllocator&) { return true; }

 private:
  static constexpr std::size_t kSize = sizeof(T);  // NOLINT(bugprone-sizeof-expression): T may be a pointer
  static int class_of(std::size_t count) { return block_class(count * kSize); }
};

template <class T>
using BlockVector = std::vector<T, BlockAllocator<T>>;

}  // namespace tapegrad::inline v0::detail
