#include "tapegrad/tensor/storage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "refuses.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad {
namespace {

using detail::Storage;
using detail::StorageHandle;
using testing::refuses;

StorageHandle make(std::int64_t count, DType dtype = DType::Float32) {
  return StorageHandle(Storage::allocate(dtype, count));
}

void on_a_thread(const std::function<void()>& f) {
  std::thread(f).join();
}

TEST(Storage, HasAlignedRoomForItsElements) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Int32, DType::UInt8})
    for (const std::int64_t count : {0, 1, 3, 15, 16, 17, 31, 100, 1000, 4097, 1 << 20}) {
      const StorageHandle storage = make(count, dtype);
      EXPECT_EQ(storage->count(), count);
      EXPECT_EQ(storage->dtype(), dtype);
      EXPECT_TRUE(storage->owns_memory());
      EXPECT_FALSE(storage->read_only());
      EXPECT_EQ(storage->version(), 0u);
      EXPECT_EQ(storage->recorded_by, 0u);
      EXPECT_EQ(storage->parameter_shape, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage->data()) % 64, 0u);
      std::memset(storage->data(), 0x5A, static_cast<std::size_t>(count) * size_of(dtype));
    }
}

// Sizes around every step between two block sizes: neighbours must not overlap, also when blocks come back.
TEST(Storage, BlocksOfEverySizeAreLargeEnough) {
  for (int round = 0; round < 2; ++round) {
    std::vector<StorageHandle> all;
    for (std::int64_t bytes = 0; bytes < 5000; bytes += bytes < 700 ? 1 : 13) {
      all.push_back(make(bytes, DType::UInt8));
      std::memset(all.back()->data(), static_cast<int>(bytes % 251), static_cast<std::size_t>(bytes));
    }
    for (const StorageHandle& storage : all) {
      const auto* bytes = static_cast<const std::uint8_t*>(storage->data());
      ASSERT_TRUE(std::all_of(bytes, bytes + storage->count(),
                              [&](std::uint8_t byte) { return byte == storage->count() % 251; }));
    }
  }
}

TEST(Storage, RefusesMoreThanThereIs) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / 16;  // what a Shape can have
  EXPECT_EQ(Storage::allocate(DType::Float64, most), nullptr);
  EXPECT_EQ(Storage::allocate(DType::UInt8, most), nullptr);
  EXPECT_TRUE(refuses("zeros", {"no memory", std::to_string(most), "Float64", "bytes"},
                      [&] { (void)zeros({most}, DType::Float64); }));
  EXPECT_EQ(make(5)->count(), 5);
}

TEST(Storage, AFreedBlockIsTakenAgain) {
  for (const std::int64_t count : {1, 100, 10000, 1000000}) {
    release_memory();  // or blocks of other sizes are all that may be kept
    const void* first = make(count)->data();
    EXPECT_EQ(make(count)->data(), first);
    EXPECT_EQ(make(count * 4, DType::UInt8)->data(), first) << "bytes are bytes";
  }
}

TEST(Storage, AReusedBlockIsAsNew) {
  release_memory();
  const void* first = nullptr;
  {
    const StorageHandle storage = make(100);
    storage->raise_version();
    storage->parameter_shape = std::make_unique<const Shape>(Shape{100});
    storage->recorded_by = 7;
    first = storage->data();
  }
  const StorageHandle storage = make(100);
  ASSERT_EQ(storage->data(), first);
  EXPECT_EQ(storage->version(), 0u);
  EXPECT_EQ(storage->parameter_shape, nullptr);
  EXPECT_EQ(storage->recorded_by, 0u);
  EXPECT_EQ(storage->use_count(), 1u);
}

TEST(Storage, LiveBlocksAreNotShared) {
  const StorageHandle a = make(100), b = make(100);
  EXPECT_NE(a->data(), b->data());
}

