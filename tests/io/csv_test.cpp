#include "tapegrad/io/csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <locale>

#include "io/hostile.h"
#include "io/temporary.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::damage, testing::error_of, testing::expect_contains, testing::MemoryLimit,
    testing::TemporaryFolder, testing::write_bytes;

Bytes bytes_of(const std::string& text) {
  return Bytes(text.begin(), text.end());
}

Table read(const std::string& text, const CsvOptions& options = {}) {
  const TemporaryFolder folder;
  write_bytes(folder / "x.csv", bytes_of(text));
  return read_csv(folder / "x.csv", options);
}

std::string refusal(const std::string& text, const CsvOptions& options = {}) {
  const MemoryLimit little(std::size_t{64} << 20);
  return error_of("read_csv", [&] { read(text, options); });
}

using Names = std::vector<std::string>;

TEST(Csv, ReadsNumbers) {
  const Table table = read("a,b,c\n1,2.5,-3\n+4,5e2,.5\n");
  EXPECT_EQ(table.columns, (Names{"a", "b", "c"}));
  EXPECT_TRUE(equal(table.values, tensor({{1, 2.5, -3}, {4, 500, 0.5}})));
  EXPECT_FALSE(table.labels.defined());
  EXPECT_TRUE(equal(read("a\n0.1\n", {.dtype = DType::Float64}).values, tensor({{0.1}}, DType::Float64)));
  EXPECT_TRUE(equal(read("a;b\n1;2\n", {.separator = ';'}).values, tensor({{1, 2}})));
  EXPECT_TRUE(equal(read("a\tb\n1\t2\n", {.separator = '\t'}).values, tensor({{1, 2}})));
  EXPECT_EQ(read("a,b\n").values.shape(), (Shape{0, 2}));
  const Tensor special = read("a,b,c\nnan,inf,-inf\n").values;
  EXPECT_TRUE(std::isnan(special.at({0, 0})));
  EXPECT_EQ(special.at({0, 1}), INFINITY);
  EXPECT_EQ(special.at({0, 2}), -INFINITY);
}

TEST(Csv, LinesQuotesAndSpaces) {
  const Tensor expected = tensor({{1, 2}, {3, 4}});
  for (const char* text :
       {"a,b\n1,2\n3,4\n", "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "\n\na,b\n\n1,2\n\n3,4\n\n\n",
        "\xEF\xBB\xBF"
        "a,b\n1,2\n3,4\n",
        "a,b\r1,2\r3,4\r", "a,b\r\r1,2\r3,4",  // old Macs
        " a , b \n 1 ,\t2 \n 3 , 4 \n", "\"a\",\"b\"\n\"1\",\"2\"\n \"3\" ,4\n"}) {
    const Table table = read(text);
    EXPECT_EQ(table.columns, (Names{"a", "b"})) << text;
    EXPECT_TRUE(equal(table.values, expected)) << text;
  }
  EXPECT_EQ(read("\"a,\"\"b\"\"\nc\",d\n1,2\n").columns, (Names{"a,\"b\"\nc", "d"}));
  // Also where a piece of the file that is read at a time ends.
  std::string longer = "a,b\n";
  for (int i = 0; i < 30000; ++i) longer += std::to_string(i) + ",\"" + std::to_string(i % 7) + "\"\r\n";
  const Table table = read(longer);
  ASSERT_EQ(table.values.shape(), (Shape{30000, 2}));
  for (index_t i = 0; i < 30000; ++i) {
    EXPECT_EQ(table.values.at({i, 0}), static_cast<double>(i));
    EXPECT_EQ(table.values.at({i, 1}), static_cast<double>(i % 7));
  }
}

