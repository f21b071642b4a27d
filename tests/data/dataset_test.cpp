#include "tapegrad/data/dataset.h"

#include <gtest/gtest.h>

#include "io/temporary.h"
#include "tapegrad/io/idx.h"

namespace tapegrad {
namespace {

using testing::error_of, testing::expect_contains, testing::TemporaryFolder;

Tensor pictures(index_t count, std::uint8_t first) {
  Tensor x = zeros({count, 28, 28}, DType::UInt8);
  std::uint8_t value = first;
  for (std::uint8_t& pixel : x.mutable_values<std::uint8_t>()) pixel = value++;
  return x;
}

void write_split(const TemporaryFolder& folder, const std::string& prefix, const std::string& suffix,
                 const Tensor& images, const Tensor& labels) {
  write_idx(folder / (prefix + "-images-idx3-ubyte" + suffix), images);
  write_idx(folder / (prefix + "-labels-idx1-ubyte" + suffix), labels);
}

std::string refusal(const TemporaryFolder& folder, Split split = Split::Train) {
  return error_of("read_mnist", [&] { read_mnist(folder.path(), split); });
}

TEST(Mnist, ReadsBothSplitsPlainAndZipped) {
  const TemporaryFolder folder;
  write_split(folder, "train", "", pictures(3, 1), tensor({9, 0, 255}, DType::UInt8));
  write_split(folder, "t10k", ".gz", pictures(2, 7), tensor({5, 6}, DType::UInt8));

  const Dataset train = read_mnist(folder.path(), Split::Train);
  EXPECT_EQ(train.images.shape(), (Shape{3, 28, 28, 1}));
  EXPECT_EQ(train.images.dtype(), DType::UInt8);
  EXPECT_EQ(train.images[0].at({0, 0, 0}), 1);
  EXPECT_EQ(train.images[0].at({1, 2, 0}), 31);
  EXPECT_EQ(train.images[1].at({0, 0, 0}), (784 + 1) % 256);
  EXPECT_TRUE(equal(read_all(train.labels), tensor({9, 0, 255}, DType::Int32)));

  const Dataset test = read_mnist(folder.path(), Split::Test);
  EXPECT_EQ(test.images.shape(), (Shape{2, 28, 28, 1}));
  EXPECT_EQ(test.images[0].at({0, 0, 0}), 7);
  EXPECT_TRUE(equal(read_all(test.labels), tensor({5, 6}, DType::Int32)));
}

TEST(Mnist, MissingFilesAreNamed) {
  const TemporaryFolder folder;
  write_split(folder, "train", "", pictures(1, 0), tensor({1}, DType::UInt8));
  const std::string message = refusal(folder, Split::Test);
  for (const char* part : {"'t10k-images-idx3-ubyte'", "train-labels-idx1-ubyte", "data/README.md"})
    expect_contains(message, part);
  expect_contains(message, folder.path().string());
  std::filesystem::remove(folder / "train-labels-idx1-ubyte");
  expect_contains(refusal(folder), "neither 'train-labels-idx1-ubyte'");
  error_of("read_mnist", [&] { read_mnist(folder / "nowhere", Split::Train); });
}

TEST(Mnist, ShapesAreChecked) {
  const Tensor one = tensor({1}, DType::UInt8);
  const auto refused = [](const Tensor& images, const Tensor& labels) {
    const TemporaryFolder folder;
    write_split(folder, "train", "", images, labels);
    return refusal(folder);
  };
  expect_contains(refused(zeros({1, 32, 32}, DType::UInt8), one), "shape [1, 32, 32]");
  expect_contains(refused(zeros({784}, DType::UInt8), one), "shape [784]");
  expect_contains(refused(zeros({1, 28, 28}), one), "Float32");
  expect_contains(refused(pictures(2, 0), one), "shape [1]; it should be UInt8 of shape [2]");
  refused(pictures(1, 0), tensor({1}, DType::Int32));
  refused(pictures(1, 0), zeros({1, 1}, DType::UInt8));
}

TEST(Mnist, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  write_split(folder, "train", "", pictures(1, 0), tensor({1}, DType::UInt8));
  std::filesystem::resize_file(folder / "train-images-idx3-ubyte", 700);
  error_of("read_idx", [&] { read_mnist(folder.path(), Split::Train); });
}

}  // namespace
}  // namespace tapegrad
