#pragma once

// What the fuzz targets share: how an input becomes numbers, what a function may do with it, and what is a finding.
//
// A target is a file with LLVMFuzzerTestOneInput(), seeds(), and perhaps LLVMFuzzerCustomMutator(). libFuzzer runs it (preset
// `fuzz`, tools/fuzz.sh); in every other build plain_main.cpp does.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/base/error.h"
#include "tapegrad/base/shape.h"

extern "C" {
/// Changes data in place, and returns its new size, at most max_size.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
}

namespace tapegrad::fuzz {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

/// Inputs to begin with, by name: each target defines this function.
std::vector<std::pair<std::string, Bytes>> seeds();

/// Says what is wrong and ends the program, which keeps the input.
[[noreturn]] inline void found(std::string_view what) {
  std::fprintf(stderr, "FOUND: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

/// How many inputs were judged by an oracle, of those that ran: targets count.
inline std::uint64_t judged = 0;

/// Whether f() accepted what it was given. It may refuse by an Error of op, or for want of memory. Anything else that it
/// throws is a finding. `refusal` becomes the message.
template <class F>
bool accepts(std::string_view op, F&& f, std::string* refusal = nullptr) {
  try {
    f();
    return true;
  } catch (const Error& error) {
    if (!op.empty() && error.op() != op) found("an error of another function: " + std::string(error.what()));
    if (refusal != nullptr) *refusal = error.message();
  } catch (const std::bad_alloc&) {
  } catch (const std::exception& error) {
    found(std::string("not an Error of tapegrad: ") + error.what());
  }
  return false;
}

/// Numbers from the bytes of an input, one after the other; zeros behind its end.
class Draw {
 public:
  explicit Draw(View input) : left_(input) {}

  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const std::uint8_t first = left_.front();
    left_ = left_.subspan(1);
    return first;
  }
  /// From low to high, both included, which are at most 255 apart.
  index_t integer(index_t low, index_t high) { return low + byte() % (high - low + 1); }
  /// In `of` cases out of 256.
  bool chance(int of) { return byte() < of; }
  /// Any bits that T can have.
  template <class T>
  T bits() {
    std::uint8_t raw[sizeof(T)];
    for (std::uint8_t& b : raw) b = byte();
    T value;
    std::memcpy(&value, raw, sizeof(T));
    return value;
  }
  template <class T, std::size_t n>
  const T& one_of(const T (&values)[n]) {
    return values[byte() % n];
  }
  View rest() { return std::exchange(left_, {}); }

 private:
  View left_;
};

/// Numbers that follow from a seed, without end (xorshift64*).
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : state_(seed * 2 + 0x9E3779B97F4A7C15u) {}
  std::uint64_t bits() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>((bits() >> 16) % bound); }
  index_t integer(index_t low, index_t high) {
    return low + static_cast<index_t>(below(static_cast<std::size_t>(high - low + 1)));
  }

 private:
  std::uint64_t state_;
};

}  // namespace tapegrad::fuzz
