#include "tapegrad/tensor/storage.h"

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/thread_memory.h"
#include "tapegrad/tensor/storage_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::size_t kHeader = 64;
static_assert(sizeof(detail::Storage) <= kHeader);

// Blocks come in sizes of four steps to each power of two from 128 bytes on: at most a quarter is left
// unused. The largest is as much as a pointer's width can count.
constexpr int kSizeClasses = sizeof(std::size_t) >= 8 ? 4 * 40 : 4 * 24;
constexpr std::size_t block_bytes(int size_class) {
  const int power = size_class / 4;
  const auto quarter = static_cast<std::size_t>(size_class % 4);
  return (std::size_t{128} << power) + ((std::size_t{32} << power) * quarter);
}

// The memory comes from operator new, so that a program that replaces it sees all of the library's.
constexpr std::align_val_t kAlign{64};
void* take_from_system(std::size_t bytes) {
  return ::operator new(bytes, kAlign, std::nothrow);
}
void return_to_system(void* block) {
  ::operator delete(block, kAlign);
}

constexpr int class_for(std::size_t bytes) {
  if (bytes <= 128) return 0;
  const int power = static_cast<int>(std::bit_width((bytes - 1) >> 7)) - 1;  // 128 << power <= bytes - 1
  int size_class = power * 4;
  while (block_bytes(size_class) < bytes) ++size_class;
  return size_class;
}

// Freed blocks of one thread, by size. A block may be freed on another thread than the one that took it, so
// what a thread keeps is bounded by what it once had in use itself: then a consumer does not hoard what its
// producer made. Sizes have their peaks at different times, so the bound is above that of their sum: twice as much,
// or with all that the thread has from the system itself (a forward pass has few tensors at a time, of many sizes).
constexpr std::size_t kMostSpare = 32 << 20;
struct Cache final : detail::ThreadMemory {
  std::array<std::vector<void*>, kSizeClasses> blocks;
  std::size_t kept = 0, in_use = 0, peak_in_use = 0;
  std::size_t from_system = 0;  // bytes that this thread took there, less those that it gave back
  std::uint64_t taken = 0;

  Cache();
  ~Cache() override;

  void* take(int size_class) {
    auto& list = blocks[static_cast<std::size_t>(size_class)];
    if (list.empty()) return nullptr;
    void* block = list.back();
    list.pop_back();
    kept -= block_bytes(size_class);
    return block;
  }

  // Not before the memory is there: the peak of what the system refused would bound nothing.
  void count(int size_class) {
    in_use += block_bytes(size_class);
    taken += block_bytes(size_class);
    peak_in_use = std::max(peak_in_use, in_use);
  }

  // Gives a block back to the system.
  void drop(void* block, std::size_t bytes) {
    return_to_system(block);
    from_system -= std::min(from_system, bytes);
  }

  void give(void* block, int size_class) {
    const std::size_t bytes = block_bytes(size_class);
    in_use -= std::min(in_use, bytes);
    if (in_use + bytes > peak_in_use) return drop(block, bytes);
    const std::size_t bound = peak_in_use + std::min(std::max(peak_in_use, from_system), kMostSpare);
    // What was freed last is wanted again first: sizes that are no longer used make room.
    for (auto& list : blocks) {
      if (kept + in_use + bytes <= bound) break;
      const std::size_t each = block_bytes(static_cast<int>(&list - blocks.data()));
      for (; !list.empty() && kept + in_use + bytes > bound; list.pop_back(), kept -= each)
        drop(list.back(), each);
    }
    try {
      blocks[static_cast<std::size_t>(size_class)].push_back(block);
    } catch (const std::bad_alloc&) {
      return drop(block, bytes);
    }
    kept += bytes;
  }

  void release() override {
    for (auto& list : blocks) {
      for (void* block : list) drop(block, block_bytes(static_cast<int>(&list - blocks.data())));
      list.clear();
    }
    kept = 0;
    peak_in_use = in_use;
  }
};

// The calling thread's, nullptr before it is made and after it is destroyed: tensors may outlive their thread's cache (a
// global one does), and then the system is asked directly.
constinit thread_local Cache* own_cache = nullptr;
constinit thread_local bool cache_has_ended = false;
Cache::Cache() {
  own_cache = this;
}
Cache::~Cache() {
  own_cache = nullptr;
  cache_has_ended = true;
  release();
}

[[gnu::noinline]] Cache* make_cache() {
  if (cache_has_ended) return nullptr;
  thread_local Cache instance;
  return &instance;
}

Cache* cache() {
  return own_cache != nullptr ? own_cache : make_cache();
}

}  // namespace

namespace detail {

Storage* Storage::allocate(DType dtype, std::int64_t count) {
  const std::uint64_t bytes = kHeader + static_cast<std::uint64_t>(count) * size_of(dtype);
  if (bytes > block_bytes(kSizeClasses - 1)) return nullptr;
  const int size_class = class_for(static_cast<std::size_t>(bytes));
  void* block = nullptr;
  Cache* own = cache();
  if (own != nullptr) block = own->take(size_class);
  if (block == nullptr) {
    block = take_from_system(block_bytes(size_class));
    if (block != nullptr && own != nullptr) own->from_system += block_bytes(size_class);
  }
  if (block == nullptr) return nullptr;
  if (own != nullptr) own->count(size_class);
  void* data = static_cast<std::byte*>(block) + kHeader;
  return new (block) Storage(dtype, data, count, static_cast<std::int16_t>(size_class), false);
}

Storage* Storage::wrap(DType dtype, void* data, std::int64_t count, bool read_only) {
  return new Storage(dtype, data, count, kWrapped, read_only);
}

void Storage::destroy() {
  if (!owns_memory()) {
    delete this;
    return;
  }
  const int size_class = size_class_;
  this->~Storage();
  void* block = this;
  if (Cache* own = cache(); own != nullptr)
    own->give(block, size_class);
  else
    return_to_system(block);
}

}  // namespace detail

std::uint64_t detail::bytes_taken() {
  const Cache* own = cache();
  return own == nullptr ? 0 : own->taken;
}

std::size_t cached_memory() {
  const Cache* own = cache();
  return own == nullptr ? 0 : own->kept;
}

}  // namespace tapegrad::inline v0
