// Compiled with -ffp-contract=off: the numbers must be the same bits with every compiler. For the same reason
// no function of libm is called but sqrt, which IEEE 754 rounds correctly.
#include "tapegrad/base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "tapegrad/base/context.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

std::uint32_t low(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}

std::uint32_t high(std::uint64_t v) {
  return static_cast<std::uint32_t>(v >> 32);
}

// The four words of `Lanes` counters: all first words, all second ones, ... The compiler makes vectors of
// plain arrays like these.
template <std::size_t Lanes>
struct Words {
  std::uint32_t at[4][Lanes];
};

template <std::size_t Lanes>
void philox(Words<Lanes>& words, std::array<std::uint32_t, 2> key) {
  auto& c = words.at;
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < Lanes; ++i) {
      const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0][i];
      const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2][i];
      c[0][i] = high(b) ^ c[1][i] ^ key[0];
      c[1][i] = low(b);
      c[2][i] = high(a) ^ c[3][i] ^ key[1];
      c[3][i] = low(a);
    }
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
}

// Draws whole blocks, `Lanes` at a time, as long as there is room for them; the room that is left.
template <std::size_t Lanes>
std::span<std::uint32_t> draw_blocks(Generator::Position& at, std::span<std::uint32_t> room) {
  while (room.size() >= 4 * Lanes) {
    Words<Lanes> words;
    for (std::size_t i = 0; i < Lanes; ++i) {
      words.at[0][i] = low(at.drawn / 4 + i);
      words.at[1][i] = high(at.drawn / 4 + i);
      words.at[2][i] = low(at.stream);
      words.at[3][i] = high(at.stream);
    }
    philox(words, {low(at.seed), high(at.seed)});
    for (std::size_t i = 0; i < Lanes; ++i)
      for (std::size_t word = 0; word < 4; ++word) room[4 * i + word] = words.at[word][i];
    at.drawn += 4 * Lanes;
    room = room.subspan(4 * Lanes);
  }
  return room;
}

constexpr double kLn2 = 0.693147180559945309417;
constexpr double kPi = 3.14159265358979323846;

// What follows is inline and has no branches, only choices between two values that are both computed: of
// loops over it the compiler makes vectors.

// In [0, 1), a multiple of 2^-53: the upper 53 of 64 bits.
inline double unit(std::uint32_t upper, std::uint32_t lower) {
  return (static_cast<double>(upper) * 0x1p21 + static_cast<double>(lower >> 11)) * 0x1p-53;
}

// From low to high, without overflow, unlike low + u * (high - low). Rounding may leave the range at either
// end.
inline double within(double low, double high, double u) {
  const double drawn = low * (1.0 - u) + high * u;
  const double above = drawn < low ? low : drawn;
  return drawn < high ? above : low;
}

// The natural logarithm of a number in (0, 1], to about 1e-15: x = m 2^e with m in [sqrt(1/2), sqrt(2)), and
// log m = 2 artanh(s), s = (m-1)/(m+1), as its series, which has converged after s^23 since |s| < 0.1716.
inline double log_unit(double x) {
  const auto raw = std::bit_cast<std::uint64_t>(x);
  // The bits of the exponent as a number: behind those of 2^52 they are added to it.
  const double biased = std::bit_cast<double>(raw >> 52 | std::bit_cast<std::uint64_t>(0x1p52)) - 0x1p52;
  const double whole = std::bit_cast<double>((raw & 0xFFFFFFFFFFFFFull) | (std::uint64_t{1023} << 52));
  const double half = whole * 0.5;
  const bool large = whole > 1.41421356237309504880;
  const double m = large ? half : whole;
  const double exponent = biased - (large ? 1022.0 : 1023.0);
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double series = 0.0;
  for (int k = 23; k >= 1; k -= 2) series = series * s2 + 1.0 / k;
  return 2.0 * s * series + exponent * kLn2;
}

// The cosine of 2 pi t for t in [0, 1): folded to [0, 1/8] and summed as a Taylor series there.
inline double cos_turn(double t) {
  const double mirrored = 1.0 - t;  // cos is even around half a turn
  t = t > 0.5 ? mirrored : t;
  const double supplement = 0.5 - t;
  const double sign = t > 0.25 ? -1.0 : 1.0;
  t = t > 0.25 ? supplement : t;
  const double complement = 0.25 - t;
  const bool use_sine = t > 0.125;
  const double x = 2.0 * kPi * (use_sine ? complement : t);
  const double x2 = x * x;
  double series = 0.0;
  for (int k = 18; k >= 2; k -= 2) {
    const double sine = (k + 1) * k, cosine = k * (k - 1);
    series = (series + 1.0) * -x2 / (use_sine ? sine : cosine);
  }
  return sign * (use_sine ? x : 1.0) * (series + 1.0);
}

