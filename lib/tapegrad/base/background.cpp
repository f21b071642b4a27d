#include "tapegrad/base/background.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "tapegrad/base/context.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/system_internal.h"

namespace tapegrad::inline v0 {

struct Background::Shared {
  enum class Stage { Idle, Waiting, Running, Done };

  void loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return stage == Stage::Waiting || stopping; });
      if (stage != Stage::Waiting) return;
      stage = Stage::Running;
      std::function<void()> now = std::exchange(task, nullptr);
      lock.unlock();
      environment.use_on_this_thread();
      std::exception_ptr thrown = run(std::move(now));
      lock.lock();
      error = std::move(thrown);
      stage = Stage::Done;
      changed.notify_all();
    }
  }

  // Runs a task, which is gone before the caller hears of its end, and returns what it threw.
  std::exception_ptr run(std::function<void()> now) {
    const void* const before =
        std::exchange(detail::context().task, this);  // a parallel loop's workers see it, too
    std::exception_ptr thrown;
    try {
      now();
    } catch (...) {
      thrown = std::current_exception();
    }
    now = nullptr;
    detail::context().task = before;
    return thrown;
  }

  std::mutex mutex;
  std::condition_variable changed;
  Stage stage = Stage::Idle;
  bool stopping = false;
  std::function<void()> task;
  detail::FloatingPoint environment;
  std::exception_ptr error;
  std::thread thread;
  std::uint32_t process = detail::process_number();  // the one that has the thread
};

Background::Background() : shared_(std::make_shared<Shared>()) {}

// Undestroyed: the parent's thread may have held the mutex at the fork.
template <class Shared>
static void leave(std::shared_ptr<Shared>& shared) {
  (void)new std::shared_ptr<Shared>(std::move(shared));
}

bool Background::lost() const {
  return shared_->process != detail::process_number();
}

bool Background::runs_here() const {
  return detail::context().task == shared_.get();
}

Background::~Background() {
  if (lost()) {
    leave(shared_);
    return;
  }
  if (!shared_->thread.joinable()) return;
  const bool by_the_task = runs_here();
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
  }
  shared_->changed.notify_all();
  if (by_the_task)
    shared_->thread.detach();
  else
    shared_->thread.join();
}

void Background::start(std::function<void()> task) {
  if (lost()) {
    leave(shared_);
    shared_ = std::make_shared<Shared>();
  }
  std::unique_lock lock(shared_->mutex);
  if (shared_->stage != Shared::Stage::Idle)
    fail("background", "a task was started before the last one was waited for");
  if constexpr (!detail::kThreads) {
    lock.unlock();
    detail::Context outside =
        std::exchange(detail::context(), {});  // a thread of its own would know nothing of it
    shared_->error = shared_->run(std::move(task));
    detail::context() = std::move(outside);
    shared_->stage = Shared::Stage::Done;
    return;
  }
  if (!shared_->thread.joinable()) shared_->thread = std::thread([shared = shared_] { shared->loop(); });
  shared_->environment.take_from_this_thread();
  shared_->task = std::move(task);
  shared_->stage = Shared::Stage::Waiting;
  shared_->changed.notify_all();
}

void Background::wait() {
  if (lost()) return;
  if (runs_here()) fail("background", "a task must not wait for itself");
  std::unique_lock lock(shared_->mutex);
  if (shared_->stage == Shared::Stage::Idle) return;
  shared_->changed.wait(lock, [&] { return shared_->stage == Shared::Stage::Done; });
  shared_->stage = Shared::Stage::Idle;
  if (const std::exception_ptr error = std::exchange(shared_->error, nullptr)) std::rethrow_exception(error);
}

}  // namespace tapegrad::inline v0
