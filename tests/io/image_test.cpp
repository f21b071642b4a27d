#include "tapegrad/io/image.h"

#include <gtest/gtest.h>

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "io/temporary.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::error_of, testing::expect_contains, testing::read_bytes,
    testing::TemporaryFolder, testing::write_bytes;

Image pattern(int height, int width, int channels) {
  Image image(height, width, channels);
  std::uint32_t state = 5;
  for (std::uint8_t& byte : image.pixels)
    byte = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  return image;
}

void expect_same(const Image& a, const Image& b) {
  EXPECT_EQ(a.height, b.height);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.channels, b.channels);
  EXPECT_TRUE(a.pixels == b.pixels);
}

TEST(Image, IsFilledWithItsColour) {
  const Image grey(2, 3, 1, {255, 0, 0}), colour(2, 3, 3, {1, 2, 3});
  EXPECT_EQ(grey.pixels, Bytes(6, 76));
  EXPECT_EQ(colour.pixels, (Bytes{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(kWhite.brightness(), 255);
  for (const auto& [height, width, channels] : std::vector<std::array<int, 3>>{{0, 1, 1},
                                                                               {1, 0, 1},
                                                                               {-1, -1, 1},
                                                                               {1, 1, 2},
                                                                               {1, 1, 4},
                                                                               {1 << 20, 1 << 20, 1},
                                                                               {1 << 14, 1 << 14, 3}})
    error_of("image", [h = height, w = width, c = channels] { Image(h, w, c); });
}

TEST(Image, PngRoundTripIsExact) {
  const TemporaryFolder folder;
  for (const int channels : {1, 3})
    for (const auto& [height, width] :
         std::vector<std::pair<int, int>>{{1, 1}, {1, 300}, {257, 1}, {33, 65}}) {
      const Image image = pattern(height, width, channels);
      write_png(folder / "x.png", image);
      expect_same(read_image(folder / "x.png", channels), image);
      const Bytes first = read_bytes(folder / "x.png");
      write_png(folder / "x.png", image);
      EXPECT_EQ(first, read_bytes(folder / "x.png"));
    }
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Image, PngHeader) {
  const TemporaryFolder folder;
  write_png(folder / "x.png", pattern(300, 5, 3));
  const Bytes bytes = read_bytes(folder / "x.png");
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + 26),
            (Bytes{0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0,  13, 'I',
                   'H',  'D', 'R', 0,   0,  0,  5,  0,  0, 1, 44, 8,  2}));
}

TEST(Image, ChannelsAreConverted) {
  const TemporaryFolder folder;
  write_png(folder / "x.png", Image(2, 2, 1, {9, 9, 9}));
  expect_same(read_image(folder / "x.png", 3), Image(2, 2, 3, {9, 9, 9}));
  write_png(folder / "x.png", Image(2, 2, 3, {255, 0, 0}));
  expect_same(read_image(folder / "x.png", 1), Image(2, 2, 1, {255, 0, 0}));
}

TEST(Image, DamagedAndForeignFilesAreRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const Bytes& bytes) {
    write_bytes(folder / "x", bytes);
    return error_of("read_image", [&] { read_image(folder / "x", 1); });
  };
  write_png(folder / "x.png", pattern(6, 6, 1));
  const Bytes whole = read_bytes(folder / "x.png");
  const auto end_chunk = static_cast<std::ptrdiff_t>(whole.size()) - 12;
  for (std::ptrdiff_t length = 0; length < end_chunk; ++length)
    refused({whole.begin(), whole.begin() + length});
  expect_contains(refused({'h', 'e', 'l', 'l', 'o'}), "not a PNG");
  Bytes huge = whole;  // says that it is 16384 x 16384 pixels large
  huge[18] = huge[22] = 0x40;
  huge[19] = huge[23] = 0;
  expect_contains(refused(huge), "16384 x 16384");
  huge[16] = 0x7f;
  refused(huge);
  expect_contains(error_of("read_image", [&] { read_image(folder / "no", 1); }), "No such file");
  error_of("read_image", [&] { read_image(folder / "x.png", 2); });
}

Bytes fixture_bytes(const std::string& name) {
  return read_bytes(std::filesystem::path(TAPEGRAD_FIXTURES) / name);
}

// Tries every shorter file and every flipped bit; `caught` tells which flips have to be noticed.
void expect_refused_or_read(const Bytes& whole, std::size_t least_length,
                            const std::function<bool(std::size_t)>& caught) {
  const TemporaryFolder folder;
  const auto reads = [&](const Bytes& bytes) {
    write_bytes(folder / "x", bytes);
    try {
      return read_image(folder / "x", 3).height > 0;
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "read_image");
      return false;
    }
  };
  EXPECT_TRUE(reads(whole));
  for (std::size_t length = 0; length < least_length; ++length)
    EXPECT_FALSE(reads({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)})) << length;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    EXPECT_FALSE(reads(flipped) && caught(bit / 8)) << "byte " << bit / 8;
  }
}

TEST(Image, EveryFlippedBitOfAPngIsNoticed) {
  const TemporaryFolder folder;
  write_png(folder / "x.png", pattern(5, 7, 3));
  const Bytes whole = read_bytes(folder / "x.png");
  expect_refused_or_read(whole, whole.size(), [](std::size_t) { return true; });
}

TEST(Image, JpegsAreReadOrRefused) {
  const Bytes whole = fixture_bytes("gradient.jpg");
  const TemporaryFolder folder;
  write_bytes(folder / "x", whole);
  const Image image = read_image(folder / "x", 3);
  ASSERT_EQ(image.height, 12);
  ASSERT_EQ(image.width, 20);
  for (int y = 0; y < 12; ++y)
    for (int x = 0; x < 20; ++x) {
      EXPECT_NEAR(image.at(y, x)[0], x * 12, 12);
      EXPECT_NEAR(image.at(y, x)[1], y * 20, 12);
    }
  expect_refused_or_read(whole, whole.size() - 2, [](std::size_t) { return false; });
}

