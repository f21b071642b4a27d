#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <iomanip>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <vector>

#include "tapegrad/base/random.h"
#include "tapegrad/tensor/tensor.h"

// What is expected here is what print() of Python writes for the NumPy array of the same elements
// (NumPy 1.24).
namespace tapegrad {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string print32(const Literal& values) {
  return to_string(tensor(values));
}
std::string print64(const Literal& values) {
  return to_string(tensor(values, DType::Float64));
}
std::string count_up(const Shape& shape, DType dtype) {
  return to_string(TensorAccess::view(arange(static_cast<double>(shape.size()), dtype), shape));
}

TEST(Print, Undefined) {
  EXPECT_EQ(to_string(Tensor()), "(undefined tensor)");
}

TEST(Print, Empty) {
  for (const Shape& shape : {Shape{0}, Shape{3, 0}, Shape{0, 3}, Shape{1, 0, 2000}})
    EXPECT_EQ(to_string(zeros(shape)), "[]");
}

TEST(Print, Scalars) {
  EXPECT_EQ(print32(5), "5.0");
  EXPECT_EQ(print32(0.1), "0.1");
  EXPECT_EQ(print32(33554432), "33554432.0");
  EXPECT_EQ(print32(43440152), "43440150.0") << "the shortest digits, then zeros";
  EXPECT_EQ(print32(1e23), "1e+23");
  EXPECT_EQ(print64(0.1), "0.1");
  EXPECT_EQ(print64(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(print64(12345678.9), "12345678.9");
  EXPECT_EQ(print64(1e15), "1000000000000000.0");
  EXPECT_EQ(print64(1e16), "1e+16");
  EXPECT_EQ(print64(1e-4), "0.0001");
  EXPECT_EQ(print64(9.999e-5), "9.999e-05");
  EXPECT_EQ(print64(1.5e-7), "1.5e-07");
  EXPECT_EQ(print64(-1e-300), "-1e-300");
  EXPECT_EQ(print64(kNan), "nan");
  EXPECT_EQ(print64(-kInfinity), "-inf");
  EXPECT_EQ(print64(-0.0), "-0.0");
  EXPECT_EQ(to_string(tensor(-5, DType::Int32)), "-5");
  EXPECT_EQ(to_string(tensor(255, DType::UInt8)), "255");
}

TEST(Print, FloatsAlignAtThePoint) {
  EXPECT_EQ(print32({1, 2, 3}), "[1. 2. 3.]");
  EXPECT_EQ(print32({1, 2.5, -0.125}), "[ 1.     2.5   -0.125]");
  EXPECT_EQ(print64({1, 1000}), "[   1. 1000.]");
  EXPECT_EQ(print64({0, -0.0}), "[ 0. -0.]");
  EXPECT_EQ(print64({99999999, 1e5}), "[99999999.   100000.]");
}

TEST(Print, FloatsHaveTheirShortestDigitsAndEightAtMost) {
  EXPECT_EQ(print32({0.1, 0.2, 1.0 / 3}), "[0.1        0.2        0.33333334]");
  EXPECT_EQ(print64({0.1, 1.0 / 3, 2.0 / 3}), "[0.1        0.33333333 0.66666667]");
  EXPECT_EQ(print64({0.999999999}), "[1.]") << "the ninth digit rounds";
  EXPECT_EQ(print64({0x1p-9}), "[0.00195312]") << "a tie rounds to even";
}

TEST(Print, FloatsTakeExponentsWhereTheirRangeIsWide) {
  EXPECT_EQ(print32({1e8, 1}), "[1.e+08 1.e+00]");
  EXPECT_EQ(print32({1e-5, 1}), "[1.e-05 1.e+00]");
  EXPECT_EQ(print64({1, 1001}), "[1.000e+00 1.001e+03]");
  EXPECT_EQ(print64({-1, 1001}), "[-1.000e+00  1.001e+03]");
  EXPECT_EQ(print64({1e-4}), "[0.0001]");
  EXPECT_EQ(print64({9e-5}), "[9.e-05]");
  EXPECT_EQ(print64({1e300, 1e-5}), "[1.e+300 1.e-005]");
  EXPECT_EQ(print64({1e100, 1}), "[1.e+100 1.e+000]");
  EXPECT_EQ(print32({16777216, 0.5}), "[1.6777216e+07 5.0000000e-01]");
  EXPECT_EQ(print32({1.0 / 3, 1e-5}), "[3.3333334e-01 9.9999997e-06]")
      << "true digits, where others need more";
  EXPECT_EQ(print32({0x1p-96}), "[1.2621775e-29]") << "the shortest digits are not the nearest here";
  EXPECT_EQ(print64({0, 1e-300}), "[0.e+000 1.e-300]") << "zeros do not count";
}

TEST(Print, FloatsThatAreNotFinite) {
  EXPECT_EQ(print64({kNan, kInfinity, -kInfinity, 1.5, -0.0}), "[ nan  inf -inf  1.5 -0. ]");
  EXPECT_EQ(print64({kNan}), "[nan]");
  EXPECT_EQ(print64({-kNan}), "[nan]");
  EXPECT_EQ(print64({kInfinity, 1}), "[inf  1.]");
  EXPECT_EQ(print64({-kInfinity, 1}), "[-inf   1.]");
  EXPECT_EQ(print64({kNan, 1e10}), "[   nan 1.e+10]");
}

TEST(Print, WholeNumbersAlignAtTheRight) {
  EXPECT_EQ(to_string(tensor({5, -300, 2147483647}, DType::Int32)), "[         5       -300 2147483647]");
  EXPECT_EQ(to_string(tensor({0, 7, 255}, DType::UInt8)), "[  0   7 255]");
}

TEST(Print, MatricesAndBlocksOfThem) {
  EXPECT_EQ(print32({{1, 2}, {3, 4}}), "[[1. 2.]\n [3. 4.]]");
  EXPECT_EQ(print64({{{0}}}), "[[[0.]]]");
  EXPECT_EQ(count_up({2, 3, 4}, DType::Float32), R"([[[ 0.  1.  2.  3.]
  [ 4.  5.  6.  7.]
  [ 8.  9. 10. 11.]]

 [[12. 13. 14. 15.]
  [16. 17. 18. 19.]
  [20. 21. 22. 23.]]])");
  EXPECT_EQ(to_string(TensorAccess::view(arange(-5, 11, 1, DType::Int32), {2, 2, 2, 2})), R"([[[[-5 -4]
   [-3 -2]]

  [[-1  0]
   [ 1  2]]]


