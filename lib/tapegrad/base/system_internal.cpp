#include "tapegrad/base/system_internal.h"

#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <thread>

namespace tapegrad::inline v0::detail {

std::uint32_t process_number() {
#if defined(_WIN32)
  return static_cast<std::uint32_t>(::_getpid());
#else
  return static_cast<std::uint32_t>(::getpid());
#endif
}

#if defined(__MINGW32__) && defined(__GNUC__) && !defined(__clang__)
// GCC for Windows keeps variables of threads in memory of its own, and frees that memory at the end of a thread: before the
// destructors of the variables run, unless those were the first to ask to be called. They ask here, ahead of all else.
extern "C" int __cxa_thread_atexit(void (*function)(void*), void* object, void* library);
namespace {
[[gnu::constructor(101)]] void destroy_variables_of_threads_while_they_are_there() {
  __cxa_thread_atexit([](void*) {}, nullptr, nullptr);
}
}  // namespace
#endif

int cpus_of_process() {
  if constexpr (!kThreads) return 1;
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(CPU_COUNT(&set), 1) : 1;
#else
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
#endif
}

}  // namespace tapegrad::inline v0::detail