TEST(Csv, LabelsAreNumbersOrNames) {
  const Table whole = read("x,y,z\n1,7,2\n3,-1,4\n", {.label = "y"});
  EXPECT_EQ(whole.columns, (Names{"x", "z"}));
  EXPECT_TRUE(equal(whole.values, tensor({{1, 2}, {3, 4}})));
  EXPECT_TRUE(equal(whole.labels, tensor({7, -1}, DType::Int32)));
  EXPECT_TRUE(whole.label_names.empty());
  EXPECT_TRUE(equal(read("x,y\n1,7\n3,0.5\n", {.label = "y"}).labels, tensor({7, 0.5})));
  EXPECT_TRUE(equal(read("x,y\n1,7\n3,3e9\n", {.label = "y", .dtype = DType::Float64}).labels,
                    tensor({7, 3e9}, DType::Float64)));
  const Table names = read("kind,x\nfig,1\nbanana,2\nfig,3\nApple,4\n7,5\n", {.label = "kind"});
  EXPECT_EQ(names.label_names, (Names{"7", "Apple", "banana", "fig"}));
  EXPECT_TRUE(equal(names.labels, tensor({3, 2, 3, 1, 0}, DType::Int32)));
  EXPECT_EQ(read("y\n1\n", {.label = "y"}).values.shape(), (Shape{1, 0}));
  EXPECT_TRUE(equal(read("x,y\n", {.label = "y"}).labels, zeros({0}, DType::Int32)));
}

// Two labels stay two.
TEST(Csv, WholeLabelsBeyondInt32) {
  const std::string ids = "x,y\n1,3000000001\n2,3000000002\n", exact = "x,y\n1,4294967296\n2,7\n";
  EXPECT_TRUE(equal(read(ids, {.label = "y", .dtype = DType::Float64}).labels,
                    tensor({3000000001, 3000000002}, DType::Float64)));
  const std::string what = refusal(ids, {.label = "y"});
  EXPECT_NE(what.find("3000000001 in row 1"), std::string::npos) << what;
  EXPECT_NE(what.find("Float64"), std::string::npos) << what;
  EXPECT_TRUE(equal(read(exact, {.label = "y"}).labels, tensor({4294967296, 7})));
  EXPECT_TRUE(equal(read("x,y\n1,2147483647\n", {.label = "y"}).labels, tensor({2147483647}, DType::Int32)));
  // Of numbers that are not whole nobody expects all digits.
  EXPECT_TRUE(equal(read("x,y\n1,3000000001.5\n2,3\n", {.label = "y"}).labels, tensor({3000000001.5, 3})));
}

TEST(Csv, WhatIsNearerToZeroThanAnyNumberIsZero) {
  const std::string tiny = "0." + std::string(400, '0') + "1",
                    long_one = "1" + std::string(400, '0') + "e-800";
  for (const std::string& zero :
       {std::string("1e-400"), std::string("2.4e-324"), std::string("1E-99999999999999999999"), tiny,
        long_one, std::string("0e-999"), std::string("0e999")})
    for (const std::string sign : {"", "-", "+"}) {
      const Tensor x = read("a\n" + sign + zero + "\n", {.dtype = DType::Float64}).values;
      EXPECT_EQ(x.item(), 0) << sign << zero;
      EXPECT_EQ(std::signbit(x.item()), sign == "-") << sign << zero;
      const Table labelled =
          read("a,y\n1," + sign + zero + "\n2,3\n", {.label = "y", .dtype = DType::Float64});
      EXPECT_TRUE(equal(labelled.labels, tensor({0, 3}, DType::Int32))) << sign << zero;
      EXPECT_TRUE(labelled.label_names.empty());
    }
  EXPECT_EQ(read("a\n1e-50\n").values.item(), 0);  // nearer to 0 than any Float32
  EXPECT_EQ(read("a\n5e-324\n", {.dtype = DType::Float64}).values.item(), 5e-324);
  for (const std::string& large : {std::string("1e400"), std::string("-1e400"), "1" + std::string(400, '0'),
                                   std::string("0.001e320"), std::string("1e99999999999999999999")})
    expect_contains(refusal("a\n" + large + "\n", {.dtype = DType::Float64}), "line 2, column 1 ('a')");
}

// The first label tells whether labels are names: one that is too large a number is none.
TEST(Csv, ALabelThatIsTooLargeIsNoName) {
  for (const char* const large : {"1e400", "-1e400", "+1e400"})
    for (const std::string& rows :
         {"1," + std::string(large) + "\n2,3\n", "2,3\n1," + std::string(large) + "\n"})
      expect_contains(refusal("a,y\n" + rows, {.label = "y", .dtype = DType::Float64}), "column 2 ('y')");
  EXPECT_EQ(read("a,y\n1,+-5\n2,3\n", {.label = "y"}).label_names, (Names{"+-5", "3"}));
}

