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

// A file that ended the process, or was read beyond its end, when a library did not check its tables.
TEST(Image, FilesThatCrashedOthersAreRefused) {
  const TemporaryFolder folder;
  for (const std::string name : {"stb_huffman_segv_min.jpg", "stb_huffman_ubsan.jpg", "bmp_30_bytes.bmp"}) {
    const Bytes whole = fixture_bytes("crashes/" + name);
    for (std::size_t length = 0; length <= whole.size(); ++length) {
      write_bytes(folder / "x", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
      for (const int channels : {1, 3})
        EXPECT_NE(error_of("read_image", [&] { read_image(folder / "x", channels); }), "") << name << length;
    }
  }
}

// Segments of a JPEG: where each one's marker stands, up to the first scan's data.
std::vector<std::size_t> segments(const Bytes& jpeg) {
  std::vector<std::size_t> found;
  for (std::size_t at = 2; at + 4 < jpeg.size(); at += 2 + jpeg[at + 2] * 256u + jpeg[at + 3]) {
    found.push_back(at);
    if (jpeg[at + 1] == 0xda) break;
  }
  return found;
}

// The JPEG with a segment replaced, or inserted before the first scan.
Bytes with_segment(const Bytes& jpeg, std::size_t at, std::size_t length, std::uint8_t marker,
                   const Bytes& content) {
  Bytes made(jpeg.begin(), jpeg.begin() + static_cast<std::ptrdiff_t>(at));
  made.insert(made.end(), {0xff, marker, static_cast<std::uint8_t>((content.size() + 2) / 256),
                           static_cast<std::uint8_t>((content.size() + 2) % 256)});
  made.insert(made.end(), content.begin(), content.end());
  made.insert(made.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at + length), jpeg.end());
  return made;
}

// Reads or refuses, in a defined way; what is read has the size that the file announces.
void expect_survived(const Bytes& bytes, const std::string& what) {
  static const TemporaryFolder folder;
  write_bytes(folder / "x", bytes);
  for (const int channels : {1, 3}) try {
      const Image image = read_image(folder / "x", channels);
      EXPECT_EQ(image.pixels.size(),
                std::size_t{1} * static_cast<std::size_t>(image.height * image.width * channels))
          << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "read_image") << what;
    }
}

TEST(Image, HuffmanTablesThatAreTooLongAreRefused) {
  const Bytes whole = fixture_bytes("gradient.jpg");
  const std::size_t scan = segments(whole).back();
  const TemporaryFolder folder;
  std::uint32_t state = 1;
  const auto random = [&](std::uint32_t below) {
    return (state = state * 1664525u + 1013904223u) / 256 % below;
  };
  for (int variant = 0; variant < 400; ++variant) {
    Bytes content;
    int codes = 0;
    const int tables = 1 + static_cast<int>(random(4));
    for (int table = 0; table < tables; ++table) {
      content.push_back(static_cast<std::uint8_t>(random(2) << 4 | random(variant % 4 == 0 ? 16 : 4)));
      std::size_t symbols = 0;
      for (int length = 0; length < 16; ++length) {
        const std::uint32_t count = variant % 3 == 0 ? 255 : random(variant % 3 == 1 ? 256 : 40);
        content.push_back(static_cast<std::uint8_t>(count));
        symbols += count;
      }
      codes = std::max(codes, static_cast<int>(symbols));
      for (std::size_t i = 0; i < symbols; ++i) content.push_back(static_cast<std::uint8_t>(random(256)));
    }
    const Bytes made = with_segment(whole, scan, 0, 0xc4, content);
    expect_survived(made, "variant " + std::to_string(variant));
    if (codes <= 256) continue;
    write_bytes(folder / "x", made);
    EXPECT_NE(error_of("read_image", [&] { read_image(folder / "x", 3); }), "") << variant;
  }
}

