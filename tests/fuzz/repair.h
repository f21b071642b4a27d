#pragma once

// What mutators make right again after they changed an input, so that readers look behind lengths and checksums.

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "fuzz.h"

namespace tapegrad::fuzz {

inline std::uint32_t crc_of(View bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, bytes.data(), bytes.size()));
}

/// Numbers of `count` bytes at data[at]; nothing is read or written behind the end.
inline std::uint64_t little(View data, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | (at + i < data.size() ? data[at + i] : 0u);
  return value;
}
inline std::uint64_t big(View data, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | (at + i < data.size() ? data[at + i] : 0u);
  return value;
}
inline void put_little(std::span<std::uint8_t> data, std::size_t at, std::size_t count, std::uint64_t value) {
  for (std::size_t i = 0; i < count && at + i < data.size(); ++i)
    data[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}
inline void put_big(std::span<std::uint8_t> data, std::size_t at, std::size_t count, std::uint64_t value) {
  for (std::size_t i = 0; i < count && at + i < data.size(); ++i)
    data[at + i] = static_cast<std::uint8_t>(value >> (8 * (count - 1 - i)));
}

/// The first `most` bytes of what a gzip file (or a stream without frame) holds, as far as it can be unpacked.
inline Bytes unpacked(View packed, bool is_gzip, std::size_t most = 1 << 16) {
  Bytes content(most);
  z_stream state{};
  if (inflateInit2(&state, is_gzip ? MAX_WBITS + 16 : -MAX_WBITS) != Z_OK) return {};
  state.next_in = const_cast<std::uint8_t*>(packed.data());
  state.avail_in = static_cast<uInt>(packed.size());
  state.next_out = content.data();
  state.avail_out = static_cast<uInt>(content.size());
  ::inflate(&state, Z_SYNC_FLUSH);
  inflateEnd(&state);
  return Bytes(content.begin(), content.end() - static_cast<std::ptrdiff_t>(state.avail_out));
}

/// The same as a gzip file.
inline Bytes gzipped(View content) {
  z_stream state{};
  if (deflateInit2(&state, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  Bytes packed(deflateBound(&state, static_cast<uLong>(content.size())) + 32);
  state.next_in = const_cast<std::uint8_t*>(content.data());
  state.avail_in = static_cast<uInt>(content.size());
  state.next_out = packed.data();
  state.avail_out = static_cast<uInt>(packed.size());
  ::deflate(&state, Z_FINISH);
  packed.resize(packed.size() - state.avail_out);
  deflateEnd(&state);
  return packed;
}

/// Changes the part of data from `begin` to `end`, which may become longer or shorter, and returns the new size.
inline std::size_t mutate_part(std::uint8_t* data, std::size_t size, std::size_t max_size, std::size_t begin,
                               std::size_t end) {
  Bytes part(data + begin, data + end);
  const std::size_t before = part.size();
  part.resize(before + (max_size - size));
  part.resize(LLVMFuzzerMutate(part.data(), before, part.size()));
  std::memmove(data + begin + part.size(), data + end, size - end);
  std::copy(part.begin(), part.end(), data + begin);
  return size - before + part.size();
}

/// Makes checksums and sizes of a ZIP archive right, as far as the directory leads to members.
inline void repair_zip(std::span<std::uint8_t> file) {
  constexpr std::uint64_t kCentral = 0x02014b50, kLocal = 0x04034b50;
  for (std::size_t at = 0; at + 46 <= file.size(); ++at) {
    if (little(file, at, 4) != kCentral) continue;
    const std::size_t header = little(file, at + 42, 4), packed = little(file, at + 20, 4);
    if (header + 30 > file.size() || little(file, header, 4) != kLocal) continue;
    const std::size_t begin = header + 30 + little(file, header + 26, 2) + little(file, header + 28, 2);
    if (begin > file.size() || packed > file.size() - begin) continue;
    const auto content = file.subspan(begin, packed);
    const bool deflated = little(file, at + 10, 2) == 8;
    const Bytes inside = deflated ? unpacked(content, false) : Bytes(content.begin(), content.end());
    for (const std::size_t place : {at + 16, header + 14}) {
      put_little(file, place, 4, crc_of(inside));
      put_little(file, place + 8, 4, inside.size());
    }
  }
}

/// The whole number behind the last `words` in a text.
inline std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view words,
                                                  int base = 10) {
  const std::size_t at = text.rfind(words);
  if (at == text.npos) return std::nullopt;
  const std::string digits(text.substr(at + words.size()));
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(digits.c_str(), &end, base);
  return end == digits.c_str() ? std::nullopt : std::optional(value);
}

}  // namespace tapegrad::fuzz
