// What prints with << prints with fmt, as the same text.

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tapegrad/base/fmt.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad {
namespace {

template <class T>
void expect_printed(const T& value, const std::string& text) {
  std::ostringstream stream;
  stream << value;
  EXPECT_EQ(stream.str(), text);
  EXPECT_EQ(fmt::format("<{}>", value), "<" + text + ">");
}

TEST(Print, TheSameTextByStreamsAndByFmt) {
  expect_printed(Shape({2, 3}), "[2, 3]");
  expect_printed(DType::UInt8, "UInt8");
  expect_printed(Padding::Same, "SAME");
  expect_printed(Padding::Explicit(1, 1, 0, 2), "EXPLICIT{1,1,0,2}");
  expect_printed(GradcheckVerdict::Pass, std::string(name(GradcheckVerdict::Pass)));
  expect_printed(GradcheckVerdict::Fail, std::string(name(GradcheckVerdict::Fail)));
  expect_printed(GradcheckBehaviour::Wrong, std::string(name(GradcheckBehaviour::Wrong)));
}

}  // namespace
}  // namespace tapegrad
