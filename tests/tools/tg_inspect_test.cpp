// tools/tg-inspect, as a user runs it.

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <regex>

#include "io/temporary.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::expect_contains, testing::read_bytes, testing::TemporaryFolder,
    testing::write_bytes;

struct Result {
  int code = -1;
  std::string text;  // standard output and errors
};

Result inspect(const std::string& arguments) {
  Result result;
  // Little memory: a hostile file must not take more.
  std::FILE* pipe = ::popen(("ulimit -v 1000000; '" TG_INSPECT "' " + arguments + " 2>&1").c_str(), "r");
  for (int c; (c = std::fgetc(pipe)) != EOF;) result.text += static_cast<char>(c);
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

std::string quoted(const std::filesystem::path& path) {
  return "'" + path.string() + "'";
}

// The text with all runs of spaces as one.
std::string shown(const std::filesystem::path& path) {
  const Result result = inspect(quoted(path));
  EXPECT_EQ(result.code, 0) << result.text;
  return std::regex_replace(result.text, std::regex(" +"), " ");
}

void expect_refused(const std::string& arguments, const std::string& part) {
  const Result result = inspect(arguments);
  EXPECT_EQ(result.code, 1) << result.text;
  EXPECT_EQ(result.text.rfind("tg-inspect: ", 0), 0u) << result.text;
  EXPECT_EQ(std::ranges::count(result.text, '\n'), 1) << result.text;
  expect_contains(result.text, part);
}

TEST(Inspect, Safetensors) {
  const TemporaryFolder folder;
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  State state;
  state.tensors = {{"conv.kernel", tensor(std::vector<float>{-1, 2, nan, nan, 5, infinity}, {2, 3})},
                   {"empty", zeros({0, 4}, DType::Float64)},
                   {"scalar", tensor(-5, DType::Int32)},
                   {"evil\x1b[2J", tensor(std::vector<float>{nan}, {1})}};
  state.numbers = {{"rate", 0.25}};
  write_safetensors(folder / "x", state);
  const std::string text = shown(folder / "x");
  expect_contains(text, "safetensors, ");
  expect_contains(text, "4 tensors, 8 elements\n");
  expect_contains(text, "name type shape min mean max NaN infinite\n");
  expect_contains(text, "conv.kernel F32 [2, 3] -1 2 inf 2 1\n");
  expect_contains(text, "empty F64 [0, 4] - - - 0 0\n");
  expect_contains(text, "scalar I32 [] -5 -5 -5 0 0\n");
  expect_contains(text, "evil?[2J F32 [1] - - - 1 0\n");
  expect_contains(text, "metadata\n tapegrad.number.rate: 0.25\n");
}

TEST(Inspect, TypesOfTheFileAndForeignMetadata) {
  const std::string text = shown(TAPEGRAD_FIXTURES "/pytorch_model.safetensors");
  expect_contains(text, "0.weight F16 [8, 3, 3, 3] ");
  expect_contains(text, "4.weight BF16 [12, 2, 2, 3] ");
  expect_contains(text, "1.num_batches_tracked I64 [] 0 0 0 0 0\n");
  expect_contains(text, "metadata\n format: pt\n");
}

TEST(Inspect, Checkpoints) {
  const TemporaryFolder folder;
  State state;
  state.tensors = {{"net/w", tensor({1, 2})}};
  write_checkpoint(folder / "x", {.state = state, .step = 1234, .metric = 0.5});
  expect_contains(shown(folder / "x"), "checkpoint of step 1234, metric 0.5, ");
  expect_contains(shown(folder / "x"), "net/w F32 [2] 1 1.5 2 0 0\n");
  Bytes bytes = read_bytes(folder / "x");
  bytes.back() ^= 1;
  write_bytes(folder / "x", bytes);
  expect_refused(quoted(folder / "x"), "[read_checkpoint]");
}

TEST(Inspect, OtherFormats) {
  const TemporaryFolder folder;
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 9}}, DType::UInt8);
  write_npy(folder / "x.npy", x);
  expect_contains(shown(folder / "x.npy"), ": npy, ");
  expect_contains(shown(folder / "x.npy"), "array UInt8 [2, 3] 1 4 9 0 0\n");
  write_npz(folder / "x.npz", {{"a", x}, {"b", tensor({0.5})}}, {.compressed = true});
  expect_contains(shown(folder / "x.npz"), ": npz, ");
  expect_contains(shown(folder / "x.npz"), "a UInt8 [2, 3] 1 4 9 0 0\nb Float32 [1] 0.5 0.5 0.5 0 0\n");
  for (const char* name : {"x.idx", "x.gz"}) {
    write_idx(folder / name, x);
    expect_contains(shown(folder / name), ": IDX, ");
    expect_contains(shown(folder / name), "array UInt8 [2, 3] 1 4 9 0 0\n");
  }
  // An IDX file that has a '{' where the header of safetensors begins.
  write_idx(folder / "brace", tensor({123, 1}, DType::UInt8));
  expect_contains(shown(folder / "brace"), ": IDX, ");
}

