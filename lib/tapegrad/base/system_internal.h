#pragma once

// Internal: what base/ asks of the operating system and of the processor, beside the standard library.

#if defined(_MSC_VER)
#include <intrin.h>
#elif defined(_WIN32) && defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <cfenv>
#include <cstdint>

namespace tapegrad::inline v0::detail {

/// False where no thread can be started: WebAssembly that is compiled without -pthread. There the calling thread does all work.
#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
inline constexpr bool kThreads = false;
#else
inline constexpr bool kThreads = true;
#endif

/// Whether what ends with a thread may wait for the end of another thread. Under Windows all threads need one lock to end (that of
/// the loader; of winpthreads, with GCC), which an ending one holds.
#if defined(_WIN32)
inline constexpr bool kEndingThreadsMayWait = false;
#else
inline constexpr bool kEndingThreadsMayWait = true;
#endif

/// How a thread rounds, and what it does with tiny numbers.
class FloatingPoint {
 public:
  void take_from_this_thread() {
    std::fegetenv(&environment_);
#if defined(_WIN32) && (defined(__SSE__) || defined(_M_X64))
    vectors_ = _mm_getcsr();  // which fegetenv() leaves out there
#endif
  }
  void use_on_this_thread() const {
    std::fesetenv(&environment_);
#if defined(_WIN32) && (defined(__SSE__) || defined(_M_X64))
    _mm_setcsr(vectors_);
#endif
  }

 private:
  std::fenv_t environment_{};
#if defined(_WIN32) && (defined(__SSE__) || defined(_M_X64))
  unsigned vectors_ = 0;
#endif
};

/// The number of the process. What fork() copies has another.
std::uint32_t process_number();

/// The number of CPUs that the process may run on, whatever a quota says. At least 1.
int cpus_of_process();

/// Tells the processor that this thread is waiting in a loop.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#elif defined(_M_ARM64)
  __yield();
#endif
}

}  // namespace tapegrad::inline v0::detail
