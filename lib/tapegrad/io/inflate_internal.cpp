#include "tapegrad/io/inflate_internal.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace tapegrad::inline v0::detail {

struct Inflater::Stream {
  z_stream state{};
  std::array<std::uint8_t, std::size_t{1} << 16> input{};
  bool at_end = false;
};

Inflater::Inflater(const InputFile& file, bool gzip, Refill refill)
    : file_(file), gzip_(gzip), refill_(std::move(refill)), stream_(std::make_unique<Stream>()) {
  constexpr int kGzipOnly = 16;
  if (inflateInit2(&stream_->state, gzip ? MAX_WBITS + kGzipOnly : -MAX_WBITS) != Z_OK)
    file_.fail("cannot be unpacked: no memory");
}

Inflater::~Inflater() {
  inflateEnd(&stream_->state);
}

bool Inflater::refill() {
  z_stream& state = stream_->state;
  if (state.avail_in > 0) return true;
  state.next_in = stream_->input.data();
  state.avail_in = static_cast<uInt>(refill_(stream_->input));
  return state.avail_in > 0;
}

bool Inflater::next_stream() {
  constexpr std::uint8_t kFirstByte = 0x1f;
  if (!gzip_ || !refill()) return false;
  if (*stream_->state.next_in != kFirstByte) file_.fail("has more bytes after the end of its gzip data");
  if (inflateReset(&stream_->state) != Z_OK) file_.fail("cannot be unpacked: no memory");
  stream_->at_end = false;
  return true;
}

std::size_t Inflater::read_some(std::span<std::uint8_t> buffer) {
  z_stream& state = stream_->state;
  std::size_t filled = 0;
  while (filled < buffer.size() && (!stream_->at_end || next_stream())) {
    if (!refill()) file_.fail("ends too early: its packed data were cut off");
    const std::size_t room =
        std::min<std::size_t>(buffer.size() - filled, (std::numeric_limits<uInt>::max)());
    state.next_out = buffer.data() + filled;
    state.avail_out = static_cast<uInt>(room);
    const int result = inflate(&state, Z_NO_FLUSH);
    filled += room - state.avail_out;
    stream_->at_end = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END)
      file_.fail("is damaged: its packed data cannot be unpacked ({})",
                 state.msg ? state.msg : zError(result));
  }
  return filled;
}

}  // namespace tapegrad::inline v0::detail
