#pragma once

#include <memory>

namespace common {

/// While it lives, the first Ctrl-C (SIGINT) does not end the process but is noted, so that a program can
/// save what it did; the second one ends it at once. A process that ignores SIGINT (nohup) goes on ignoring
/// it. The handler that was set before is put back at the end of the scope.
///
///   const InterruptScope interrupt;
///   while (!done() && !interrupt.requested()) step();
class InterruptScope {
 public:
  /// Throws when there is one already.
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool requested() const;

 private:
  struct Before;
  std::unique_ptr<Before> before_;
};

}  // namespace common
