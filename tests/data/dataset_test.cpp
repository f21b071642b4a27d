#include "tapegrad/data/dataset.h"
#include "tapegrad/data/files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <numeric>

#include "digits/digits.h"
#include "io/temporary.h"
#include "tapegrad/base/random.h"
#include "tapegrad/data/loader.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/io/image.h"
#include "tapegrad/io/npy.h"

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
  EXPECT_EQ(train.inputs.shape(), (Shape{3, 28, 28, 1}));
  EXPECT_EQ(train.inputs.dtype(), DType::UInt8);
  EXPECT_EQ(train.inputs[0].at({0, 0, 0}), 1);
  EXPECT_EQ(train.inputs[0].at({1, 2, 0}), 31);
  EXPECT_EQ(train.inputs[1].at({0, 0, 0}), (784 + 1) % 256);
  EXPECT_TRUE(equal(read_all(train.targets), tensor({9, 0, 255}, DType::Int32)));

  const Dataset test = read_mnist(folder.path(), Split::Test);
  EXPECT_EQ(test.inputs.shape(), (Shape{2, 28, 28, 1}));
  EXPECT_EQ(test.inputs[0].at({0, 0, 0}), 7);
  EXPECT_TRUE(equal(read_all(test.targets), tensor({5, 6}, DType::Int32)));
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
  expect_contains(refused(pictures(2, 0), one), "shape [1]; it must be UInt8 of shape [2]");
  refused(pictures(1, 0), tensor({1}, DType::Int32));
  refused(pictures(1, 0), zeros({1, 1}, DType::UInt8));
}

TEST(Mnist, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  write_split(folder, "train", "", pictures(1, 0), tensor({1}, DType::UInt8));
  std::filesystem::resize_file(folder / "train-images-idx3-ubyte", 700);
  error_of("read_idx", [&] { read_mnist(folder.path(), Split::Train); });
}

// ---- Parts of data sets

// Image i is {10 i, 10 i + 1}, its label i.
Dataset counting(index_t count, index_t first = 0) {
  Tensor images = zeros({count, 2}), labels = zeros({count}, DType::Int32);
  for (index_t i = 0; i < count; ++i) {
    images.set({i, 0}, static_cast<double>(10 * (first + i)));
    images.set({i, 1}, static_cast<double>(10 * (first + i) + 1));
    labels.set({i}, static_cast<double>(first + i));
  }
  return {.inputs = images, .targets = labels, .class_names = {"a", "b"}};
}

// The labels of a set whose images are those that belong to them.
std::vector<int> numbers(const Dataset& data) {
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(data.targets.size(), data.inputs.size());
  std::vector<int> found;
  for (index_t i = 0; i < data.inputs.size(); ++i) {
    found.push_back(static_cast<int>(data.targets[i].item()));
    EXPECT_TRUE(equal(data.inputs[i], tensor({10 * found.back(), 10 * found.back() + 1})));
  }
  return found;
}

TEST(Dataset, Subset) {
  EXPECT_EQ(numbers(subset(counting(5), {3, 0, 3})), (std::vector<int>{3, 0, 3}));
  EXPECT_EQ(numbers(subset(subset(counting(5), {4, 3, 2}), {2, 0})), (std::vector<int>{2, 4}));
  EXPECT_EQ(numbers(subset(counting(5), {})), std::vector<int>());
  EXPECT_FALSE(subset({.inputs = zeros({3, 1})}, {1}).targets.defined());
  expect_contains(error_of("subset", [] { subset(counting(5), {5}); }),
                  "index of a sample must be at least 0 and less than 5, the number of samples, got 5");
  error_of("subset", [] { subset(counting(5), {-1}); });
}

