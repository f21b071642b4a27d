#include "common/interrupt.h"

#include <signal.h>

#include <atomic>

#include "tapegrad/base/error.h"

namespace common {
namespace {

// All that a signal handler can reach. Threads may take the signal as well.
std::atomic<bool> scope_open = false, signal_came = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

}  // namespace

#if defined(_WIN32)

struct InterruptScope::Before {
  void (*action)(int) = SIG_DFL;
};

InterruptScope::InterruptScope() : before_(std::make_unique<Before>()) {
  if (scope_open.exchange(true))
    throw tapegrad::Error("interrupt", "there is an InterruptScope already, and only one SIGINT");
  signal_came = false;
  // The second one finds the default action, to which Windows returns by itself.
  before_->action = ::signal(SIGINT, [](int) { signal_came = true; });
  if (before_->action == SIG_IGN) ::signal(SIGINT, SIG_IGN);
}

InterruptScope::~InterruptScope() {
  ::signal(SIGINT, before_->action);
  scope_open = false;
}

#else

struct InterruptScope::Before {
  struct sigaction action {};
};

InterruptScope::InterruptScope() : before_(std::make_unique<Before>()) {
  if (scope_open.exchange(true))
    throw tapegrad::Error("interrupt", "there is an InterruptScope already, and only one SIGINT");
  signal_came = false;
  struct sigaction noted {};
  noted.sa_handler = [](int) { signal_came = true; };
  noted.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // the second one finds the default action
  ::sigaction(SIGINT, nullptr, &before_->action);
  if (before_->action.sa_handler != SIG_IGN) ::sigaction(SIGINT, &noted, nullptr);
}

InterruptScope::~InterruptScope() {
  ::sigaction(SIGINT, &before_->action, nullptr);
  scope_open = false;
}

#endif

bool InterruptScope::requested() const {
  return signal_came;
}

}  // namespace common
