#include "tapegrad/base/background.h"

#include <gtest/gtest.h>

#if !defined(_WIN32)  // which has no fork()
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <atomic>
#include <cfenv>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "sanitizers.h"
#include "tapegrad/base/error.h"

namespace tapegrad {
namespace {

TEST(Background, RunsTasksOnOneOtherThread) {
  Background background;
  std::thread::id first;
  for (int i = 0; i < 100; ++i) {
    std::thread::id here;
    int result = 0;
    background.start([&] {
      here = std::this_thread::get_id();
      result = i + 1;
    });
    background.wait();
    EXPECT_EQ(result, i + 1);
    EXPECT_NE(here, std::this_thread::get_id());
    if (i == 0) first = here;
    EXPECT_EQ(here, first);
  }
}

TEST(Background, CallerGoesOnMeanwhile) {
  std::atomic<bool> released = false;
  Background background;
  background.start([&] {
    while (!released) std::this_thread::yield();
  });
  released = true;  // would never be reached if start waited
  background.wait();
}

TEST(Background, ExceptionsReachTheCallerOnce) {
  Background background;
  background.start([] { throw std::out_of_range("far"); });
  EXPECT_THROW(background.wait(), std::out_of_range);
  background.wait();
  int done = 0;
  background.start([&] { done = 1; });
  background.wait();
  EXPECT_EQ(done, 1);
}

TEST(Background, WaitWithoutTaskReturns) {
  Background background;
  background.wait();
}

TEST(Background, SecondTaskMustWait) {
  Background background;
  background.start([] {});
  EXPECT_THROW(background.start([] {}), Error);
  background.wait();
}

TEST(Background, DestructorWaitsForTheTask) {
  std::atomic<bool> finished = false;
  {
    Background background;
    background.start([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      finished = true;
    });
  }
  EXPECT_TRUE(finished);
  Background dropped;
  dropped.start([] { throw std::runtime_error("nobody asks"); });
}

TEST(Background, TaskIsFreedWhenWaitReturns) {
  std::atomic<bool> freed = false;
  std::shared_ptr<void> held(nullptr, [&freed](void*) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    freed = true;
  });
  Background background;
  background.start([held = std::move(held)] {});
  background.wait();
  EXPECT_TRUE(freed);
}

TEST(Background, ATaskDoesNotWaitForItself) {
  Background background;
  EXPECT_FALSE(background.runs_here());
  background.start([&] {
    EXPECT_TRUE(background.runs_here());
    background.wait();
  });
  EXPECT_THROW(background.wait(), Error);
  background.start([] {});
  background.wait();
}

TEST(Background, ATaskMayWaitForThatOfAnother) {
  bool done = false;
  Background outer, inner;
  outer.start([&] {
    EXPECT_FALSE(inner.runs_here());
    inner.start([&] {
      EXPECT_FALSE(outer.runs_here());
      done = true;
    });
    inner.wait();
  });
  outer.wait();
  EXPECT_TRUE(done);
}

TEST(Background, ATaskMayEndIt) {
  std::atomic<bool> ended = false;
  auto background = std::make_shared<std::unique_ptr<Background>>(std::make_unique<Background>());
  Background* const begun = background->get();
  begun->start([&ended, background] {
    background->reset();
    ended = true;
  });
  background.reset();
  while (!ended) std::this_thread::yield();
}

#if !TAPEGRAD_THREAD_SANITIZER && !defined(_WIN32)
// What f returns in a child process; -1 if the child did not end by itself.
template <class F>
int result_in_child(const F& f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(f());
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The child, which does not have the thread, does not wait for it, and may start another.
TEST(Background, AChildProcessGoesOnWithoutTheThread) {
  for (const bool running : {false, true}) {
    std::atomic<bool> released = false;
    auto background = std::make_unique<Background>();
    background->start([&] {
      while (running && !released) std::this_thread::yield();
    });
    if (!running) background->wait();
    EXPECT_EQ(result_in_child([&] {
                background->wait();
                const bool lost = background->lost();
                background.reset();
                return lost ? 7 : 1;
              }),
              7);
    EXPECT_EQ(result_in_child([&] {
                int done = 0;
                background->start([&] { done = 7; });
                background->wait();
                const bool lost = background->lost();
                background.reset();
                return lost ? 1 : done;
              }),
              7);
    EXPECT_FALSE(background->lost());
    released = true;
  }
}
#endif

TEST(Background, TakesTheRoundingOfItsCaller) {
  int mode = -1;
  Background background;
  background.start([] {});  // its thread begins with the rounding of now
  background.wait();
  std::fesetround(FE_UPWARD);
  background.start([&] { mode = std::fegetround(); });
  background.wait();
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(mode, FE_UPWARD);
}

}  // namespace
}  // namespace tapegrad
