#pragma once

#include <cstddef>
#include <memory>

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

/// Room for count elements that stays with the thread, aligned to 64 bytes. The next call on the same thread
/// with the same types may give out the same memory.
template <class T, class Purpose = T>
T* scratch(index_t count) {
  constexpr std::size_t kAlign = 64;
  thread_local std::unique_ptr<std::byte[]> memory;
  thread_local std::size_t room = 0;
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T) + kAlign;
  if (bytes > room) {
    memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
    room = bytes;
  }
  void* begin = memory.get();
  std::size_t left = room;
  return static_cast<T*>(std::align(kAlign, bytes - kAlign, begin, left));
}

}  // namespace tapegrad::inline v0::kernels
