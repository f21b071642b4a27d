#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tapegrad/tapegrad.h"

// What the header of Tape says about threads: a Loader is used by one thread at a time; several may read one data set.

namespace tapegrad::testing {
namespace {

Dataset numbers() {
  Dataset data;
  data.inputs = reshape(arange(60 * 4 * 4), {60, 4, 4, 1});
  data.targets = arange(60, DType::Int32);
  return data;
}

// All inputs of an epoch, in the order in which they came.
Tensor read(const Dataset& data, std::uint64_t seed, index_t epoch, int workers) {
  const Loader loader(data,
                      {.batch_size = 7, .seed = seed, .transform = gaussian_noise(0.5), .workers = workers});
  std::vector<Tensor> batches;
  for (const Batch& batch : loader.epoch(epoch)) batches.push_back(batch.inputs);
  return concat(batches);
}

TEST(LoaderThreads, SeveralReadOneDataSet) {
  const Dataset data = numbers();
  std::vector<Tensor> alone, together(8);
  for (std::uint64_t i = 0; i < 8; ++i) alone.push_back(read(data, i, static_cast<index_t>(i), 1));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < together.size(); ++i)
    threads.emplace_back(
        [&, i] { together[i] = read(data, i, static_cast<index_t>(i), 1 + static_cast<int>(i % 3)); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(equal(together[i], alone[i])) << i;
}

TEST(LoaderThreads, AnEpochMovesFromThreadToThread) {
  const Dataset data = numbers();
  const Loader loader(data, {.batch_size = 7, .seed = 3, .transform = gaussian_noise(0.5)});
  Loader::Epoch epoch = loader.epoch(1);
  std::vector<Tensor> batches;
  bool at_end = false;
  while (!at_end)
    std::thread([&] {
      Loader::Epoch::Iterator at = epoch.begin();
      at_end = at == epoch.end();
      if (at_end) return;
      batches.push_back(at->inputs);
      ++at;
    }).join();
  EXPECT_TRUE(equal(concat(batches), read(data, 3, 1, 1)));
}

}  // namespace
}  // namespace tapegrad::testing
