#pragma once

// Internal: the serial numbers of recordings, and which of them are open.

#include <atomic>
#include <cstdint>

namespace tapegrad::inline v0::detail {

/// A new serial number, which counts as open until close() or the end. For recordings: what an open one made must
/// not be written to, on whatever thread.
class OpenSerial {
 public:
  OpenSerial();
  ~OpenSerial() { close(); }
  OpenSerial(const OpenSerial&) = delete;
  OpenSerial& operator=(const OpenSerial&) = delete;

  std::uint64_t number() const { return number_; }
  void close();

 private:
  const std::uint64_t number_;
  std::atomic<std::uint64_t>* slot_;
};

/// Whether the recording with this serial number is open, on the calling thread or another.
bool is_open(std::uint64_t serial);

}  // namespace tapegrad::inline v0::detail
