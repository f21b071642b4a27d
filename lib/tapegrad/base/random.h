#pragma once

// Random numbers: Generator, whose numbers depend on its seed alone, not on compiler, platform or threads.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four words that are
/// a function of a counter and a key. The known answers of the Random123 library hold.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                      std::array<std::uint32_t, 2> key);

/// Random numbers that are the same bits with every compiler and on every platform. Seed, stream and position (how much
/// was drawn so far) determine all numbers that follow; generators with different streams are independent.
///
/// Drawing inside the loss of batch_gradient() throws, as chunks run on several threads in no order, unless the generator
/// was made there: child() of a number that belongs to the sample gives each sample numbers of its own.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0, std::uint64_t stream = 0);

  /// 32 random bits.
  std::uint32_t bits();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in [low, high). Throws when low > high or either is not finite.
  double uniform(double low, double high);
  /// Normal with mean 0 and standard deviation 1 (Box-Muller; logarithm and cosine are computed here, as C libraries
  /// round them differently).
  double normal();
  /// Normal with this mean and standard deviation. Throws unless both are finite and the standard deviation is at least 0.
  double normal(double mean, double standard_deviation);

  // Fill values with the numbers that one draw for each of them would give, bit for bit, several times as fast.
  void fill_bits(std::span<std::uint32_t> values);
  void fill_uniform(std::span<double> values, double low, double high);
  void fill_normal(std::span<double> values, double mean, double standard_deviation);

  /// A whole number in [0, bound), each equally likely. Throws when bound is 0.
  std::uint64_t integer(std::uint64_t bound);

  /// A random order of the elements (Fisher-Yates).
  template <class T>
  void shuffle(std::span<T> values) {
    for (std::size_t left = values.size(); left > 1; --left) {
      const std::size_t pick = index_below(left);
      T moved = std::move(values[left - 1]);
      values[left - 1] = std::move(values[pick]);
      values[pick] = std::move(moved);
    }
  }

  /// A generator of its own for each number, independent of this generator and of its other children. The child depends
  /// on seed, stream and number only: a data set that gives sample i the child i may be read in any order. Does not
  /// advance this generator.
  [[nodiscard]] Generator child(std::uint64_t number) const;

  /// All that is needed to continue later: seed, stream, and how many 32-bit words were drawn.
  struct Position {
    std::uint64_t seed = 0, stream = 0, drawn = 0;
    friend bool operator==(const Position&, const Position&) = default;
  };
  Position position() const { return position_; }
  /// Continues at a position.
  explicit Generator(const Position& position);

 private:
  /// integer(), where std::size_t may be smaller.
  std::size_t index_below(std::size_t bound);

  void require_order() const;

  Position position_;
  std::array<std::uint32_t, 4> block_{};  // the four words of the counter drawn / 4
  const void* chunk_;  // of a batch_gradient() that the generator, or what it is a copy of, was made in
};

}  // namespace v0
}  // namespace tapegrad
