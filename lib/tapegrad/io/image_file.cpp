#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/image.h"

// The only file that holds stb's code, with internal linkage: a program may bring a copy of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_FAILURE_STRINGS
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS (1 << 16)
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace tapegrad {
namespace {

using Bytes = std::unique_ptr<unsigned char, decltype(&std::free)>;

// stb counts bytes in int.
constexpr int kMaxFile = 1 << 28;
constexpr long kMaxPixels = 1L << 26;

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

Image read_image(const std::filesystem::path& path, int channels) {
  constexpr std::string_view kOp = "read_image";
  if (channels != 1 && channels != 3) fail(kOp, "{} channels were asked for; 1 and 3 are possible", channels);
  const std::vector<std::uint8_t> file = detail::read_file(kOp, path, kMaxFile);
  const int length = static_cast<int>(file.size());
  int width = 0, height = 0, stored_channels = 0;
  if (stbi_info_from_memory(file.data(), length, &width, &height, &stored_channels) == 0)
    detail::fail_file(kOp, path, "is not a PNG, JPEG or BMP image of a readable size");
  if (width < 1 || height < 1 || long{width} * height > kMaxPixels)
    detail::fail_file(kOp, path, "is {} x {} pixels large; at most {} pixels are read", height, width,
                      kMaxPixels);
  const Bytes pixels(stbi_load_from_memory(file.data(), length, &width, &height, &stored_channels, channels),
                     std::free);
  if (!pixels) detail::fail_file(kOp, path, "is damaged: it cannot be decoded");
  Image image(height, width, channels);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.begin());
  return image;
}

}  // namespace tapegrad
