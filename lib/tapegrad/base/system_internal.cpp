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
