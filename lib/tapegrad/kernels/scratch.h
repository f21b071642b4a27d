#pragma once

// scratch(): memory of a thread for what a kernel needs in between.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/thread_memory.h"

namespace tapegrad::inline v0::kernels {

/// Room for count elements that stays with the thread until release_memory(), aligned to 64 bytes. The next call on
/// the same thread with the same types may give out the same memory.
template <class T, class Purpose = T>
T* scratch(index_t count) {
  struct Memory final : detail::ThreadMemory {
    void release() override {
      bytes.reset();
      room = 0;
    }
    std::unique_ptr<std::byte[]> bytes;
    std::size_t room = 0;
  };
  constexpr std::size_t kAlign = 64;
  Memory* own = detail::own_of_thread<Memory>();
  // A kernel that runs in a destructor at the end of the thread leaves its memory behind.
  Memory& memory = own != nullptr ? *own : *new Memory;
  const std::uint64_t wanted = static_cast<std::uint64_t>(count) * sizeof(T) + kAlign;
  if (wanted > std::numeric_limits<std::size_t>::max()) throw std::bad_alloc();
  const auto bytes = static_cast<std::size_t>(wanted);
  if (bytes > memory.room) {
    memory.release();  // first, so that both are never there at once
    memory.bytes = std::make_unique_for_overwrite<std::byte[]>(bytes);
    memory.room = bytes;
  }
  void* begin = memory.bytes.get();
  std::size_t left = memory.room;
  return static_cast<T*>(std::align(kAlign, bytes - kAlign, begin, left));
}

}  // namespace tapegrad::inline v0::kernels
