// Processes that are copied after the library was used, and while it is used: the copy and the original both go on.

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "process/work.h"
#include "sanitizers.h"

#if !TAPEGRAD_THREAD_SANITIZER

namespace tapegrad::testing {
namespace {

// Runs f in a child process; its result, or -1 if it did not end by itself within a minute.
template <class F>
int in_child(F&& f) {
  std::fflush(nullptr);  // or the child prints it again
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(f());
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Fork, ParentAndChildTrainOnAfterIt) {
  const State first = trained(1), second = trained(2);
  for (int again = 0; again < 3; ++again) {
    EXPECT_EQ(in_child([&] { return same(trained(1), first) && same(trained(2), second) ? 7 : 1; }), 7);
    EXPECT_TRUE(same(trained(1), first));
  }
}

// What a tape has recorded is there in both processes.
TEST(Fork, WhileATapeRecords) {
  const ThreadCountScope threads(3);
  const Tensor p = parameter(tensor({1.0, 2.0}, DType::Float64));
  Tape tape;
  const Tensor y = sum(p * p * p);
  const auto right = [&] { return equal(tape.gradient(y, p), tensor({3.0, 12.0}, DType::Float64)); };
  EXPECT_EQ(in_child([&] { return right() ? 7 : 1; }), 7);
  EXPECT_TRUE(right());
}

// A child of a child, which has nothing of the first process's threads but its memory.
TEST(Fork, OfAFork) {
  const State expected = trained(3);
  EXPECT_EQ(in_child([&] {
              if (!same(trained(3), expected)) return 1;
              return in_child([&] { return same(trained(3), expected) ? 7 : 2; });
            }),
            7);
}

// Other threads are in the middle of a step, with whatever they hold. The address sanitizer's allocator is not made for that:
// its locks stay as they were at the fork, and so a child hangs in its first malloc() that needs one whose holder it does not
// have (SizeClassAllocator64::GetFromAllocator), also in a program without this library.
TEST(Fork, WhileOtherThreadsTrain) {
  if (TAPEGRAD_ADDRESS_SANITIZER) GTEST_SKIP() << "the sanitizer's allocator does not survive fork()";
  const State expected = trained(4);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i)
    others.emplace_back([&] {
      while (!stop) wrong += !same(trained(4), expected);
    });
  for (int again = 0; again < 10; ++again) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(in_child([&] { return same(trained(4), expected) ? 7 : 1; }), 7);
  }
  stop = true;
  for (std::thread& other : others) other.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tapegrad::testing

#endif
