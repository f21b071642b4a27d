#pragma once

#include <functional>
#include <memory>

namespace tapegrad::inline v0 {

/// A thread that runs one task at a time while the caller does something else. For one calling thread.
class Background {
 public:
  Background();
  /// Waits for a task that is running; its exception, if nobody asked for it, is dropped.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Begins task, with the caller's floating-point environment. Throws when the last one was not waited for.
  void start(std::function<void()> task);
  /// Waits until the task is done, and rethrows its exception. Does nothing when none was started.
  void wait();

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace tapegrad::inline v0