TEST(Dataset, Concatenate) {
  const Dataset joined = concatenate({counting(2), counting(0), counting(3, 7), counting(1, 20)});
  EXPECT_EQ(numbers(joined), (std::vector<int>{0, 1, 7, 8, 9, 20}));
  EXPECT_EQ(joined.inputs.shape(), (Shape{6, 2}));
  EXPECT_TRUE(equal(read_all(joined.targets), tensor({0, 1, 7, 8, 9, 20}, DType::Int32)));
  EXPECT_FALSE(concatenate({{.inputs = zeros({3, 1})}}).targets.defined());
  const auto refused = [](const std::vector<Dataset>& sets) {
    return error_of("concatenate", [&] { concatenate(sets); });
  };
  refused({});
  expect_contains(refused({{.inputs = zeros({3, 2})}, {.inputs = zeros({3, 1})}}),
                  "shape [3, 1] cannot follow");
  refused({{.inputs = zeros({3, 2})}, {.inputs = zeros({3, 2}, DType::UInt8)}});
  refused({{.inputs = zeros({1})}, {.inputs = zeros({1}), .targets = zeros({1})}});
  refused({{.inputs = zeros({1}), .targets = zeros({1})}, {.inputs = zeros({1})}});
  expect_contains(refused({counting(1), {.inputs = zeros({1, 2}), .targets = zeros({1}, DType::Int32)}}),
                  "a, b");
}

TEST(Dataset, SplitDealsEverySampleOnce) {
  const auto together = [](const std::vector<Dataset>& sets) {
    std::vector<int> all;
    for (const Dataset& set : sets) std::ranges::copy(numbers(set), std::back_inserter(all));
    return all;
  };
  const auto sizes = [](const std::vector<Dataset>& sets) {
    std::vector<index_t> found;
    for (const Dataset& set : sets) found.push_back(set.inputs.size());
    return found;
  };
  const Dataset data = counting(100);
  const auto sets = split_counts(data, {70, 0, 30}, 3);
  EXPECT_EQ(sizes(sets), (std::vector<index_t>{70, 0, 30}));
  std::vector<int> order = together(sets), sorted = order;
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, numbers(data));
  EXPECT_NE(order, sorted);
  EXPECT_EQ(order, together(split_counts(data, {70, 0, 30}, 3)));
  EXPECT_EQ(order, together(split_fractions(data, {0.7, 0.3}, 3)));
  EXPECT_NE(order, together(split_counts(data, {70, 30}, 4)));
  EXPECT_EQ(sizes(split_counts(data, {1}, 3)), std::vector<index_t>{1});

  EXPECT_EQ(sizes(split_fractions(counting(10), {0.25, 0.25, 0.5}, 0)), (std::vector<index_t>{3, 2, 5}));
  for (index_t count = 0; count < 40; ++count) {  // nothing is left over, whatever is rounded
    const auto thirds = sizes(split_fractions(counting(count), {1.0 / 3, 1.0 / 3, 1.0 / 3}, 0));
    EXPECT_EQ(thirds[0] + thirds[1] + thirds[2], count);
    const auto tenths = sizes(split_fractions(counting(count), std::vector<double>(10, 0.1), 0));
    EXPECT_EQ(std::accumulate(tenths.begin(), tenths.end(), index_t{0}), count);
  }
  EXPECT_EQ(sizes(split_fractions(data, {0.5}, 0)), std::vector<index_t>{50});

  expect_contains(error_of("split_counts",
                           [&] {
                             split_counts(data, {70, 31}, 0);
                           }),
                  "at most 100, the number of samples, got 70, 31");
  error_of("split_counts", [&] { split_counts(data, {-1, 31}, 0); });
  error_of("split_fractions", [&] { split_fractions(data, {0.7, 0.31}, 0); });
  error_of("split_fractions", [&] { split_fractions(data, {-0.1}, 0); });
  error_of("split_fractions", [&] { split_fractions(data, {std::nan("")}, 0); });
}

// ---- Data sets in files

