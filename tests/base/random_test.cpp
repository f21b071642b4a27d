#include "tapegrad/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "refuses.h"

namespace tapegrad {
namespace {

using testing::refuses;
using Words = std::array<std::uint32_t, 4>;

std::vector<std::uint32_t> draw(Generator generator, int count) {
  std::vector<std::uint32_t> words;
  for (int i = 0; i < count; ++i) words.push_back(generator.bits());
  return words;
}

// The known answers of Random123 (kat_vectors, "philox4x32 10").
TEST(Philox, KnownAnswers) {
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The goldens below were computed by a second implementation, in another language, from the description of
// each function; the normal ones by this one, after they were compared with the library functions log and
// cos.
TEST(Generator, GoldenBits) {
  EXPECT_EQ(draw(Generator(42, 7), 6), (std::vector<std::uint32_t>{0x67ee6f2c, 0xe55410cc, 0x6c7eca35,
                                                                   0x557398d3, 0xe5dde940, 0x600f6196}));
  EXPECT_EQ(draw(Generator(), 4),
            (std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Generator(Generator::Position{42, 7, (std::uint64_t{1} << 34) + 1}).bits(), 0xa7f156b9u);
}

TEST(Generator, GoldenUniform) {
  Generator generator(42, 7);
  for (const double expected :
       {0x1.9fb9bcb395504p-2, 0x1.b1fb28d555ce6p-2, 0x1.cbbbd280c01ecp-1, 0x1.1f9bf1e2591dbp-1})
    EXPECT_EQ(generator.uniform(), expected);
}

TEST(Generator, GoldenNormal) {
  Generator generator(42, 7);
  for (const double expected :
       {-0x1.cfd21008e6644p-1, -0x1.fa45348637a5cp+0, -0x1.32fe37fcda84cp-2, -0x1.4b9dd32523e38p+0,
        -0x1.c22d3eaf6738cp+0, -0x1.1a0b038df879ep-2, -0x1.f160720e8f18dp-8, 0x1.9d82dc09489bcp-1})
    EXPECT_EQ(generator.normal(), expected);
}

TEST(Generator, GoldenHashOfManyNumbers) {
  Generator generator(42, 7);
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a, by words
  const auto add = [&](double number) {
    hash = (hash ^ std::bit_cast<std::uint64_t>(number)) * 1099511628211u;
  };
  for (int i = 0; i < 1000000; ++i) add(generator.normal());
  EXPECT_EQ(hash, 0x3778c8fecf25001fu);
}

TEST(Generator, GoldenBelow) {
  Generator generator(42, 7);
  for (const std::uint64_t expected : {4u, 7u, 0u, 1u, 9u, 7u, 4u, 0u})
    EXPECT_EQ(generator.integer(10), expected);
  // Almost half of the draws are thrown away for this bound.
  for (const std::uint64_t expected : {8132352834282263379u, 939526870191079782u, 7604755270343365279u})
    EXPECT_EQ(generator.integer((std::uint64_t{1} << 63) + 1), expected);
  EXPECT_EQ(generator.position().drawn, 24u);
}

TEST(Generator, GoldenShuffle) {
  std::vector<int> values(10);
  std::iota(values.begin(), values.end(), 0);
  Generator(42, 7).shuffle(std::span(values));
  EXPECT_EQ(values, (std::vector<int>{9, 8, 3, 7, 2, 1, 0, 6, 5, 4}));
}

TEST(Generator, GoldenChild) {
  const Generator child = Generator(42, 7).child(3);
  EXPECT_EQ(child.position(), (Generator::Position{0x3f657a4d3121b333, 0xc3c0cefe1db739b3, 0}));
  EXPECT_EQ(draw(child, 1).front(), 0x6cd4e259u);
}

TEST(Generator, ContinuesFromEveryPosition) {
  const std::vector<std::uint32_t> all = draw(Generator(5, 6), 64);
  Generator moving(5, 6);
  for (std::size_t at = 0; at < 40; ++at) {
    const Generator::Position position = moving.position();
    EXPECT_EQ(position, (Generator::Position{5, 6, at}));
    Generator restored(position);
    EXPECT_EQ(restored.position(), position);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(restored.bits(), all[at + i]) << at << " " << i;
    EXPECT_EQ(moving.bits(), all[at]);
  }
}

TEST(Generator, ManyAtOnceAreTheSameNumbers) {
  for (const std::size_t first : {0u, 1u, 2u, 3u, 4u, 7u})
    for (const std::size_t count : {0u, 1u, 2u, 3u, 5u, 17u, 64u, 127u, 128u, 131u, 513u, 2000u}) {
      SCOPED_TRACE(std::to_string(count) + " after " + std::to_string(first));
      // Where the lower half of the block's number overflows.
      const std::uint64_t before = (std::uint64_t{1} << 34) - 300;
      Generator one(Generator::Position{5, 6, before + first}), many = one;
      const auto expect_same = [&](const auto& drawn, const auto& draw_one) {
        for (std::size_t i = 0; i < drawn.size(); ++i) ASSERT_EQ(drawn[i], draw_one()) << i;
        ASSERT_EQ(one.position(), many.position());
      };
      std::vector<std::uint32_t> words(count);
      many.fill_bits(words);
      expect_same(words, [&] { return one.bits(); });
      std::vector<double> numbers(count);
      many.fill_uniform(numbers, -1, 3);
      expect_same(numbers, [&] { return one.uniform(-1, 3); });
      many.fill_normal(numbers, 2, 0.5);
      expect_same(numbers, [&] { return one.normal(2, 0.5); });
      EXPECT_EQ(draw(many, 5), draw(one, 5));
    }
  std::vector<double> numbers(2);
  EXPECT_TRUE(refuses("uniform", {"2.5", "1.5"}, [&] { Generator().fill_uniform(numbers, 2.5, 1.5); }));
}

TEST(Generator, CopiesContinueAlike) {
  Generator a(1);
  a.bits();
  Generator b = a;
  EXPECT_EQ(a.normal(), b.normal());
  EXPECT_EQ(a.position(), b.position());
}

TEST(Generator, SeedAndStreamChangeEverything) {
  const std::uint64_t high = std::uint64_t{1} << 32;  // the upper half must count as well
  std::set<std::vector<std::uint32_t>> seen;
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, high, ~std::uint64_t{0}})
    for (const std::uint64_t stream : {std::uint64_t{0}, std::uint64_t{1}, high, ~std::uint64_t{0}})
      seen.insert(draw(Generator(seed, stream), 4));
  EXPECT_EQ(seen.size(), 16u);
}

TEST(Generator, UniformHasTheMomentsOfItsDistribution) {
  Generator generator(1);
  const int count = 200000;
  double sum = 0, squares = 0, lag = 0, before = 0.5;
  for (int i = 0; i < count; ++i) {
    const double u = generator.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    ASSERT_EQ(std::ldexp(u, 53), std::trunc(std::ldexp(u, 53)));
    sum += u;
    squares += u * u;
    lag += (u - 0.5) * (before - 0.5);
    before = u;
  }
  // Five standard deviations of each mean.
  EXPECT_NEAR(sum / count, 1.0 / 2, 5 * std::sqrt(1.0 / 12 / count));
  EXPECT_NEAR(squares / count, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / count));
  EXPECT_NEAR(lag / count, 0, 5 * (1.0 / 12) / std::sqrt(count));
}

TEST(Generator, NormalHasTheMomentsOfItsDistribution) {
  Generator generator(2);
  const int count = 400000;
  double moments[5] = {};
  int beyond_two = 0;
  for (int i = 0; i < count; ++i) {
    const double z = generator.normal();
    ASSERT_TRUE(std::isfinite(z));
    beyond_two += std::abs(z) > 2;
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(z, k) / count;
  }
  EXPECT_NEAR(moments[1], 0, 5 * std::sqrt(1.0 / count));
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2.0 / count));
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15.0 / count));
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96.0 / count));
  const double p = std::erfc(std::numbers::sqrt2);
  EXPECT_NEAR(beyond_two / static_cast<double>(count), p, 5 * std::sqrt(p / count));
}