// Box and Muller's, of two numbers in [0, 1).
inline double normal_of(double u, double v) {
  return std::sqrt(-2.0 * log_unit(1.0 - u)) * cos_turn(v);
}

// Fills values with numbers in [0, 1).
void fill_units(Generator& generator, std::span<double> values) {
  std::uint32_t words[1024];
  for (std::size_t done = 0; done < values.size();) {
    const std::size_t count = std::min(values.size() - done, std::size(words) / 2);
    generator.fill_bits({words, 2 * count});
    double* to = values.data() + done;
    for (std::size_t i = 0; i < count; ++i) to[i] = unit(words[2 * i], words[2 * i + 1]);
    done += count;
  }
}

void require_range(double low, double high) {
  if (!(low <= high) || !std::isfinite(low) || !std::isfinite(high))
    fail("uniform", "the range [low, high) must be finite, with low at most high, got [{}, {})", low, high);
}

void require_normal(double mean, double standard_deviation) {
  if (!(standard_deviation >= 0) || !std::isfinite(standard_deviation) || !std::isfinite(mean))
    fail("normal", "mean and standard deviation must be finite, the latter at least 0, got {} and {}", mean,
         standard_deviation);
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  Words<1> words = {{{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}}};
  philox(words, key);
  return {words.at[0][0], words.at[1][0], words.at[2][0], words.at[3][0]};
}

Generator::Generator(std::uint64_t seed, std::uint64_t stream) : Generator(Position{seed, stream, 0}) {}

Generator::Generator(const Position& position) : position_(position), chunk_(detail::context().chunk) {
  // A block is computed when its first word is drawn; in the middle of one it is computed here.
  if (position_.drawn % 4 != 0) {
    const std::uint64_t at = position_.drawn;
    position_.drawn = at / 4 * 4;
    while (position_.drawn < at) bits();
  }
}

// Threads that share a generator would draw from it in no order, and at once. A copy would give each chunk the same
// numbers.
void Generator::require_order() const {
  const void* chunk = detail::context().chunk;
  if (chunk != nullptr && chunk != chunk_)
    fail(
        "generator",
        "cannot be drawn from inside batch_gradient(), whose chunks run on several threads in no order: draw for the "
        "whole batch before batch_gradient() and pass the result as one more tensor of the batch, or use child() of the "
        "sample's number");
}

std::uint32_t Generator::bits() {
  require_order();
  const std::uint64_t block = position_.drawn / 4;
  const auto word = static_cast<std::size_t>(position_.drawn % 4);
  if (word == 0)
    block_ = philox4x32({low(block), high(block), low(position_.stream), high(position_.stream)},
                        {low(position_.seed), high(position_.seed)});
  ++position_.drawn;
  return block_[word];
}

void Generator::fill_bits(std::span<std::uint32_t> values) {
  require_order();
  const std::size_t begun = std::min(values.size(), static_cast<std::size_t>(-position_.drawn % 4));
  for (std::uint32_t& value : values.first(begun)) value = bits();
  const auto left = draw_blocks<4>(position_, draw_blocks<32>(position_, values.subspan(begun)));
  for (std::uint32_t& value : left) value = bits();
}

double Generator::uniform() {
  const std::uint32_t upper = bits();
  return unit(upper, bits());
}

double Generator::uniform(double low, double high) {
  require_range(low, high);
  return within(low, high, uniform());
}

void Generator::fill_uniform(std::span<double> values, double low, double high) {
  require_range(low, high);
  fill_units(*this, values);
  for (double& value : values) value = within(low, high, value);
}

double Generator::normal() {
  const double u = uniform();
  return normal_of(u, uniform());
}

double Generator::normal(double mean, double standard_deviation) {
  require_normal(mean, standard_deviation);
  return mean + standard_deviation * normal();
}

void Generator::fill_normal(std::span<double> values, double mean, double standard_deviation) {
  require_normal(mean, standard_deviation);
  double units[512];
  for (std::size_t done = 0; done < values.size();) {
    const std::size_t count = std::min(values.size() - done, std::size(units) / 2);
    fill_units(*this, {units, 2 * count});
    double* to = values.data() + done;
    for (std::size_t i = 0; i < count; ++i)
      to[i] = mean + standard_deviation * normal_of(units[2 * i], units[2 * i + 1]);
    done += count;
  }
}

std::size_t Generator::index_below(std::size_t bound) {
  return static_cast<std::size_t>(integer(bound));
}

std::uint64_t Generator::integer(std::uint64_t bound) {
  if (bound == 0) fail("generator", "bound must be at least 1, got 0");
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
  const auto mixed = philox4x32({low(number), high(number), low(position_.stream), ~high(position_.stream)},
                                {low(position_.seed), high(position_.seed)});
  return Generator(std::uint64_t{mixed[1]} << 32 | mixed[0], std::uint64_t{mixed[3]} << 32 | mixed[2]);
}

}  // namespace tapegrad::inline v0
