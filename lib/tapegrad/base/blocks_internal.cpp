#include "tapegrad/base/blocks_internal.h"

#include <algorithm>
#include <array>

#include "tapegrad/base/thread_memory.h"

namespace tapegrad::inline v0::detail {
namespace {

// The memory comes from operator new, so that a program that replaces it sees all of the library's.
constexpr std::align_val_t kAlign{64};

// A block that is kept holds the next one of its class.
struct Kept {
  Kept* next;
};

// Freed blocks of one thread, by size. A block may be freed on another thread than the one that took it, so
// what a thread keeps is bounded by what it once had in use itself: then a consumer does not hoard what its
// producer made. (A thread that hands blocks to others counts them as its own for good.) Sizes have their peaks at different times, so the bound is above that of their sum: twice as much,
// or with all that the thread has from the system itself (a forward pass has few tensors at a time, of many sizes).
constexpr std::size_t kMostSpare = 32 << 20;
struct Blocks final : ThreadMemory {
  std::array<Kept*, kBlockClasses> first = {};
  std::size_t kept = 0, in_use = 0, peak_in_use = 0;
  std::size_t from_system = 0;  // bytes that this thread took there, less those that it gave back
  std::uint64_t taken = 0;

  Blocks();
  ~Blocks() override;

  void* take(int size_class) {
    const std::size_t bytes = block_bytes(size_class);
    void* block = first[static_cast<std::size_t>(size_class)];
    if (block != nullptr) {
      pop(size_class);
    } else {
      block = ::operator new(bytes, kAlign, std::nothrow);
      if (block == nullptr) return nullptr;  // the peak of what the system refused would bound nothing
      from_system += bytes;
    }
    in_use += bytes;
    taken += bytes;
    peak_in_use = std::max(peak_in_use, in_use);
    return block;
  }

  void pop(int size_class) {
    Kept*& list = first[static_cast<std::size_t>(size_class)];
    list = list->next;
    kept -= block_bytes(size_class);
  }

  // Gives a block back to the system.
  void drop(void* block, std::size_t bytes) {
    ::operator delete(block, kAlign);
    from_system -= std::min(from_system, bytes);
  }

  void give(void* block, int size_class) {
    const std::size_t bytes = block_bytes(size_class);
    in_use -= std::min(in_use, bytes);
    if (in_use + bytes > peak_in_use) return drop(block, bytes);
    const std::size_t bound = peak_in_use + std::min(std::max(peak_in_use, from_system), kMostSpare);
    if (kept + in_use + bytes > bound) make_room(bound - in_use - bytes);
    Kept*& list = first[static_cast<std::size_t>(size_class)];
    list = new (block) Kept{list};
    kept += bytes;
  }

  // What was freed last is wanted again first: sizes that are no longer used make room.
  [[gnu::noinline]] void make_room(std::size_t most) {
    for (int size_class = 0; size_class < kBlockClasses && kept > most; ++size_class)
      while (Kept* block = first[static_cast<std::size_t>(size_class)]) {
        if (kept <= most) break;
        pop(size_class);
        drop(block, block_bytes(size_class));
      }
  }

  void release() override {
    make_room(0);
    peak_in_use = in_use;
  }
};

// The calling thread's, nullptr before it is made and after it is destroyed: blocks may outlive their thread's (a global
// tensor's does), and then the system is asked directly.
constinit thread_local Blocks* own_blocks = nullptr;
Blocks::Blocks() {
  own_blocks = this;
}
Blocks::~Blocks() {
  own_blocks = nullptr;
  release();
}

Blocks* blocks() {
  return own_blocks != nullptr ? own_blocks : own_of_thread<Blocks>();
}

}  // namespace

void* take_block(int size_class) {
  if (size_class >= kBlockClasses) return nullptr;
  if (Blocks* own = blocks(); own != nullptr) return own->take(size_class);
  return ::operator new(block_bytes(size_class), kAlign, std::nothrow);
}

void give_block(void* block, int size_class) {
  if (Blocks* own = blocks(); own != nullptr)
    own->give(block, size_class);
  else
    ::operator delete(block, kAlign);
}

std::uint64_t bytes_taken() {
  const Blocks* own = blocks();
  return own == nullptr ? 0 : own->taken;
}

std::size_t kept_blocks() {
  const Blocks* own = blocks();
  return own == nullptr ? 0 : own->kept;
}

}  // namespace tapegrad::inline v0::detail