TEST(Csv, MistakesAreNamedWithLineAndColumn) {
  expect_contains(refusal("a,b\n1,2\n\n3,x4\n"),
                  "'x4', which is not a number that fits, in line 4, column 2 ('b')");
  expect_contains(refusal("a,b\n1,2\n3,\n"), "nothing in line 3, column 2 ('b')");
  for (const char* field : {"1,5", "1 5", "0x10", "1e999", "--1", "+-1", "1.", "true", "1_000"})
    if (std::string(field) != "1.")
      expect_contains(refusal("a\n\"" + std::string(field) + "\"\n"), "line 2, column 1 ('a')");
  expect_contains(refusal("a\n1e39\n"), "1e39, which Float32 does not hold, in line 2");
  EXPECT_EQ(read("a\n1e39\n", {.dtype = DType::Float64}).values.item(), 1e39);
  expect_contains(refusal("a,b\n1,2\n3\n"), "1 fields in line 3, but its first line names 2 columns");
  expect_contains(refusal("a,b\n1,2,3\n"), "3 fields in line 2");
  expect_contains(refusal("a,\"b\nc\"\n1,2\n3,4,5\n"), "3 fields in line 4");  // the name has two lines
  expect_contains(refusal("y,x\n1,2\nfig,3\n", {.label = "y"}),
                  "'fig', which is not a number that fits, in line 3");
  expect_contains(refusal("1,2\n3,4\n"), "begins with numbers");
  expect_contains(refusal("a,a\n1,2\n"), "two columns called 'a'");
  expect_contains(refusal("a,b\n1,2\n", {.label = "c"}), "no column called 'c', but these: a, b");
  expect_contains(refusal(""), "is empty");
  expect_contains(refusal("\n\n"), "is empty");
  expect_contains(refusal("a\n\"1\n"), "ends inside a quoted field that began in line 2");
  expect_contains(refusal("a,b\n\"1\"x,2\n"), "behind a closing quote in line 2, column 1");
  expect_contains(refusal("a\r1\r\r2x\r"), "'2x', which is not a number that fits, in line 4");
  expect_contains(refusal("a,y\n1,\n2,3\n", {.label = "y"}), "nothing in line 2, column 2 ('y')");
  for (const char* blank : {"\"\"", "\" \"", "\"\t \"", "  "})
    expect_contains(refusal("a,y\n1,cat\n2," + std::string(blank) + "\n", {.label = "y"}),
                    "nothing in line 3, column 2 ('y')");
  expect_contains(refusal("a,y\n1,0.5\n2,1e39\n", {.label = "y"}),
                  "1e39, which Float32 does not hold, in line 3");
  for (const std::string& text : {std::string("\xff\xfe"
                                              "a\0\n\0",
                                              6),
                                  std::string("\xfe\xff\0a\0\n", 6)})
    expect_contains(refusal(text), "UTF-16");
  for (const std::string& text :
       {std::string("a\n1\0002\n", 6), std::string("a\0b\n1\n", 6), std::string("a\n\"\0\"\n", 6)}) {
    expect_contains(refusal(text), "NUL byte in line");
    expect_contains(refusal(text), "UTF-8");
  }
  refusal("a\n1\n", {.dtype = DType::Int32});
  refusal("a\n1\n", {.separator = '.'});
  expect_contains(error_of("read_csv", [] { read_csv("/nowhere.csv"); }), "No such file");
}

TEST(Csv, HostileFiles) {
  expect_contains(refusal("a\n\"" + std::string(5'000'000, 'x')),
                  "a field of more than 10000 bytes in line 2");
  expect_contains(refusal(std::string(5'000'000, ',')), "more than 100000 columns in line 1");
  std::string wide = "a0";  // 90,000 columns, and 100,000 rows that are too short: 36 GB if they were not
  for (int i = 1; i < 90'000; ++i) wide += ",a" + std::to_string(i);
  wide += "\n";
  for (int i = 0; i < 100'000; ++i) wide += "1\n";
  expect_contains(refusal(wide), "1 fields in line 2");
  std::string binary;
  for (int i = 0; i < 1000; ++i) binary += static_cast<char>(i * 37);
  refusal(binary);
}

TEST(Csv, DamagedFilesAreRefusedOrRead) {
  const TemporaryFolder folder;
  const Bytes whole = bytes_of("a,\"b\"\n1,fig\n");
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    write_bytes(folder / "x", flipped);
    try {
      EXPECT_EQ(read_csv(folder / "x", {.label = "b"}).values.rank(), 2);
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "read_csv");
    }
  }
}

}  // namespace
}  // namespace tapegrad
