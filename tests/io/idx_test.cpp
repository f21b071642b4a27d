#include "tapegrad/io/idx.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <zlib.h>

#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <limits>

#include "io/hostile.h"
#include "io/temporary.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::damage, testing::error_of, testing::expect_contains, testing::read_bytes,
    testing::TemporaryFolder, testing::write_bytes;

Tensor read(const Bytes& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", bytes);
  return read_idx(folder / "x");
}

std::string refusal(const Bytes& bytes) {
  return error_of("read_idx", [&] { read(bytes); });
}

Bytes written(const Tensor& x, const std::string& name = "x") {
  const TemporaryFolder folder;
  write_idx(folder / name, x);
  EXPECT_EQ(folder.entries(), 1u);
  return read_bytes(folder / name);
}

std::vector<Tensor> samples() {
  std::vector<Tensor> made;
  for (const DType dtype : {DType::UInt8, DType::Int32, DType::Float32, DType::Float64})
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{3, 0, 2}, Shape{2, 3, 5},
                               Shape{2, 1, 2, 1, 2, 1, 2, 2}, Shape{40000}}) {
      Tensor x = zeros(shape, dtype);
      dispatch(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        std::uint32_t state = 1;
        for (T& value : x.mutable_values<T>()) {
          state = state * 1664525u + 1013904223u;
          if constexpr (std::is_floating_point_v<T>) {
            value = static_cast<T>(state) / T{7};
          } else {
            value = static_cast<T>(state >> (32 - 8 * sizeof(T)));
          }
        }
      });
      made.push_back(x);
    }
  return made;
}

TEST(Idx, RoundTripIsExact) {
  for (const Tensor& x : samples())
    for (const char* name : {"x.idx", "x.gz"}) {
      const TemporaryFolder folder;
      write_idx(folder / name, x);
      const Tensor back = read_idx(folder / name);
      EXPECT_TRUE(equal(x, back)) << x.shape().str() << " " << name;
      EXPECT_EQ(back.shape(), x.shape());
      EXPECT_EQ(back.dtype(), x.dtype());
    }
}

TEST(Idx, SpecialFloatsKeepTheirBits) {
  const std::vector<double> values{-0.0, std::numeric_limits<double>::infinity(), std::nan("0x123"),
                                   std::numeric_limits<double>::denorm_min()};
  const TemporaryFolder folder;
  write_idx(folder / "x", tensor(values, {4}));
  const Tensor back = read_idx(folder / "x");
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back.values<double>()[i]),
              std::bit_cast<std::uint64_t>(values[i]));
}

TEST(Idx, BytesAreThoseOfTheFormat) {
  EXPECT_EQ(written(tensor({{1, 2, 3}, {4, 5, 255}}, DType::UInt8)),
            (Bytes{0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255}));
  EXPECT_EQ(written(tensor({-2, 0x01020304}, DType::Int32)),
            (Bytes{0, 0, 0x0C, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe, 1, 2, 3, 4}));
  EXPECT_EQ(written(tensor(1.5)), (Bytes{0, 0, 0x0D, 0, 0x3f, 0xc0, 0, 0}));
  EXPECT_EQ(written(tensor(-2, DType::Float64)), (Bytes{0, 0, 0x0E, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Idx, ReadsSmallIntegersAsInt32) {
  EXPECT_TRUE(
      equal(read({0, 0, 0x09, 1, 0, 0, 0, 3, 0x80, 0xff, 0x7f}), tensor({-128, -1, 127}, DType::Int32)));
  EXPECT_TRUE(
      equal(read({0, 0, 0x0B, 1, 0, 0, 0, 2, 0x80, 0x00, 0x01, 0x02}), tensor({-32768, 258}, DType::Int32)));
}

TEST(Idx, GzipHasNoTimeAndNoName) {
  const Tensor x = arange(1000);
  const Bytes bytes = written(x, "x.gz");
  EXPECT_EQ(bytes, written(x, "another.gz"));
  ASSERT_GT(bytes.size(), 18u);
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + 8),
            (Bytes{0x1f, 0x8b, 8, 0, 0, 0, 0, 0}));  // flags 0, time 0
  EXPECT_LT(bytes.size(), written(x).size());
}

TEST(Idx, ContentDecidesNotTheName) {
  const TemporaryFolder folder;
  write_bytes(folder / "plain.gz", written(tensor({1, 2})));
  write_bytes(folder / "zipped", written(tensor({1, 2}), "x.gz"));
  EXPECT_TRUE(equal(read_idx(folder / "plain.gz"), tensor({1, 2})));
  EXPECT_TRUE(equal(read_idx(folder / "zipped"), tensor({1, 2})));
}

// The first file that a process opens then has the descriptor 0.
TEST(Idx, IsReadWhereThereIsNoStandardInput) {
  const TemporaryFolder folder;
  write_idx(folder / "x", tensor({1, 2}));
  const int kept = ::dup(STDIN_FILENO);
  ::close(STDIN_FILENO);
  Tensor x;
  EXPECT_NO_THROW(x = read_idx(folder / "x"));
  if (kept >= 0) ::dup2(kept, STDIN_FILENO);
  if (kept >= 0) ::close(kept);
  EXPECT_TRUE(equal(x, tensor({1, 2})));
}

TEST(Idx, EveryTruncationIsAnError) {
  for (const char* name : {"x", "x.gz"}) {
    const Bytes whole = written(tensor({{1, 2, 3}, {4, 5, 6}}), name);
    for (std::size_t length = 0; length < whole.size(); ++length)
      EXPECT_NE(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}), "") << length;
  }
}