TEST(Image, SegmentsOfAJpegMayHoldAnything) {
  const Bytes whole = fixture_bytes("gradient.jpg");
  for (const std::size_t at : segments(whole)) {
    const std::size_t length = 2 + whole[at + 2] * 256u + whole[at + 3];
    const Bytes content(whole.begin() + static_cast<std::ptrdiff_t>(at + 4),
                        whole.begin() + static_cast<std::ptrdiff_t>(at + length));
    for (const int marker : {0xc0, 0xc1, 0xc2, 0xc4, 0xc9, 0xca, 0xcc, 0xda, 0xdb, 0xdd, 0xee})
      for (const int first : {0, 1, 3, 4, 16, 255}) {
        Bytes other = content;
        if (!other.empty()) other[0] = static_cast<std::uint8_t>(first);
        const auto kind = static_cast<std::uint8_t>(marker);
        expect_survived(with_segment(whole, at, length, kind, other), "another segment");
        expect_survived(with_segment(whole, at, 0, kind, other), "one more segment");
        for (std::size_t k = 0; k < other.size(); k += 1 + other.size() / 8)
          expect_survived(with_segment(whole, at, length, kind,
                                       {other.begin(), other.begin() + static_cast<std::ptrdiff_t>(k)}),
                          "a shorter one");
      }
    expect_survived(with_segment(whole, at, length, 0xfe, {}), "a missing segment");
  }
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

Bytes bmp_of(std::uint16_t bits, std::uint32_t packing, std::int32_t width, std::int32_t height,
             const Bytes& tables, const Bytes& rows, std::uint32_t colours = 0) {
  Bytes bmp{'B', 'M'};
  const auto put = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) bmp.push_back(static_cast<std::uint8_t>(i < 4 ? value >> 8 * i : 0));
  };
  const auto pixels = static_cast<std::uint32_t>(54 + tables.size());
  put(pixels + static_cast<std::uint32_t>(rows.size()), 4), put(0, 4), put(pixels, 4), put(40, 4);
  put(static_cast<std::uint32_t>(width), 4), put(static_cast<std::uint32_t>(height), 4), put(1, 2),
      put(bits, 2);
  put(packing, 4), put(0, 12), put(colours, 4), put(0, 4);
  bmp.insert(bmp.end(), tables.begin(), tables.end());
  bmp.insert(bmp.end(), rows.begin(), rows.end());
  return bmp;
}

