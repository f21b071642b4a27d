#pragma once

// What readers of files are put through: files that were cut off or changed, with little memory to be had.

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "io/temporary.h"
#include "sanitizers.h"
#include "tapegrad/base/error.h"

namespace tapegrad::testing {

/// Bytes of the process's address space, and the most of its memory that was ever in use.
inline std::size_t memory_of_process(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == field) {
      std::size_t kilobytes = 0;
      status >> kilobytes;
      return kilobytes * 1024;
    }
  ADD_FAILURE() << "the system does not tell " << field;
  return 0;
}

/// Until the end of the scope the process gets no more than this much memory: a larger allocation fails.
/// Sanitizers need more themselves, and are left alone.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t more) {
    EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
    if (kSanitized) return;
    const rlimit limit{memory_of_process("VmSize:") + more, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~MemoryLimit() { ::setrlimit(RLIMIT_AS, &before_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit before_{};
};

/// The checksum of PNG, ZIP and gzip.
inline std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = ~0u;
  for (const std::uint8_t byte : bytes) {
    sum ^= byte;
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum % 2 == 1 ? 0xedb88320u : 0u);
  }
  return ~sum;
}

/// Calls read(path) for the file cut off at every byte, which must be an Error of op, and for the file with
/// every bit of it flipped, which may be one; returns how many of those were. Nothing else may be thrown, and
/// little memory be taken.
template <class F>
std::size_t damage(const Bytes& whole, const std::string& op, F&& read) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "damaged";
  const MemoryLimit little(std::size_t{64} << 20);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_bytes(path, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    EXPECT_NE(error_of(op, [&] { read(path); }), "") << "cut off to " << length << " bytes";
  }
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    write_bytes(path, flipped);
    try {
      read(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), op) << error.what();
      ++refused;
    } catch (const std::exception& other) {
      ADD_FAILURE() << "bit " << bit << ": not an Error of tapegrad: " << other.what();
    }
  }
  return refused;
}

}  // namespace tapegrad::testing
