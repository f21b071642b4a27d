#include "tapegrad/io/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <locale>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "io/temporary.h"
#include "tapegrad/base/random.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::error_of, testing::expect_contains, testing::read_bytes,
    testing::TemporaryFolder, testing::write_bytes;

Bytes file_of(std::uint64_t length, const std::string& header, const Bytes& data = {}) {
  Bytes bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::uint8_t>(length >> (8 * i)));
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

Bytes file_of(const std::string& header, const Bytes& data = {}) {
  return file_of(header.size(), header, data);
}

State read(const Bytes& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", bytes);
  return read_safetensors(folder / "x");
}

std::string refusal(const Bytes& bytes) {
  return error_of("read_safetensors", [&] { read(bytes); });
}

std::string refusal(const std::string& header, const Bytes& data = {}) {
  return refusal(file_of(header, data));
}

Bytes written(const State& state) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", state);
  EXPECT_EQ(folder.entries(), 1u);
  return read_bytes(folder / "x");
}

State sample() {
  State state;
  state.tensors = {{"z first", tensor({{1, 2, 3}, {4, 5, 6.5}})},
                   {"byte", tensor({7, 8, 9}, DType::UInt8)},
                   {"a/double", tensor({0.1, -0.0, 1e300}, DType::Float64)},
                   {"empty", zeros({0, 4}, DType::Int32)},
                   {"scalar \"\xc3\xa4\"\n", tensor(-5, DType::Int32)}};
  state.numbers = {{"step", 12345}, {"third", 1.0 / 3.0}, {"tiny", 5e-324}, {"", -0.0}};
  state.integers = {{"none", 0}, {"most", ~std::uint64_t{0}}, {"odd", (std::uint64_t{1} << 53) + 1}};
  return state;
}

void expect_same(const State& a, const State& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
  }
  EXPECT_EQ(a.numbers, b.numbers);
  EXPECT_EQ(a.integers, b.integers);
}

TEST(Safetensors, RoundTripIsExact) {
  const State state = sample();
  const State back = read(written(state));
  expect_same(state, back);
  EXPECT_TRUE(std::signbit(back.numbers.at("")));
  EXPECT_TRUE(std::signbit(back.find("a/double")->at({1})));
  expect_same(State{}, read(written(State{})));
}

TEST(Safetensors, NumbersThatAreNotFinite) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const State back = read(written({{}, {{"a", kInfinity}, {"b", -kInfinity}, {"c", std::nan("")}}}));
  EXPECT_EQ(back.numbers.at("a"), kInfinity);
  EXPECT_EQ(back.numbers.at("b"), -kInfinity);
  EXPECT_TRUE(std::isnan(back.numbers.at("c")));
}

TEST(Safetensors, BytesAreThoseOfTheFormat) {
  State state;
  state.tensors = {{"w", tensor({{1, 2}})}, {"n", tensor({3}, DType::UInt8)}};
  state.numbers = {{"step", 0.5}};
  std::string header =
      R"({"__metadata__":{"tapegrad.number.step":"0.5"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("n":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}})";
  while (header.size() % 8 != 0) header += ' ';
  EXPECT_EQ(written(state), file_of(header, {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 3}));
  EXPECT_EQ(written(sample()), written(sample()));
}

// The format once more, read as its description says and with none of the library's code.
struct Described {
  std::string dtype;
  std::vector<std::int64_t> shape;
  Bytes data;
};

