#include "tapegrad/base/error.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad {
namespace {

TEST(Error, WhatIsTheTagAndTheMessage) {
  const Error error("conv2d", "input has 3 channels");
  EXPECT_STREQ(error.what(), "[conv2d] input has 3 channels");
  EXPECT_EQ(error.op(), "conv2d");
  EXPECT_EQ(error.message(), "input has 3 channels");
}

TEST(Error, TheTagMayContainBracketsAndEitherPartMayBeEmpty) {
  EXPECT_EQ(Error("a] b", "c] d").message(), "c] d");
  EXPECT_EQ(Error("a] b", "c] d").op(), "a] b");
  EXPECT_EQ(Error("", "text").message(), "text");
  EXPECT_STREQ(Error("op", "").what(), "[op] ");
  EXPECT_EQ(Error("op", "").message(), "");
}

TEST(Error, CopiesKeepEverything) {
  static_assert(std::is_nothrow_copy_constructible_v<std::runtime_error>);
  Error copy("x", "y");
  {
    const Error original("matmul", "shapes do not fit");
    copy = original;
  }
  EXPECT_EQ(copy.op(), "matmul");
  EXPECT_EQ(copy.message(), "shapes do not fit");
}

TEST(Error, IsCaughtAsRuntimeError) {
  EXPECT_THROW(throw Error("op", "text"), std::runtime_error);
}

TEST(Fail, FormatsShapesAndDTypes) {
  try {
    fail("stack", "{} of {} next to {}", Shape{2, 3}, DType::UInt8, Shape{});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[stack] [2, 3] of UInt8 next to []");
  }
}

}  // namespace
}  // namespace tapegrad
