// Data sets that are larger than what may be in memory of them.
#include <gtest/gtest.h>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "io/hostile.h"
#include "io/temporary.h"
#include "sanitizers.h"
#include "tapegrad/data/dataset.h"
#include "tapegrad/data/files.h"
#include "tapegrad/data/loader.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/io/image.h"
#include "tapegrad/io/npy.h"
#include "tapegrad/io/npz.h"

namespace tapegrad {
namespace {

using testing::memory_of_process, testing::TemporaryFolder;

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

// How much more memory a child process has in use, at the most, while f runs in it. f tells whether all was
// as it should be.
template <class F>
std::size_t growth(F&& f) {
  if constexpr (TAPEGRAD_THREAD_SANITIZER !=
                0) {  // does not support threads after a fork(), and counts memory of its own
    EXPECT_TRUE(f());
    return 0;
  }
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe(ends), 0);
  release_memory();  // or what earlier tests left would be used again, and not be counted
  ::malloc_trim(0);
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = false;
    const std::size_t before = memory_of_process("VmRSS:");
    try {
      good = f();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    const std::size_t most = memory_of_process("VmHWM:") - before;
    const bool written = ::write(ends[1], &most, sizeof most) == sizeof most;
    ::_exit(good && written ? 0 : 1);
  }
  EXPECT_GT(child, 0);
  std::size_t most = 0;
  ::close(ends[1]);
  EXPECT_EQ(::read(ends[0], &most, sizeof most), static_cast<ssize_t>(sizeof most));
  ::close(ends[0]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return most;
}

void expect_growth(std::size_t most, std::size_t megabytes) {
  if (testing::kSanitized) return;  // sanitizers keep what was freed, and more
  EXPECT_LT(most, megabytes * kMegabyte);
}

// Lengthens a file with zeros that take no place on the disk, and makes its last byte a 7.
void lengthen(const std::filesystem::path& path, std::uintmax_t bytes) {
  std::filesystem::resize_file(path, bytes - 1);
  std::ofstream(path, std::ios::binary | std::ios::app).put(7);
}

// Reads a data set of 16384 rows, all zeros but for the very last element, and says whether it was that.
bool reads_all(const Loader& loader, double last) {
  index_t seen = 0, others = 0;
  double sum = 0;
  for (const Batch& batch : loader.epoch(0)) {
    seen += batch.inputs.shape()[0];
    for (index_t i = 0; i < batch.inputs.shape()[0]; ++i) {
      const Tensor image = Samples(batch.inputs)[i];
      const double value = image.at({-1, -1});
      sum += value;
      others += value != 0 ? 1 : 0;
    }
  }
  return seen == 16384 && others == 1 && sum == last;
}

TEST(Memory, AGigabyteOfBytesIsStreamed) {
  if (testing::kSanitized) GTEST_SKIP() << "it would take minutes, and memory is not measured";
  const TemporaryFolder folder;
  write_idx(folder / "x.idx", zeros({0, 256, 256}, DType::UInt8));
  {
    std::fstream file(folder / "x.idx", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4);
    file.write("\0\0\x40\0", 4);  // 16384 images
  }
  lengthen(folder / "x.idx", 16 + kMegabyte * 1024);
  const std::size_t most = growth([&] {
    const Loader loader(open_idx(folder / "x.idx"), {},
                        {.batch_size = 64, .dtype = DType::UInt8, .workers = 2});
    return reads_all(loader, 7);
  });
  expect_growth(most, 32);  // two batches are 8 MB
}

TEST(Memory, DoublesAreStreamed) {
  const TemporaryFolder folder;
  write_npy(folder / "x.npy", zeros({1, 32, 64}, DType::Float64));
  {
    std::fstream file(folder / "x.npy", std::ios::binary | std::ios::in | std::ios::out);
    std::string header(128, '\0');
    file.read(header.data(), 128);
    header.replace(header.find("(1, 32, 64), }    "), 18, "(16384, 32, 64), }");
    file.seekp(0);
    file.write(header.data(), 128);
  }
  lengthen(folder / "x.npy", 128 + kMegabyte * 256);
  const std::size_t most = growth([&] {
    const Loader loader(open_npy(folder / "x.npy"), {},
                        {.batch_size = 64, .shuffle = false, .dtype = DType::Float64});
    return reads_all(loader, 0x1p-911);  // the double whose highest byte is 7
  });
  expect_growth(most, 16);  // two batches are 2 MB
}

TEST(Memory, ImagesOfAFolderAreDecodedBatchByBatch) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "class");
  write_png(folder / "class/0.png", Image(512, 512, 1, {9, 9, 9}));
  for (int i = 1; i < 400; ++i)  // 100 MB of pixels
    std::filesystem::create_hard_link(folder / "class/0.png",
                                      folder / ("class/" + std::to_string(i) + ".png"));
  const std::size_t most = growth([&] {
    const Loader loader(image_folder(folder.path()), {.batch_size = 8, .dtype = DType::UInt8, .workers = 2});
    index_t seen = 0;
    for (const Batch& batch : loader.epoch(0)) seen += batch.inputs.shape()[0];
    return seen == 400;
  });
  expect_growth(most, 24);  // two batches are 4 MB
}

// What is read whole is in memory once.
TEST(Memory, WholeFilesAreReadIntoTheirTensors) {
  const TemporaryFolder folder;
  const Tensor x = zeros({16, 1024, 1024}, DType::UInt8), y = zeros({4, 1024, 1024});
  write_idx(folder / "x.gz", x);
  write_idx(folder / "y.idx", y);  // big-endian: converted
  write_npy(folder / "y.npy", y);
  write_npz(folder / "y.npz", {{"y", y}}, {.compressed = true});
  expect_growth(growth([&] { return read_idx(folder / "x.gz").size() == x.size(); }), 16 + 4);
  expect_growth(growth([&] { return read_idx(folder / "y.idx").size() == y.size(); }), 16 + 4);
  expect_growth(growth([&] { return read_npy(folder / "y.npy").size() == y.size(); }), 16 + 4);
  expect_growth(growth([&] { return read_npz(folder / "y.npz")[0].second.size() == y.size(); }), 16 + 4);
}

TEST(Memory, TablesAreReadIntoTheirTensors) {
  const TemporaryFolder folder;
  {
    std::ofstream file(folder / "x.csv");
    file << "a,b,c,d\n";
    for (int i = 0; i < 500'000; ++i) file << "0.1234567,1.1234567,2.1234567,3.1234567\n";  // 20 MB
  }
  const std::size_t most = growth([&] { return read_csv(folder / "x.csv").values.at({499'999, 3}) > 3; });
  expect_growth(most, 8 + 4);
}

}  // namespace
}  // namespace tapegrad