std::map<std::string, Described> read_by_description(const Bytes& file, nlohmann::json& metadata) {
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length += std::uint64_t{file.at(i)} << 8 * i;
  const std::string header(file.begin() + 8, file.begin() + 8 + static_cast<std::ptrdiff_t>(length));
  EXPECT_EQ(header.front(), '{');
  EXPECT_EQ((8 + length) % 8, 0u) << "the elements are aligned";
  EXPECT_EQ(header.find_first_not_of(' ', header.rfind('}') + 1), std::string::npos) << "padded with spaces";
  std::map<std::string, Described> tensors;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  const nlohmann::json parsed = nlohmann::json::parse(header);
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.items()) EXPECT_TRUE(value.is_string()) << key;
      metadata = entry;
      continue;
    }
    EXPECT_EQ(entry.size(), 3u) << name;
    const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>();
    const auto end = entry.at("data_offsets").at(1).get<std::uint64_t>();
    ranges.emplace_back(begin, end);
    const auto data = file.begin() + 8 + static_cast<std::ptrdiff_t>(length);
    EXPECT_LE(end, file.size() - 8 - length);
    tensors[name] = {
        entry.at("dtype"), entry.at("shape"),
        Bytes(data + static_cast<std::ptrdiff_t>(begin), data + static_cast<std::ptrdiff_t>(end))};
  }
  std::ranges::sort(ranges);
  std::uint64_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    EXPECT_EQ(begin, covered);
    covered = end;
  }
  EXPECT_EQ(covered, file.size() - 8 - length);
  return tensors;
}

TEST(Safetensors, EveryDTypeAndShapeIsAsTheFormatIsDescribed) {
  const std::vector<Shape> shapes = {
      {}, {1}, {0}, {3}, {2, 3}, {0, 4}, {4, 0, 2}, {1, 2, 1, 3}, {1, 1, 2, 1, 1, 2, 1, 3}};
  const std::map<DType, std::string> names = {
      {DType::Float32, "F32"}, {DType::Float64, "F64"}, {DType::Int32, "I32"}, {DType::UInt8, "U8"}};
  Generator generator(3);
  State state;
  for (const auto& [dtype, name] : names)
    for (const Shape& shape : shapes)
      state.tensors.emplace_back(name + shape.str(),
                                 cast(uniform(shape, 0, 250, generator, DType::Float64), dtype));
  state.numbers = {{"a", 0.1}};
  state.integers = {{"b", ~std::uint64_t{0}}};
  nlohmann::json metadata;
  const auto described = read_by_description(written(state), metadata);
  EXPECT_EQ(metadata, nlohmann::json::parse(
                          R"({"tapegrad.number.a": "0.1", "tapegrad.integer.b": "18446744073709551615"})"));
  ASSERT_EQ(described.size(), state.tensors.size());
  for (const auto& [name, x] : state.tensors) {
    const Described& d = described.at(name);
    EXPECT_EQ(d.dtype, names.at(x.dtype()));
    EXPECT_EQ(Shape(d.shape), x.shape());
    dispatch(x.dtype(), [&, &values = x](auto type) {
      const auto elements = values.template values<typename decltype(type)::type>();
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(elements.data());
      EXPECT_EQ(d.data, Bytes(bytes, bytes + elements.size_bytes()));  // little-endian, as this machine is
    });
  }
  expect_same(read(written(state)), state);
  EXPECT_EQ(written(state), written(state));
}

TEST(Safetensors, TheHeaderAlone) {
  const SafetensorsHeader header =
      read_safetensors_header(std::filesystem::path(TAPEGRAD_FIXTURES) / "pytorch_model.safetensors");
  EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_GE(header.tensors.size(), 7u);
  EXPECT_EQ(header.tensors[0].name, "0.weight");
  EXPECT_EQ(header.tensors[0].dtype, "F16");
  EXPECT_EQ(header.tensors[0].shape, (Shape{8, 3, 3, 3}));
  EXPECT_EQ(header.tensors[6].dtype, "I64");
}

TEST(Safetensors, ViewsAreWrittenAlone) {
  const Tensor whole = arange(10);
  const State back = read(written({{{"part", TensorAccess::view(whole, {2, 2}, 3)}}, {}}));
  EXPECT_TRUE(equal(back.tensors[0].second, tensor({{3, 4}, {5, 6}})));
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const Bytes whole = written(sample());
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))), "")
        << length;
}

TEST(Safetensors, TrailingBytesAreAnError) {
  Bytes longer = written(sample());
  longer.push_back(0);
  expect_contains(refusal(longer), "tensors take only");
}

