#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string_view>

#include "tapegrad/base/error.h"

namespace tapegrad::testing {

/// Whether f throws an Error of op whose message contains every one of the words: EXPECT_TRUE(refuses(...)).
template <class F>
::testing::AssertionResult refuses(std::string_view op, std::initializer_list<std::string_view> words,
                                   F&& f) {
  try {
    f();
  } catch (const Error& error) {
    if (error.op() != op)
      return ::testing::AssertionFailure() << "not an error of [" << op << "]: " << error.what();
    for (const std::string_view word : words)
      if (error.message().find(word) == std::string_view::npos)
        return ::testing::AssertionFailure() << "no \"" << word << "\" in: " << error.what();
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "no error of [" << op << "] was thrown";
}

}  // namespace tapegrad::testing
