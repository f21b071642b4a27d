#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include "tapegrad/io/codecs_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

// libjpeg leaves its functions by longjmp: in those that call it no object with a destructor is alive.
struct JpegErrors {
  jpeg_error_mgr manager{};
  std::jmp_buf back{};
  char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);  // the manager is its first member
  info->err->format_message(info, errors->message);
  std::longjmp(errors->back, 1);
}

// libjpeg goes on after damage, with grey pixels; this does not.
void on_warning(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
  if (level < 0 && !harmless) on_error(info);
}

// A progressive file may go over all of its pixels again and again. Encoders do so about ten times.
void on_progress(j_common_ptr info) {
  constexpr int kMostScans = 200;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMostScans) {
    info->err->msg_code = JERR_TOO_LITTLE_DATA;
    on_error(info);
  }
}

class JpegDecoder {
 public:
  explicit JpegDecoder(const EncodedImage& file) : bytes_(file.bytes()) {
    info_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = on_error;
    errors_.manager.emit_message = on_warning;
    progress_.progress_monitor = on_progress;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // All of these return false after an error.
  bool read_header() {
    if (setjmp(errors_.back) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool start(J_COLOR_SPACE colours) {
    if (setjmp(errors_.back) != 0) return false;
    info_.out_color_space = colours;
    jpeg_start_decompress(&info_);
    return true;
  }
  bool read_row(std::uint8_t* row) {
    if (setjmp(errors_.back) != 0) return false;
    return jpeg_read_scanlines(&info_, &row, 1) == 1;
  }
  bool finish() {
    if (setjmp(errors_.back) != 0) return false;
    jpeg_finish_decompress(&info_);
    return true;
  }

  const jpeg_decompress_struct& info() const { return info_; }
  const char* message() const { return errors_.message; }

 private:
  std::span<const std::uint8_t> bytes_;
  JpegErrors errors_;
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct info_{};
};

// What is printed with these inks. Adobe's programs write how much of each ink is missing.
void print(std::span<const std::uint8_t> inks, bool missing, std::uint8_t* to) {
  const auto light = [&](std::size_t i) { return missing ? inks[i] : 255 - inks[i]; };
  for (std::size_t i = 0; i + 3 < inks.size(); i += 4)
    for (std::size_t c = 0; c < 3; ++c)
      *to++ = static_cast<std::uint8_t>((light(i + c) * light(i + 3) + 127) / 255);
}

}  // namespace

Image decode_jpeg(const EncodedImage& file, int channels) {
  JpegDecoder decoder(file);
  const auto require = [&](bool good) {
    if (!good) file.fail("is damaged: {}", decoder.message());
  };
  require(decoder.read_header());
  const jpeg_decompress_struct& info = decoder.info();
  file.require_size(info.image_height, info.image_width);
  const bool inks = info.num_components == 4;
  require(decoder.start(inks ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB));
  Image image(static_cast<int>(info.output_height), static_cast<int>(info.output_width), inks ? 3 : channels);
  std::vector<std::uint8_t> row(inks ? std::size_t{4} * info.output_width : 0);
  if (info.output_components != (inks ? 4 : channels)) file.fail("has colours that cannot be read");
  for (int y = 0; y < image.height; ++y) {
    require(decoder.read_row(inks ? row.data() : image.at(y, 0)));
    if (inks) print(row, info.saw_Adobe_marker != 0, image.at(y, 0));
  }
  require(decoder.finish());
  return with_channels(std::move(image), channels);
}

}  // namespace tapegrad::inline v0::detail
