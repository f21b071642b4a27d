#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>

#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/image.h"

namespace tapegrad::inline v0 {
namespace {

// The largest block that decoding the image at hand may need. A file whose data unpack to more than its
// header announces is stopped by it.
thread_local std::size_t decoder_block = 0;

void* limited_realloc(void* memory, std::size_t size) {
  return size <= decoder_block ? std::realloc(memory, size) : nullptr;
}

}  // namespace
}  // namespace tapegrad::inline v0

// The only file that holds stb's code, with internal linkage: a program may bring a copy of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_IMPLEMENTATION
#define STBI_MALLOC(size) tapegrad::limited_realloc(nullptr, size)
#define STBI_REALLOC(memory, size) tapegrad::limited_realloc(memory, size)
#define STBI_FREE(memory) std::free(memory)
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_FAILURE_STRINGS
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS (1 << 16)
#include <stb_image.h>
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb_image_resize.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace tapegrad::inline v0 {
namespace {

using Bytes = std::unique_ptr<unsigned char, decltype(&std::free)>;

// stb counts bytes in int.
constexpr int kMaxFile = 1 << 28;
// Deflate packs 1032 bytes into one, and a byte may hold 8 pixels. (A JPEG needs a bit for each 64.)
constexpr long kMostPixelsOfAByte = 8 * 1032;

using File = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 8> kPngSignature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool is_png(File file) {
  return file.size() >= kPngSignature.size() &&
         std::ranges::equal(file.first(kPngSignature.size()), kPngSignature);
}

bool is_bmp(File file) {
  return file.size() >= 2 && file[0] == 'B' && file[1] == 'M';
}

std::uint32_t big_endian(File file, std::size_t at) {
  return std::uint32_t{file[at]} << 24 | std::uint32_t{file[at + 1]} << 16 |
         std::uint32_t{file[at + 2]} << 8 | file[at + 3];
}

std::uint32_t little_endian(File file, std::size_t at) {
  return std::uint32_t{file[at + 3]} << 24 | std::uint32_t{file[at + 2]} << 16 |
         std::uint32_t{file[at + 1]} << 8 | file[at];
}

// The decoder does not look at the checksums of the chunks, each of them length, name, content, CRC.
void check_png(std::string_view op, const std::filesystem::path& path, File file) {
  constexpr std::size_t kFrame = 12;
  std::string name;
  for (std::size_t at = kPngSignature.size(); name != "IEND";) {
    if (file.size() - at < kFrame) detail::fail_file(op, path, "ends too early: it was cut off");
    const std::size_t length = big_endian(file, at);
    name.assign(reinterpret_cast<const char*>(file.data()) + at + 4, 4);
    if (length > file.size() - at - kFrame)
      detail::fail_file(op, path, "ends too early, or is damaged: a chunk would be {} bytes long", length);
    const auto checksum = crc32(0, file.data() + at + 4, static_cast<uInt>(length + 4));
    if (checksum != big_endian(file, at + length + 8))
      detail::fail_file(op, path, "is damaged: the checksum at byte {} is wrong", at + length + 8);
    at += length + kFrame;
  }
}

// The decoder makes black pixels of what is missing at the end.
void check_bmp(std::string_view op, const std::filesystem::path& path, File file) {
  constexpr std::size_t kHeader = 30, kOldHeader = 12;
  if (file.size() < kHeader) detail::fail_file(op, path, "ends too early: it was cut off");
  const bool old = little_endian(file, 14) == kOldHeader;
  const auto width =
      std::abs(static_cast<double>(old ? static_cast<std::int32_t>(little_endian(file, 18) & 0xffff)
                                       : static_cast<std::int32_t>(little_endian(file, 18))));
  const auto height =
      std::abs(static_cast<double>(old ? static_cast<std::int32_t>(little_endian(file, 18) >> 16)
                                       : static_cast<std::int32_t>(little_endian(file, 22))));
  const double bits = old ? little_endian(file, 24) & 0xffff : little_endian(file, 28) & 0xffff;
  const double needed =
      little_endian(file, 10) + std::ceil(width * bits / 32) * 4 * height;  // rows of whole words
  if (needed > static_cast<double>(file.size()))
    detail::fail_file(op, path, "ends too early: {} x {} pixels take {} bytes, and it has {}", height, width,
                      needed, file.size());
}

}  // namespace

std::vector<std::uint8_t> encode_png(const Image& image) {
  const auto [height, width, channels] = std::array{image.height, image.width, image.channels};
  const double bytes = double{1} * height * width * channels;
  if (height < 1 || width < 1 || (channels != 1 && channels != 3) || bytes > double{kMaxFile} ||
      image.pixels.size() != static_cast<std::size_t>(bytes))
    fail("write_png", "an image of {} x {} pixels with {} channels and {} bytes cannot be written", height,
         width, channels, image.pixels.size());
  int length = 0;
  const Bytes png(stbi_write_png_to_mem(image.pixels.data(), image.width * image.channels, image.width,
                                        image.height, image.channels, &length),
                  std::free);
  if (!png) fail("write_png", "no memory for an image of {} x {} pixels", height, width);
  return {png.get(), png.get() + length};
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const std::vector<std::uint8_t> png = encode_png(image);
  const std::span<const std::uint8_t> part(png);
  detail::write_file("write_png", path, {&part, 1});
}

Image read_image(const std::filesystem::path& path, int channels, index_t most_pixels) {
  constexpr std::string_view kOp = "read_image";
  if (channels != 1 && channels != 3) fail(kOp, "{} channels were asked for; 1 and 3 are possible", channels);
  const std::vector<std::uint8_t> file = detail::read_file(kOp, path, kMaxFile);
  const int length = static_cast<int>(file.size());
  int width = 0, height = 0, stored_channels = 0;
  decoder_block = std::size_t{1} << 20;  // of what looks at the header
  if (stbi_info_from_memory(file.data(), length, &width, &height, &stored_channels) == 0)
    detail::fail_file(kOp, path, "is not a PNG, JPEG or BMP image of a readable size");
  const index_t most = std::min(most_pixels, kMostPixels);
  if (width < 1 || height < 1 || index_t{width} * height > most)
    detail::fail_file(kOp, path, "is {} x {} pixels large; at most {} pixels are read", height, width, most);
  if (long{width} * height / kMostPixelsOfAByte > length)
    detail::fail_file(kOp, path, "is damaged: {} bytes cannot hold {} x {} pixels", length, height, width);
  if (is_png(file)) check_png(kOp, path, file);
  if (is_bmp(file)) check_bmp(kOp, path, file);
  // Four channels of 16 bits, whole tiles of a JPEG's; the file's own bytes, in a buffer that grows by
  // doubling.
  decoder_block = std::max(2 * file.size() + 4096, (static_cast<std::size_t>(width) + 64) *
                                                       (static_cast<std::size_t>(height) + 64) * 8);
  const Bytes pixels(stbi_load_from_memory(file.data(), length, &width, &height, &stored_channels, channels),
                     std::free);
  if (!pixels) detail::fail_file(kOp, path, "is damaged: it cannot be decoded");
  Image image(height, width, channels);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.begin());
  return image;
}

Image resized(const Image& image, int height, int width) {
  Image made(height, width, image.channels);
  if (stbir_resize_uint8(image.pixels.data(), image.width, image.height, 0, made.pixels.data(), width, height,
                         0, image.channels) == 0)
    fail("resized", "no memory to make {} x {} pixels of {} x {}", height, width, image.height, image.width);
  return made;
}

}  // namespace tapegrad::inline v0
