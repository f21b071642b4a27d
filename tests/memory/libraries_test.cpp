// No memory where zlib, libpng and libjpeg ask for it: an exception, and nothing is kept.

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>

#include "io/temporary.h"
#include "memory/allocations.h"
#include "sanitizers.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

// Refuses each allocation that f makes in C libraries, in turn.
void expect_errors(const char* what, const std::function<void()>& f, int at_least) {
  for (int warm_up = 0; warm_up < 2; ++warm_up) f();
  const std::int64_t before = live().blocks, before_in_c = live_in_c();
  int refused = 0, thrown = 0;
  for (bool asked = true; asked; ++refused) {
    begin_refusing_in_c(refused);
    try {
      f();
      asked = stop_refusing_in_c() > refused;
    } catch (const Error&) {
      asked = stop_refusing_in_c() > refused;
      ++thrown;
    } catch (const std::bad_alloc&) {
      asked = stop_refusing_in_c() > refused;
      ++thrown;
    }
    ASSERT_EQ(live_in_c(), before_in_c) << what << ": allocation " << refused;
    ASSERT_EQ(live().blocks, before) << what << ": allocation " << refused;
  }
  --refused;  // the last one was not asked for
  std::printf("  %s: %d allocations refused, %d of them thrown\n", what, refused, thrown);
  EXPECT_GE(thrown, at_least) << what;
  EXPECT_NO_THROW(f()) << what;
}

TEST(NoMemory, InLibrariesForFiles) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer replaces malloc itself";
  const TemporaryFolder folder;
  Generator generator(3);
  const Tensor x = cast(uniform({30, 20, 3}, 0, 255, generator), DType::UInt8);
  const Image image = to_image(cast(x, DType::Float32) / 255.0f);
  write_png(folder / "x.png", image);
  write_idx(folder / "x.gz", x);
  write_npz(folder / "x.npz", {{"x", x}}, {.compressed = true});
  const std::string jpeg = std::string(TAPEGRAD_FIXTURES) + "/gradient.jpg";
  std::filesystem::create_symlink(folder / "behind.npy", folder / "link.npy");
  write_npy(folder / "behind.npy", x);
  expect_errors(
      "write through a link",
      [&] {
        const auto is_link = [&] { return std::filesystem::is_symlink(folder / "link.npy"); };
        try {
          write_npy(folder / "link.npy", x);
        } catch (...) {
          EXPECT_TRUE(is_link());
          throw;
        }
        EXPECT_TRUE(is_link());
      },
      1);
  expect_errors(
      "read png", [&] { (void)read_image(folder / "x.png", 3); }, 4);
  expect_errors(
      "read jpeg", [&] { (void)read_image(jpeg, 3); }, 4);
  expect_errors(
      "write png", [&] { write_png(folder / "y.png", image); }, 1);
  expect_errors(
      "read gzip", [&] { (void)read_idx(folder / "x.gz"); }, 1);
  expect_errors(
      "write gzip", [&] { write_idx(folder / "y.gz", x); }, 1);
  expect_errors(
      "read npz", [&] { (void)read_npz(folder / "x.npz"); }, 1);
  expect_errors(
      "write npz",
      [&] {
        write_npz(folder / "y.npz", {{"x", x}}, {.compressed = true});
      },
      1);
}

}  // namespace
}  // namespace tapegrad::testing
