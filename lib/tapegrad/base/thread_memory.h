#pragma once

// Internal: what threads keep for reuse.

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

/// The calling thread's object of this type, made at its first use. nullptr once it has been destroyed: destructors of global
/// objects, and of other objects of the thread, may still compute.
template <class T>
T* own_of_thread() {
  constinit static thread_local bool ended = false;
  struct Own {
    T value;
    ~Own() { ended = true; }
  };
  if (ended) return nullptr;
  static thread_local Own own;
  return &own.value;
}

}  // namespace tapegrad::inline v0::detail
