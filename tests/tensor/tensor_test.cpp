#include "tapegrad/tensor/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "refuses.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/tensor/serial_internal.h"
#include "tapegrad/tensor/state.h"

namespace tapegrad {
namespace {

using testing::refuses;

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr double kNoEnd = std::numeric_limits<double>::infinity();
constexpr DType kAll[] = {DType::Float32, DType::Float64, DType::Int32, DType::UInt8};

template <class T = float>
std::vector<T> elements(const Tensor& x) {
  return {x.values<T>().begin(), x.values<T>().end()};
}

std::uint64_t version(const Tensor& x) {
  return TensorAccess::storage(x)->version();
}

TEST(Tensor, UndefinedIsRefusedEverywhere) {
  Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_FALSE(none.is_parameter());
  EXPECT_FALSE(none.is_stopped());
  const auto refused = [](const char* op, auto&& f) {
    EXPECT_TRUE(refuses(op, {"never given a value", std::string(op) + "()"}, f));
  };
  refused("dtype", [&] { (void)none.dtype(); });
  EXPECT_TRUE(refuses("shape", {"shape()"}, [&] { (void)none.shape(); }));
  EXPECT_TRUE(refuses("size", {"size() was called on a Tensor that was never given a value"},
                      [&] { (void)none.size(); }));
  EXPECT_TRUE(refuses("rank", {"rank()"}, [&] { (void)none.rank(); }));
  EXPECT_TRUE(refuses("item", {"item()"}, [&] { (void)none.item(); }));
  refused("values", [&] { (void)none.values<float>(); });
  refused("mutable_values", [&] { (void)none.mutable_values<float>(); });
  refused("data", [&] { (void)none.data<double>(); });
  refused("at", [&] { (void)none.at({}); });
  refused("at", [&] { (void)none.at({1}); });
  refused("set", [&] { none.set({}, 1); });
  refused("item", [&] { (void)none.item(); });
  EXPECT_TRUE(refuses("zeros_like", {"never given a value"}, [&] { (void)zeros_like(none); }));
  EXPECT_TRUE(refuses("ones_like", {"never given a value"}, [&] { (void)ones_like(none); }));
  EXPECT_TRUE(refuses("parameter", {"never given a value"}, [&] { (void)parameter(none); }));
  EXPECT_TRUE(refuses("stop_gradient", {"never given a value"}, [&] { (void)stop_gradient(none); }));
  EXPECT_TRUE(refuses("shape", {"never given a value"}, [&] { (void)TensorAccess::clone(none); }));
  refused("view", [&] { (void)TensorAccess::view(none, {}); });
  EXPECT_TRUE(refuses("equal", {"never given a value"}, [&] { (void)equal(none, none); }));
}

TEST(Tensor, HandlesShareTheirElements) {
  Tensor a = tensor({1, 2, 3});
  Tensor b = a;
  b.set({0}, 10);
  EXPECT_EQ(a.at({0}), 10);
  EXPECT_EQ(a.data<float>(), b.data<float>());
  a = tensor({5});  // another tensor in this handle
  EXPECT_EQ(b.at({0}), 10);
  const Tensor& constant = b;
  Tensor c = constant;  // const is shallow
  c.set({1}, 20);
  EXPECT_EQ(constant.at({1}), 20);
}

TEST(Tensor, MovedFromIsUndefined) {
  Tensor a = tensor({1, 2, 3});
  const Tensor b = std::move(a);
  EXPECT_TRUE(b.defined());
  EXPECT_FALSE(a.defined());  // NOLINT(bugprone-use-after-move): this is what is tested
}

TEST(Tensor, ElementsOfAnotherTypeAreRefusedWithBothNames) {
  for (const DType dtype : kAll) {
    Tensor x = zeros({2, 3}, dtype);
    for (const DType other : kAll) {
      const auto read = [&] {
        dispatch(other, [&](auto type) { (void)x.data<typename decltype(type)::type>(); });
      };
      const auto write = [&] {
        dispatch(other, [&](auto type) { (void)x.mutable_data<typename decltype(type)::type>(); });
      };
      if (dtype == other) {
        EXPECT_NO_THROW(read());
        EXPECT_NO_THROW(write());
      } else {
        const std::uint64_t before = version(x);
        EXPECT_TRUE(refuses("data", {"data() of", to_string(dtype), to_string(other), "[2, 3]"}, read));
        EXPECT_TRUE(refuses("mutable_data",
                            {"mutable_data() of", to_string(dtype), to_string(other), "[2, 3]"}, write));
        EXPECT_EQ(version(x), before);
      }
    }
  }
}

TEST(Wrap, SharesTheCallersMemory) {
  std::array<double, 6> memory{1, 2, 3, 4, 5, 6};
  Tensor x = Tensor::wrap(memory.data(), {2, 3});
  EXPECT_EQ(x.dtype(), DType::Float64);
  EXPECT_EQ(x.data<double>(), memory.data());
  x.set({1, 2}, 60);
  EXPECT_EQ(memory[5], 60);
  memory[0] = 10;
  EXPECT_EQ(x.at({0, 0}), 10);
  x = Tensor();
  EXPECT_EQ(memory[5], 60);
}

TEST(Wrap, OfConstMemoryIsReadOnly) {
  const std::array<std::int32_t, 4> memory{1, 2, 3, 4};
  Tensor x = Tensor::wrap(memory.data(), {2, 2});
  EXPECT_EQ(x.at({1, 1}), 4);
  EXPECT_EQ(x.data<std::int32_t>(), memory.data());
  const auto refused = [](Tensor y) {
    const std::uint64_t before = version(y);
    EXPECT_TRUE(refuses("set", {"read-only", y.shape().str()}, [&] { y.set({0}, 5); }));
    EXPECT_TRUE(refuses("mutable_data", {"read-only"}, [&] { (void)y.mutable_data<std::int32_t>(); }));
    EXPECT_TRUE(refuses("mutable_values", {"read-only"}, [&] { (void)y.mutable_values<std::int32_t>(); }));
    EXPECT_EQ(version(y), before);
  };
  refused(TensorAccess::view(x, {4}));
  refused(TensorAccess::view(x, {2}, 2));
  refused(TensorAccess::view(stop_gradient(x), {4}));
  Tensor copy = TensorAccess::clone(x);
  copy.set({0, 0}, 9);
  EXPECT_EQ(memory[0], 1);
}

TEST(Wrap, RefusesMemoryThatIsNotAligned) {
  alignas(double) std::byte memory[24] = {};
  EXPECT_TRUE(refuses("wrap", {"aligned for Float64", "8 bytes"},
                      [&] { (void)Tensor::wrap(reinterpret_cast<double*>(memory + 4), {2}); }));
  EXPECT_TRUE(refuses("wrap", {"aligned for Int32", "4 bytes"},
                      [&] { (void)Tensor::wrap(reinterpret_cast<const std::int32_t*>(memory + 2), {2}); }));
  EXPECT_TRUE(equal(Tensor::wrap(reinterpret_cast<float*>(memory + 4), {5}), zeros({5})));
}

TEST(Wrap, RefusesNullUnlessThereIsNothingThere) {
  EXPECT_TRUE(refuses("wrap", {"null", "[2, 2]"}, [] {
    (void)Tensor::wrap(static_cast<float*>(nullptr), {2, 2});
  }));
  EXPECT_TRUE(refuses("wrap", {"null"}, [] { (void)Tensor::wrap(static_cast<const float*>(nullptr), {}); }));
  const Tensor empty = Tensor::wrap(static_cast<float*>(nullptr), {0, 3});
  EXPECT_TRUE(empty.defined());
  EXPECT_TRUE(empty.values<float>().empty());
  EXPECT_TRUE(equal(TensorAccess::clone(empty), empty));
}

TEST(At, CountsFromEitherEnd) {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  EXPECT_EQ(x.at({0, 0}), 1);
  EXPECT_EQ(x.at({1, 2}), 6);
  EXPECT_EQ(x.at({-1, -1}), 6);
  EXPECT_EQ(x.at({-2, -3}), 1);
  EXPECT_EQ(x.at({1, -2}), 5);
  EXPECT_EQ(tensor(7).at({}), 7);
}

TEST(At, RefusesWhatIsOutside) {
  Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  const std::initializer_list<index_t> outside[] = {
      {2, 0}, {0, 3},         {-3, 0},        {0, -4},        {0},           {0, 0, 0},
      {},     {1, INT64_MAX}, {1, INT64_MIN}, {INT64_MAX, 1}, {INT64_MIN, 1}};
  for (const auto& index : outside) {
    EXPECT_TRUE(refuses("at", {"[2, 3]"}, [&] { (void)x.at(index); }));
    EXPECT_TRUE(refuses("set", {"[2, 3]"}, [&] { x.set(index, 0); }));
  }
  EXPECT_TRUE(refuses("at", {"[1, -7]", "[2, 3]"}, [&] { (void)x.at({1, -7}); }));
  EXPECT_TRUE(refuses("at", {}, [] { (void)zeros({0}).at({0}); }));
  EXPECT_TRUE(refuses("at", {}, [] { (void)zeros({0}).at({-1}); }));
  EXPECT_TRUE(refuses("at", {}, [] { (void)zeros({2, 0}).at({1, INT64_MAX}); }));
  EXPECT_TRUE(refuses("at", {}, [] { (void)tensor(1).at({0}); }));
}

TEST(At, GivesEveryDTypesElements) {
  EXPECT_EQ(tensor(0.1, DType::Float32).item(), 0.1f);
  EXPECT_EQ(tensor(0.1, DType::Float64).item(), 0.1);
  EXPECT_EQ(tensor(-5, DType::Int32).item(), -5);
  EXPECT_EQ(tensor(255, DType::UInt8).item(), 255);
}

TEST(Set, WritesOneElement) {
  for (const DType dtype : kAll) {
    Tensor x = zeros({2, 2}, dtype);
    x.set({1, -2}, 3);
    EXPECT_EQ(x.at({1, 0}), 3);
    EXPECT_EQ(x.at({0, 0}) + x.at({0, 1}) + x.at({1, 1}), 0);
  }
}

TEST(Set, RefusesWhatTheDTypeCannotHold) {
  const auto refused = [](DType dtype, double value) {
    Tensor x = ones({2}, dtype);
    const std::uint64_t before = version(x);
    EXPECT_TRUE(refuses("set", {to_string(dtype)}, [&] { x.set({1}, value); })) << value;
    EXPECT_EQ(x.at({1}), 1);
    EXPECT_EQ(version(x), before) << "nothing was written";
    EXPECT_TRUE(refuses("tensor", {to_string(dtype)}, [&] { (void)tensor(value, dtype); })) << value;
    EXPECT_TRUE(refuses("full", {to_string(dtype)}, [&] { (void)full({2}, value, dtype); })) << value;
  };
  for (const double value : {300.0, 256.0, 0.5, -1.0, -0.5, 1e300, kNotANumber, kNoEnd, -kNoEnd})
    refused(DType::UInt8, value);
  for (const double value : {2147483648.0, -2147483649.0, 0.25, 1e300, kNotANumber, kNoEnd, -kNoEnd})
    refused(DType::Int32, value);
  EXPECT_TRUE(refuses("tensor", {"300", "UInt8", "0", "255"}, [] { (void)tensor(300, DType::UInt8); }));

  Tensor bytes = zeros({1}, DType::UInt8), ints = zeros({1}, DType::Int32);
  for (const double value : {0.0, -0.0, 255.0}) {
    bytes.set({0}, value);
    EXPECT_EQ(bytes.item(), value);
  }
  for (const double value : {2147483647.0, -2147483648.0}) {
    ints.set({0}, value);
    EXPECT_EQ(ints.item(), value);
  }
}

TEST(Set, FloatsAreRoundedAndNeverRefused) {
  Tensor x = zeros({1});
  x.set({0}, 0.1);
  EXPECT_EQ(x.item(), 0.1f);
  x.set({0}, kNotANumber);
  EXPECT_TRUE(std::isnan(x.item()));
  x.set({0}, -kNoEnd);
  EXPECT_EQ(x.item(), -kNoEnd);
  x.set({0}, 1e300);
  EXPECT_EQ(x.item(), kNoEnd);
}

TEST(Item, IsTheOnlyElement) {
  EXPECT_EQ(tensor(5).item(), 5);
  EXPECT_EQ(tensor({{{5}}}).item(), 5);
  EXPECT_TRUE(refuses("item", {"[2]", "2"}, [] { (void)tensor({1, 2}).item(); }));
  EXPECT_TRUE(refuses("item", {"[3, 0]", "0"}, [] { (void)zeros({3, 0}).item(); }));
}

TEST(Version, RisesWithEveryRequestToWrite) {
  Tensor x = zeros({4});
  const Tensor other = x, view = TensorAccess::view(x, {2, 2});
  std::uint64_t before = version(x);
  const auto rose = [&] { return std::exchange(before, version(x)) < version(x); };
  (void)x.mutable_values<float>();
  EXPECT_TRUE(rose());
  (void)x.mutable_data<float>();
  EXPECT_TRUE(rose());
  x.set({0}, 1);
  EXPECT_TRUE(rose());
  Tensor through_view = view;
  through_view.set({1, 1}, 5);
  EXPECT_TRUE(rose()) << "views write to the same elements";
  EXPECT_EQ(version(other), version(x));
  EXPECT_EQ(x.at({3}), 5);

  (void)x.values<float>();
  (void)x.data<float>();
  (void)x.at({0});
  (void)TensorAccess::clone(x);
  (void)stop_gradient(x);
  (void)parameter(x);
  (void)equal(x, x);
  (void)to_string(x);
  EXPECT_FALSE(rose()) << "reading is not writing";
}

TEST(Writing, IsRefusedWhileTheRecordingOfTheElementsIsOpen) {
  detail::OpenSerial open;
  Tensor x = zeros({3});
  TensorAccess::storage(x)->recorded_by = open.number();
  Tensor by_node = zeros({3});
  TensorAccess::origin(by_node).tape = open.number();
  const auto refused = [](Tensor& y) {
    const std::uint64_t before = version(y);
    EXPECT_TRUE(refuses("set", {"[3]", "recording"}, [&] { y.set({0}, 1); }));
    EXPECT_TRUE(refuses("mutable_data", {"[3]", "recording"}, [&] { (void)y.mutable_data<float>(); }));
    EXPECT_EQ(version(y), before);
  };
  const auto all_refused = [&] {
    refused(x);
    refused(by_node);
    Tensor stopped = stop_gradient(x);
    refused(stopped);
    EXPECT_NO_THROW(TensorAccess::clone(x).set({0}, 1));
    EXPECT_EQ(x.at({0}), 0) << "reading is fine";
  };
  all_refused();
  std::thread(all_refused).join();
  const detail::OpenSerial another;
  EXPECT_NE(another.number(), open.number());
  open.close();
  EXPECT_NO_THROW(x.set({0}, 2));
  EXPECT_NO_THROW(by_node.set({0}, 2));
}

TEST(OpenSerial, ManyMayBeOpenAtOnce) {
  std::vector<std::unique_ptr<detail::OpenSerial>> open;
  for (int i = 0; i < 1000; ++i) open.push_back(std::make_unique<detail::OpenSerial>());
  for (const auto& each : open) EXPECT_TRUE(detail::is_open(each->number()));
  const std::uint64_t first = open.front()->number();
  open.erase(open.begin(), open.begin() + 500);
  EXPECT_FALSE(detail::is_open(first));
  for (const auto& each : open) EXPECT_TRUE(detail::is_open(each->number()));
  const std::uint64_t last = open.back()->number();
  open.back()->close();
  const detail::OpenSerial next;  // in its place, maybe
  open.back()->close();
  EXPECT_TRUE(detail::is_open(next.number()));
  EXPECT_FALSE(detail::is_open(last));
  EXPECT_FALSE(detail::is_open(0));
}

TEST(Parameter, KnowsItsOwnShape) {
  const Tensor p = parameter(zeros({2, 3, 4}));
  const Tensor part = TensorAccess::view(p, {2, 2}, 5), whole = TensorAccess::parameter_of(part);
  EXPECT_EQ(whole.shape(), (Shape{2, 3, 4}));
  EXPECT_EQ(TensorAccess::offset(whole), 0);
  EXPECT_EQ(TensorAccess::storage(whole), TensorAccess::storage(p));
}

TEST(Literal, ShapesFollowTheBraces) {
  EXPECT_EQ(tensor(5).shape(), Shape{});
  EXPECT_EQ(tensor({5}).shape(), Shape{1});
  EXPECT_EQ(tensor({{5}}).shape(), (Shape{1, 1}));
  EXPECT_EQ(tensor({{{5}}}).shape(), (Shape{1, 1, 1}));
  EXPECT_EQ(tensor({1, 2, 3}).shape(), Shape{3});
  EXPECT_EQ(tensor({{1, 2}, {3, 4}, {5, 6}}).shape(), (Shape{3, 2}));
  EXPECT_EQ(tensor({{{1, 2, 3}, {4, 5, 6}}}).shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(tensor({{{1}, {2}}, {{3}, {4}}}).shape(), (Shape{2, 2, 1}));
  EXPECT_EQ(tensor({{{1, 2}}, {{3, 4}}}).shape(), (Shape{2, 1, 2}));
  EXPECT_EQ(tensor({}).shape(), Shape{0});
  EXPECT_EQ(tensor({{}, {}}).shape(), (Shape{2, 0}));
}

TEST(Literal, ValuesAreInRowMajorOrder) {
  EXPECT_EQ(elements(tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}})),
            (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(elements<double>(tensor({0.1, -2.5, 1e300}, DType::Float64)),
            (std::vector<double>{0.1, -2.5, 1e300}));
  EXPECT_EQ(elements<std::int32_t>(tensor({-1, 2}, DType::Int32)), (std::vector<std::int32_t>{-1, 2}));
  EXPECT_EQ(tensor({1, 2}).dtype(), DType::Float32);
  EXPECT_EQ(elements(tensor({1, 2.5, 3.5f, true, 'a'})), (std::vector<float>{1, 2.5, 3.5, 1, 97}))
      << "mixed types";
}

TEST(Literal, RowsOfUnequalLengthAreRefused) {
  const auto refused = [](const Literal& literal) {
    EXPECT_TRUE(refuses("tensor", {"same length"}, [&] { (void)tensor(literal); }));
  };
  refused({{1, 2}, {3}});
  refused({{1}, {2, 3}});
  refused({{1, 2}, 3});
  refused({1, {2, 3}});
  refused({1, {2}});
  refused({{{1}, {2}}, {{3}}});
  refused({{{1, 2}}, {{3}, {4}}});
  refused({{}, {1}});
  refused({{1}, {}});
  refused({{1, 2}, {{3}, {4}}});
}

TEST(Literal, ValuesMustBeOfTheDType) {
  EXPECT_TRUE(refuses("tensor", {"300", "UInt8"}, [] { (void)tensor({{1, 300}}, DType::UInt8); }));
  EXPECT_TRUE(refuses("tensor", {"-1", "UInt8"}, [] { (void)tensor({-1}, DType::UInt8); }));
  EXPECT_TRUE(refuses("tensor", {"0.5", "Int32"}, [] { (void)tensor({0.5}, DType::Int32); }));
}

TEST(Literal, TakesEightAxesAndNotNine) {
  EXPECT_EQ(tensor({{{{{{{{1, 2}}}}}}}}).shape(), (Shape{1, 1, 1, 1, 1, 1, 1, 2}));
  EXPECT_TRUE(refuses("shape", {"9"}, [] { (void)tensor({{{{{{{{{1, 2}}}}}}}}}); }));
}

TEST(FromValues, CopiesThem) {
  std::vector<double> values{1, 2, 3, 4, 5, 6};
  const Tensor x = tensor(values, {2, 3});
  EXPECT_EQ(x.dtype(), DType::Float64);
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  values[0] = 100;
  EXPECT_EQ(x.at({0, 0}), 1);
  EXPECT_EQ(x.at({1, 0}), 4);
  EXPECT_EQ(tensor(std::vector<float>{1}, {}).dtype(), DType::Float32);
  EXPECT_EQ(tensor(std::vector<std::int32_t>{1}, {1}).dtype(), DType::Int32);
  EXPECT_EQ(tensor(std::vector<std::uint8_t>{}, {0}).dtype(), DType::UInt8);
}

TEST(FromValues, TheirNumberMustFitTheShape) {
  const std::vector<float> values{1, 2, 3};
  EXPECT_TRUE(refuses("tensor", {"3", "[2, 2]", "4"}, [&] { (void)tensor(values, {2, 2}); }));
  EXPECT_TRUE(refuses("tensor", {"[]", "1"}, [&] { (void)tensor(values, {}); }));
  EXPECT_TRUE(refuses("tensor", {"[0]"}, [&] { (void)tensor(values, {0}); }));
}

TEST(Makers, FillWithOneValue) {
  for (const DType dtype : kAll) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{2, 0}}) {
      const Tensor all[] = {zeros(shape, dtype), ones(shape, dtype), full(shape, 7, dtype)};
      const double expected[] = {0, 1, 7};
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(all[i].shape(), shape);
        EXPECT_EQ(all[i].dtype(), dtype);
        const Tensor flat = TensorAccess::view(all[i], {shape.size()});
        for (index_t k = 0; k < shape.size(); ++k) EXPECT_EQ(flat.at({k}), expected[i]);
      }
    }
    const Tensor x = full({2, 3}, 9, dtype);
    EXPECT_TRUE(equal(zeros_like(x), zeros({2, 3}, dtype)));
    EXPECT_TRUE(equal(ones_like(x), ones({2, 3}, dtype)));
    EXPECT_EQ(x.at({1, 1}), 9);
  }
  EXPECT_EQ(zeros({1}).dtype(), DType::Float32);
}

