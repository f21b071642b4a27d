#include "tapegrad/io/gzip_internal.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/io/inflate_internal.h"

namespace tapegrad::inline v0::detail {

Unzipped::Unzipped(std::string_view op, const std::filesystem::path& path) : file_(op, path), begin_(2) {
  begin_.resize(file_.read_some(begin_));
  if (begin_.size() < 2 || begin_[0] != 0x1f || begin_[1] != 0x8b) return;
  inflater_ = std::make_unique<Inflater>(
      file_, true, [this](std::span<std::uint8_t> buffer) { return read_plain(buffer); });
}

Unzipped::~Unzipped() = default;

std::uint64_t Unzipped::size_limit() const {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  if (!is_gzip()) return file_.size();
  return file_.size() > kMost / kMostDeflated ? kMost : file_.size() * kMostDeflated;
}

std::size_t Unzipped::read_plain(std::span<std::uint8_t> buffer) {
  const std::size_t seen = std::min(begin_.size(), buffer.size());
  std::copy_n(begin_.begin(), seen, buffer.begin());
  begin_.erase(begin_.begin(), begin_.begin() + static_cast<std::ptrdiff_t>(seen));
  return seen + file_.read_some(buffer.subspan(seen));
}

std::size_t Unzipped::read_some(std::span<std::uint8_t> buffer) {
  return inflater_ ? inflater_->read_some(buffer) : read_plain(buffer);
}

void Unzipped::read(std::span<std::uint8_t> buffer) {
  if (read_some(buffer) != buffer.size()) file_.fail("ends too early: it was cut off");
}

namespace {

constexpr std::size_t kChunk = std::size_t{1} << 16;

std::vector<std::uint8_t> compressed(std::string_view op, Parts parts, bool as_gzip) {
  z_stream state{};
  gz_header header{};
  header.os = 255;  // zlib would write which system this is
  constexpr int kMemoryLevel = 9, kGzip = 16;
  if (deflateInit2(&state, Z_BEST_COMPRESSION, Z_DEFLATED, as_gzip ? MAX_WBITS + kGzip : -MAX_WBITS,
                   kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    fail(op, "no memory to compress");
  if (as_gzip) deflateSetHeader(&state, &header);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&state, deflateEnd);
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> chunk(kChunk);
  const auto run = [&](std::span<const std::uint8_t> content, int flush) {
    do {
      const std::size_t taken = std::min<std::size_t>(content.size(), std::numeric_limits<uInt>::max());
      state.next_in = const_cast<std::uint8_t*>(content.data());
      state.avail_in = static_cast<uInt>(taken);
      state.next_out = chunk.data();
      state.avail_out = static_cast<uInt>(chunk.size());
      if (deflate(&state, flush) == Z_STREAM_ERROR) fail(op, "{} bytes cannot be compressed", content.size());
      content = content.subspan(taken - state.avail_in);
      packed.insert(packed.end(), chunk.begin(), chunk.end() - static_cast<std::ptrdiff_t>(state.avail_out));
    } while (!content.empty() || state.avail_out == 0);
  };
  for (const auto part : parts) run(part, Z_NO_FLUSH);
  run({}, Z_FINISH);
  return packed;
}

}  // namespace

std::vector<std::uint8_t> gzip(std::string_view op, Parts parts) {
  return compressed(op, parts, true);
}

std::vector<std::uint8_t> deflated_bytes(std::string_view op, Parts parts) {
  return compressed(op, parts, false);
}

}  // namespace tapegrad::inline v0::detail