Bytes gzipped(const Bytes& bytes) {
  Bytes packed(1000);
  z_stream state{};
  EXPECT_EQ(deflateInit2(&state, 9, Z_DEFLATED, MAX_WBITS + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes content = bytes;
  state.next_in = content.data();
  state.avail_in = static_cast<uInt>(content.size());
  state.next_out = packed.data();
  state.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&state, Z_FINISH), Z_STREAM_END);
  packed.resize(packed.size() - state.avail_out);
  deflateEnd(&state);
  return packed;
}

// As pigz and bgzip write it: several streams one after the other, perhaps empty ones.
TEST(Idx, AGzipFileMayHaveSeveralStreams) {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  const Bytes plain = written(x);
  for (std::size_t cut = 0; cut <= plain.size(); ++cut) {
    const auto middle = plain.begin() + static_cast<std::ptrdiff_t>(cut);
    Bytes whole = gzipped({plain.begin(), middle});
    const Bytes second = gzipped({middle, plain.end()}), nothing = gzipped({});
    const std::size_t first_length = whole.size();
    whole.insert(whole.end(), second.begin(), second.end());
    EXPECT_TRUE(equal(read(whole), x)) << cut;
    Bytes changed = whole;
    changed[first_length - 6] ^= 1;  // the checksum of the first
    refusal(changed);
    Bytes longer = whole;
    longer.insert(longer.end(), nothing.begin(), nothing.end());
    EXPECT_TRUE(equal(read(longer), x)) << cut;
    longer.push_back(0);
    expect_contains(refusal(longer), "more bytes after the end");
    if (cut % 8 != 0) continue;
    for (std::size_t length = 0; length < whole.size(); ++length) {
      if (length == first_length && cut == plain.size()) continue;  // without the second stream all is there
      EXPECT_NE(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}), "") << length;
    }
  }
}

TEST(Idx, TrailingBytesAreAnError) {
  for (const char* name : {"x", "x.gz"}) {
    Bytes longer = written(tensor({1, 2, 3}), name);
    longer.push_back(0);
    refusal(longer);
  }
  // One element more than the header says, in a gzip file that is sound.
  const TemporaryFolder folder;
  Bytes plain = written(tensor({1, 2, 3}, DType::UInt8));
  plain[7] = 2;
  expect_contains(refusal(plain), "11 bytes long, but its header says 10");
}

TEST(Idx, NoFlippedBitOfGzipGivesOtherNumbers) {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  const Bytes whole = written(x, "x.gz");
  const TemporaryFolder folder;
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    write_bytes(folder / "x", flipped);
    // The time in the header may change, and there may be two ways to pack the same bytes; the numbers stay.
    try {
      EXPECT_TRUE(equal(read_idx(folder / "x"), x)) << bit;
      EXPECT_LT(bit / 8, whole.size() - 8) << "the checksum or the length was changed";
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "read_idx");
      ++refused;
    }
  }
  EXPECT_GT(refused, whole.size() * 8 / 2);
}

TEST(Idx, HostileHeaders) {
  expect_contains(refusal({1, 0, 8, 1, 0, 0, 0, 0}), "not an IDX file");
  expect_contains(refusal({'P', 'K', 3, 4}), "not an IDX file");
  expect_contains(refusal({0, 0, 0x0A, 1, 0, 0, 0, 0}), "0x0a");
  expect_contains(refusal({0, 0, 8, 9}), "9 axes");
  expect_contains(refusal({0, 0, 8, 255}), "255 axes");
  // 2^32 - 1 on each of eight axes, also where one is empty.
  for (const std::uint8_t last : Bytes{0, 255}) {
    Bytes huge(4 + 8 * 4, 255);
    std::ranges::copy(Bytes{0, 0, 0x0E, 8}, huge.begin());
    std::ranges::copy(Bytes{0, 0, 0, last}, huge.end() - 4);
    expect_contains(refusal(huge), "impossible shape in its header");
  }
  // 16 TB: refused before memory is taken, plain and zipped.
  expect_contains(refusal({0, 0, 8, 2, 0, 0x40, 0, 0, 0, 0x40, 0, 0, 1, 2}), "its header says");
  const Bytes packed{0x1f, 0x8b, 8, 0,    0,    0,    0, 0, 0, 3,  // gzip's header
                     0,    12,   0, 0xf3, 0xff,                    // twelve bytes that are not packed
                     0,    0,    8, 2,    0,    0x40, 0, 0, 0, 0x40, 0, 0,  //
                     0,    0,    0, 0xff, 0xff, 0,    0, 0};                // none, and the beginning of more
  expect_contains(refusal(packed), "its header says");
  const Bytes zipped = written(zeros({100000}, DType::UInt8), "x.gz");
  EXPECT_TRUE(equal(read(zipped), zeros({100000}, DType::UInt8)));
  const TemporaryFolder folder;
  write_idx(folder / "x.gz", tensor({1}));
  expect_contains(error_of("read_idx", [&] { read_idx(folder / "none"); }),
                  "/none': No such file or directory");
  error_of("read_idx", [&] { read_idx(folder.path()); });
}

