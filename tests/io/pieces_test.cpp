// A system may read and write less than it was asked for, or be interrupted: on network file systems it does.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>

#include "tapegrad/tapegrad.h"
#include "temporary.h"

namespace tapegrad::testing {
namespace {

// The most bytes that a call reads or writes; 0 leaves it to the system. Every second call is interrupted.
std::size_t in_pieces_of = 0;
int calls = 0, failing_call = 0;  // that call finds the device broken

bool interrupted(std::size_t& count) {
  if (in_pieces_of == 0) return false;
  if (calls + 1 == failing_call) {
    ++calls;
    errno = EIO;
    return true;
  }
  count = std::min(count, in_pieces_of);
  errno = EINTR;
  return ++calls % 2 == 0;
}

}  // namespace
}  // namespace tapegrad::testing

// In place of the C library's, for the whole program.
extern "C" ssize_t read(int fd, void* to, std::size_t count) {
  return tapegrad::testing::interrupted(count) ? -1 : ::syscall(SYS_read, fd, to, count);
}
extern "C" ssize_t pread(int fd, void* to, std::size_t count, off_t offset) {
  return tapegrad::testing::interrupted(count) ? -1 : ::syscall(SYS_pread64, fd, to, count, offset);
}
extern "C" ssize_t write(int fd, const void* from, std::size_t count) {
  return tapegrad::testing::interrupted(count) ? -1 : ::syscall(SYS_write, fd, from, count);
}

namespace tapegrad::testing {
namespace {

// Runs f where nothing is read or written in one piece; the calls that it made.
template <class F>
int in_pieces(F&& f, int failing = 0) {
  calls = 0, in_pieces_of = 7, failing_call = failing;
  try {
    f();
  } catch (...) {
    in_pieces_of = 0;
    throw;
  }
  in_pieces_of = 0;
  return calls;
}

// Written in pieces a file has the same bytes, and read in pieces it has the same content: written again, those bytes.
template <class Value>
void expect_same(const std::string& name, const Value& value,
                 const std::function<void(const std::filesystem::path&, const Value&)>& write,
                 const std::function<Value(const std::filesystem::path&)>& read) {
  SCOPED_TRACE(name);
  const TemporaryFolder folder;
  const std::filesystem::path whole = folder / name, pieces = folder / ("pieces_" + name),
                              again = folder / ("again_" + name);
  write(whole, value);
  EXPECT_GT(in_pieces([&] { write(pieces, value); }), 10);
  EXPECT_EQ(read_bytes(pieces), read_bytes(whole));
  Value got;
  EXPECT_GT(in_pieces([&] { got = read(whole); }), 10);
  write(again, got);
  EXPECT_EQ(read_bytes(again), read_bytes(whole));
}

TEST(InPieces, EveryFormatIsWrittenAndRead) {
  Generator generator(4);
  const Tensor a = uniform({5, 7}, 0, 1, generator), b = uniform({3}, 0, 1, generator, DType::Float64);
  const NamedTensors named{{"a", a}, {"b", b}};
  const State state{.tensors = named, .numbers = {{"rate", 0.1}}};
  for (const bool compressed : {false, true})
    expect_same<NamedTensors>(
        "x.npz", named, [&](auto& path, auto& x) { write_npz(path, x, {.compressed = compressed}); },
        read_npz);
  expect_same<Tensor>("x.npy", a, write_npy, read_npy);
  expect_same<Tensor>("rows.npy", a, write_npy, [](auto& path) {
    return concat({open_npy(path).rows(0, 2), open_npy(path).rows(2, 3)}, 0);
  });
  for (const char* name : {"x.idx", "x.idx.gz"}) expect_same<Tensor>(name, a, write_idx, read_idx);
  expect_same<Tensor>("rows.idx", a, write_idx, [](auto& path) { return open_idx(path).rows(0, 5); });
  expect_same<State>("x.safetensors", state, write_safetensors, read_safetensors);
  expect_same<Checkpoint>("x.checkpoint", {.state = state, .step = 3, .metric = 0.5}, write_checkpoint,
                          read_checkpoint);
  Image image(9, 4, 3);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 7);
  expect_same<Image>("x.png", image, write_png, [](auto& path) { return read_image(path, 3); });
}

// A device that fails at any call: an error that says so, and no file that is half written.
TEST(InPieces, BrokenDevicesAreTold) {
  const TemporaryFolder folder;
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  write_npy(folder / "x.npy", x);
  write_idx(folder / "x.gz", x);
  write_npz(folder / "x.npz", {{"x", x}});
  const auto each = [](const char* what, const std::function<void()>& f) {
    const int needed = in_pieces(f);
    ASSERT_GT(needed, 10);
    for (int failing = 1; failing <= needed; ++failing) {
      const std::string said = error_of(what, [&] { in_pieces(f, failing); });
      in_pieces_of = 0;
      EXPECT_NE(said.find("Input/output error"), std::string::npos)
          << what << ", call " << failing << ": " << said;
    }
  };
  each("read_npy", [&] { (void)read_npy(folder / "x.npy"); });
  each("read_idx", [&] { (void)read_idx(folder / "x.gz"); });
  each("read_npz", [&] { (void)read_npz(folder / "x.npz"); });
  const std::size_t entries = folder.entries();
  each("write_npy", [&] { write_npy(folder / "x.npy", x); });
  EXPECT_EQ(folder.entries(), entries);
  EXPECT_TRUE(equal(read_npy(folder / "x.npy"), x));
}

TEST(InPieces, TablesAreRead) {
  const TemporaryFolder folder;
  const std::string text = "a,b,label\n1,2,x\n3.5,4,y\n5,6,x\n";
  write_bytes(folder / "x.csv", Bytes(text.begin(), text.end()));
  Table table;
  EXPECT_GT(in_pieces([&] { table = read_csv(folder / "x.csv", {.label = "label"}); }), 5);
  EXPECT_EQ(table.values.at({1, 0}), 3.5);
  EXPECT_EQ(table.values.at({2, 1}), 6);
  EXPECT_EQ(table.label_names, (std::vector<std::string>{"x", "y"}));
}

}  // namespace
}  // namespace tapegrad::testing
