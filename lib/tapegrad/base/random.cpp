// Compiled with -ffp-contract=off: the numbers must be the same bits with every compiler. For the same reason
// no function of libm is called but sqrt, which IEEE 754 rounds correctly.
#include "tapegrad/base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad {
namespace {

std::array<std::uint32_t, 4> philox_round(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
  const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0];
  const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2];
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  return {high(b) ^ c[1] ^ k[0], low(b), high(a) ^ c[3] ^ k[1], low(a)};
}

constexpr double kLn2 = 0.693147180559945309417;
constexpr double kPi = 3.14159265358979323846;

// The natural logarithm of a number in (0, 1], to about 1e-15: x = m 2^e with m in [sqrt(1/2), sqrt(2)), and
// log m = 2 artanh(s), s = (m-1)/(m+1), as its series, which has converged after s^23 since |s| < 0.1716.
double log_unit(double x) {
  const auto raw = std::bit_cast<std::uint64_t>(x);
  int exponent = static_cast<int>(raw >> 52) - 1023;
  double m = std::bit_cast<double>((raw & 0xFFFFFFFFFFFFFull) | (std::uint64_t{1023} << 52));
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double series = 0.0;
  for (int k = 23; k >= 1; k -= 2) series = series * s2 + 1.0 / k;
  return 2.0 * s * series + exponent * kLn2;
}

// The cosine of 2 pi t for t in [0, 1): folded to [0, 1/8] and summed as a Taylor series there.
double cos_turn(double t) {
  if (t > 0.5) t = 1.0 - t;  // cos is even around half a turn
  double sign = 1.0;
  if (t > 0.25) {
    t = 0.5 - t;
    sign = -1.0;
  }
  const bool use_sine = t > 0.125;
  const double x = 2.0 * kPi * (use_sine ? 0.25 - t : t);
  const double x2 = x * x;
  double series = 0.0;
  for (int k = 18; k >= 2; k -= 2) {
    const int last = use_sine ? k + 1 : k;
    series = (series + 1.0) * -x2 / (last * (last - 1));
  }
  return sign * (use_sine ? x : 1.0) * (series + 1.0);
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    counter = philox_round(counter, key);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

Generator::Generator(std::uint64_t seed, std::uint64_t stream) : Generator(Position{seed, stream, 0}) {}

Generator::Generator(const Position& position) : position_(position) {
  // A block is computed when its first word is drawn; in the middle of one it is computed here.
  if (position_.drawn % 4 != 0) {
    const std::uint64_t at = position_.drawn;
    position_.drawn = at / 4 * 4;
    while (position_.drawn < at) bits();
  }
}

std::uint32_t Generator::bits() {
  const std::uint64_t block = position_.drawn / 4;
  const auto word = static_cast<std::size_t>(position_.drawn % 4);
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  if (word == 0)
    block_ = philox4x32({low(block), high(block), low(position_.stream), high(position_.stream)},
                        {low(position_.seed), high(position_.seed)});
  ++position_.drawn;
  return block_[word];
}

double Generator::uniform() {
  const std::uint64_t upper = bits();
  return static_cast<double>((upper << 32 | bits()) >> 11) * 0x1p-53;
}

double Generator::uniform(double low, double high) {
  if (!(low <= high) || !std::isfinite(low) || !std::isfinite(high))
    fail("uniform", "the range [{}, {}) is empty or not finite", low, high);
  const double u = uniform();
  const double drawn = low * (1.0 - u) + high * u;   // does not overflow, unlike low + u * (high - low)
  return drawn < high ? std::max(drawn, low) : low;  // rounding may leave the range at either end
}

double Generator::normal() {
  const double radius = std::sqrt(-2.0 * log_unit(1.0 - uniform()));
  return radius * cos_turn(uniform());
}

double Generator::normal(double mean, double deviation) {
  return mean + deviation * normal();
}

std::uint64_t Generator::below(std::uint64_t bound) {
  if (bound == 0) fail("generator", "a whole number below 0 was asked for");
  // The largest multiple of bound; draws at or above it are thrown away, so that no residue is favoured.
  const std::uint64_t excess = (~std::uint64_t{0} % bound + 1) % bound;
  for (;;) {
    const std::uint64_t upper = bits();
    const std::uint64_t drawn = upper << 32 | bits();
    if (drawn <= ~std::uint64_t{0} - excess) return drawn % bound;
  }
}

Generator Generator::child(std::uint64_t number) const {
  // A hash of who this is and which child is asked for. The inverted word keeps it apart from bits().
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  const auto mixed = philox4x32({low(number), high(number), low(position_.stream), ~high(position_.stream)},
                                {low(position_.seed), high(position_.seed)});
  return Generator(std::uint64_t{mixed[1]} << 32 | mixed[0], std::uint64_t{mixed[3]} << 32 | mixed[2]);
}

}  // namespace tapegrad