TEST(Idx, DamagedFilesAreRefusedOrRead) {
  // Whatever a flipped bit says, there are as many bytes as that takes.
  const Bytes whole = written(tensor({{1, 2, 3}, {4, 5, 6}}));
  const std::size_t refused = damage(whole, "read_idx", [](const auto& path) {
    const Tensor x = read_idx(path);
    EXPECT_EQ(x.size() * static_cast<index_t>(size_of(x.dtype())), 24);
  });
  EXPECT_GE(refused, 8 * 12 - 1u);  // of the header only one: four bytes as Int32, not Float32
  damage(whole, "open_idx", [](const auto& path) { open_idx(path).rows(0, 1); });
}

TEST(Idx, RowsAreReadWhenAskedFor) {
  const TemporaryFolder folder;
  for (const Tensor& x : samples()) {
    if (x.rank() == 0) continue;
    write_idx(folder / "x", x);
    const ArrayFile file = open_idx(folder / "x");
    EXPECT_EQ(file.shape(), x.shape());
    EXPECT_EQ(file.dtype(), x.dtype());
    EXPECT_TRUE(equal(file.rows(0, x.shape()[0]), x));
  }
  // Signed bytes and integers of 16 bits become Int32.
  write_bytes(folder / "x", {0, 0, 0x0B, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0x80, 0, 1, 2});
  EXPECT_TRUE(equal(open_idx(folder / "x").rows(1, 1), tensor({{258}}, DType::Int32)));
  expect_contains(error_of("open_idx", [&] { open_idx(folder / "x").rows(1, 2); }), "has 2 rows");
  write_bytes(folder / "x", {0, 0, 0x08, 1, 0, 0, 0, 2, 1, 2, 3});
  expect_contains(error_of("open_idx", [&] { open_idx(folder / "x"); }),
                  "11 bytes long, but its header says 10");
  write_idx(folder / "x.gz", tensor({1}));
  expect_contains(error_of("open_idx", [&] { open_idx(folder / "x.gz"); }),
                  "not an IDX file that is not gzipped");
}

TEST(Idx, WritingReplacesWholeFilesOnly) {
  const TemporaryFolder folder;
  write_idx(folder / "x", tensor({1, 2}));
  write_idx(folder / "x", tensor({3}));
  EXPECT_TRUE(equal(read_idx(folder / "x"), tensor({3})));
  EXPECT_EQ(folder.entries(), 1u);

  std::filesystem::create_directory(folder / "folder");
  error_of("write_idx", [&] { write_idx(folder / "folder", tensor({1})); });
  error_of("write_idx", [&] { write_idx("/dev/null", tensor({1})); });
  for (const index_t length : {index_t{1} << 32, index_t{1} << 40})
    expect_contains(error_of("write_idx", [&] { write_idx(folder / "x", zeros({0, length})); }), "32 bits");
  expect_contains(error_of("write_idx", [&] { write_idx(folder / "none/x", tensor({1})); }),
                  "cannot write '" + (folder / "none/x").string() + "': No such file or directory");
  EXPECT_EQ(folder.entries(), 2u);

  // A link stays one, and what it points to keeps its permissions.
  using std::filesystem::perms;
  std::filesystem::permissions(folder / "x", perms::owner_read | perms::owner_write);
  std::filesystem::create_symlink("x", folder / "link");
  write_idx(folder / "link", tensor({7}));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_TRUE(equal(read_idx(folder / "x"), tensor({7})));
  EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), perms::owner_read | perms::owner_write);
}

TEST(Idx, AFailedWriteLeavesEverythingAsItWas) {
  const TemporaryFolder folder;
  write_idx(folder / "x", tensor({1, 2}));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    write_idx(folder / "x", zeros({10000}));
  } catch (const Error& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  expect_contains(message, "x': File too large");
  EXPECT_TRUE(equal(read_idx(folder / "x"), tensor({1, 2})));
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Idx, UndefinedTensorIsAnError) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_idx(folder / "x", Tensor()), Error);
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace tapegrad