TEST(Inspect, Pictures) {
  const TemporaryFolder folder;
  const auto picture = [&](const Tensor& x, const std::string& name = "x", int channels = 1) {
    State state;
    state.tensors = {{name, x}};
    write_safetensors(folder / "x", state);
    const Result result = inspect(quoted(folder / "x") + " --png " + name + " " + quoted(folder / "x.png"));
    EXPECT_EQ(result.code, 0) << result.text;
    EXPECT_EQ(result.text, (folder / "x.png").string() + "\n");
    return read_image(folder / "x.png", channels);
  };
  // A matrix: the least is black, the greatest white; every element a square of 16 x 16.
  const Image matrix = picture(tensor({{-1, 0}, {1, 3}}));
  ASSERT_EQ(matrix.height, 32);
  ASSERT_EQ(matrix.width, 32);
  EXPECT_EQ(*matrix.at(0, 0), 0);
  EXPECT_EQ(*matrix.at(0, 16), 64);
  EXPECT_EQ(*matrix.at(15, 31), 64);
  EXPECT_EQ(*matrix.at(31, 31), 255);
  // Images, with a gap of one pixel around each.
  const Image images = picture(tensor(std::vector<std::uint8_t>{10, 20, 30, 40}, {4, 1, 1, 1}));
  ASSERT_EQ(images.height, 35);
  EXPECT_EQ(*images.at(1, 1), 10);
  EXPECT_EQ(*images.at(34 - 1, 1), 30);
  EXPECT_EQ(picture(zeros({4, 5, 3}, DType::UInt8)).width, 80);
  // Filters: positive ones are red.
  const Image filters = picture(ones({3, 3, 1, 1}), "conv.kernel", 3);
  EXPECT_GT(filters.at(5, 5)[0], filters.at(5, 5)[2]);
  EXPECT_GT(picture(ones({2, 2, 4, 8})).width, 100);
  picture(full({3}, std::nan("")));

  expect_refused(quoted(folder / "x") + " --png none " + quoted(folder / "y.png"), "no tensor 'none'");
  write_npy(folder / "rank5", zeros({1, 1, 1, 1, 1}));
  expect_refused(quoted(folder / "rank5") + " --png array " + quoted(folder / "y.png"), "5 axes");
  write_npy(folder / "empty", zeros({0, 3}));
  expect_refused(quoted(folder / "empty") + " --png array " + quoted(folder / "y.png"), "empty");
  EXPECT_FALSE(std::filesystem::exists(folder / "y.png"));
}

// Of a file whose elements cannot be read the header is shown, and then what is wrong.
TEST(Inspect, ShowsWhatCanBeShown) {
  const TemporaryFolder folder;
  std::string header =
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("large":{"dtype":"I64","shape":[1],"data_offsets":[4,12]},"__metadata__":{"k":"v"}})";
  Bytes bytes{static_cast<std::uint8_t>(header.size()), 0, 0, 0, 0, 0, 0, 0};
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0});  // 2^32
  write_bytes(folder / "x.safetensors", bytes);
  const Result result = inspect(quoted(folder / "x.safetensors"));
  EXPECT_EQ(result.code, 1);
  const std::string text = std::regex_replace(result.text, std::regex(" +"), " ");
  for (const char* part :
       {"a F32 [1]\n", "large I64 [1]\n", "k: v\n", "tg-inspect: [read_safetensors]", "4294967296"})
    expect_contains(text, part);
  expect_refused(quoted(folder / "x.safetensors") + " --png a " + quoted(folder / "y.png"),
                 "[read_safetensors]");
  // A length that is damaged: the file's name tells which reader is to say so.
  std::fill_n(bytes.begin(), 8, std::uint8_t{0});
  write_bytes(folder / "y.safetensors", bytes);
  expect_refused(quoted(folder / "y.safetensors"), "[read_safetensors]");
}

TEST(Inspect, WhatCannotBeReadIsOneLine) {
  const TemporaryFolder folder;
  // Why, in the system's words.
  write_bytes(folder / "file", {1});
  const std::filesystem::path inside = folder / "file/inside", loop = folder / "loop";
  std::filesystem::create_symlink(loop, loop);
  expect_refused(quoted(folder / "none"),
                 "cannot open '" + (folder / "none").string() + "': No such file or directory");
  expect_refused(quoted(inside), "cannot open '" + inside.string() + "': Not a directory");
  expect_refused(quoted(loop), "Too many levels of symbolic links");
  expect_refused(quoted(folder.path()), "is not a regular file");
  const auto refused = [&](const std::string& content, const std::string& part) {
    write_bytes(folder / "x", Bytes(content.begin(), content.end()));
    expect_refused(quoted(folder / "x"), part);
  };
  refused("", "is no file of");
  refused("hello\x1b[2J", "is no file of");
  refused(std::string("\2\0\0\0\0\0\0\0{", 9), "[read_safetensors]");
  refused("\x93NUMPY\1", "[read_npy]");
  refused("PK\3\4", "[read_npz]");
  refused(std::string("\0\0\x08\x03\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff", 16), "[read_idx]");
  refused("\x1f\x8b\x08", "[read_idx]");
  const Result usage = inspect("--colour");
  EXPECT_NE(usage.code, 0);
  expect_contains(usage.text, "--help lists the options");
}

}  // namespace
}  // namespace tapegrad
