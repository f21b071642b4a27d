#pragma once

// Internal: memory that threads keep for reuse.

namespace tapegrad::inline v0::detail {

/// Memory that a thread keeps for reuse, for release_memory() to find. Made and destroyed on that thread.
class ThreadMemory {
 public:
  ThreadMemory();
  virtual ~ThreadMemory();
  ThreadMemory(const ThreadMemory&) = delete;
  ThreadMemory& operator=(const ThreadMemory&) = delete;
  virtual void release() = 0;
  /// Calls release() of all of the calling thread's.
  static void release_all();

 private:
  ThreadMemory *before_ = nullptr, *after_ = nullptr;
};

}  // namespace tapegrad::inline v0::detail
