// What every function that takes a path says of paths that name no file, or not the one that was meant.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/temporary.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Path = std::filesystem::path;
using Call = std::function<void(const Path&)>;

std::vector<std::pair<std::string, Call>> readers() {
  return {{"read_csv", [](const Path& p) { (void)read_csv(p); }},
          {"read_idx", [](const Path& p) { (void)read_idx(p); }},
          {"open_idx", [](const Path& p) { (void)open_idx(p); }},
          {"read_image", [](const Path& p) { (void)read_image(p, 3); }},
          {"read_npy", [](const Path& p) { (void)read_npy(p); }},
          {"open_npy", [](const Path& p) { (void)open_npy(p); }},
          {"read_npz", [](const Path& p) { (void)read_npz(p); }},
          {"read_safetensors", [](const Path& p) { (void)read_safetensors(p); }},
          {"read_checkpoint", [](const Path& p) { (void)read_checkpoint(p); }}};
}

std::vector<std::pair<std::string, Call>> writers() {
  static const Tensor x = ones({2}), bytes = ones({2}, DType::UInt8);
  static const State state = [] {
    State made;
    made.tensors = {{"x", x}};
    return made;
  }();
  return {{"write_idx", [](const Path& p) { write_idx(p, bytes); }},
          {"write_png", [](const Path& p) { write_png(p, Image(2, 2, 3)); }},
          {"write_npy", [](const Path& p) { write_npy(p, x); }},
          {"write_npz",
           [](const Path& p) {
             write_npz(p, {{"x", x}});
           }},
          {"write_safetensors", [](const Path& p) { write_safetensors(p, state); }},
          {"write_checkpoint", [](const Path& p) { write_checkpoint(p, Checkpoint()); }},
          {"metrics", [](const Path& p) { Metrics{p}; }},
          {"report", [](const Path& p) { Report("title").write(p); }}};
}

TEST(Paths, OfNoFileAreRefused) {
  const TemporaryFolder folder;
  for (const auto& [op, call] : readers())
    for (const Path& path : {Path(), folder / "", folder / "none", folder / "none" / "x"})
      EXPECT_NE(error_of(op, [&, call = std::cref(call)] { call(path); }), "") << path;
  for (const auto& [op, call] : writers())
    for (const Path& path : {Path(), folder / "", folder / "none" / "x", Path(std::string(5000, 'a'))})
      EXPECT_NE(error_of(op, [&, call = std::cref(call)] { call(path); }), "") << path;
}

// The system would take the path to end before the zero: another file would be read, or replaced.
TEST(Paths, WithAZeroByteAreRefused) {
  const TemporaryFolder folder;
  const Path meant = (folder / "x").string() + std::string("\0.npy", 5);
  write_bytes(folder / "x", Bytes(3));
  for (const auto& all : {readers(), writers()})
    for (const auto& [op, call] : all) {
      const std::string said = error_of(op, [&, call = std::cref(call)] { call(meant); });
      expect_contains(said, "zero byte");
      expect_contains(said, (folder / "x").string());
    }
  EXPECT_EQ(read_bytes(folder / "x"), Bytes(3));
  for (const Call& call : {Call([](const Path& p) { (void)image_folder(p); }),
                           Call([](const Path& p) { (void)Checkpoints(p); })})
    EXPECT_THROW(call(meant), Error);
}

// What a clone holds in place of large files if git-lfs is not installed.
TEST(Paths, OfPointersOfGitLfsAreToldApart) {
  const TemporaryFolder folder;
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\n"
      "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
  write_bytes(folder / "x", Bytes(pointer.begin(), pointer.end()));
  for (const auto& [op, call] : readers())
    expect_contains(error_of(op, [&, call = std::cref(call)] { call(folder / "x"); }),
                    "x' is a pointer of Git LFS, not the file itself: fetch the file with git lfs pull");
  // A file that only begins like one is read.
  const std::string begun = "version\n1\n";
  write_bytes(folder / "x", Bytes(begun.begin(), begun.end()));
  EXPECT_EQ(read_csv(folder / "x").values.shape(), (Shape{1, 1}));
}

}  // namespace
}  // namespace tapegrad::testing