TEST(Image, BmpsOfAllDepths) {
  const TemporaryFolder folder;
  const auto pixels = [&](const Bytes& bmp) {
    write_bytes(folder / "x", bmp);
    return read_image(folder / "x", 3).pixels;
  };
  const Bytes palette{0, 0, 255, 0, 255, 0, 0, 0};  // red, blue
  const Bytes red_blue_red{255, 0, 0, 0, 0, 255, 255, 0, 0};
  EXPECT_EQ(pixels(bmp_of(1, 0, 3, 1, palette, {0x40, 0, 0, 0})), red_blue_red);
  EXPECT_EQ(pixels(bmp_of(4, 0, 3, 1, palette, {0x01, 0x00, 0, 0}, 2)), red_blue_red);
  EXPECT_EQ(pixels(bmp_of(8, 0, 3, 1, palette, {0, 1, 0, 0}, 2)), red_blue_red);
  EXPECT_EQ(pixels(bmp_of(16, 0, 2, 1, {}, {0x00, 0x7c, 0x1f, 0x00})), (Bytes{255, 0, 0, 0, 0, 255}));
  EXPECT_EQ(
      pixels(bmp_of(16, 3, 2, 1, {0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0}, {0xe0, 0x07, 0x10, 0x84})),
      (Bytes{0, 255, 0, 132, 130, 132}));
  EXPECT_EQ(pixels(bmp_of(24, 0, 1, -2, {}, {1, 2, 3, 0, 4, 5, 6, 0})),
            (Bytes{3, 2, 1, 6, 5, 4}));  // top down
  EXPECT_EQ(pixels(bmp_of(32, 0, 1, 1, {}, {1, 2, 3, 9})), (Bytes{3, 2, 1}));
  EXPECT_EQ(pixels(bmp_of(32, 3, 1, 1, {0xff, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0xff, 0}, {1, 2, 3, 9})),
            (Bytes{1, 2, 3}));
  Bytes old{'B', 'M', 30, 0, 0, 0, 0, 0, 0, 0, 26, 0, 0, 0, 12, 0, 0, 0, 1, 0, 1, 0, 1, 0, 24, 0, 7, 8, 9, 0};
  EXPECT_EQ(pixels(old), (Bytes{9, 8, 7}));

  const auto refused = [&](const Bytes& bmp) { return error_of("read_image", [&] { pixels(bmp); }); };
  expect_contains(refused(bmp_of(8, 0, 3, 1, palette, {0, 2, 0, 0}, 2)), "the colour 2 of a palette of 2");
  for (const std::uint32_t told : {0u, 200u})  // the pixels begin behind two colours, whatever is told
    expect_contains(refused(bmp_of(8, 0, 3, 1, palette, {0, 2, 0, 0}, told)),
                    "the colour 2 of a palette of 2");
  expect_contains(refused(bmp_of(8, 1, 3, 1, palette, {0, 2, 0, 0}, 2)), "without compression");
  expect_contains(refused(bmp_of(7, 0, 3, 1, palette, {0, 2, 0, 0})), "7 bits");
  expect_contains(refused(bmp_of(8, 0, 3, 1, {}, {0, 2, 0, 0}, 257)), "257 colours");
  expect_contains(
      refused(bmp_of(32, 3, 1, 1, {0x0f, 0xf0, 0xf0, 0, 0, 0xff, 0, 0, 0, 0, 0xff, 0}, {1, 2, 3, 9})),
      "not a mask");
  refused(bmp_of(24, 0, 0, 1, {}, {}));
  refused(bmp_of(24, 0, 1, std::numeric_limits<std::int32_t>::min(), {}, {1, 2, 3, 4}));
  for (const Bytes& whole :
       {bmp_of(4, 0, 3, 1, palette, {0x01, 0x00, 0, 0}, 2), old,
        bmp_of(16, 3, 2, 1, {0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0}, {1, 2, 3, 4})})
    expect_refused_or_read(whole, whole.size(), [](std::size_t) { return false; });
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

// A PNG with this header and these unpacked rows.
Bytes png_of(std::uint32_t height, std::uint32_t width, std::uint8_t bits, std::uint8_t colours,
             const Bytes& palette, const Bytes& rows, std::uint8_t interlaced = 0) {
  Bytes header, data(compressBound(rows.size())), png{0x89, 'P', 'N', 'G', 13, 10, 26, 10};
  put(header, width), put(header, height);
  header.insert(header.end(), {bits, colours, 0, 0, interlaced});
  uLongf size = data.size();
  EXPECT_EQ(compress2(data.data(), &size, rows.data(), rows.size(), 1), Z_OK);
  data.resize(size);
  put_chunk(png, "IHDR", header);
  put_chunk(png, "tEXt", {'a', 0, 'b'});
  if (!palette.empty()) put_chunk(png, "PLTE", palette);
  put_chunk(png, "IDAT", data);
  put_chunk(png, "IEND", {});
  return png;
}

TEST(Image, PngsOfAllKinds) {
  const TemporaryFolder folder;
  const auto pixels = [&](const Bytes& png, int channels) {
    write_bytes(folder / "x", png);
    return read_image(folder / "x", channels).pixels;
  };
  EXPECT_EQ(pixels(png_of(1, 9, 1, 0, {}, {0, 0xa0, 0x80}), 1), (Bytes{255, 0, 255, 0, 0, 0, 0, 0, 255}));
  EXPECT_EQ(pixels(png_of(1, 3, 2, 0, {}, {0, 0x6c}), 1), (Bytes{85, 170, 255}));
  EXPECT_EQ(pixels(png_of(1, 2, 16, 0, {}, {0, 1, 200, 255, 3}), 1), (Bytes{1, 255}));
  EXPECT_EQ(pixels(png_of(1, 1, 8, 4, {}, {0, 77, 9}), 3), (Bytes{77, 77, 77}));
  EXPECT_EQ(pixels(png_of(1, 1, 8, 6, {}, {0, 1, 2, 3, 0}), 3), (Bytes{1, 2, 3}));
  EXPECT_EQ(pixels(png_of(1, 2, 8, 3, {9, 8, 7, 1, 2, 3}, {0, 1, 0}), 3), (Bytes{1, 2, 3, 9, 8, 7}));
  EXPECT_EQ(pixels(png_of(1, 3, 4, 3, {9, 8, 7, 1, 2, 3}, {0, 0x10, 0x10}), 3),
            (Bytes{1, 2, 3, 9, 8, 7, 1, 2, 3}));
  EXPECT_EQ(pixels(png_of(2, 2, 8, 0, {}, {0, 1, 0, 2, 0, 3, 4}, 1), 1), (Bytes{1, 2, 3, 4}));  // interlaced
  // A colour that the palette does not have: not whatever lies in memory there.
  write_bytes(folder / "x", png_of(1, 2, 8, 3, {9, 8, 7, 1, 2, 3}, {0, 1, 2}));
  expect_contains(error_of("read_image", [&] { read_image(folder / "x", 3); }),
                  "the colour 2 of a palette of 2");
  for (const Bytes& whole : {png_of(1, 3, 4, 3, {9, 8, 7, 1, 2, 3}, {0, 0x10, 0x10}),
                             png_of(2, 2, 8, 0, {}, {0, 1, 0, 2, 0, 3, 4}, 1)})
    expect_refused_or_read(whole, whole.size(), [](std::size_t) { return true; });
}

TEST(Image, ResizedMixesPixels) {
  EXPECT_EQ(resized(pattern(5, 7, 3), 5, 7).pixels,
            pattern(5, 7, 3).pixels);  // the same size: the same pixels
  Image step(1, 2, 1);
  step.pixels = {0, 200};
  // Catmull and Rom's spline at -0.25, 0.25, 0.75, 1.25, its pixels beyond the edges those at the edges:
  // weights of pixel 1 are -0.0703, 0.2031, 0.7969, 1.0703.
  EXPECT_EQ(resized(step, 1, 4).pixels, (Bytes{0, 41, 159, 214}));
  Image line(1, 4, 1);
  line.pixels = {0, 0, 255, 255};
  const Image small = resized(line, 1, 2);
  EXPECT_EQ(small.pixels[0] + small.pixels[1], 255);
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
  error_of("resized", [&] { resized(half, 0, 2); });
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