TEST(Dataset, OfArraysInFiles) {
  const TemporaryFolder folder;
  const Dataset data = counting(20);
  write_npy(folder / "images.npy", read_all(data.inputs));
  write_idx(folder / "labels.idx", read_all(data.targets));
  const Dataset opened{.inputs = open_npy(folder / "images.npy"),
                       .targets = open_idx(folder / "labels.idx"),
                       .class_names = {"a", "b"}};
  EXPECT_EQ(numbers(opened), numbers(data));
  const Loader loader(opened, {.batch_size = 6, .seed = 1, .workers = 3}),
      expected(data, {.batch_size = 6, .seed = 1});
  auto pass = expected.epoch(2);
  auto at = pass.begin();
  for (const Batch& batch : loader.epoch(2)) {
    EXPECT_TRUE(equal(batch.inputs, at->inputs));
    EXPECT_TRUE(equal(batch.targets, at->targets));
    ++at;
  }
  EXPECT_EQ(at, pass.end());
}

TEST(Dataset, OfATable) {
  const TemporaryFolder folder;
  std::ofstream(folder / "iris.csv") << "length,width,kind\n5.1,3.5,setosa\n7,3.2,versicolor\n4.9,3,setosa\n";
  const Dataset data = csv_dataset(folder / "iris.csv", {.label = "kind"});
  EXPECT_TRUE(equal(read_all(data.inputs), tensor({{5.1, 3.5}, {7, 3.2}, {4.9, 3}})));
  EXPECT_TRUE(equal(read_all(data.targets), tensor({0, 1, 0}, DType::Int32)));
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"setosa", "versicolor"}));
}

// ---- Image folders

void write_image(const std::filesystem::path& path, int height, int width, Colour colour) {
  std::filesystem::create_directories(path.parent_path());
  write_png(path, Image(height, width, 3, colour));
}

TEST(ImageFolder, ReadsClassesAndFilesInByteOrder) {
  const TemporaryFolder folder;
  write_image(folder / "dog/b.png", 2, 3, {20, 20, 20});
  write_image(folder / "dog/a10.png", 2, 3, {11, 11, 11});
  write_image(folder / "dog/a9.PNG", 2, 3, {12, 12, 12});
  write_image(folder / "Cat/x.jpeg", 2, 3, {5, 5, 5});  // what it is decides, not what it is called
  write_image(folder / "d\xC3\xB6rr/x.bmp", 2, 3, {30, 30, 30});
  write_image(folder / ".hidden/x.png", 2, 3, {99, 99, 99});
  write_image(folder / "dog/.hidden.png", 2, 3, {99, 99, 99});
  std::ofstream(folder / "dog/notes.txt") << "not an image";
  std::ofstream(folder / "list.txt") << "not a class";

  const Dataset data = image_folder(folder.path());
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"Cat", "dog", "d\xC3\xB6rr"}));
  EXPECT_EQ(data.inputs.shape(), (Shape{5, 2, 3, 1}));
  EXPECT_EQ(data.inputs.dtype(), DType::UInt8);
  EXPECT_TRUE(equal(read_all(data.targets), tensor({0, 1, 1, 1, 2}, DType::Int32)));
  const std::vector<double> expected{5, 11, 12, 20, 30};
  for (index_t i = 0; i < 5; ++i)
    EXPECT_TRUE(equal(data.inputs[i], full({2, 3, 1}, expected[static_cast<std::size_t>(i)], DType::UInt8)));
}

TEST(ImageFolder, ColoursAndSizes) {
  const TemporaryFolder folder;
  write_image(folder / "a/1.png", 4, 6, {200, 100, 50});
  write_image(folder / "a/2.png", 9, 2, {1, 2, 3});
  const Dataset first = image_folder(folder.path(), {.channels = 3});
  EXPECT_EQ(first.inputs.shape(), (Shape{2, 4, 6, 3}));
  EXPECT_TRUE(equal(first.inputs[1], tensor(Image(4, 6, 3, {1, 2, 3}).pixels, {4, 6, 3})));
  const Dataset sized = image_folder(folder.path(), {.height = 5, .width = 7});
  EXPECT_EQ(sized.inputs.shape(), (Shape{2, 5, 7, 1}));
  EXPECT_TRUE(equal(sized.inputs[0], tensor(Image(5, 7, 1, {200, 100, 50}).pixels, {5, 7, 1})));
}

