// A tape belongs to the thread that made it.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "autograd/helpers.h"
#include "tapegrad/base/parallel.h"

namespace tapegrad {
namespace {

using testing::f64, testing::holders, testing::new_parameter, testing::number, testing::throws;

// Runs f on another thread to its end; what it throws is rethrown here.
void elsewhere(const std::function<void()>& f) {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      f();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

TEST(Threads, TapesOnSeveralThreadsShareAParameter) {
  const Tensor p = new_parameter({1, 2, 3});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        Tape tape;
        const Tensor x = tape.watch(f64({t, t, t}));
        const Tensor y = sum(p * p * x) + sum(reshape(p, {3, 1}));
        const auto gradients = tape.gradient(y, {p, x});
        if (!equal(gradients[0], f64({2 * t + 1, 4 * t + 1, 6 * t + 1})) ||
            !equal(gradients[1], f64({1, 4, 9})))
          ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(holders(p), 1u);
}

TEST(Threads, GradientsMayBePassedOn) {
  const Tensor p = new_parameter({1, 2});
  Tensor g;
  elsewhere([&] {
    Tape tape;
    g = tape.gradient(sum(p * p), p);
  });
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(g * p), p), f64({2, 4})));
}

TEST(Threads, OpsOfAnotherThreadAreNotRecorded) {
  const Tensor p = new_parameter({1, 2});
  Tape tape;
  const index_t before = tape.size();
  Tensor y;
  elsewhere([&] {
    EXPECT_FALSE(is_recording());
    y = p * p;
  });
  EXPECT_EQ(tape.size(), before);
  EXPECT_TRUE(equal(tape.gradient(sum(y * p), p), f64({1, 4})));
}

TEST(Threads, ATapeIsOnlyUsedOnItsThread) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  elsewhere([&] {
    EXPECT_TRUE(throws({"thread"}, [&] { tape.gradient(y, x); }));
    EXPECT_TRUE(throws({"thread"}, [&] { (void)tape.watch(number(1)); }));
    Tape own;
    EXPECT_TRUE(throws({"thread"}, [&] { tape.gradient(y, x); }));
    EXPECT_TRUE(is_recording());
  });
  EXPECT_EQ(tape.gradient(y, x).item(), 6);
}

TEST(Threads, TensorsOfAnotherThreadsTapeAreRefused) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  elsewhere([&] {
    Tape own;
    const Tensor z = own.watch(number(1));
    EXPECT_TRUE(throws({"stop_gradient"}, [&] { z* y; }));
    EXPECT_TRUE(throws({"stop_gradient"}, [&] { z* x; }));
    EXPECT_EQ(own.gradient(z * stop_gradient(y), z).item(), 9);
  });
  EXPECT_EQ(tape.gradient(y, x).item(), 6);
}

TEST(Threads, ATapeMayDieOnAnotherThread) {
  std::unique_ptr<Tape> tape;
  const Tensor p = new_parameter({1, 2});
  Tensor y;
  elsewhere([&] {
    tape = std::make_unique<Tape>();
    y = p * p;
  });
  EXPECT_FALSE(is_recording());
  EXPECT_TRUE(throws({"thread"}, [&] { tape->gradient(sum(y), p); }));
  tape.reset();
  EXPECT_EQ(holders(p), 1u);
  Tape next;
  EXPECT_TRUE(equal(next.gradient(sum(p * p), p), f64({2, 4})));
}

TEST(Threads, ATapeWhoseThreadEndedMayDieUnderAnOpenOne) {
  std::unique_ptr<Tape> foreign;
  const Tensor p = new_parameter({1, 2});
  elsewhere([&] { foreign = std::make_unique<Tape>(); });
  Tape tape;
  const Tensor y = sum(p * p);
  foreign.reset();
  EXPECT_TRUE(is_recording());
  EXPECT_TRUE(equal(tape.gradient(y, p), f64({2, 4})));
}

TEST(Threads, AnOpenTapeMayEndOnAnotherThread) {
  const Tensor p = new_parameter({1, 2});
  for (const bool spent : {false, true})
    for (const bool nested : {false, true}) {
      std::unique_ptr<Tape> outer;
      if (nested) outer = std::make_unique<Tape>(TapeOptions{.persistent = true});
      auto tape = std::make_unique<Tape>();
      const Tensor before = sum(p * p);
      if (spent) tape->gradient(before, p);
      elsewhere([&] {
        const Tape own;
        tape.reset();
        EXPECT_TRUE(is_recording());
      });
      EXPECT_EQ(is_recording(), nested);
      const Tensor y = sum(p * p);
      if (nested) {
        EXPECT_TRUE(equal(outer->gradient(y, p), f64({2, 4})));
      }
      outer.reset();
      EXPECT_FALSE(is_recording());
      EXPECT_EQ(holders(p), 1u) << "what was recorded is gone";
      Tape next;
      EXPECT_TRUE(equal(next.gradient(sum(p * p), p), f64({2, 4})));
    }
}