TEST(Generator, NormalIsBoxMullerToFullAccuracy) {
  Generator generator(3), same(3);
  double worst = 0;
  for (int i = 0; i < 500000; ++i) {
    const double z = generator.normal();
    const double radius = std::sqrt(-2 * std::log(1 - same.uniform()));
    const double expected = radius * std::cos(2 * std::numbers::pi * same.uniform());
    ASSERT_TRUE(std::isfinite(z)) << "number " << i;  // max() drops a NaN
    worst = std::max(worst, std::abs(z - expected));
  }
  EXPECT_LT(worst, 1e-14);
  EXPECT_EQ(generator.position(), same.position());
}

TEST(Generator, NormalTakesMeanAndDeviation) {
  Generator a(4), b(4);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.normal(10, 0.5), 10 + 0.5 * b.normal());
  EXPECT_EQ(a.normal(3, 0), 3);
}

// Ranges in which rounding could leave [low, high).
TEST(Generator, UniformStaysInItsRange) {
  const double max = std::numeric_limits<double>::max(), tiny = std::numeric_limits<double>::denorm_min();
  const std::pair<double, double> ranges[] = {{0, 1},
                                              {-1, 1},
                                              {-max, max},
                                              {0, tiny},
                                              {-tiny, tiny},
                                              {1, std::nextafter(1, 2)},
                                              {0.1, std::nextafter(0.1, 1)},
                                              {0.1, std::nextafter(std::nextafter(0.1, 1), 1)},
                                              {-0.3, std::nextafter(-0.3, 1)},
                                              {1e300, std::nextafter(1e300, max)},
                                              {0.7, 0.70000000000001}};
  for (const auto& [low, high] : ranges) {
    Generator generator(9);
    double smallest = high, largest = low;
    for (int i = 0; i < 20000; ++i) {
      const double u = generator.uniform(low, high);
      smallest = std::min(smallest, u);
      largest = std::max(largest, u);
    }
    EXPECT_GE(smallest, low) << low << " " << high;
    EXPECT_LT(largest, high) << low << " " << high;
  }
}