// Whatever one bit does to a file, it is read or refused.
TEST(Safetensors, FlippedBitsAreReadOrRefused) {
  const Bytes whole = written(sample());
  const TemporaryFolder folder;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    write_bytes(folder / "x", flipped);
    try {
      read_safetensors(folder / "x");
      EXPECT_GE(bit / 8, 8u) << "the length of the header was changed";
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "read_safetensors");
    }
  }
}

TEST(Safetensors, OtherTypesAreConverted) {
  const State state = read(file_of(
      R"({"b":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]},"h":{"dtype":"F16","shape":[7],"data_offsets":[2,16]},)"
      R"("g":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},"i":{"dtype":"I64","shape":[2],"data_offsets":[20,36]}})",
      {1,    0,                                                                 // BOOL
       0,    0x3c, 0,    0xc0, 1, 0, 0xff, 0x7b, 0, 0x7c, 0, 0x80, 0xff, 0x83,  // F16
       0x80, 0x3f, 0x49, 0xc0,                                                  // BF16
       0xff, 0xff, 0xff, 0x7f, 0, 0, 0,    0,    0, 0,    0, 0x80, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_TRUE(equal(*state.find("b"), tensor({1, 0}, DType::UInt8)));
  const Tensor& half = *state.find("h");
  EXPECT_TRUE(equal(half, tensor({1.0, -2.0, 0x1p-24, 65504.0, std::numeric_limits<float>::infinity(), -0.0,
                                  -1023 * 0x1p-24})));
  EXPECT_TRUE(std::signbit(half.at({5})));
  EXPECT_TRUE(equal(*state.find("g"), tensor({1.0, -3.140625})));
  EXPECT_TRUE(equal(*state.find("i"), tensor({2147483647.0, -2147483648.0}, DType::Int32)));

  expect_contains(
      refusal(R"({"x":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", {0, 0, 0, 0x80, 0, 0, 0, 0}),
      "2147483648 in the tensor 'x' of I64");
  expect_contains(refusal(R"({"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", {2}), "BOOL");
  expect_contains(refusal(R"({"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", {2}), "'F8_E4M3'");
}

TEST(Safetensors, Float16MatchesItsDefinition) {
  Bytes data;
  for (int bits = 0; bits < 0x10000; ++bits) {
    data.push_back(static_cast<std::uint8_t>(bits & 255));
    data.push_back(static_cast<std::uint8_t>(bits >> 8));
  }
  const State state =
      read(file_of(R"({"x":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}})", data));
  const auto values = state.tensors[0].second.values<float>();
  for (std::size_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
    double expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? HUGE_VAL : NAN;
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(values[bits])) << bits;
    } else {
      EXPECT_EQ(values[bits], bits & 0x8000 ? -expected : expected) << bits;
    }
    EXPECT_EQ(std::signbit(values[bits]), (bits & 0x8000) != 0) << bits;
  }
}

TEST(Safetensors, OrderIsThatOfTheHeader) {
  const State state = read(file_of(R"({"second":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                                   R"("none":{"shape":[0],"data_offsets":[1,1],"dtype":"F64"},)"
                                   R"("first":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}   )",
                                   {10, 20}));
  expect_same(state, {{{"second", tensor({20}, DType::UInt8)},
                       {"none", zeros({0}, DType::Float64)},
                       {"first", tensor(10, DType::UInt8)}},
                      {}});
}

TEST(Safetensors, ForeignMetadataIsIgnored) {
  const State state =
      read(file_of(R"({"__metadata__":{"format":"pt","tapegrad.number.lr":"0.25","step":"7"}})"));
  EXPECT_EQ(state.numbers, (std::map<std::string, double>{{"lr", 0.25}}));
  for (const char* bad : {"", "1,5", "x", "1 ", " 1", "1e999", "0x10"})
    expect_contains(refusal(R"({"__metadata__":{"tapegrad.number.lr":")" + std::string(bad) + R"("}})"),
                    "'lr'");
  for (const char* bad : {"", "-1", "+1", "1.0", "1e3", "x", "1 ", " 1", "0x10", "18446744073709551616"})
    expect_contains(refusal(R"({"__metadata__":{"tapegrad.integer.seed":")" + std::string(bad) + R"("}})"),
                    "'seed'");
}

TEST(Safetensors, HeaderLength) {
  for (const std::uint64_t length : {std::uint64_t{1} << 63, ~std::uint64_t{0}, std::uint64_t{1} << 32,
                                     std::uint64_t{100'000'001}, std::uint64_t{3}, ~std::uint64_t{0} - 7})
    expect_contains(refusal(file_of(length, "{}")), "header would be " + std::to_string(length));
  refusal(file_of(std::uint64_t{1}, "{}"));
  refusal(file_of(std::uint64_t{0}, ""));
  EXPECT_TRUE(read(file_of("{}")).tensors.empty());
}

TEST(Safetensors, HeaderMustBeTheJsonOfTheFormat) {
  for (const char* header : {"[]",
                             " {}",
                             "",
                             "null",
                             "{",
                             "{}}",
                             "{} x",
                             "{\"a\":1}",
                             "{\"a\":null}",
                             "{\"a\":[]}",
                             "{\"a\":\"b\"}",
                             "{\"a\":true}",
                             "{\"a\":{}}",
                             "{\"__metadata__\":1}",
                             "{\"__metadata__\":{\"a\":1}}",
                             "{\"__metadata__\":{\"a\":{}}}",
                             "{\"__metadata__\":{\"a\":[]}}",
                             "{\"__metadata__\":\"x\"}",
                             "{\"__metadata__\":{},\"__metadata__\":{}}",
                             "{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}}",
                             "{\"a\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"})
    EXPECT_NE(refusal(std::string(header)), "") << header;
  // Each field of a tensor: missing, twice, unknown, of the wrong kind.
  const std::string dtype = R"("dtype":"U8")", shape = R"("shape":[1])", offsets = R"("data_offsets":[0,1])";
  const auto with = [](const std::string& fields) { return refusal("{\"a\":{" + fields + "}}", {9}); };
  EXPECT_EQ(read(file_of("{\"a\":{" + dtype + "," + shape + "," + offsets + "}}", {9})).tensors.size(), 1u);
  with(dtype + "," + shape);
  with(dtype + "," + offsets);
  with(shape + "," + offsets);
  expect_contains(with(dtype + "," + shape + "," + offsets + "," + shape), "'shape' twice");
  expect_contains(with(dtype + "," + shape + "," + offsets + R"(,"strides":[1])"), "'strides'");
  using Words = std::pair<const char*, const char*>;
  for (const auto& [bad, why] :
       {Words{"-1", "a negative number"}, Words{"1.0", "not whole"}, Words{"1e0", "not whole"},
        Words{"true", "a boolean"}, Words{"\"1\"", "a string"}, Words{"null", "null"},
        Words{"[1]", "an array"}, Words{"{}", "an object"},
        Words{"18446744073709551616", "a number that is too large"}, Words{"-0", "a negative number"}}) {
    expect_contains(with(dtype + "," + offsets + R"(,"shape":[)" + bad + "]"), why);
    expect_contains(with(dtype + "," + shape + R"(,"data_offsets":[0,)" + bad + "]"), why);
    expect_contains(with(shape + "," + offsets + R"(,"dtype":)" + bad), bad[0] == '"' ? "'1'" : why);
  }
  for (const char* bad : {"[]", "[0]", "[0,1,1]", "1", "\"01\"", "{}"})
    with(dtype + "," + shape + R"(,"data_offsets":)" + bad);
  expect_contains(refusal(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                          R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
                  "'a' twice");
}

TEST(Safetensors, DeepAndLongJsonCostsNothing) {
  std::string deep(1'000'000, '[');
  refusal("{\"a\":" + deep);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  refusal(objects);
  std::string ones = "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1],\"shape\":[1";
  for (int i = 0; i < 100'000; ++i) ones += ",1";
  expect_contains(refusal(ones + "]}}", {0}), "more than 8");
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& begin,
                const std::string& end) {
  return R"({"dtype":")" + dtype + R"(","shape":[)" + shape + R"(],"data_offsets":[)" + begin + "," + end +
         "]}";
}

TEST(Safetensors, OffsetsMustCoverTheDataOnce) {
  const Bytes data(8);
  const auto two = [&](const std::string& a, const std::string& b) {
    return refusal("{\"a\":" + a + ",\"b\":" + b + "}", data);
  };
  EXPECT_EQ(
      read(file_of("{\"a\":" + one("U8", "4", "4", "8") + ",\"b\":" + one("F32", "", "0", "4") + "}", data))
          .tensors.size(),
      2u);
  two(one("U8", "4", "0", "4"), one("U8", "5", "3", "8"));   // overlapping
  two(one("U8", "8", "0", "8"), one("U8", "8", "0", "8"));   // the same bytes twice
  two(one("U8", "3", "0", "3"), one("U8", "4", "4", "8"));   // a hole
  two(one("U8", "3", "1", "4"), one("U8", "4", "4", "8"));   // a hole in front
  two(one("U8", "4", "0", "4"), one("U8", "3", "4", "7"));   // a hole at the end
  two(one("U8", "4", "0", "4"), one("U8", "5", "4", "9"));   // past the end
  two(one("U8", "4", "4", "0"), one("U8", "4", "4", "8"));   // backwards
  two(one("U8", "4", "0", "4"), one("U8", "0", "9", "9"));   // nothing, outside
  two(one("U8", "4", "0", "4"), one("F32", "4", "4", "8"));  // the wrong size
  const std::string top = "18446744073709551615";
  two(one("U8", "8", "0", "8"), one("U8", top, "8", top));
  two(one("U8", "8", "0", "8"), one("U8", "1", top, "0"));
  two(one("U8", "8", "0", "8"), one("U8", "0", top, top));
}

TEST(Safetensors, AbsurdShapes) {
  const auto shaped = [](const std::string& shape) {
    return refusal("{\"a\":" + one("F64", shape, "0", "8") + "}", Bytes(8));
  };
  expect_contains(shaped("9223372036854775808"), "impossible shape");
  expect_contains(shaped("9223372036854775807"), "impossible shape");
  expect_contains(shaped("4294967296,4294967296"), "impossible shape");  // 2^64, which would wrap to 0
  expect_contains(shaped("0,4294967296,4294967296"), "impossible shape");
  shaped("2305843009213693953");  // times 8 wraps to 8
  shaped("1,1,1,1,1,1,1,1,1");
  shaped("0");
  shaped("2");
  EXPECT_EQ(read(file_of("{\"a\":" + one("F64", "1,1,1,1,1,1,1,1", "0", "8") + "}", Bytes(8)))
                .tensors[0]
                .second.rank(),
            8);
}

TEST(Safetensors, WriterRefusesWhatCannotBeRead) {
  const TemporaryFolder folder;
  const auto refused = [&](const State& state) {
    return error_of("write_safetensors", [&] { write_safetensors(folder / "x", state); });
  };
  const Tensor x = tensor({1});
  expect_contains(refused({{{"a", x}, {"a", x}}, {}}), "'a'");
  expect_contains(refused({{{"__metadata__", x}}, {}}), "__metadata__");
  expect_contains(refused({{{"a", Tensor()}}, {}}), "not defined");
  expect_contains(refused({{{"\xff", x}}, {}}), "UTF-8");
  expect_contains(refused({{}, {{"\xff", 1}}}), "UTF-8");
  EXPECT_EQ(folder.entries(), 0u);
  expect_contains(error_of("write_safetensors", [&] { write_safetensors(folder / "no/x", {}); }),
                  "No such file");
  expect_contains(error_of("read_safetensors", [&] { read_safetensors(folder / "no"); }), "No such file");
}

class CommaLocale : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST(Safetensors, LocaleDoesNotMatter) {
  const Bytes expected = written(sample());
  const std::locale before = std::locale::global(std::locale(std::locale(), new CommaLocale));
  const Bytes bytes = written(sample());
  const State back = read(bytes);
  std::locale::global(before);
  EXPECT_EQ(bytes, expected);
  expect_same(back, sample());
}

}  // namespace
}  // namespace tapegrad