 [[[ 3  4]
   [ 5  6]]

  [[ 7  8]
   [ 9 10]]]])");
}

TEST(Print, ViewsPrintTheirPart) {
  EXPECT_EQ(to_string(TensorAccess::view(arange(10), {2, 2}, 3)), "[[3. 4.]\n [5. 6.]]");
}

TEST(Print, LongRowsAreWrapped) {
  EXPECT_EQ(count_up({30}, DType::Float32),
            "[ 0.  1.  2.  3.  4.  5.  6.  7.  8.  9. 10. 11. 12. 13. 14. 15. 16. 17.\n"
            " 18. 19. 20. 21. 22. 23. 24. 25. 26. 27. 28. 29.]");
  EXPECT_EQ(to_string(TensorAccess::view(arange(0, 45, 1.5), {2, 15})),
            "[[ 0.   1.5  3.   4.5  6.   7.5  9.  10.5 12.  13.5 15.  16.5 18.  19.5\n"
            "  21. ]\n"
            " [22.5 24.  25.5 27.  28.5 30.  31.5 33.  34.5 36.  37.5 39.  40.5 42.\n"
            "  43.5]]");
}

TEST(Print, LinesAreFilledToTheirLastColumn) {
  // Words of one and of two characters: 74 columns are filled exactly, and 75 would be.
  EXPECT_EQ(to_string(full({60}, 1, DType::Int32)).find('\n'), 74u);
  EXPECT_EQ(to_string(full({60}, 10, DType::Int32)).find('\n'), 72u);
}

