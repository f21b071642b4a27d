#pragma once

// Internal: what base/ asks of the operating system and of the processor, beside the standard library.

#include <cstdint>

namespace tapegrad::inline v0::detail {

/// False where no thread can be started: WebAssembly that is compiled without -pthread. There the calling thread does all work.
#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
inline constexpr bool kThreads = false;
#else
inline constexpr bool kThreads = true;
#endif

/// The number of the process. What fork() copies has another.
std::uint32_t process_number();

/// The number of CPUs that the process may run on, whatever a quota says. At least 1.
int cpus_of_process();

/// Tells the processor that this thread is waiting in a loop.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("yield");
#endif
}

}  // namespace tapegrad::inline v0::detail
