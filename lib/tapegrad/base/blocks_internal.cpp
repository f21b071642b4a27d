#include "tapegrad/base/blocks_internal.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "tapegrad/base/thread_memory.h"

namespace tapegrad::inline v0::detail {
namespace {

// The memory comes from operator new, so that a program that replaces it sees all of the library's.
constexpr std::align_val_t kAlign{64};

// A block that is kept holds the next one.
struct Kept {
  Kept* next;
  int size_class;
};
constinit Kept closed_list{};  // in the place of a list: nobody takes from it any more

// Where blocks of a thread that others free wait for it: otherwise the one that frees would keep more and more, and the other ask
// the system in each step. It outlives its thread for as long as one of its blocks is in use.
struct Home {
  std::atomic<Kept*> returned{nullptr};
  std::atomic<std::size_t> returned_bytes{0};
  std::atomic<std::size_t> lost_bytes{0};  // of blocks that went to the system instead
  std::atomic<std::int64_t> in_use{
      0};  // less those that went there; with what the thread counts, once it has ended

  void count_in_use(std::int64_t more) {
    if (in_use.fetch_add(more, std::memory_order_acq_rel) + more == 0) delete this;
  }
};

// Behind each block stands whose it is; nullptr where that thread had ended already.
Home*& home_of(void* block, int size_class) {
  return *reinterpret_cast<Home**>(static_cast<std::byte*>(block) + block_bytes(size_class));
}

void* new_block(int size_class, Home* home) {
  void* block = ::operator new(block_bytes(size_class) + sizeof(void*), kAlign, std::nothrow);
  if (block != nullptr) ::new (&home_of(block, size_class)) Home*(home);
  return block;
}

// Freed blocks of one thread, by size. A thread keeps its own blocks only: those that it took from the system. What it keeps is
// bounded by what it once had in use. Sizes have their peaks at different times, so the bound is above that of their sum: twice as
// much, or with all that the thread has from the system itself (a forward pass has few tensors at a time, of many sizes).
constexpr std::size_t kMostSpare = 32 << 20;
struct Blocks final : ThreadMemory {
  std::array<Kept*, kBlockClasses> first = {};
  std::size_t kept = 0, in_use = 0, peak_in_use = 0;
  std::size_t from_system = 0;  // bytes that this thread took there, less those that it gave back
  std::uint64_t taken = 0;
  Home* home = nullptr;  // made with the first block
  std::int64_t out = 0;  // blocks that were taken and did not come back

  Blocks();
  ~Blocks() override;

  void* take(int size_class) {
    const std::size_t bytes = block_bytes(size_class);
    void* block = first[static_cast<std::size_t>(size_class)];
    if (block == nullptr) block = look_for(size_class);
    if (block != nullptr) {
      pop(size_class);
    } else {
      block = from_the_system(size_class);
      if (block == nullptr) return nullptr;  // the peak of what the system refused would bound nothing
    }
    ++out;
    in_use += bytes;
    taken += bytes;
    peak_in_use = std::max(peak_in_use, in_use);
    return block;
  }

  [[gnu::noinline]] void* from_the_system(int size_class) {
    if (home == nullptr) home = new (std::nothrow) Home;
    void* block = home == nullptr ? nullptr : new_block(size_class, home);
    if (block != nullptr) from_system += block_bytes(size_class);
    return block;
  }

  // Among those that other threads have given back.
  [[gnu::noinline]] void* look_for(int size_class) {
    take_returned();
    return first[static_cast<std::size_t>(size_class)];
  }
  void take_returned() {
    if (home == nullptr) return;
    if (home->lost_bytes.load(std::memory_order_relaxed) != 0) {
      const std::size_t lost = home->lost_bytes.exchange(0, std::memory_order_relaxed);
      in_use -= std::min(in_use, lost);
      from_system -= std::min(from_system, lost);
    }
    if (home->returned.load(std::memory_order_relaxed) == nullptr) return;
    std::size_t bytes = 0;
    for (Kept* block = home->returned.exchange(nullptr, std::memory_order_acquire); block != nullptr;) {
      Kept* const next = block->next;
      const int size_class = block->size_class;
      bytes += block_bytes(size_class);
      give(block, size_class);
      block = next;
    }
    home->returned_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  }

  // At the end of the thread: from now on its blocks go to the system.
  void close() {
    if (home == nullptr) return;
    for (Kept* block = home->returned.exchange(&closed_list, std::memory_order_acquire); block != nullptr;
         --out) {
      Kept* const next = block->next;
      ::operator delete(block, kAlign);
      block = next;
    }
    home->count_in_use(out);
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
    --out;
    in_use -= std::min(in_use, bytes);
    if (in_use + bytes > peak_in_use) return drop(block, bytes);
    const std::size_t bound = peak_in_use + std::min(std::max(peak_in_use, from_system), kMostSpare);
    if (kept + in_use + bytes > bound) make_room(bound - in_use - bytes);
    Kept*& list = first[static_cast<std::size_t>(size_class)];
    list = new (block) Kept{list, size_class};
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
    take_returned();
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
  close();
}

// Gives a block of another thread's back to it; to the system where that thread has ended, or has much already.
[[gnu::noinline]] void give_home(Home* home, void* block, int size_class) {
  const std::size_t bytes = block_bytes(size_class);
  if (home == nullptr) return ::operator delete(block, kAlign);
  if (home->returned_bytes.load(std::memory_order_relaxed) + bytes <= kMostSpare) {
    home->returned_bytes.fetch_add(bytes, std::memory_order_relaxed);
    Kept* before = home->returned.load(std::memory_order_relaxed);
    Kept* const own = new (block) Kept{before, size_class};
    while (before != &closed_list) {
      own->next = before;
      if (home->returned.compare_exchange_weak(before, own, std::memory_order_release,
                                               std::memory_order_relaxed))
        return;  // home may be gone from here on
    }
  } else {
    home->lost_bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
  ::operator delete(block, kAlign);
  home->count_in_use(-1);
}

Blocks* blocks() {
  return own_blocks != nullptr ? own_blocks : own_of_thread<Blocks>();
}

}  // namespace

void* take_block(int size_class) {
  if (size_class >= kBlockClasses) return nullptr;
  if (Blocks* own = blocks(); own != nullptr) return own->take(size_class);
  return new_block(size_class, nullptr);
}

void give_block(void* block, int size_class) {
  Home* const home = home_of(block, size_class);
  if (Blocks* own = blocks(); own != nullptr && home == own->home && home != nullptr)
    own->give(block, size_class);
  else
    give_home(home, block, size_class);
}

std::uint64_t bytes_taken() {
  const Blocks* own = blocks();
  return own == nullptr ? 0 : own->taken;
}

std::size_t kept_blocks() {
  Blocks* own = blocks();
  if (own == nullptr) return 0;
  own->take_returned();
  return own->kept;
}

}  // namespace tapegrad::inline v0::detail