TEST(Generator, UniformOfOnePointIsThatPoint) {
  Generator generator(9), points(10);
  for (int i = 0; i < 20000; ++i) {
    const double point = points.normal();
    ASSERT_EQ(generator.uniform(point, point), point);
  }
}

TEST(Generator, UniformCoversItsRange) {
  Generator generator(10);
  double sum = 0, smallest = 5, largest = -3;
  for (int i = 0; i < 10000; ++i) {
    const double u = generator.uniform(-3, 5);
    sum += u;
    smallest = std::min(smallest, u);
    largest = std::max(largest, u);
  }
  EXPECT_NEAR(sum / 10000, 1, 5 * 8 / std::sqrt(12 * 10000.0));
  EXPECT_LT(smallest, -2.99);
  EXPECT_GT(largest, 4.99);
}

TEST(Generator, UniformRefusesRangesThatAreNone) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  Generator generator;
  for (const auto& [low, high] :
       {std::pair(1.0, 0.0), {0.0, inf}, {-inf, 0.0}, {nan, 1.0}, {0.0, nan}, {inf, inf}})
    EXPECT_TRUE(refuses("uniform", {"range"}, [&, l = low, h = high] { generator.uniform(l, h); }));
  EXPECT_TRUE(refuses("uniform", {"2.5", "1.5"}, [&] { generator.uniform(2.5, 1.5); }));
  EXPECT_EQ(generator.position().drawn, 0u);
}

TEST(Generator, NormalRefusesWhatIsNoDeviation) {
  Generator generator(1);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> values(3);
  for (const auto& [mean, deviation] :
       {std::pair{0.0, -1.0}, {0.0, std::nan("")}, {0.0, kInfinity}, {kInfinity, 1.0}, {std::nan(""), 1.0}}) {
    EXPECT_TRUE(refuses("normal", {"standard deviation"},
                        [&, mean = mean, deviation = deviation] { generator.normal(mean, deviation); }));
    EXPECT_TRUE(refuses("normal", {"standard deviation"}, [&, mean = mean, deviation = deviation] {
      generator.fill_normal(values, mean, deviation);
    }));
  }
  EXPECT_EQ(generator.position().drawn, 0u) << "nothing was drawn";
  EXPECT_EQ(generator.normal(5, 0), 5);
}

TEST(Generator, BelowIsUniform) {
  for (const std::uint64_t bound : {1u, 2u, 3u, 7u, 10u}) {
    Generator generator(bound);
    const int count = 60000;
    std::vector<int> hits(bound);
    for (int i = 0; i < count; ++i) ++hits.at(generator.integer(bound));
    double chi2 = 0;
    const double expected = count / static_cast<double>(bound);
    for (const int hit : hits) chi2 += (hit - expected) * (hit - expected) / expected;
    EXPECT_LT(chi2, 30) << bound;  // at most nine degrees of freedom: beyond the 99.95th percentile
  }
}

