#include "tapegrad/kernels/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"

namespace tapegrad::kernels {
namespace {

// What scatter_add() is called with.
struct Asked {
  index_t outer, size, inner, count;
  IndexParts parts = {};
};

// Index j of some: all are in range, and as `parts` says.
enum class Drawn { Anywhere, MostlyFirst, Rising, Same, Shuffled, InOrder };

std::int32_t index_of(const Asked& asked, Drawn drawn, index_t j, Generator& generator) {
  const auto below = [&](index_t end) {
    return static_cast<index_t>(generator.integer(static_cast<std::uint64_t>(end)));
  };
  const IndexParts& parts = asked.parts;
  if (parts.in_order && (parts.count > 1 || parts.columns > 1)) {
    const index_t rows = asked.size / parts.count, part = j / (asked.count / parts.count);
    return static_cast<std::int32_t>(part * rows + below(rows / parts.columns) * parts.columns +
                                     j % parts.columns);
  }
  switch (drawn) {
    case Drawn::MostlyFirst:
      return static_cast<std::int32_t>(below(below(below(asked.size) + 1) + 1));
    case Drawn::Rising:
      return static_cast<std::int32_t>(std::min(asked.size - 1, j * asked.size / asked.count + below(9)));
    case Drawn::Same:
      return static_cast<std::int32_t>(asked.size / 2);
    default:
      return static_cast<std::int32_t>(below(asked.size));
  }
}

std::vector<std::int32_t> indices_of(const Asked& asked, Drawn drawn, Generator& generator) {
  std::vector<std::int32_t> indices;
  for (index_t j = 0; j < asked.count; ++j) indices.push_back(index_of(asked, drawn, j, generator));
  if (drawn != Drawn::Shuffled) return indices;
  for (index_t j = 0; j < asked.count; ++j)
    indices[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(j);
  for (std::size_t j = indices.size(); j > 1; --j)
    std::swap(indices[j - 1], indices[generator.integer(static_cast<std::uint64_t>(j))]);
  return indices;
}

template <class T>
std::vector<T> numbers(index_t count, Generator& generator) {
  std::vector<T> all(static_cast<std::size_t>(count));
  for (T& x : all) x = static_cast<T>(generator.uniform(std::is_signed_v<T> ? -100 : 0, 100));
  return all;
}

// By the definition, one addition after the other.
template <class T>
void add_plainly(const Asked& a, const std::vector<std::int32_t>& indices, const std::vector<T>& x,
                 std::vector<T>& y) {
  for (index_t o = 0; o < a.outer; ++o)
    for (index_t j = 0; j < a.count; ++j)
      for (index_t i = 0; i < a.inner; ++i) {
        T& to =
            y[static_cast<std::size_t>((o * a.size + indices[static_cast<std::size_t>(j)]) * a.inner + i)];
        to = static_cast<T>(to + x[static_cast<std::size_t>((o * a.count + j) * a.inner + i)]);
      }
}

template <class T>
void check(const Asked& a, Drawn drawn) {
  Generator generator(5);
  const std::vector<std::int32_t> indices = indices_of(a, drawn, generator);
  const std::vector<T> x = numbers<T>(a.outer * a.count * a.inner, generator);
  const std::vector<T> before = numbers<T>(a.outer * a.size * a.inner, generator);
  for (const Scatter into : {Scatter::IntoZeros, Scatter::IntoSum}) {
    std::vector<T> expected = into == Scatter::IntoSum ? before : std::vector<T>(before.size(), T{0});
    add_plainly(a, indices, x, expected);
    for (const int threads : {1, 2, 3, 8}) {
      const ThreadCountScope scope(threads);
      std::vector<T> y = before;
      scatter_add(a.outer, a.size, a.inner, a.count, a.parts, indices.data(), x.data(), y.data(), into);
      EXPECT_EQ(y, expected) << a.outer << " x " << a.size << " x " << a.inner << ", " << a.count
                             << " indices, " << a.parts.count << " parts, " << threads << " threads"
                             << (into == Scatter::IntoSum ? ", into a sum" : "");
    }
  }
}

// The bits of additions in the order of the indices, however the work is cut: over rows, columns, parts and the outer axis.
TEST(ScatterAdd, IsThatOfOneAdditionAfterTheOther) {
  for (const Drawn drawn : {Drawn::Anywhere, Drawn::MostlyFirst, Drawn::Rising, Drawn::Same})
    for (const Asked& asked : {Asked{1, 1000, 8, 40000}, Asked{1, 1000, 33, 9001}, Asked{1, 70001, 1, 400000},
                               Asked{1, 300, 130, 3000}, Asked{1, 3, 20000, 17}, Asked{3, 5000, 4, 30001},
                               Asked{2, 9, 70, 3000}, Asked{6, 100, 5, 7000}, Asked{1, 40000, 16, 0},
                               Asked{1, 17, 3, 5}, Asked{0, 5, 3, 4}, Asked{1, 50000, 3, 90001}}) {
      check<float>(asked, drawn);
      check<std::int32_t>(asked, drawn);
    }
  check<double>({1, 5000, 7, 60001}, Drawn::MostlyFirst);
  check<std::uint8_t>({1, 5000, 7, 60001}, Drawn::MostlyFirst);
}

TEST(ScatterAdd, OfPartsThatCannotMeet) {
  for (const Asked& asked :
       {Asked{1, 60000, 1, 300000, {.count = 3}}, Asked{1, 60000, 1, 30000, {.count = 6}},
        Asked{1, 60000, 1, 300000, {.columns = 100}},
        Asked{1, 60000, 1, 300000, {.count = 2, .columns = 300}},
        Asked{1, 60000, 1, 300000, {.count = 10, .columns = 60}}}) {
    check<float>(asked, Drawn::InOrder);
    check<double>(asked, Drawn::InOrder);
  }
  for (const index_t count : {1, 16384, 100001, 200000}) {
    const Asked asked{1, 200000, 1, count, parts_of_different(count)};
    check<float>(asked, Drawn::Shuffled);
  }
  EXPECT_GT(parts_of_different(100001).count, 1);
}

// Inside of a loop nobody else helps.
TEST(ScatterAdd, InsideOfAParallelLoop) {
  const ThreadCountScope two(2);
  Generator generator(1);
  const Asked asked{1, 1000, 8, 40000};
  const std::vector<std::int32_t> indices = indices_of(asked, Drawn::Anywhere, generator);
  const std::vector<float> x = numbers<float>(asked.count * asked.inner, generator);
  std::vector<float> expected(8000, 0.0F);
  add_plainly(asked, indices, x, expected);
  std::vector<std::vector<float>> found(4, std::vector<float>(8000, 1.0F));
  parallel_for(4, 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      scatter_add(1, 1000, 8, 40000, {}, indices.data(), x.data(), found[static_cast<std::size_t>(i)].data(),
                  Scatter::IntoZeros);
  });
  for (const auto& each : found) EXPECT_EQ(each, expected);
}

}  // namespace
}  // namespace tapegrad::kernels
