// Destructors of global objects may compute: what threads keep for reuse is gone by then.

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "emulated.h"
#include "sanitizers.h"
#include "tapegrad/tapegrad.h"

#if GTEST_HAS_DEATH_TEST  // not in WebAssembly

namespace tapegrad::testing {
namespace {

// A program under an emulator can copy itself, but not start itself.
constexpr const char* kDeathTestStyle = kEmulated ? "fast" : "threadsafe";

// Large enough for two threads. Ends the process with 1 where the numbers are wrong.
struct ComputesWhenDestroyed {
  void compute() const {
    const ThreadCountScope two(2);
    const Tensor w = parameter(full({3, 3, 4, 8}, 0.25)), x = ones({8, 20, 20, 4});
    Tape tape;
    const Tensor y = conv2d(x, w);
    const Tensor dw = tape.gradient(sum(y), w);
    release_memory();
    if (y.at({7, 17, 17, 7}) != 9 || dw.at({2, 2, 3, 7}) != 8 * 18 * 18) std::_Exit(1);
  }
  ~ComputesWhenDestroyed() { compute(); }
};

TEST(LateDestructorsDeathTest, OfAGlobalObject) {
  if (TAPEGRAD_THREAD_SANITIZER) GTEST_SKIP() << "it does not support threads after a fork()";
  GTEST_FLAG_SET(death_test_style, kDeathTestStyle);
  EXPECT_EXIT(
      {
        static const ComputesWhenDestroyed last;
        last.compute();
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(LateDestructorsDeathTest, OfAnObjectOfAThread) {
  if (TAPEGRAD_THREAD_SANITIZER) GTEST_SKIP() << "it does not support threads after a fork()";
  GTEST_FLAG_SET(death_test_style, kDeathTestStyle);
  EXPECT_EXIT(
      {
        std::thread([] {
          thread_local const ComputesWhenDestroyed last;  // made first, and so destroyed last
          last.compute();
        }).join();
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tapegrad::testing

#endif
