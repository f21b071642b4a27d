#include "tapegrad/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "io/temporary.h"
#include "tapegrad/base/parallel.h"

namespace tapegrad {
namespace {

using testing::error_of, testing::expect_contains;

// Sample i of length elements holds 3 i, 3 i + 1, ..., and its label is i.
Tensor counting(index_t samples, index_t length, DType dtype = DType::Float32) {
  Tensor x = zeros({samples, length, 1}, dtype);
  for (index_t i = 0; i < samples; ++i)
    for (index_t k = 0; k < length; ++k) x.set({i, k, 0}, static_cast<double>(3 * i + k));
  return x;
}

Tensor numbers(index_t samples) {
  return arange(static_cast<double>(samples), DType::Int32);
}

std::vector<int> order(const Loader& loader, index_t epoch) {
  std::vector<int> labels;
  for (const Batch& batch : loader.epoch(epoch))
    labels.insert(labels.end(), batch.labels.values<std::int32_t>().begin(),
                  batch.labels.values<std::int32_t>().end());
  return labels;
}

TEST(Loader, InOrderWithoutShuffling) {
  const Loader loader(counting(10, 2), numbers(10), {.batch_size = 4, .shuffle = false});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(loader.samples(), 10);
  index_t number = 0;
  for (const Batch& batch : loader.epoch(0)) {
    EXPECT_EQ(batch.number, number);
    EXPECT_EQ(batch.first, 4 * number);
    const index_t count = number == 2 ? 2 : 4;
    ASSERT_EQ(batch.images.shape(), (Shape{count, 2, 1}));
    ASSERT_EQ(batch.labels.shape(), Shape{count});
    for (index_t i = 0; i < count; ++i) {
      EXPECT_EQ(batch.labels.at({i}), static_cast<double>(4 * number + i));
      EXPECT_EQ(batch.images.at({i, 1, 0}), static_cast<double>(3 * (4 * number + i) + 1));
    }
    ++number;
  }
  EXPECT_EQ(number, 3);
}

TEST(Loader, DropsTheLastBatchThatIsNotFull) {
  for (const auto& [samples, size, batches] :
       std::vector<std::array<index_t, 3>>{{10, 4, 2},
                                           {8, 4, 2},
                                           {3, 4, 0},
                                           {0, 4, 0},
                                           {5, 1, 5},
                                           {5, std::numeric_limits<index_t>::max(), 0}}) {
    const Loader loader(counting(samples, 2), numbers(samples),
                        {.batch_size = size, .shuffle = false, .drop_last = true});
    EXPECT_EQ(loader.batches(), batches);
    EXPECT_EQ(loader.samples(), batches == 0 ? 0 : batches * size);
    index_t seen = 0;
    for (const Batch& batch : loader.epoch(0)) {
      EXPECT_EQ(batch.images.shape()[0], size);
      ++seen;
    }
    EXPECT_EQ(seen, batches);
  }
  const Loader all(counting(5, 2), {}, {.batch_size = std::numeric_limits<index_t>::max()});
  EXPECT_EQ(all.batches(), 1);
  EXPECT_EQ(all.samples(), 5);
}

TEST(Loader, ShufflesEverySampleOnceWithItsLabel) {
  const Loader loader(counting(101, 3), numbers(101), {.batch_size = 8, .seed = 3});
  std::set<int> seen;
  for (const Batch& batch : loader.epoch(5))
    for (index_t i = 0; i < batch.labels.size(); ++i) {
      const auto label = static_cast<int>(batch.labels.at({i}));
      EXPECT_TRUE(seen.insert(label).second);
      for (index_t k = 0; k < 3; ++k)
        EXPECT_EQ(batch.images.at({i, k, 0}), static_cast<double>(3 * label + k));
    }
  EXPECT_EQ(seen.size(), 101u);
}

TEST(Loader, OrderIsAFunctionOfSeedAndEpoch) {
  const auto make = [](std::uint64_t seed, index_t size) {
    return Loader(counting(50, 1), numbers(50), {.batch_size = size, .seed = seed});
  };
  const Loader loader = make(7, 8);
  const std::vector<int> third = order(loader, 3),
                         none = order(Loader(counting(50, 1), numbers(50), {.shuffle = false}), 3);
  EXPECT_NE(third, none);
  EXPECT_NE(third, order(loader, 4));
  EXPECT_NE(third, order(make(8, 8), 3));
  EXPECT_EQ(third, order(loader, 3));
  EXPECT_EQ(third, order(make(7, 8), 3));
  EXPECT_EQ(third, order(make(7, 50), 3));  // whatever the batch size
  {
    const ThreadCountScope one(1);
    EXPECT_EQ(third, order(loader, 3));
  }
  // Two epochs at the same time do not disturb each other.
  auto a = loader.epoch(3), b = loader.epoch(4);
  auto at_a = a.begin(), at_b = b.begin();
  std::vector<int> mixed;
  for (; at_a != a.end(); ++at_a, ++at_b)
    mixed.insert(mixed.end(), at_a->labels.values<std::int32_t>().begin(),
                 at_a->labels.values<std::int32_t>().end());
  EXPECT_EQ(mixed, third);
}

// The order is part of what a seed promises: it stays the same from version to version.
TEST(Loader, OrderOfOneSeed) {
  const Loader loader(counting(10, 1), numbers(10), {.batch_size = 10, .seed = 1});
  EXPECT_EQ(order(loader, 0), (std::vector<int>{5, 0, 1, 2, 6, 3, 9, 7, 8, 4}));
  EXPECT_EQ(order(loader, 1), (std::vector<int>{1, 7, 8, 5, 3, 9, 0, 6, 4, 2}));
}

TEST(Loader, BytesBecomeSharesOf255) {
  Tensor bytes = zeros({256}, DType::UInt8);
  std::iota(bytes.mutable_values<std::uint8_t>().begin(), bytes.mutable_values<std::uint8_t>().end(),
            std::uint8_t{0});
  for (const Batch& batch : Loader(bytes, {}, {.batch_size = 256, .shuffle = false}).epoch(0))
    for (std::size_t i = 0; i < 256; ++i)
      EXPECT_EQ(batch.images.values<float>()[i], static_cast<float>(i) / 255.0f);
  for (const Batch& batch :
       Loader(bytes, {}, {.batch_size = 256, .shuffle = false, .dtype = DType::Float64}).epoch(0))
    for (std::size_t i = 0; i < 256; ++i)
      EXPECT_EQ(batch.images.values<double>()[i], static_cast<double>(i) / 255.0);
  for (const Batch& batch :
       Loader(bytes, {}, {.batch_size = 256, .shuffle = false, .dtype = DType::UInt8}).epoch(0))
    EXPECT_TRUE(equal(batch.images, bytes));
}

TEST(Loader, OtherDtypesKeepTheirValues) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Int32})
    for (const DType wanted : {DType::Float32, DType::Float64, dtype}) {
      const Tensor x = counting(5, 2, dtype);
      for (const Batch& batch :
           Loader(x, {}, {.batch_size = 5, .shuffle = false, .dtype = wanted}).epoch(0)) {
        EXPECT_TRUE(equal(batch.images, counting(5, 2, wanted)));
        EXPECT_FALSE(batch.labels.defined());
      }
    }
}

