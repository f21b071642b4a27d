#include "tapegrad/base/dtype.h"

#include <gtest/gtest.h>

#include <sstream>

#include "refuses.h"
#include "tapegrad/base/fmt.h"

namespace tapegrad {
namespace {

using testing::refuses;

constexpr DType kAll[] = {DType::Float32, DType::Float64, DType::Int32, DType::UInt8};

TEST(DType, Names) {
  EXPECT_EQ(to_string(DType::Float32), "Float32");
  EXPECT_EQ(to_string(DType::Float64), "Float64");
  EXPECT_EQ(to_string(DType::Int32), "Int32");
  EXPECT_EQ(to_string(DType::UInt8), "UInt8");
}

TEST(DType, Sizes) {
  EXPECT_EQ(size_of(DType::Float32), 4u);
  EXPECT_EQ(size_of(DType::Float64), 8u);
  EXPECT_EQ(size_of(DType::Int32), 4u);
  EXPECT_EQ(size_of(DType::UInt8), 1u);
}

TEST(DType, OnlyTheFloatsAreFloating) {
  EXPECT_TRUE(is_floating(DType::Float32));
  EXPECT_TRUE(is_floating(DType::Float64));
  EXPECT_FALSE(is_floating(DType::Int32));
  EXPECT_FALSE(is_floating(DType::UInt8));
}

TEST(DType, OfCppTypes) {
  static_assert(dtype_of<float> == DType::Float32);
  static_assert(dtype_of<double> == DType::Float64);
  static_assert(dtype_of<std::int32_t> == DType::Int32);
  static_assert(dtype_of<std::uint8_t> == DType::UInt8);
  static_assert(is_element<float> && is_element<double> && is_element<std::int32_t> &&
                is_element<std::uint8_t>);
  static_assert(!is_element<std::int64_t> && !is_element<std::uint32_t> && !is_element<std::int8_t>);
  static_assert(!is_element<char> && !is_element<bool> && !is_element<long double> &&
                !is_element<const float>);
}

TEST(DType, DispatchHandsOverTheTypeOfTheDType) {
  for (const DType dtype : kAll) {
    const auto [seen, bytes] = dispatch(dtype, [](auto type) {
      using T = typename decltype(type)::type;
      return std::pair(dtype_of<T>, sizeof(T));
    });
    EXPECT_EQ(seen, dtype);
    EXPECT_EQ(bytes, size_of(dtype));
  }
}

TEST(DType, DispatchReturnsWhatTheFunctionReturns) {
  int target = 0;
  for (const DType dtype : kAll) {
    dispatch(dtype, [&](auto) -> int& { return target; }) += 1;  // a reference stays one
    dispatch(dtype, [&](auto) { target += 10; });                // nothing is fine too
  }
  EXPECT_EQ(target, 44);
}

TEST(DType, FloatingDispatchTakesTheFloatsOnly) {
  const auto bytes = [](DType dtype) {
    return dispatch_floating(dtype, []<class T>(std::type_identity<T>) { return sizeof(T); });
  };
  EXPECT_EQ(bytes(DType::Float32), 4u);
  EXPECT_EQ(bytes(DType::Float64), 8u);
  EXPECT_TRUE(refuses("dtype", {"Float32 or Float64", "Int32"}, [&] { bytes(DType::Int32); }));
  EXPECT_TRUE(refuses("dtype", {"Float32 or Float64", "UInt8"}, [&] { bytes(DType::UInt8); }));
}

TEST(DType, IsWrittenByName) {
  std::ostringstream stream;
  stream << DType::Int32 << ' ' << DType::UInt8;
  EXPECT_EQ(stream.str(), "Int32 UInt8");
  EXPECT_EQ(fmt::format("{} {}", DType::Float32, DType::Float64), "Float32 Float64");
}

}  // namespace
}  // namespace tapegrad
