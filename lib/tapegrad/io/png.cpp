#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>

#include "tapegrad/io/codecs_internal.h"

namespace tapegrad::inline v0 {
namespace detail {
namespace {

// What libpng calls back with. It leaves its functions by longjmp: in those that call it no object with a
// destructor is alive.
struct PngInput {
  std::span<const std::uint8_t> left;
  std::array<char, 160> message{};
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* input = static_cast<PngInput*>(png_get_error_ptr(png));
  std::strncpy(input->message.data(), message, input->message.size() - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep to, std::size_t count) {
  auto* input = static_cast<PngInput*>(png_get_io_ptr(png));
  if (count > input->left.size()) png_error(png, "it ends too early, as if it was cut off");
  std::copy_n(input->left.data(), count, to);
  input->left = input->left.subspan(count);
}

class PngDecoder {
 public:
  explicit PngDecoder(const EncodedImage& file) : input_{.left = file.bytes()} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &input_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      file.fail("cannot be decoded: no memory");
    }
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  // Both return false after an error.
  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, &input_, on_read);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(png_, 0);  // what libpng would only warn of: data that are too long, wrong colours
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // texts, profiles, dates
    png_read_info(png_, info_);
    palette_ = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE;
    if (palette_) png_get_PLTE(png_, info_, &colours_, &colour_count_);
    png_set_packing(png_);
    if (!palette_) png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    channels_ = png_get_channels(png_, info_);
    return true;
  }
  bool read_rows(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

  bool has_palette() const { return palette_; }
  int channels() const { return channels_; }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  std::span<const png_color> colours() const { return {colours_, static_cast<std::size_t>(colour_count_)}; }
  const char* message() const { return input_.message.data(); }

 private:
  PngInput input_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  png_colorp colours_ = nullptr;
  int colour_count_ = 0, channels_ = 0;
  bool palette_ = false;
};

// The colours of an image whose pixels are their numbers.
Image coloured(const EncodedImage& file, const Image& numbers, std::span<const png_color> colours) {
  Image image(numbers.height, numbers.width, 3);
  auto to = image.pixels.begin();
  for (const std::uint8_t number : numbers.pixels) {
    if (number >= colours.size())
      file.fail("is damaged: a pixel has the colour {} of a palette of {}", number, colours.size());
    const png_color& colour = colours[number];
    to = std::ranges::copy(std::array{colour.red, colour.green, colour.blue}, to).out;
  }
  return image;
}

}  // namespace

Image decode_png(const EncodedImage& file, int channels) {
  // The header of a PNG always stands at the same place; no memory is taken for sizes that are refused.
  const std::uint32_t width = file.big32(16), height = file.big32(20);
  file.require_size(height, width);
  PngDecoder decoder(file);
  if (!decoder.read_header()) file.fail("is damaged: {}", decoder.message());
  Image image(static_cast<int>(height), static_cast<int>(width), decoder.channels() == 1 ? 1 : 3);
  if (decoder.row_bytes() != std::size_t{width} * static_cast<std::size_t>(image.channels))
    file.fail("is damaged: its rows are not as long as its header says");
  std::vector<png_bytep> rows;
  for (int y = 0; y < image.height; ++y) rows.push_back(image.at(y, 0));
  if (!decoder.read_rows(rows.data())) file.fail("is damaged: {}", decoder.message());
  if (decoder.has_palette()) image = coloured(file, image, decoder.colours());
  return with_channels(std::move(image), channels);
}

std::vector<std::uint8_t> png_of(std::string_view op, const Image& image) {
  constexpr double kMostBytes = 0x1p28;
  const double bytes = double{1} * image.height * image.width * image.channels;
  if (image.height < 1 || image.width < 1 || (image.channels != 1 && image.channels != 3) ||
      bytes > kMostBytes || image.pixels.size() != static_cast<std::size_t>(bytes))
    fail(op, "an image of {} x {} pixels with {} channels and {} bytes cannot be written", image.height,
         image.width, image.channels, image.pixels.size());
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.height = static_cast<png_uint_32>(image.height);
  header.width = static_cast<png_uint_32>(image.width);
  header.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::vector<std::uint8_t> png(size);
  if (png_image_write_to_memory(&header, png.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0)
    fail(op, "an image of {} x {} pixels cannot be written: {}", image.height, image.width, header.message);
  png.resize(size);
  png.shrink_to_fit();
  return png;
}

}  // namespace detail

std::vector<std::uint8_t> encode_png(const Image& image) {
  return detail::png_of("encode_png", image);
}

}  // namespace tapegrad::inline v0
