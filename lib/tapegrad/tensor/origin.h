#pragma once

#include <atomic>
#include <cstdint>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {
namespace detail {

struct Node;

/// Which recording made a tensor, and which of its nodes. Only autograd/ gives these a meaning; a tensor carries
/// them.
struct Origin {
  std::uint64_t tape = 0;  // serial number, 0: made by none
  Node* node = nullptr;    // valid only while that recording is
};

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

}  // namespace detail
}  // namespace v0
}  // namespace tapegrad