TEST(Loader, BatchesHandedOutStay) {
  const Loader loader(counting(64, 4), numbers(64), {.batch_size = 4, .shuffle = false});
  std::vector<Batch> kept;
  for (const Batch& batch : loader.epoch(0)) kept.push_back(batch);
  ASSERT_EQ(kept.size(), 16u);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(kept[i].images.at({0, 0, 0}), static_cast<double>(12 * i));
    EXPECT_EQ(kept[i].labels.at({3}), static_cast<double>(4 * i + 3));
    for (std::size_t k = 0; k < i; ++k) EXPECT_NE(kept[i].images.data<float>(), kept[k].images.data<float>());
  }
}

TEST(Loader, TheDataSetIsNotHandedOutItself) {
  Tensor x = counting(4, 1);
  for (Batch batch : Loader(x, {}, {.batch_size = 4, .shuffle = false}).epoch(0))
    batch.images.set({0, 0, 0}, 99);
  EXPECT_TRUE(equal(x, counting(4, 1)));
}

TEST(Loader, LeavingEarlyNeitherHangsNorLeaks) {
  const Loader loader(counting(1000, 100), numbers(1000), {.batch_size = 10});
  for (int i = 0; i < 50; ++i)
    for (const Batch& batch : loader.epoch(i))
      if (batch.number == i % 3) break;
  for (int i = 0; i < 50; ++i) {
    auto epoch = loader.epoch(i);  // not begun at all
    if (i % 2 == 0) epoch.begin();
  }
  EXPECT_THROW(for ([[maybe_unused]] const Batch& batch
                    : loader.epoch(0)) throw std::runtime_error("from the loop"),
               std::runtime_error);
}

TEST(Loader, AnEpochOutlivesItsLoader) {
  std::optional<Loader> loader(std::in_place, counting(20, 2), numbers(20), LoaderOptions{.batch_size = 5});
  Loader::Epoch epoch = loader->epoch(0);
  const std::vector<int> expected = order(*loader, 0);
  loader.reset();
  std::vector<int> labels;
  for (const Batch& batch : epoch)
    labels.insert(labels.end(), batch.labels.values<std::int32_t>().begin(),
                  batch.labels.values<std::int32_t>().end());
  EXPECT_EQ(labels, expected);
  EXPECT_EQ(epoch.begin(), epoch.end());
}

TEST(Loader, EmptySamplesAndEmptySets) {
  index_t batches = 0;
  for (const Batch& batch : Loader(zeros({5, 0}), {}, {.batch_size = 2}).epoch(0)) {
    EXPECT_EQ(batch.images.size(), 0);
    ++batches;
  }
  EXPECT_EQ(batches, 3);
  for ([[maybe_unused]] const Batch& batch : Loader(zeros({0, 3}), {}).epoch(0)) FAIL();
}

TEST(Loader, MistakesAreNamed) {
  const auto refused = [](auto&&... arguments) { return error_of("loader", [&] { Loader(arguments...); }); };
  expect_contains(refused(tensor(1)), "no axis of samples");
  expect_contains(refused(zeros({3, 2}), zeros({4})),
                  "3 images (shape [3, 2]), but the labels have shape [4]");
  refused(zeros({3, 2}), tensor(1));
  refused(zeros({3}), Tensor(), LoaderOptions{.batch_size = 0});
  refused(zeros({3}), Tensor(), LoaderOptions{.dtype = DType::UInt8});
  EXPECT_THROW(Loader{Tensor()}, Error);
  error_of("loader", [] { Loader(zeros({3})).epoch(-1); });
}

}  // namespace
}  // namespace tapegrad
