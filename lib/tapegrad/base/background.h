#pragma once

// Background: a thread that works while its owner does something else.

#include <functional>
#include <memory>

namespace tapegrad::inline v0 {

/// A thread that runs one task at a time while the caller does something else. For one calling thread. A process
/// made by fork() does not have the thread: see lost().
class Background {
 public:
  Background();
  /// Waits for a task that is running; its exception, if nobody asked for it, is dropped. Does not wait for a task
  /// that is lost, nor for one that destroys the Background itself: the thread then ends after the task.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Begins task, with the caller's floating-point environment. Throws when the last one was not waited for.
  void start(std::function<void()> task);
  /// Waits until the task is done, and rethrows its exception. Does nothing when none was started, or it is lost. Throws
  /// when the task itself calls it.
  void wait();
  /// Whether the task was started before a fork(), in the parent process: here it was stopped at some point and
  /// never ends. start() may be called again.
  bool lost() const;
  /// Whether the calling thread works on the task.
  bool runs_here() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;  // the thread's, too
};

}  // namespace tapegrad::inline v0