TEST(Threads, APauseMayEndOnAnotherThread) {
  const Tensor p = new_parameter({1, 2});
  Tape tape;
  auto pause = std::make_unique<NoGrad>();
  elsewhere([&] { pause.reset(); });
  EXPECT_TRUE(is_recording());
  EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({2, 4})));
}

TEST(Threads, ATapeMayEndWhileItsThreadRecords) {
  const Tensor p = new_parameter({1, 2});
  for (int i = 0; i < 50; ++i) {
    auto tape = std::make_unique<Tape>();
    std::thread end([&] { tape.reset(); });
    for (int k = 0; k < 20; ++k) EXPECT_EQ(sum(p * p).item(), 5);
    end.join();
    EXPECT_FALSE(is_recording());
  }
}

TEST(Threads, WhatATapeMadeIsNotWrittenToByOthers) {
  auto tape = std::make_unique<Tape>();
  const Tensor x = tape->watch(f64({1, 2}));
  Tensor y = x * x;
  const auto write = [&] { y.set({0}, 5); };
  elsewhere([&] { EXPECT_TRUE(throws({"recording"}, write)); });
  EXPECT_TRUE(throws({"recording"}, write));
  EXPECT_TRUE(equal(tape->gradient(sum(y * y), x), f64({4, 32})));
  elsewhere(write);  // the tape is spent
  Tape tape_2({.persistent = true});
  Tensor z = tape_2.watch(f64({1, 2})) * 2.0;
  tape.reset();
  elsewhere([&] { EXPECT_TRUE(throws({"recording"}, [&] { z.set({0}, 5); })); });
}

TEST(Threads, AllMembersRefuseAnotherThreadAndASpentTape) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  const auto all_refuse = [&](const char* why) {
    EXPECT_TRUE(throws({why, "watch"}, [&] { (void)tape.watch(x); }));
    EXPECT_TRUE(throws({why, "watch"}, [&] { (void)tape.watch(std::vector<Tensor>{x}); }));
    EXPECT_TRUE(throws({why, "gradient"}, [&] { tape.gradient(y, x); }));
    EXPECT_TRUE(throws({why, "gradient"}, [&] { tape.gradient(y, std::vector<Tensor>{x}); }));
    EXPECT_TRUE(throws({why, "on_gradient"}, [&] { tape.on_gradient(x, [](const Tensor&) {}); }));
    EXPECT_TRUE(throws({why, "parameters"}, [&] { (void)tape.parameters(); }));
    EXPECT_TRUE(throws({why, "graph"}, [&] { (void)tape.graph(); }));
  };
  const auto size_refuses = [&] { EXPECT_TRUE(throws({"size"}, [&] { (void)tape.size(); })); };
  elsewhere([&] { all_refuse("thread"); });
  elsewhere(size_refuses);
  const ThreadCountScope two(2);
  parallel_for(1, 1, [&](index_t, index_t) { all_refuse("parallel loop"); });
  EXPECT_EQ(tape.gradient(y, x).item(), 6);
  all_refuse("spent");
  EXPECT_EQ(tape.size(), 2) << "which is still so";
}

// ---- Parallel loops

TEST(ParallelLoop, WithoutATapeItsPiecesCompute) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(4);
  std::vector<double> sums(16);
  parallel_for(16, 1, [&](index_t i, index_t) {
    sums[static_cast<std::size_t>(i)] = sum(p * static_cast<double>(i)).item();
  });
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(sums[i], 3.0 * static_cast<double>(i));
}

TEST(ParallelLoop, RecordingInsideIsRefusedOnEveryThread) {
  const Tensor p = new_parameter({1, 2});
  for (const int threads : {1, 2, 4}) {
    const ThreadCountScope scope(threads);
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    const Tensor y = sum(x * p);
    std::atomic<int> refused{0};
    parallel_for(16, 1, [&](index_t, index_t) {
      // Some pieces run here, some on workers: a worker has no tape of its own to notice.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      for (const Tensor& operand : {p, x, y}) try {
          operand* operand;
        } catch (const Error& error) {
          if (error.message().find("loop") != std::string_view::npos) ++refused;
        }
    });
    EXPECT_EQ(refused, 3 * 16) << threads << " threads";
    EXPECT_TRUE(equal(tape.gradient(y, p), f64({1, 2}))) << "the tape is none the worse";
  }
}

TEST(ParallelLoop, TheRefusalReachesTheCaller) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(4);
  Tape tape;
  EXPECT_TRUE(throws({"loop"}, [&] { parallel_for(16, 1, [&](index_t, index_t) { p* p; }); }));
  EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({2, 4})));
}

TEST(ParallelLoop, ALoopInALoopIsRefusedAsWell) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(2);
  Tape tape;
  std::atomic<int> refused{0};
  parallel_for(4, 1, [&](index_t, index_t) {
    parallel_for(4, 1, [&](index_t, index_t) {
      if (throws({"loop"}, [&] { p* p; })) ++refused;
    });
  });
  EXPECT_EQ(refused, 16);
}

