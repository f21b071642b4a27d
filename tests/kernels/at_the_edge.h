#pragma once

// Windows and WebAssembly: no memory is protected there, a copy is all.
#if defined(_WIN32) || defined(__EMSCRIPTEN__)
#define TAPEGRAD_PROTECTED_MEMORY 0
#else
#define TAPEGRAD_PROTECTED_MEMORY 1
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

namespace tapegrad::testing {

/// A copy with memory that must not be touched around it: who looks behind it (or in front of it, when it
/// stands at the beginning) is stopped by the processor.
template <class T>
class AtTheEdge {
 public:
#if TAPEGRAD_PROTECTED_MEMORY
  explicit AtTheEdge(const std::vector<T>& v, bool at_the_beginning = false) : count_(v.size()) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = v.size() * sizeof(T), room = (bytes + page - 1) / page * page;
    size_ = room + 2 * page;
    memory_ = static_cast<std::byte*>(mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_ + page, room, PROT_READ | PROT_WRITE);
    data_ = reinterpret_cast<T*>(memory_ + page + (at_the_beginning ? 0 : room - bytes));
    std::copy(v.begin(), v.end(), data_);
  }
  ~AtTheEdge() {
    munmap(memory_, size_);
  }
#else
  explicit AtTheEdge(const std::vector<T>& v, bool = false)
      : memory_(new std::byte[v.size() * sizeof(T) + 1]),
        count_(v.size()),
        data_(reinterpret_cast<T*>(memory_)) {
    std::copy(v.begin(), v.end(), data_);
  }
  ~AtTheEdge() {
    delete[] memory_;
  }
#endif
  AtTheEdge(const AtTheEdge&) = delete;
  AtTheEdge& operator=(const AtTheEdge&) = delete;
  const T* data() const {
    return data_;
  }
  T* data() {
    return data_;
  }
  std::vector<T> values() const {
    return {data_, data_ + count_};
  }

 private:
  std::byte* memory_;
  [[maybe_unused]] std::size_t size_ = 0;
  std::size_t count_;
  T* data_;
};

}  // namespace tapegrad::testing
