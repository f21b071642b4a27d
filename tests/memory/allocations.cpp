#include "memory/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "sanitizers.h"

// glibc's own, under the names that it keeps for those who replace them. A sanitizer replaces them itself.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t align, std::size_t size);
void __libc_free(void* block);
}
#if TAPEGRAD_ADDRESS_SANITIZER || TAPEGRAD_THREAD_SANITIZER
#define __libc_malloc std::malloc
#define __libc_memalign std::aligned_alloc
#define __libc_free std::free
#endif

namespace tapegrad::testing {
namespace counter {

constinit std::atomic<std::int64_t> c_blocks{0};
constinit thread_local bool c_refusing = false;
constinit thread_local std::int64_t c_asked = 0, c_first_refused = 0;

bool refuses_this_in_c() {
  if (!c_refusing || c_asked++ != c_first_refused) return false;
  errno = ENOMEM;
  return true;
}

void* counted(void* block) {
  if (block != nullptr) c_blocks.fetch_add(1, std::memory_order_relaxed);
  return block;
}

constinit std::atomic<std::int64_t> blocks{0}, bytes{0}, most{0};
constinit std::atomic<bool> refusing{false};
constinit std::atomic<std::int64_t> asked{0};
constinit std::atomic<std::int64_t> first_refused{0};
constinit std::atomic<bool> all_from_one{false};

bool refuses_this() {
  if (!refusing.load(std::memory_order_relaxed)) return false;
  const std::int64_t number = asked.fetch_add(1, std::memory_order_relaxed), first = first_refused.load();
  return number == first || (number > first && all_from_one.load());
}

void* take(std::size_t size, std::size_t align) {
  if (refuses_this()) return nullptr;
  if (size == 0) size = 1;
  void* block = align <= alignof(std::max_align_t)
                    ? __libc_malloc(size)
                    : __libc_memalign(align, (size + align - 1) / align * align);
  if (block == nullptr) return nullptr;
  blocks.fetch_add(1, std::memory_order_relaxed);
  const auto added = static_cast<std::int64_t>(malloc_usable_size(block));
  const std::int64_t now = bytes.fetch_add(added, std::memory_order_relaxed) + added;
  for (std::int64_t peak = most.load(); now > peak && !most.compare_exchange_weak(peak, now);) {
  }
  return block;
}

void* take_or_throw(std::size_t size, std::size_t align) {
  void* block = take(size, align);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void give_back(void* block) {
  if (block == nullptr) return;
  blocks.fetch_sub(1, std::memory_order_relaxed);
  bytes.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(block)), std::memory_order_relaxed);
  __libc_free(block);
}

constexpr std::size_t kPlain = alignof(std::max_align_t);
constexpr std::size_t as_size(std::align_val_t align) {
  return static_cast<std::size_t>(align);
}

}  // namespace counter

Live live() {
  return {counter::blocks.load(), counter::bytes.load(), counter::most.load()};
}

void begin_peak() {
  counter::most.store(counter::bytes.load());
}

void begin_refusing(std::int64_t first, Refuse how) {
  counter::asked.store(0);
  counter::first_refused.store(first);
  counter::all_from_one.store(how == Refuse::AllFromOne);
  counter::refusing.store(true);
}

std::int64_t stop_refusing() {
  counter::refusing.store(false);
  return counter::asked.load();
}

std::int64_t live_in_c() {
  return counter::c_blocks.load();
}

void begin_refusing_in_c(std::int64_t first) {
  counter::c_asked = 0;
  counter::c_first_refused = first;
  counter::c_refusing = true;
}

std::int64_t stop_refusing_in_c() {
  counter::c_refusing = false;
  return counter::c_asked;
}

}  // namespace tapegrad::testing

namespace mine = tapegrad::testing::counter;

// NOLINTBEGIN: replaced for the whole program, as the standard allows, and glibc for malloc.
#if !TAPEGRAD_ADDRESS_SANITIZER && !TAPEGRAD_THREAD_SANITIZER
extern "C" {
void* malloc(std::size_t size) {
  return mine::refuses_this_in_c() ? nullptr : mine::counted(__libc_malloc(size));
}
void* calloc(std::size_t count, std::size_t size) {
  return mine::refuses_this_in_c() ? nullptr : mine::counted(__libc_calloc(count, size));
}
void* realloc(void* block, std::size_t size) {
  if (mine::refuses_this_in_c()) return nullptr;
  if (block == nullptr) return mine::counted(__libc_realloc(nullptr, size));
  if (size == 0) mine::c_blocks.fetch_sub(1, std::memory_order_relaxed);  // gives it back
  return __libc_realloc(block, size);
}
void* memalign(std::size_t align, std::size_t size) {
  return mine::counted(__libc_memalign(align, size));
}
void* aligned_alloc(std::size_t align, std::size_t size) {
  return mine::counted(__libc_memalign(align, size));
}
int posix_memalign(void** block, std::size_t align, std::size_t size) {
  *block = mine::counted(__libc_memalign(align, size));
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  if (block != nullptr) mine::c_blocks.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(block);
}
}
#endif
void* operator new(std::size_t size) {
  return mine::take_or_throw(size, mine::kPlain);
}
void* operator new[](std::size_t size) {
  return mine::take_or_throw(size, mine::kPlain);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return mine::take(size, mine::kPlain);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return mine::take(size, mine::kPlain);
}
void* operator new(std::size_t size, std::align_val_t align) {
  return mine::take_or_throw(size, mine::as_size(align));
}
void* operator new[](std::size_t size, std::align_val_t align) {
  return mine::take_or_throw(size, mine::as_size(align));
}
void* operator new(std::size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
  return mine::take(size, mine::as_size(align));
}
void* operator new[](std::size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
  return mine::take(size, mine::as_size(align));
}
void operator delete(void* block) noexcept {
  mine::give_back(block);
}
void operator delete[](void* block) noexcept {
  mine::give_back(block);
}
void operator delete(void* block, std::size_t) noexcept {
  mine::give_back(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  mine::give_back(block);
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  mine::give_back(block);
}
void operator delete[](void* block, const std::nothrow_t&) noexcept {
  mine::give_back(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  mine::give_back(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
  mine::give_back(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  mine::give_back(block);
}
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
  mine::give_back(block);
}
void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  mine::give_back(block);
}
void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  mine::give_back(block);
}
// NOLINTEND