TEST(ParallelLoop, TheTapeItselfIsRefusedInside) {
  for (const int threads : {1, 2}) {
    const ThreadCountScope scope(threads);
    Tape tape({.persistent = true});
    const Tensor x = tape.watch(number(3));
    const Tensor y = x * x;
    const index_t before = tape.size();
    std::atomic<int> watched{0}, differentiated{0};
    parallel_for(8, 1, [&](index_t, index_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (throws({}, [&] { (void)tape.watch(number(1)); })) ++watched;
      if (throws({}, [&] { tape.gradient(y, x, {.create_graph = true}); })) ++differentiated;
    });
    EXPECT_EQ(watched, 8) << threads << " threads";
    EXPECT_EQ(differentiated, 8) << threads << " threads";
    EXPECT_EQ(tape.size(), before);
    EXPECT_EQ(tape.gradient(y, x).item(), 6);
  }
}

TEST(ParallelLoop, APieceMayPause) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(4);
  Tape tape;
  const Tensor y = p * p;
  std::vector<double> sums(16);
  parallel_for(16, 1, [&](index_t i, index_t) {
    const NoGrad no_grad;
    sums[static_cast<std::size_t>(i)] = sum(y * p).item();
  });
  for (const double value : sums) EXPECT_EQ(value, 9);
  EXPECT_TRUE(equal(tape.gradient(sum(y), p), f64({2, 4})));
}

TEST(ParallelLoop, APieceMayHaveATapeOfItsOwn) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(4);
  for (const bool recording_outside : {false, true})
    for (const bool pause_first : {false, true}) {
      std::unique_ptr<Tape> outer;
      if (recording_outside) outer = std::make_unique<Tape>();
      const Tensor before = p * p;
      const index_t size = outer ? outer->size() : 0;
      std::vector<Tensor> gradients(16);
      std::atomic<int> refused{0};
      parallel_for(16, 1, [&](index_t i, index_t) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::unique_ptr<NoGrad> pause;
        if (pause_first) pause = std::make_unique<NoGrad>();
        Tape own;
        const Tensor x = own.watch(f64({1, 1}) * static_cast<double>(i));
        gradients[static_cast<std::size_t>(i)] = own.gradient(sum(p * p * x), p);
        Tape again;
        if (throws({"stop_gradient"}, [&] { p* before; })) ++refused;
      });
      for (std::size_t i = 0; i < 16; ++i)
        EXPECT_TRUE(equal(gradients[i], f64({2, 4}) * static_cast<double>(i)));
      EXPECT_EQ(refused, recording_outside ? 16 : 0);
      if (outer) {
        EXPECT_EQ(outer->size(), size) << "no piece writes to the tape around the loop";
        EXPECT_TRUE(equal(outer->gradient(sum(before), p), f64({2, 4})));
      }
    }
}

TEST(ParallelLoop, ItsGradientsAreConstantsForTheTapeAround) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(2);
  Tape outer;
  std::vector<Tensor> gradients(4);
  parallel_for(4, 1, [&](index_t i, index_t) {
    Tape own;
    gradients[static_cast<std::size_t>(i)] = own.gradient(sum(p * p), p);
  });
  Tensor y = sum(p);
  for (const Tensor& g : gradients) y = y + sum(g * p);
  EXPECT_TRUE(equal(outer.gradient(y, p), f64({9, 17})));
}

TEST(ParallelLoop, ALoopInsideARuleOfAPlainGradient) {
  const ThreadCountScope scope(2);
  const Tensor c = f64({1, 2});
  const auto looping = [&](const Tensor& x) {
    return testing::identity_op("loops", x, [&](const Tensor& g) {
      std::vector<Tensor> parts(4);
      parallel_for(4, 1, [&](index_t i, index_t) { parts[static_cast<std::size_t>(i)] = g * c; });
      return parts[0] + parts[1] + parts[2] + parts[3];
    });
  };
  Tape tape;
  const Tensor x = tape.watch(f64({1, 1}));
  const Tensor y = sum(looping(x) * x);
  EXPECT_TRUE(throws({"loop"}, [&] { tape.gradient(y, x, {.create_graph = true}); }));
  const NoGrad no_grad;
  Tape own;
  const Tensor z = own.watch(f64({1, 1}));
  EXPECT_TRUE(equal(own.gradient(sum(looping(z)), z), f64({4, 8})));
}

TEST(ParallelLoop, RecordingGoesOnAfterIt) {
  const Tensor p = new_parameter({1, 2});
  const ThreadCountScope scope(4);
  Tape tape;
  parallel_for(8, 1, [](index_t, index_t) {});
  EXPECT_TRUE(is_recording());
  EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({2, 4})));
}

}  // namespace
}  // namespace tapegrad