TEST(Storage, KeepsWhatAThreadTookButAtMost32MibMoreThanWasOnceInUse) {
  on_a_thread([] {
    EXPECT_EQ(cached_memory(), 0u);
    for (int i = 0; i < 100; ++i) make(1000);
    const std::size_t one = cached_memory();
    EXPECT_GE(one, 4000u);
    EXPECT_LE(one, 5100u);  // one block, however often it was taken, at most a quarter too large
    // One of each size, which a loop over these sizes takes again.
    const auto all_sizes = [](std::int64_t most) {
      for (std::int64_t count = 1000; count < most; count = count * 5 / 4) make(count);
    };
    all_sizes(100'000);
    const std::size_t kept = cached_memory();
    EXPECT_GT(kept, 4u * 100'000 * 4);
    all_sizes(100'000);
    EXPECT_EQ(cached_memory(), kept);
    all_sizes(10'000'000);
    EXPECT_LT(cached_memory(), 10'000'000u * 4 * 5 / 4 + (32u << 20));  // not the sum of all sizes, 200 MB
    release_memory();
    EXPECT_EQ(cached_memory(), 0u);
  });
}

TEST(Storage, CachedMemoryIsPerThread) {
  release_memory();
  make(1000);
  const std::size_t here = cached_memory();
  EXPECT_GT(here, 0u);
  on_a_thread([] {
    EXPECT_EQ(cached_memory(), 0u);
    release_memory();
  });
  EXPECT_EQ(cached_memory(), here);
}

TEST(Storage, IsFreedOnAnotherThreadWithoutBeingHoarded) {
  on_a_thread([] {
    StorageHandle made;
    on_a_thread([&] { made = make(1000); });  // its thread and cache are gone
    made = StorageHandle();
    EXPECT_EQ(cached_memory(), 0u);
  });
  // A producer and a consumer, for long: neither may pile up blocks, and the producer takes the same one again.
  on_a_thread([] {
    const void* const block = make(1000)->data();
    const std::size_t one = cached_memory();
    for (int i = 0; i < 200; ++i) {
      StorageHandle made = make(1000);
      EXPECT_EQ(made->data(), block);
      EXPECT_EQ(cached_memory(), 0u);
      on_a_thread([&] {
        made = StorageHandle();
        EXPECT_EQ(cached_memory(), 0u);
      });
      EXPECT_EQ(cached_memory(), one);
    }
  });
}

TEST(Storage, OfManySizesComesBackFromManyThreads) {
  on_a_thread([] {
    std::vector<StorageHandle> made;
    for (std::int64_t i = 0; i < 400; ++i) made.push_back(make(i * i % 1000));
    std::set<const void*> blocks;
    for (const StorageHandle& each : made) blocks.insert(each->data());
    EXPECT_EQ(cached_memory(), 0u);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = t; i < made.size(); i += 4) made[i] = StorageHandle();
        EXPECT_EQ(cached_memory(), 0u);
      });
    for (std::thread& thread : threads) thread.join();
    const std::size_t all = cached_memory();
    EXPECT_GT(all, 400u * 128);
    for (std::int64_t i = 0; i < 400; ++i) {
      made[static_cast<std::size_t>(i)] = make(i * i % 1000);
      EXPECT_EQ(blocks.count(made[static_cast<std::size_t>(i)]->data()), 1u) << i;
    }
    EXPECT_EQ(cached_memory(), 0u);
    made.clear();
    EXPECT_EQ(cached_memory(), all);
    release_memory();
    EXPECT_EQ(cached_memory(), 0u);
  });
}

// What waits for a thread that takes nothing is bounded.
TEST(Storage, LargeOnesOfAnIdleThreadGoToTheSystem) {
  on_a_thread([] {
    constexpr std::int64_t kCount = 3 << 20;  // 12 MB
    for (int round = 0; round < 3; ++round) {
      std::vector<StorageHandle> made;
      for (int i = 0; i < 6; ++i) made.push_back(make(kCount));
      on_a_thread([&] { made.clear(); });
      EXPECT_LE(cached_memory(), std::size_t{32} << 20);
      EXPECT_GE(cached_memory(), std::size_t{24} << 20);
    }
    release_memory();
    EXPECT_EQ(cached_memory(), 0u);
  });
}

// Threads that take, hand on, free and end, all at once.
TEST(Storage, GoesFromThreadToThread) {
  constexpr int kThreads = 4, kRounds = 30, kBlocks = 50;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::vector<StorageHandle>> handed(kThreads);
    std::vector<std::atomic<bool>> ready(kThreads);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (std::int64_t i = 0; i < kBlocks; ++i) {
          handed[t].push_back(make(10 + i * 7 % 100));
          static_cast<float*>(handed[t].back()->data())[9] = static_cast<float>(t);
        }
        ready[t] = true;
        const std::size_t from = (t + 1) % kThreads;
        while (!ready[from]) std::this_thread::yield();
        for (StorageHandle& each : handed[from]) {
          EXPECT_EQ(static_cast<float*>(each->data())[9], static_cast<float>(from));
          each = StorageHandle();
          make(20);  // takes what came back meanwhile
        }
      });
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(Storage, OutlivesTheCacheOfItsThread) {
  on_a_thread([] {
    // Destroyed after the cache, which is made later.
    thread_local std::optional<StorageHandle> last;
    last.emplace();
    *last = make(1000);
  });
}

TEST(Storage, TakesReferencesFromManyThreads) {
  const StorageHandle storage = make(10);
  Storage& shared = *storage.get();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 10000; ++k) {
        const StorageHandle copy = storage;
        shared.raise_version();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.use_count(), 1u);
  EXPECT_EQ(shared.version(), 40000u);
}

TEST(Storage, WrapsMemoryThatItDoesNotOwn) {
  std::array<double, 3> memory{1, 2, 3};
  const std::size_t before = cached_memory();
  {
    const StorageHandle storage(Storage::wrap(DType::Float64, memory.data(), 3, true));
    EXPECT_EQ(storage->data(), memory.data());
    EXPECT_EQ(storage->count(), 3);
    EXPECT_EQ(storage->dtype(), DType::Float64);
    EXPECT_FALSE(storage->owns_memory());
    EXPECT_TRUE(storage->read_only());
  }
  EXPECT_EQ(cached_memory(), before);
  EXPECT_EQ(memory[2], 3);
}

TEST(StorageHandle, CountsItsCopies) {
  StorageHandle a = make(4);
  EXPECT_EQ(a->use_count(), 1u);
  {
    StorageHandle b = a;
    EXPECT_EQ(a->use_count(), 2u);
    const StorageHandle c = std::move(b);
    EXPECT_EQ(a->use_count(), 2u);
    EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move): a moved-from handle is empty
    EXPECT_EQ(c.get(), a.get());
  }
  EXPECT_EQ(a->use_count(), 1u);
  const StorageHandle& same = a;
  a = same;
  EXPECT_EQ(a->use_count(), 1u);
  StorageHandle other = make(4);
  const StorageHandle keep = other;
  other = a;
  EXPECT_EQ(keep->use_count(), 1u);
  EXPECT_EQ(a->use_count(), 2u);
  EXPECT_FALSE(StorageHandle());
}

}  // namespace
}  // namespace tapegrad
