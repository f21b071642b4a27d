#include "common/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "refuses.h"

namespace tapegrad::testing {
namespace {

using common::InterruptScope;

void (*handler())(int) {
  struct sigaction action {};
  ::sigaction(SIGINT, nullptr, &action);
  return action.sa_handler;
}

TEST(InterruptScope, NotesTheFirstSignal) {
  for (int round = 0; round < 2; ++round) {
    const InterruptScope interrupt;
    EXPECT_FALSE(interrupt.requested()) << "that of an earlier scope";
    ::raise(SIGINT);
    EXPECT_TRUE(interrupt.requested());
  }
}

TEST(InterruptScopeDeathTest, TheSecondSignalEndsTheProcess) {
  const auto twice = [] {
    const InterruptScope interrupt;
    ::raise(SIGINT);
    ::raise(SIGINT);
  };
  EXPECT_EXIT(twice(), ::testing::KilledBySignal(SIGINT), "");
}

TEST(InterruptScopeDeathTest, OutsideOfItNothingIsNoted) {
  const auto after = [] {
    { const InterruptScope interrupt; }
    ::raise(SIGINT);
  };
  EXPECT_EXIT(after(), ::testing::KilledBySignal(SIGINT), "");
}

TEST(InterruptScope, PutsBackWhatWasThere) {
  void (*own)(int) = [](int) {};
  const auto before = ::signal(SIGINT, own);
  {
    const InterruptScope interrupt;
    EXPECT_NE(handler(), own);
    ::raise(SIGINT);
    EXPECT_TRUE(interrupt.requested());
  }
  EXPECT_EQ(handler(), own);
  ::signal(SIGINT, before);
}

TEST(InterruptScope, WhatIsIgnoredStaysIgnored) {
  const auto before = ::signal(SIGINT, SIG_IGN);
  {
    const InterruptScope interrupt;
    ::raise(SIGINT);
    ::raise(SIGINT);
    EXPECT_FALSE(interrupt.requested());
  }
  EXPECT_EQ(handler(), SIG_IGN);
  ::signal(SIGINT, before);
}

TEST(InterruptScope, OneAtATime) {
  const InterruptScope interrupt;
  EXPECT_TRUE(refuses("interrupt", {"already"}, [] { InterruptScope(); }));
  ::raise(SIGINT);
  EXPECT_TRUE(interrupt.requested()) << "the one that was refused changed nothing";
}

}  // namespace
}  // namespace tapegrad::testing
