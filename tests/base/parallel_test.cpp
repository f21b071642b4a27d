#include "tapegrad/base/parallel.h"

#include <gtest/gtest.h>

#if !defined(_WIN32)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <atomic>
#include <barrier>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "listed_threads.h"
#include "refuses.h"
#include "sanitizers.h"
#include "tapegrad/base/context.h"
#include "tapegrad/base/thread_memory.h"

// A child process has what its parent's other threads held, and nobody who would free that: it is not looked for.
#if TAPEGRAD_ADDRESS_SANITIZER
static bool is_child = false;
extern "C" int __lsan_is_turned_off() {
  return is_child ? 1 : 0;
}
#endif

namespace tapegrad {
namespace {

using testing::refuses;

constexpr int kThreadCounts[] = {1, 2, 3, 8};

// Runs one piece on each of `threads` threads at the same time: every piece waits until all have begun.
// Returns whether they met.
template <class F>
bool on_each_thread(int threads, F&& f) {
  const ThreadCountScope scope(threads);
  std::atomic<int> arrived{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  parallel_for(threads, 1, [&](index_t begin, index_t) {
    ++arrived;
    while (arrived < threads && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    f(begin);
  });
  return arrived == threads && std::chrono::steady_clock::now() < deadline;
}

// The sum of 1 / (i + 1), by pieces, added up in their order.
double harmonic(index_t count, index_t piece) {
  std::vector<double> sums(static_cast<std::size_t>((count + piece - 1) / piece));
  parallel_for(count, piece, [&](index_t begin, index_t end) {
    double sum = 0;
    for (index_t i = begin; i < end; ++i) sum += 1.0 / static_cast<double>(i + 1);
    sums[static_cast<std::size_t>(begin / piece)] = sum;
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

TEST(ParallelFor, VisitsEveryIndexOnceInPiecesCutBySizeOnly) {
  for (const int threads : kThreadCounts) {
    const ThreadCountScope scope(threads);
    for (const index_t count : {0, 1, 2, 7, 63, 64, 65, 1000, 10007})
      for (const index_t piece : {1, 2, 3, 64, 1000, 10006, 10007, 20000}) {
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
        std::atomic<bool> as_promised{true};
        parallel_for(count, piece, [&](index_t begin, index_t end) {
          if (begin % piece != 0 || end != std::min(begin + piece, count)) as_promised = false;
          for (index_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        EXPECT_TRUE(as_promised) << count << " by " << piece;
        for (const auto& visit : visits) ASSERT_EQ(visit, 1) << count << " by " << piece;
      }
  }
}

TEST(ParallelFor, OfNothingDoesNothing) {
  for (const index_t count : {index_t{0}, index_t{-1}, INT64_MIN})
    parallel_for(count, 4, [](index_t, index_t) { FAIL() << "was called"; });
}

TEST(ParallelFor, CountsAndPiecesMayBeHuge) {
  // The cut must not overflow where count and piece are near the largest number.
  const ThreadCountScope scope(3);
  std::mutex mutex;
  std::set<std::pair<index_t, index_t>> pieces;
  const auto collect = [&](index_t begin, index_t end) {
    const std::lock_guard lock(mutex);
    pieces.emplace(begin, end);
  };
  const index_t piece = INT64_MAX / 2;
  parallel_for(INT64_MAX, piece, collect);
  EXPECT_EQ(pieces,
            (std::set<std::pair<index_t, index_t>>{{0, piece}, {piece, 2 * piece}, {2 * piece, INT64_MAX}}));
  pieces.clear();
  parallel_for(INT64_MAX, INT64_MAX, collect);
  EXPECT_EQ(pieces, (std::set<std::pair<index_t, index_t>>{{0, INT64_MAX}}));
}

// As many pieces as there are numbers: the loop ends when one of them has thrown.
TEST(ParallelFor, EndsEarlyWhereAPieceThrows) {
  for (const int threads : kThreadCounts) {
    const ThreadCountScope scope(threads);
    for (const index_t first : {index_t{0}, index_t{1000}})
      EXPECT_THROW(parallel_for(INT64_MAX, 1,
                                [first](index_t begin, index_t) {
                                  if (begin >= first) throw std::runtime_error("enough");
                                }),
                   std::runtime_error);
  }
}

TEST(ParallelFor, RefusesPiecesOfNothing) {
  for (const index_t piece : {0, -1})
    EXPECT_TRUE(refuses("parallel_for", {"10", std::to_string(piece)},
                        [&] { parallel_for(10, piece, [](index_t, index_t) {}); }));
}

TEST(ParallelFor, TakesTemporariesAndConstAndMutableFunctions) {
  std::atomic<int> calls{0};
  const auto constant = [&](index_t, index_t) { ++calls; };
  parallel_for(4, 1, constant);
  auto stateful = [&, own = 0](index_t, index_t) mutable { calls += ++own > 0; };
  const ThreadCountScope scope(1);
  parallel_for(4, 1, stateful);
  parallel_for(4, 1, [&](index_t, index_t) { ++calls; });
  EXPECT_EQ(calls, 12);
}

TEST(ParallelFor, UsesAsManyThreadsAsWereAskedFor) {
  for (const int threads : {2, 3, 8, 3}) {
    std::mutex mutex;
    std::set<std::thread::id> ids;
    EXPECT_TRUE(on_each_thread(threads, [&](index_t) {
      const std::lock_guard lock(mutex);
      ids.insert(std::this_thread::get_id());
    }));
    EXPECT_EQ(ids.size(), static_cast<std::size_t>(threads));
    EXPECT_TRUE(ids.count(std::this_thread::get_id()) == 1) << "the caller works too";
  }
}

TEST(ParallelFor, StaysOnTheCallerWithOneThread) {
  const ThreadCountScope scope(1);
  const auto caller = std::this_thread::get_id();
  parallel_for(100, 1, [&](index_t, index_t) { ASSERT_EQ(std::this_thread::get_id(), caller); });
}

TEST(ParallelFor, ReductionsAreTheSameBitsForAnyNumberOfThreads) {
  for (const index_t piece : {1, 7, 1000, 99999}) {
    const double expected = [&] {
      const ThreadCountScope scope(1);
      return harmonic(100000, piece);
    }();
    for (const int threads : kThreadCounts) {
      const ThreadCountScope scope(threads);
      for (int again = 0; again < 5; ++again) ASSERT_EQ(harmonic(100000, piece), expected) << threads;
    }
  }
}

TEST(ParallelFor, RethrowsTheExceptionOfTheLowestPiece) {
  for (const int threads : kThreadCounts) {
    const ThreadCountScope scope(threads);
    for (int again = 0; again < 200; ++again) {
      std::string caught;
      try {
        parallel_for(1000, 10, [](index_t begin, index_t) {
          if (begin >= 130) throw Error("piece", std::to_string(begin));
        });
      } catch (const Error& error) {
        caught = error.message();
      }
      ASSERT_EQ(caught, "130") << threads;
    }
    EXPECT_EQ(detail::loop_depth(), 0);
    EXPECT_GT(harmonic(1000, 10), 7);  // loops work afterwards
  }
}

TEST(ParallelFor, RethrowsWhateverWasThrown) {
  const ThreadCountScope scope(3);
  EXPECT_THROW(parallel_for(8, 1, [](index_t, index_t) { throw 5; }), int);
  EXPECT_THROW(parallel_for(8, 8, [](index_t, index_t) { throw 5; }), int);
  EXPECT_THROW(parallel_for(8, 1, [](index_t, index_t) { throw std::out_of_range("x"); }), std::out_of_range);
}

// All pieces throw. Behind a piece that has thrown no other is begun; in front of it the first one to throw is still looked for.
// So the first thread works on one piece, each other thread on one of its own share and on one in front of that.
TEST(ParallelFor, StopsSoonAfterAnException) {
  for (const int threads : kThreadCounts) {
    const ThreadCountScope scope(threads);
    for (int again = 0; again < 50; ++again) {
      std::atomic<index_t> calls{0};
      ASSERT_THROW(parallel_for(1000000, 1,
                                [&](index_t, index_t) {
                                  ++calls;
                                  throw 5;
                                }),
                   int);
      ASSERT_LE(calls, 2 * threads - 1) << threads;
    }
  }
}

TEST(ParallelFor, NestedLoopsRunOnTheThreadTheyAreIn) {
  for (const int threads : kThreadCounts) {
    const ThreadCountScope scope(threads);
    std::vector<std::atomic<int>> visits(20 * 30 * 4);
    std::atomic<bool> moved{false};
    parallel_for(20, 1, [&](index_t i, index_t) {
      const auto here = std::this_thread::get_id();
      parallel_for(30, 1, [&](index_t j, index_t) {
        parallel_for(4, 1, [&](index_t k, index_t) {
          if (std::this_thread::get_id() != here) moved = true;
          ++visits[static_cast<std::size_t>((i * 30 + j) * 4 + k)];
        });
      });
    });
    EXPECT_FALSE(moved);
    for (const auto& visit : visits) ASSERT_EQ(visit, 1);
  }
}

TEST(ParallelFor, ExceptionsLeaveNestedLoops) {
  const ThreadCountScope scope(3);
  for (int again = 0; again < 50; ++again)
    EXPECT_TRUE(refuses("inner", {"2 1"}, [] {
      parallel_for(10, 1, [](index_t i, index_t) {
        parallel_for(10, 1, [&](index_t j, index_t) {
          if (i >= 2 && j >= 1) throw Error("inner", std::to_string(i) + " " + std::to_string(j));
        });
      });
    }));
  EXPECT_EQ(detail::loop_depth(), 0);
}

TEST(ParallelFor, WorkersSeeTheCallersRoundingMode) {
  const int before = std::fegetround();
  const auto modes_seen = [] {
    std::mutex mutex;
    std::set<int> modes;
    std::set<double> sums;  // what the mode does, beside what is reported
    EXPECT_TRUE(on_each_thread(3, [&](index_t) {
      volatile double one = 1, tiny = 1e-30;
      const double sum = one + tiny;
      const std::lock_guard lock(mutex);
      modes.insert(std::fegetround());
      sums.insert(sum);
    }));
    EXPECT_EQ(sums.size(), 1u);
    return std::pair(modes, *sums.begin());
  };
  for (const int mode : {FE_UPWARD, FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, before}) {
    std::fesetround(mode);
    const auto [modes, sum] = modes_seen();
    std::fesetround(before);
    EXPECT_EQ(modes, std::set<int>{mode});
    EXPECT_EQ(sum > 1, mode == FE_UPWARD);
  }
}

#if defined(__SSE__)
TEST(ParallelFor, WorkersFlushTinyNumbersIfTheCallerDoes) {
  const unsigned before = _mm_getcsr();
  for (const bool flush : {true, false, true}) {
    _mm_setcsr(flush ? before | _MM_FLUSH_ZERO_ON : before & ~unsigned{_MM_FLUSH_ZERO_ON});
    std::atomic<int> zeros{0};
    const bool met = on_each_thread(3, [&](index_t) {
      volatile float small = 1e-20F;
      zeros += small * small == 0;
    });
    _mm_setcsr(before);
    EXPECT_TRUE(met);
    EXPECT_EQ(zeros, flush ? 3 : 0);
  }
}
#endif

TEST(LoopContext, SaysHowDeepAThreadIsInLoops) {
  const auto depth = [] { return detail::loop_depth(); };
  EXPECT_EQ(depth(), 0);
  std::atomic<int> wrong{0};
  EXPECT_TRUE(on_each_thread(3, [&](index_t) {
    wrong += depth() != 1;
    parallel_for(4, 1, [&](index_t, index_t) { wrong += depth() != 2; });
    wrong += depth() != 1;
  }));
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(depth(), 0);
}

TEST(LoopContext, WorkersSeeTheCallersScopes) {
  const std::shared_ptr<detail::Scope> scope = detail::open_scope(nullptr);
  std::atomic<int> seen{0};
  EXPECT_TRUE(on_each_thread(3, [&](index_t) {
    seen += innermost_scope(detail::context()) == scope.get();
    parallel_for(2, 1, [&](index_t, index_t) { seen += innermost_scope(detail::context()) == scope.get(); });
  }));
  EXPECT_EQ(seen, 9);
  close_scope(*scope);
  EXPECT_TRUE(on_each_thread(3, [&](index_t) { seen += innermost_scope(detail::context()) != nullptr; }));
  EXPECT_EQ(seen, 9) << "workers forget a loop's scopes";
}

TEST(LoopContext, AScopeThatAPieceLeavesOpenIsNotTheCallers) {
  std::shared_ptr<detail::Scope> left[4];
  for (const int threads : {1, 4}) {
    const ThreadCountScope count(threads);
    parallel_for(4, 1, [&](index_t i, index_t) { left[i] = detail::open_scope(nullptr); });
    EXPECT_EQ(innermost_scope(detail::context()), nullptr);
    for (const auto& scope : left) close_scope(*scope);
    EXPECT_EQ(innermost_scope(detail::context()), nullptr);
  }
}

TEST(ThreadCount, DefaultsToWhatTheProcessMayUse) {
  EXPECT_GE(thread_count(), 1);
  EXPECT_LE(thread_count(), 64);
}

TEST(ThreadCountScope, SetsAndRestores) {
  const int before = thread_count();
  {
    const ThreadCountScope five(5);
    EXPECT_EQ(thread_count(), 5);
    {
      const ThreadCountScope one(1);
      EXPECT_EQ(thread_count(), 1);
    }
    EXPECT_EQ(thread_count(), 5);
    EXPECT_THROW(
        {
          const ThreadCountScope nine(9);
          throw std::runtime_error("");
        },
        std::runtime_error);
    EXPECT_EQ(thread_count(), 5);
  }
  EXPECT_EQ(thread_count(), before);
}

TEST(ThreadCountScope, IsOfItsThreadOnly) {
  const int before = thread_count();
  const ThreadCountScope scope(before + 3);
  int elsewhere = 0;
  std::thread([&] {
    elsewhere = thread_count();
    const ThreadCountScope own(17);
  }).join();
  EXPECT_EQ(elsewhere, before);
  EXPECT_EQ(thread_count(), before + 3);
}

TEST(ThreadCountScope, RefusesWhatIsNoNumberOfThreads) {
  const int before = thread_count();
  for (const int count : {0, -1, 1025, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()})
    EXPECT_TRUE(
        refuses("ThreadCountScope", {std::to_string(count), "1024"}, [&] { (void)ThreadCountScope{count}; }));
  EXPECT_EQ(thread_count(), before);
  EXPECT_EQ((static_cast<void>(ThreadCountScope(1024)), thread_count()), 1024);
  EXPECT_EQ(thread_count(), before);
}

TEST(Workers, ManyThreadsRunLoopsAtOnce) {
  const double expected = harmonic(20000, 100);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      const ThreadCountScope scope(1 + i % 4);
      for (int again = 0; again < 50; ++again) wrong += harmonic(20000, 100) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

#if !defined(_WIN32)  // which does not list its threads as files
// 8 threads that ask for 63 workers each get 256 in all, and those threads that got none compute the same. When they have ended,
// others get as many.
TEST(Workers, AreAtMost256InAProcess) {
  const double expected = harmonic(20000, 100);
  for (int again = 0; again < 2; ++again) {
    const std::set<std::string> before = testing::listed_threads();
    std::barrier all_have_computed(9);
    std::atomic<int> wrong{0};
    std::vector<std::thread> hosts;
    for (int i = 0; i < 8; ++i)
      hosts.emplace_back([&] {
        const ThreadCountScope scope(64);
        wrong += harmonic(20000, 100) != expected;
        all_have_computed.arrive_and_wait();
        all_have_computed.arrive_and_wait();
      });
    all_have_computed.arrive_and_wait();
    const auto workers = testing::started_since(before) - 8;
    EXPECT_LE(workers, 256);
    EXPECT_GT(workers, 192)
        << "the number that there may be, but for those that other tests have left on this thread";
    if (!TAPEGRAD_ADDRESS_SANITIZER && !TAPEGRAD_THREAD_SANITIZER) {  // which do not survive this fork()
      const pid_t child = fork();
      if (child == 0) {
        alarm(60);
        const std::set<std::string> alone = testing::listed_threads();  // an emulator has a thread of its own
        const ThreadCountScope scope(4);
        _exit(harmonic(20000, 100) == expected && testing::started_since(alone) == 3 ? 7 : 1);
      }
      int status = -1;
      waitpid(child, &status, 0);
      EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 7) << "a child process has workers of its own";
    }
    all_have_computed.arrive_and_wait();
    for (std::thread& host : hosts) host.join();
    EXPECT_EQ(wrong, 0);
    for (int i = 0; i < 500 && testing::started_since(before) != 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(testing::started_since(before), 0);
  }
}

#endif

TEST(Workers, EndWithTheirThread) {
  for (int i = 0; i < 50; ++i) {
    double sum = 0;
    std::thread([&] {
      const ThreadCountScope scope(3);
      sum = harmonic(1000, 10);
    }).join();
    EXPECT_GT(sum, 7);
  }
}

TEST(Workers, WakeAfterEveryLengthOfPause) {
  const ThreadCountScope scope(3);
  for (int i = 0; i < 2000; ++i) {
    std::atomic<int> calls{0};
    parallel_for(6, 1, [&](index_t, index_t) { ++calls; });
    ASSERT_EQ(calls, 6);
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::microseconds(10 * i));
  }
}

#if !TAPEGRAD_THREAD_SANITIZER && !defined(_WIN32)

// Runs f in a child process; its result, or -1 if it did not end by itself within 20 seconds.
template <class F>
int in_child(F&& f) {
  std::fflush(nullptr);  // or the child prints it again
  const pid_t child = fork();
  if (child == 0) {
#if TAPEGRAD_ADDRESS_SANITIZER
    is_child = true;
#endif
    alarm(20);
    const int result = f();
    std::exit(result);  // and not _exit: what ends with the thread shall end
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void sleep_a_little() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

TEST(Workers, AChildProcessHasItsOwn) {
  const ThreadCountScope scope(3);
  const double expected = harmonic(1000, 10);
  for (const bool asleep : {false, true}) {
    if (asleep) sleep_a_little();  // the workers wait for their condition when the process is copied
    EXPECT_EQ(in_child([&] {
                int wrong = 0;
                for (int i = 0; i < 10; ++i) {
                  wrong += harmonic(1000, 10) != expected;
                  sleep_a_little();
                }
                wrong += !on_each_thread(3, [](index_t) {});
                return wrong;
              }),
              0);
    EXPECT_EQ(harmonic(1000, 10), expected);
  }
}

TEST(Workers, AChildProcessThatRunsNoLoopEnds) {
  const ThreadCountScope scope(3);
  harmonic(1000, 10);
  sleep_a_little();
  EXPECT_EQ(in_child([] { return 7; }), 7);
}

TEST(Workers, AChildProcessKeepsItsOtherThreads) {
  const ThreadCountScope scope(3);
  harmonic(1000, 10);
  EXPECT_EQ(in_child([] {
              // The system may give this thread the handle that a worker had in the parent.
              std::vector<std::thread> others;
              for (int i = 0; i < 4; ++i) others.emplace_back([] { sleep_a_little(); });
              harmonic(1000, 10);
              for (std::thread& other : others) other.join();
              return 7;
            }),
            7);
}

#if !TAPEGRAD_ADDRESS_SANITIZER
TEST(Workers, LoopsRunWhereTheSystemGivesNoThreads) {
  EXPECT_EQ(in_child([] {
              const rlimit none{1, 1};
              setrlimit(RLIMIT_AS, &none);  // no memory for another stack
              const ThreadCountScope scope(8);
              std::atomic<int> visits{0};
              parallel_for(100, 1, [&](index_t, index_t) { ++visits; });
              return visits == 100 && detail::loop_depth() == 0 ? 7 : 1;
            }),
            7);
}
#endif

#endif

#if !defined(_WIN32)  // which does not count what threads wait for
// What loops of few threads cost must not depend on how many threads there once were.
TEST(Workers, ThoseThatAreNotNeededSleep) {
  const auto cost = [] {
    const ThreadCountScope two(2);
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 3000; ++i) parallel_for(2, 1, [](index_t, index_t) {});
    getrusage(RUSAGE_SELF, &after);
    return after.ru_nvcsw - before.ru_nvcsw;  // threads that were woken, and went to sleep again
  };
  std::thread([&] {
    const long alone = cost();
    {
      const ThreadCountScope many(64);
      parallel_for(64, 1,
                   [](index_t, index_t) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_LT(cost(), 4 * alone + 6000) << "64 threads woken 3000 times would be some 190,000";
  }).join();
}

#endif

TEST(Workers, ThatSleepAreNotWaitedFor) {
  const ThreadCountScope two(2);
  std::atomic<int> visits{0};
  for (int i = 0; i < 200; ++i) {
    parallel_for(2, 1, [&](index_t, index_t) { ++visits; });
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the worker falls asleep
  }
  EXPECT_EQ(visits, 400);
}

TEST(ThreadCountScope, ThatEndsOnAnotherThreadChangesNothingThere) {
  auto scope = std::make_unique<ThreadCountScope>(3);
  std::thread([&] {
    const ThreadCountScope own(5);
    scope.reset();
    EXPECT_EQ(thread_count(), 5);
  }).join();
  EXPECT_EQ(thread_count(), 3) << "its end was not here";
  const ThreadCountScope restored(1);
}

struct Kept : detail::ThreadMemory {
  explicit Kept(std::atomic<int>* releases) : count(releases) {}
  void release() override { ++*count; }
  std::atomic<int>* count;
};

TEST(ReleaseMemory, ReachesTheThreadAndItsWorkers) {
  std::thread([] {
    static std::atomic<int> releases{0};
    EXPECT_TRUE(on_each_thread(3, [](index_t) { thread_local const Kept kept(&releases); }));
    release_memory();
    EXPECT_EQ(releases, 3);
    std::thread([] { release_memory(); }).join();
    EXPECT_EQ(releases, 3) << "other threads' memory is theirs";
    EXPECT_TRUE(on_each_thread(3, [](index_t) { release_memory(); }));
    EXPECT_EQ(releases, 6) << "inside a loop, each its own";
  }).join();
}

}  // namespace
}  // namespace tapegrad
