#pragma once

// Internal: the decoders behind read_image(), one for each format.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/image.h"

namespace tapegrad::inline v0::detail {

/// The content of an image file. Every read is checked against the file's end.
class EncodedImage {
 public:
  EncodedImage(std::string_view op, const std::filesystem::path& path, std::span<const std::uint8_t> bytes,
               index_t max_pixels)
      : op_(op), path_(path), bytes_(bytes), max_pixels_(max_pixels) {}

  std::span<const std::uint8_t> bytes() const { return bytes_; }
  bool begins_with(std::string_view signature) const;
  /// These bytes, or an error that the file was cut off.
  std::span<const std::uint8_t> at(std::uint64_t offset, std::uint64_t count) const;
  std::uint8_t byte(std::uint64_t offset) const { return at(offset, 1)[0]; }
  std::uint16_t little16(std::uint64_t offset) const;
  std::uint32_t little32(std::uint64_t offset) const;
  std::uint32_t big32(std::uint64_t offset) const;

  /// Throws when an image of this size is not to be read, or cannot be packed into so few bytes. Decoders ask
  /// before they take memory.
  void require_size(double height, double width) const;
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    fail_file_formatted(op_, path_, message, fmt::make_format_args(args...));
  }

 private:
  std::string_view op_;
  const std::filesystem::path& path_;
  std::span<const std::uint8_t> bytes_;
  index_t max_pixels_;
};

inline constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n", kJpegSignature = "\xff\xd8\xff",
                                  kBmpSignature = "BM";

/// All of these return grey or colour, as many channels as asked for.
Image decode_png(const EncodedImage& file, int channels);
Image decode_jpeg(const EncodedImage& file, int channels);
Image decode_bmp(const EncodedImage& file, int channels);

/// encode_png(), whose errors are those of op.
std::vector<std::uint8_t> png_of(std::string_view op, const Image& image);

/// The same picture in grey (1) or colour (3).
Image with_channels(Image image, int channels);

}  // namespace tapegrad::inline v0::detail