TEST(Makers, LikeAParameterIsNoParameter) {
  const Tensor p = parameter(tensor({1, 2}));
  EXPECT_FALSE(zeros_like(p).is_parameter());
  EXPECT_FALSE(TensorAccess::clone(p).is_parameter());
}

TEST(Arange, CountsUpAndDown) {
  EXPECT_EQ(elements(arange(4)), (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(elements(arange(1, 4)), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(elements(arange(0, 1, 0.25)), (std::vector<float>{0, 0.25, 0.5, 0.75}));
  EXPECT_EQ(elements(arange(3, 0, -1)), (std::vector<float>{3, 2, 1}));
  EXPECT_EQ(elements(arange(2.5)), (std::vector<float>{0, 1, 2}));
  EXPECT_EQ(elements(arange(0, 10, 100)), std::vector<float>{0});
  EXPECT_EQ(elements<std::int32_t>(arange(-2, 2, 1, DType::Int32)),
            (std::vector<std::int32_t>{-2, -1, 0, 1}));
  EXPECT_EQ(elements<std::uint8_t>(arange(3, DType::UInt8)), (std::vector<std::uint8_t>{0, 1, 2}));
}

TEST(Arange, IsEmptyWhereThereIsNothingBetween) {
  for (const Tensor& x :
       {arange(0), arange(-3), arange(2, 2), arange(2, 1), arange(1, 2, -1), arange(0, 1, -kNoEnd)})
    EXPECT_EQ(x.shape(), Shape{0});
}

TEST(Arange, NeverReachesStop) {
  // In each, (stop - start) / step rounds up to a whole number and more.
  for (const auto& [start, stop, step] :
       {std::array{1.0, 1.3, 0.1}, {1.0, 1.6, 0.1}, {0.0, 0.3, 0.1}, {2.0, 2.3, 0.1}, {-1.0, -1.3, -0.1}}) {
    const Tensor x = arange(start, stop, step, DType::Float64);
    ASSERT_GT(x.size(), 0);
    EXPECT_TRUE(step > 0 ? x.at({-1}) < stop : x.at({-1}) > stop) << start << " " << stop;
    EXPECT_NEAR(x.at({-1}), stop - step, 1e-9);
  }
}

TEST(Arange, IsNotSummedUp) {
  const Tensor x = arange(0, 1000, 0.1, DType::Float64);
  EXPECT_EQ(x.size(), 10000);
  EXPECT_EQ(x.at({-1}), 9999 * 0.1);
}

TEST(Arange, RefusesWhatHasNoEnd) {
  for (const auto& [start, stop, step] : {std::array{0.0, 1.0, 0.0},
                                          {1.0, 0.0, 0.0},
                                          {1.0, 1.0, 0.0},
                                          {0.0, kNoEnd, 1.0},
                                          {0.0, 1.0, kNotANumber},
                                          {kNotANumber, 1.0, 1.0},
                                          {0.0, kNotANumber, 1.0},
                                          {-kNoEnd, 0.0, 1.0},
                                          {0.0, 1.0, 1e-300}})
    EXPECT_TRUE(refuses("arange", {"step"}, [a = start, b = stop, c = step] { (void)arange(a, b, c); }));
}

TEST(Arange, ValuesMustBeOfTheDType) {
  EXPECT_TRUE(refuses("arange", {"256", "UInt8"}, [] { (void)arange(300, DType::UInt8); }));
  EXPECT_TRUE(refuses("arange", {"0.5", "Int32"}, [] { (void)arange(0, 2, 0.5, DType::Int32); }));
  EXPECT_TRUE(refuses("arange", {"-1", "UInt8"}, [] { (void)arange(-1, 2, 1, DType::UInt8); }));
}

TEST(Uniform, StaysInItsRangeInBothDTypes) {
  const double almost = std::nextafter(1.0, 2.0);
  for (const DType dtype : {DType::Float32, DType::Float64})
    for (const auto& [low, high] : {std::pair(0.0, 1.0),
                                    {-2.0, 3.0},
                                    {0.0, 1e-30},
                                    {1.0, 1.0000001},
                                    {0.1, 0.1000001},
                                    {1.0, 1.0 + 0x1p-23},
                                    {0.0, almost},
                                    {-1.0, -0.9999999},
                                    {0.5, 0.7},
                                    {0.7, 0.7000001}}) {
      Generator generator(1);
      const Tensor x = uniform({20000}, low, high, generator, dtype);
      EXPECT_EQ(x.dtype(), dtype);
      double smallest = high, largest = low;
      for (index_t i = 0; i < x.size(); ++i) {
        smallest = std::min(smallest, x.at({i}));
        largest = std::max(largest, x.at({i}));
      }
      EXPECT_GE(smallest, low) << low << " to " << high << " " << to_string(dtype);
      EXPECT_LT(largest, high) << low << " to " << high << " " << to_string(dtype);
    }
}

TEST(Uniform, FloatsNeverReachHighWhereDoublesRoundUp) {
  // Every double in the upper half of this range rounds to 1 in Float32.
  Generator generator(1);
  const Tensor x = uniform({1000}, 1 - 0x1p-24, 1, generator);
  for (const float value : x.values<float>()) ASSERT_EQ(value, 1 - 0x1p-24f);
}

TEST(Uniform, IsTheGeneratorsSequence) {
  Generator a(3), b(3);
  const Tensor x = uniform({2, 3}, -1, 1, a, DType::Float64);
  for (const double value : x.values<double>()) EXPECT_EQ(value, b.uniform(-1, 1));
  EXPECT_EQ(a.position(), b.position());
  const Tensor next = uniform({2, 3}, -1, 1, a, DType::Float64);
  EXPECT_FALSE(equal(x, next));
}

TEST(Normal, IsTheGeneratorsSequence) {
  Generator a(3), b(3);
  for (const double value : normal({5}, 2, 3, a, DType::Float64).values<double>())
    EXPECT_EQ(value, b.normal(2, 3));
  for (const float value : normal({5}, 2, 3, a).values<float>())
    EXPECT_EQ(value, static_cast<float>(b.normal(2, 3)));
}

TEST(RandomTensors, AreTheGeneratorsSequenceOnSeveralThreads) {
  const index_t size = 3 * 4096 + 700;
  for (const int threads : {1, 3}) {
    const ThreadCountScope scope(threads);
    Generator a(3), b(3);
    a.bits(), b.bits();  // so that pieces begin in the middle of a block
    const Tensor x = uniform({size}, -1, 1, a), y = normal({size}, 2, 3, a, DType::Float64);
    for (const float value : x.values<float>()) ASSERT_EQ(value, static_cast<float>(b.uniform(-1, 1)));
    for (const double value : y.values<double>()) ASSERT_EQ(value, b.normal(2, 3));
    EXPECT_EQ(a.position(), b.position());
  }
}

TEST(RandomTensors, AreOfFloats) {
  Generator generator;
  for (const DType dtype : {DType::Int32, DType::UInt8}) {
    EXPECT_TRUE(refuses("uniform", {to_string(dtype)}, [&] { (void)uniform({2}, 0, 1, generator, dtype); }));
    EXPECT_TRUE(refuses("normal", {to_string(dtype)}, [&] { (void)normal({2}, 0, 1, generator, dtype); }));
  }
  EXPECT_TRUE(refuses("uniform", {"range"}, [&] { (void)uniform({2}, 1, 0, generator); }));
  EXPECT_EQ(generator.position().drawn, 0u);
}

TEST(Equal, MeansShapeDTypeAndEveryElement) {
  const Tensor x = tensor({{1, 2}, {3, 4}});
  EXPECT_TRUE(equal(x, x));
  EXPECT_TRUE(equal(x, TensorAccess::clone(x)));
  EXPECT_FALSE(equal(x, tensor({{1, 2}, {3, 5}})));
  EXPECT_FALSE(equal(x, tensor({1, 2, 3, 4})));
  EXPECT_FALSE(equal(x, tensor({{1, 2}, {3, 4}}, DType::Float64)));
  EXPECT_FALSE(equal(tensor({kNotANumber}), tensor({kNotANumber})));
  EXPECT_TRUE(equal(tensor({0.0}), tensor({-0.0})));
  EXPECT_TRUE(equal(zeros({0, 3}), zeros({0, 3})));
  EXPECT_FALSE(equal(zeros({0, 3}), zeros({3, 0})));
}

TEST(View, SharesMemoryAndMarks) {
  Tensor x = arange(6);
  const Tensor view = TensorAccess::view(x, {2, 2}, 2);
  EXPECT_EQ(elements(view), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(view.data<float>(), x.data<float>() + 2);
  EXPECT_EQ(TensorAccess::offset(view), 2);
  const Tensor inner = TensorAccess::view(view, {}, 3);
  EXPECT_EQ(inner.item(), 5);
  EXPECT_EQ(TensorAccess::offset(inner), 5);
  x.set({5}, 50);
  EXPECT_EQ(inner.item(), 50);
  EXPECT_EQ(TensorAccess::view(x, {0}, 6).size(), 0);
  EXPECT_EQ(elements<double>(TensorAccess::view(arange(6, DType::Float64), {2}, 4)),
            (std::vector<double>{4, 5}));
}

TEST(View, KeepsItsMemoryAlive) {
  Tensor x = arange(6);
  const Tensor view = TensorAccess::view(x, {2}, 4);
  x = Tensor();
  (void)full({6}, -1);
  EXPECT_EQ(elements(view), (std::vector<float>{4, 5}));
}

TEST(View, RefusesWhatIsOutside) {
  const Tensor x = arange(6);
  for (const auto& [count, offset] : {std::pair<index_t, index_t>{7, 0},
                                      {1, 6},
                                      {4, 3},
                                      {0, 7},
                                      {1, -1},
                                      {0, -1},
                                      {1, INT64_MAX},
                                      {1, INT64_MIN}})
    EXPECT_TRUE(
        refuses("view", {"[6]"}, [&, c = count, o = offset] { (void)TensorAccess::view(x, {c}, o); }));
  const Tensor inner = TensorAccess::view(x, {2}, 2);
  EXPECT_TRUE(refuses("view", {"[2]"}, [&] { (void)TensorAccess::view(inner, {3}); }))
      << "a view of a view stays inside of that view";
}

TEST(View, DropsTheOrigin) {
  Tensor x = arange(6);
  TensorAccess::origin(x).tape = 9;
  EXPECT_EQ(TensorAccess::origin(TensorAccess::view(x, {6})).tape, 0u);
  EXPECT_EQ(TensorAccess::origin(TensorAccess::clone(x)).tape, 0u);
}

TEST(Parameter, IsATrainableCopy) {
  const Tensor x = tensor({1, 2});
  Tensor p = parameter(x);
  EXPECT_TRUE(p.is_parameter());
  EXPECT_FALSE(x.is_parameter());
  p.set({0}, 10);
  EXPECT_EQ(x.at({0}), 1);
  EXPECT_TRUE(Tensor(p).is_parameter());
  EXPECT_EQ(parameter(tensor(1, DType::Float64)).dtype(), DType::Float64);
  EXPECT_NE(parameter(p).data<float>(), p.data<float>());
}

TEST(Parameter, ViewsInheritTheMark) {
  const Tensor p = parameter(arange(6));
  const Tensor view = TensorAccess::view(TensorAccess::view(p, {2, 3}), {3}, 3);
  EXPECT_TRUE(view.is_parameter());
  EXPECT_EQ(TensorAccess::storage(view), TensorAccess::storage(p));
  EXPECT_FALSE(TensorAccess::clone(view).is_parameter());
}

TEST(Parameter, OfWholeNumbersIsRefused) {
  EXPECT_TRUE(refuses("parameter", {"Int32"}, [] { (void)parameter(zeros({2}, DType::Int32)); }));
  EXPECT_TRUE(refuses("parameter", {"UInt8"}, [] { (void)parameter(zeros({2}, DType::UInt8)); }));
}

TEST(Parameter, OfAStoppedOrReadOnlyTensorIsAnOrdinaryParameter) {
  const float memory[] = {1, 2};
  Tensor p = parameter(stop_gradient(Tensor::wrap(memory, {2})));
  EXPECT_FALSE(p.is_stopped());
  EXPECT_NO_THROW(p.set({0}, 5));
}

TEST(StopGradient, MarksTheHandleAndItsViews) {
  const Tensor x = arange(6);
  const Tensor stopped = stop_gradient(x);
  EXPECT_TRUE(stopped.is_stopped());
  EXPECT_FALSE(x.is_stopped()) << "the mark is the handle's";
  EXPECT_EQ(stopped.data<float>(), x.data<float>());
  EXPECT_TRUE(Tensor(stopped).is_stopped());
  EXPECT_TRUE(TensorAccess::view(TensorAccess::view(stopped, {2, 3}), {3}, 3).is_stopped());
  EXPECT_FALSE(TensorAccess::view(x, {2, 3}).is_stopped());
  EXPECT_FALSE(TensorAccess::clone(stopped).is_stopped());
  EXPECT_TRUE(stop_gradient(zeros({2}, DType::Int32)).is_stopped());
}

TEST(StopGradient, OfAParameterIsBoth) {
  const Tensor stopped = stop_gradient(parameter(arange(2)));
  EXPECT_TRUE(stopped.is_stopped());
  EXPECT_TRUE(stopped.is_parameter());
}

TEST(Reuse, AFreedTensorsMemoryIsTakenAgain) {
  const float* first = zeros({1000}).data<float>();
  EXPECT_EQ(ones({10, 100}).data<float>(), first);
  const Tensor kept = zeros({1000});
  EXPECT_NE(zeros({1000}).data<float>(), kept.data<float>());
}

TEST(State, FindsTensorsByName) {
  State state;
  EXPECT_EQ(state.find("weight"), nullptr);
  state.tensors.emplace_back("weight", tensor({1, 2}));
  state.tensors.emplace_back("bias", tensor(3));
  ASSERT_NE(state.find("bias"), nullptr);
  EXPECT_EQ(state.find("bias")->item(), 3);
  EXPECT_EQ(state.find("weight"), &state.tensors[0].second);
  EXPECT_EQ(state.find("Weight"), nullptr);
  EXPECT_EQ(state.find(""), nullptr);
}

}  // namespace
}  // namespace tapegrad