TEST(ImageFolder, MistakesAreNamed) {
  const TemporaryFolder folder;
  const auto refused = [&](const ImageFolderOptions& options = {}) {
    return error_of("image_folder", [&] { image_folder(folder.path(), options); });
  };
  expect_contains(refused(), "holds no folders");
  std::filesystem::create_directory(folder / "empty");
  expect_contains(refused(), "/empty' holds no .png");
  refused({.channels = 2});
  refused({.height = 5});
  refused({.height = -5, .width = -5});
  expect_contains(error_of("image_folder", [&] { image_folder(folder / "none"); }), "No such file");
  // What the system does not let one look at: a link that goes round in a circle, or leads through a file.
  std::filesystem::remove(folder / "empty");
  std::filesystem::create_symlink("round", folder / "round");
  expect_contains(refused(), "/round'");
  std::filesystem::remove(folder / "round");
  std::filesystem::create_symlink("absent", folder / "nowhere");  // left out, as other files
  expect_contains(refused(), "holds no folders");
}

// A bad file among good ones is met when its turn comes, on the loader's thread.
TEST(ImageFolder, BadFilesAreNamed) {
  const TemporaryFolder folder;
  write_image(folder / "a/1.png", 2, 2, {1, 1, 1});
  write_image(folder / "a/3.png", 2, 2, {1, 1, 1});
  testing::write_bytes(folder / "a/2.png", {1, 2, 3});
  const Loader loader(image_folder(folder.path()), {.batch_size = 1, .shuffle = false});
  index_t batches = 0;
  const std::string message = error_of("loader", [&] {
    for ([[maybe_unused]] const Batch& batch : loader.epoch(0)) ++batches;
  });
  EXPECT_EQ(batches, 1);
  expect_contains(message, "sample 1: [read_image] '" + (folder / "a/2.png").string() + "' is not a PNG");
  write_image(folder / "a/2.png", 50, 50, {1, 1, 1});
  const Dataset small = image_folder(folder.path(), {.max_pixels = 2400});
  expect_contains(error_of("read_image", [&] { (void)small.inputs[1]; }), "at most 2400 pixels");
  std::filesystem::remove(folder / "a/3.png");
  expect_contains(error_of("read_image", [&] { (void)small.inputs[2]; }), "No such file");
}

// ---- Drawn digits

TEST(DrawnDigits, AreAFunctionOfTheGenerator) {
  const Generator generator(4);
  const Dataset data = digits::drawn_digits(50, generator);
  EXPECT_EQ(data.inputs.shape(), (Shape{50, 28, 28, 1}));
  std::array<int, 10> seen{};
  for (index_t i = 0; i < 50; ++i) {
    const auto label = static_cast<int>(data.targets[i].item());
    ++seen.at(static_cast<std::size_t>(label));
    Generator hand = generator.child(static_cast<std::uint64_t>(i));
    Tensor expected = zeros({28, 28, 1}, DType::UInt8);
    digits::draw_digit(label, hand, expected.mutable_values<std::uint8_t>().first<digits::kDigitPixels>());
    EXPECT_TRUE(equal(data.inputs[i], expected));
  }
  EXPECT_EQ(seen, (std::array<int, 10>{5, 5, 5, 5, 5, 5, 5, 5, 5, 5}));
  EXPECT_EQ(digits::drawn_digits(0, generator).inputs.size(), 0);
  EXPECT_THROW(digits::drawn_digits(-1, generator), Error);
}

// data/ holds these.
TEST(DrawnDigits, AreThoseOfTheProject) {
  const Dataset stored = read_mnist(std::string(TAPEGRAD_SOURCE) + "/data", Split::Test);
  const Dataset drawn = digits::drawn_digits(1000, Generator(28).child(1));
  EXPECT_TRUE(equal(read_all(stored.targets), read_all(drawn.targets)));
  for (const index_t i : {0, 1, 499, 999}) EXPECT_TRUE(equal(stored.inputs[i], drawn.inputs[i]));
}

}  // namespace
}  // namespace tapegrad