TEST(Print, NoLineIsLongerThanAllowed) {
  for (const Shape& shape :
       {Shape{1000}, Shape{10, 100}, Shape{2, 2, 250}, Shape{1, 1, 1, 1, 1, 1, 1, 500}}) {
    Generator generator(1);
    for (const Tensor& x : {normal(shape, 0, 1, generator), arange(static_cast<double>(shape.size()))}) {
      std::istringstream lines(to_string(TensorAccess::view(x, shape)));
      for (std::string line; std::getline(lines, line);) ASSERT_LE(line.size(), 75u) << line;
    }
  }
}

TEST(Print, LongTensorsAreSummarized) {
  EXPECT_EQ(count_up({1001}, DType::Float32), "[   0.    1.    2. ...  998.  999. 1000.]");
  EXPECT_EQ(count_up({2, 1000}, DType::Int32),
            "[[   0    1    2 ...  997  998  999]\n [1000 1001 1002 ... 1997 1998 1999]]");
  EXPECT_EQ(count_up({1001, 1}, DType::Int32), R"([[   0]
 [   1]
 [   2]
 ...
 [ 998]
 [ 999]
 [1000]])");
  EXPECT_EQ(count_up({40, 40}, DType::Float32),
            R"([[0.000e+00 1.000e+00 2.000e+00 ... 3.700e+01 3.800e+01 3.900e+01]
 [4.000e+01 4.100e+01 4.200e+01 ... 7.700e+01 7.800e+01 7.900e+01]
 [8.000e+01 8.100e+01 8.200e+01 ... 1.170e+02 1.180e+02 1.190e+02]
 ...
 [1.480e+03 1.481e+03 1.482e+03 ... 1.517e+03 1.518e+03 1.519e+03]
 [1.520e+03 1.521e+03 1.522e+03 ... 1.557e+03 1.558e+03 1.559e+03]
 [1.560e+03 1.561e+03 1.562e+03 ... 1.597e+03 1.598e+03 1.599e+03]])");
}

TEST(Print, SummariesOfBlocks) {
  const std::string text = count_up({11, 11, 11}, DType::Int32);
  EXPECT_TRUE(text.starts_with(R"([[[   0    1    2 ...    8    9   10]
  [  11   12   13 ...   19   20   21]
  [  22   23   24 ...   30   31   32]
  ...
  [  88   89   90 ...   96   97   98]
  [  99  100  101 ...  107  108  109]
  [ 110  111  112 ...  118  119  120]]

 [[ 121  122)"));
  EXPECT_NE(text.find("361  362]]\n\n ...\n\n [[ 968  969"), std::string::npos);
  EXPECT_TRUE(text.ends_with("[1320 1321 1322 ... 1328 1329 1330]]]"));
}

TEST(Print, WhatASummaryLeavesOutDoesNotChangeIt) {
  Tensor x = ones({1001});
  x.set({500}, 1e30);
  EXPECT_EQ(to_string(x), "[1. 1. 1. ... 1. 1. 1.]");
}

TEST(Print, AThousandElementsAreNotSummarized) {
  EXPECT_EQ(count_up({1000}, DType::Int32).find("..."), std::string::npos);
  EXPECT_EQ(count_up({10, 100}, DType::Int32).find("..."), std::string::npos);
}

// The word for a number must not depend on what the program around does to its locales.
TEST(Print, KnowsNoLocale) {
  struct Commas : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Commas));
  const std::string c_before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8"})
    if (std::setlocale(LC_ALL, name) != nullptr) break;
  std::ostringstream stream;
  stream << tensor({1000.5, 0.25}, DType::Float64) << tensor(1234567, DType::Int32) << tensor(1234.5);
  std::setlocale(LC_ALL, c_before.c_str());
  std::locale::global(before);
  EXPECT_EQ(stream.str(), "[1.0005e+03 2.5000e-01]12345671234.5");
}

TEST(Print, StreamsAsAString) {
  std::ostringstream stream;
  stream << std::setprecision(2) << std::hex << tensor({1.125}) << "|" << Tensor();
  EXPECT_EQ(stream.str(), "[1.125]|(undefined tensor)");
}

}  // namespace
}  // namespace tapegrad