TEST(Generator, BelowHasNoBiasForLargeBounds) {
  // Of 3/4 of the 64-bit range, a draw that is only reduced would hit the first third twice as often.
  const std::uint64_t bound = std::uint64_t{3} << 62;
  Generator generator(12);
  int in_first_third = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t drawn = generator.integer(bound);
    ASSERT_LT(drawn, bound);
    in_first_third += drawn < bound / 3;
  }
  EXPECT_NEAR(in_first_third / 30000.0, 1.0 / 3, 5 * std::sqrt(2.0 / 9 / 30000));
}

TEST(Generator, BelowTakesEveryBoundButZero) {
  Generator generator;
  EXPECT_EQ(generator.integer(1), 0u);
  EXPECT_LT(generator.integer(~std::uint64_t{0}), ~std::uint64_t{0});
  EXPECT_TRUE(refuses("generator", {"0"}, [&] { generator.integer(0); }));
}

TEST(Generator, ShuffleFindsEveryOrderEquallyOften) {
  Generator generator(13);
  std::map<std::string, int> seen;
  for (int i = 0; i < 24000; ++i) {
    std::string letters = "abcd";
    generator.shuffle(std::span(letters));
    ++seen[letters];
  }
  ASSERT_EQ(seen.size(), 24u);
  double chi2 = 0;
  for (const auto& [order, hits] : seen) chi2 += (hits - 1000.0) * (hits - 1000.0) / 1000.0;
  EXPECT_LT(chi2, 55);  // 23 degrees of freedom: beyond the 99.97th percentile
}

TEST(Generator, ShuffleOfNothingAndOfOne) {
  Generator generator;
  std::vector<int> none, one{5};
  generator.shuffle(std::span(none));
  generator.shuffle(std::span(one));
  EXPECT_EQ(one, std::vector<int>{5});
  EXPECT_EQ(generator.position().drawn, 0u);
}

TEST(Generator, ShuffleMovesWhatCannotBeCopied) {
  std::vector<std::unique_ptr<int>> values;
  for (int i = 0; i < 20; ++i) values.push_back(std::make_unique<int>(i));
  Generator(14).shuffle(std::span(values));
  std::set<int> left;
  for (const auto& value : values) left.insert(*value);
  EXPECT_EQ(left.size(), 20u);
}

TEST(Generator, ChildrenDoNotDependOnThePositionNorMoveIt) {
  Generator parent(15);
  const Generator::Position before = parent.child(4).position();
  EXPECT_EQ(parent.position().drawn, 0u);
  for (int i = 0; i < 7; ++i) parent.bits();
  EXPECT_EQ(parent.child(4).position(), before);
  EXPECT_EQ(parent.position().drawn, 7u);
}

TEST(Generator, ChildrenAreIndependent) {
  // All first words of parents, children and grandchildren differ, as 64-bit numbers that are random do.
  std::set<std::uint64_t> seen;
  std::size_t made = 0;
  const auto add = [&](Generator generator) {
    const std::uint64_t upper = generator.bits();
    seen.insert(upper << 32 | generator.bits());
    ++made;
  };
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    for (std::uint64_t stream = 0; stream < 4; ++stream) {
      const Generator parent(seed, stream);
      add(parent);
      for (std::uint64_t i = 0; i < 100; ++i) add(parent.child(i));
      add(parent.child(std::uint64_t{1} << 32));
      add(parent.child(~std::uint64_t{0}));
      for (std::uint64_t i = 0; i < 10; ++i) add(parent.child(1).child(i));
    }
  EXPECT_EQ(seen.size(), made);

  // And their numbers are not correlated: neighbours, and parent with child.
  const Generator parent(77);
  const int count = 20000;
  Generator drawn = parent;
  double neighbours = 0, family = 0, before = 0;
  for (int i = 0; i < count; ++i) {
    const double u = Generator(parent.child(static_cast<std::uint64_t>(i))).uniform() - 0.5;
    neighbours += u * before;
    family += u * (drawn.uniform() - 0.5);
    before = u;
  }
  EXPECT_NEAR(neighbours / count, 0, 5 / 12.0 / std::sqrt(count));
  EXPECT_NEAR(family / count, 0, 5 / 12.0 / std::sqrt(count));
}

}  // namespace
}  // namespace tapegrad