// 3 x 2 pixels of 24 bits: a row is padded to 12 bytes.
Bytes small_bmp() {
  Bytes bmp{'B', 'M', 78, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0};
  bmp.resize(54);
  for (std::uint8_t i = 0; i < 24; ++i) bmp.push_back(i);
  return bmp;
}

TEST(Image, BmpsAreReadOrRefused) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", small_bmp());
  const Image image = read_image(folder / "x", 3);
  EXPECT_EQ(image.pixels, (Bytes{14, 13, 12, 17, 16, 15, 20, 19, 18, 2, 1, 0, 5, 4, 3, 8, 7, 6}));
  expect_refused_or_read(small_bmp(), 78, [](std::size_t) { return false; });
}

void put(Bytes& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

void put_chunk(Bytes& png, const std::string& name, const Bytes& content) {
  put(png, static_cast<std::uint32_t>(content.size()));
  Bytes checked(name.begin(), name.end());
  checked.insert(checked.end(), content.begin(), content.end());
  png.insert(png.end(), checked.begin(), checked.end());
  put(png, static_cast<std::uint32_t>(crc32(0, checked.data(), static_cast<uInt>(checked.size()))));
}

// A grey PNG that announces height x width pixels, whose data unpack to so many zeros.
Bytes png_of_zeros(std::uint32_t height, std::uint32_t width, std::size_t zeros) {
  Bytes header, data(compressBound(zeros)), png{0x89, 'P', 'N', 'G', 13, 10, 26, 10};
  put(header, width), put(header, height);
  header.insert(header.end(), {8, 0, 0, 0, 0});
  uLongf size = data.size();
  EXPECT_EQ(compress2(data.data(), &size, Bytes(zeros).data(), zeros, 1), Z_OK);
  data.resize(size);
  put_chunk(png, "IHDR", header);
  put_chunk(png, "IDAT", data);
  put_chunk(png, "IEND", {});
  return png;
}

TEST(Image, BombsAreRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const Bytes& bytes) {
    write_bytes(folder / "x", bytes);
    return error_of("read_image", [&] { read_image(folder / "x", 1); });
  };
  write_bytes(folder / "x", png_of_zeros(10, 10, 110));
  expect_same(read_image(folder / "x", 1), Image(10, 10, 1));
  expect_contains(error_of("read_image", [&] { read_image(folder / "x", 1, 99); }), "at most 99 pixels");
  // Data for a hundred pixels that unpack to thirty million.
  expect_contains(refused(png_of_zeros(10, 10, 30'000'000)), "damaged");
  // A small file that announces a picture of 64 million pixels: nothing is made room for.
  expect_contains(refused(png_of_zeros(8192, 8192, 100)), "cannot hold 8192 x 8192 pixels");
  expect_contains(refused(png_of_zeros(1 << 16, 1 << 16, 100)), "readable size");
  expect_contains(refused(png_of_zeros(0, 10, 100)), "readable size");
  expect_contains(refused(png_of_zeros(10, 0x7fffffff, 100)), "readable size");
  expect_contains(refused(png_of_zeros(0xffffffff, 0xffffffff, 100)), "readable size");
  Bytes jpeg = fixture_bytes("gradient.jpg");
  for (std::size_t i = 0; i + 8 < jpeg.size(); ++i)
    if (jpeg[i] == 0xff && jpeg[i + 1] == 0xc0) jpeg[i + 5] = jpeg[i + 7] = 24;  // 6156 x 6164 pixels
  expect_contains(refused(jpeg), "cannot hold 6156 x 6164");
  Bytes bmp = small_bmp();
  bmp[20] = bmp[24] = 1;  // 65539 x 65538 pixels
  refused(bmp);
  bmp[20] = bmp[24] = 0;
  bmp[22] = 100;  // rows
  expect_contains(refused(bmp), "ends too early: 100 x 3 pixels take 1254 bytes");
}

TEST(Image, ResizedKeepsWhatIsFlat) {
  for (const int channels : {1, 3})
    for (const auto& [height, width] : {std::array{3, 4}, {40, 31}, {1, 1}, {100, 2}}) {
      const Image made = resized(Image(20, 10, channels, {7, 7, 7}), height, width);
      expect_same(made, Image(height, width, channels, {7, 7, 7}));
    }
  Image half(8, 8, 1);  // black above white
  std::fill(half.pixels.begin() + 32, half.pixels.end(), std::uint8_t{255});
  const Image small = resized(half, 2, 2);
  EXPECT_LT(*small.at(0, 0), 40);  // Mitchell's filter is wider than a pixel
  EXPECT_EQ(*small.at(0, 0) + *small.at(1, 0), 255);
  EXPECT_EQ(*small.at(0, 1), *small.at(0, 0));
  error_of("image", [&] { resized(half, 0, 2); });
}

TEST(Image, WrongNumberOfPixelsIsNotWritten) {
  const TemporaryFolder folder;
  Image image(2, 2, 1);
  image.pixels.pop_back();
  error_of("write_png", [&] { write_png(folder / "x", image); });
  error_of("write_png", [&] { write_png(folder / "x", Image()); });
  image = Image(2, 2, 1);
  image.channels = 4;
  error_of("write_png", [&] { write_png(folder / "x", image); });
  image.height = image.width = std::numeric_limits<int>::max();
  error_of("write_png", [&] { write_png(folder / "x", image); });
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace tapegrad
