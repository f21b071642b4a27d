#include "tapegrad/data/loader.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>

#include "io/temporary.h"
#include "sanitizers.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"

namespace tapegrad {
namespace {

using testing::error_of, testing::expect_contains;

// Sample i of length elements holds 3 i, 3 i + 1, ..., and its label is i.
Tensor counted_images(index_t samples, index_t length, DType dtype = DType::Float32) {
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
    labels.insert(labels.end(), batch.targets.values<std::int32_t>().begin(),
                  batch.targets.values<std::int32_t>().end());
  return labels;
}

TEST(Loader, InOrderWithoutShuffling) {
  const Loader loader(counted_images(10, 2), numbers(10), {.batch_size = 4, .shuffle = false});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(loader.samples(), 10);
  index_t number = 0;
  for (const Batch& batch : loader.epoch(0)) {
    EXPECT_EQ(batch.number, number);
    EXPECT_EQ(batch.first, 4 * number);
    const index_t count = number == 2 ? 2 : 4;
    ASSERT_EQ(batch.inputs.shape(), (Shape{count, 2, 1}));
    ASSERT_EQ(batch.targets.shape(), Shape{count});
    for (index_t i = 0; i < count; ++i) {
      EXPECT_EQ(batch.targets.at({i}), static_cast<double>(4 * number + i));
      EXPECT_EQ(batch.inputs.at({i, 1, 0}), static_cast<double>(3 * (4 * number + i) + 1));
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
    const Loader loader(counted_images(samples, 2), numbers(samples),
                        {.batch_size = size, .shuffle = false, .drop_last = true});
    EXPECT_EQ(loader.batches(), batches);
    EXPECT_EQ(loader.samples(), batches == 0 ? 0 : batches * size);
    index_t seen = 0;
    for (const Batch& batch : loader.epoch(0)) {
      EXPECT_EQ(batch.inputs.shape()[0], size);
      ++seen;
    }
    EXPECT_EQ(seen, batches);
  }
  const Loader all(counted_images(5, 2), {}, {.batch_size = std::numeric_limits<index_t>::max()});
  EXPECT_EQ(all.batches(), 1);
  EXPECT_EQ(all.samples(), 5);
}

TEST(Loader, ShufflesEverySampleOnceWithItsLabel) {
  const Loader loader(counted_images(101, 3), numbers(101), {.batch_size = 8, .seed = 3});
  std::set<int> seen;
  for (const Batch& batch : loader.epoch(5))
    for (index_t i = 0; i < batch.targets.size(); ++i) {
      const auto label = static_cast<int>(batch.targets.at({i}));
      EXPECT_TRUE(seen.insert(label).second);
      for (index_t k = 0; k < 3; ++k)
        EXPECT_EQ(batch.inputs.at({i, k, 0}), static_cast<double>(3 * label + k));
    }
  EXPECT_EQ(seen.size(), 101u);
}

TEST(Loader, OrderIsAFunctionOfSeedAndEpoch) {
  const auto make = [](std::uint64_t seed, index_t size) {
    return Loader(counted_images(50, 1), numbers(50), {.batch_size = size, .seed = seed});
  };
  const Loader loader = make(7, 8);
  const std::vector<int> third = order(loader, 3),
                         none = order(Loader(counted_images(50, 1), numbers(50), {.shuffle = false}), 3);
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
    mixed.insert(mixed.end(), at_a->targets.values<std::int32_t>().begin(),
                 at_a->targets.values<std::int32_t>().end());
  EXPECT_EQ(mixed, third);
}

// The order is part of what a seed promises: it stays the same from version to version.
TEST(Loader, OrderOfOneSeed) {
  const Loader loader(counted_images(10, 1), numbers(10), {.batch_size = 10, .seed = 1});
  EXPECT_EQ(order(loader, 0), (std::vector<int>{5, 0, 1, 2, 6, 3, 9, 7, 8, 4}));
  EXPECT_EQ(order(loader, 1), (std::vector<int>{1, 7, 8, 5, 3, 9, 0, 6, 4, 2}));
}

TEST(Loader, BytesBecomeSharesOf255) {
  Tensor bytes = zeros({256}, DType::UInt8);
  std::iota(bytes.mutable_values<std::uint8_t>().begin(), bytes.mutable_values<std::uint8_t>().end(),
            std::uint8_t{0});
  for (const Batch& batch : Loader(bytes, {}, {.batch_size = 256, .shuffle = false}).epoch(0))
    for (std::size_t i = 0; i < 256; ++i)
      EXPECT_EQ(batch.inputs.values<float>()[i], static_cast<float>(i) / 255.0f);
  for (const Batch& batch :
       Loader(bytes, {}, {.batch_size = 256, .shuffle = false, .dtype = DType::Float64}).epoch(0))
    for (std::size_t i = 0; i < 256; ++i)
      EXPECT_EQ(batch.inputs.values<double>()[i], static_cast<double>(i) / 255.0);
  for (const Batch& batch :
       Loader(bytes, {}, {.batch_size = 256, .shuffle = false, .dtype = DType::UInt8}).epoch(0))
    EXPECT_TRUE(equal(batch.inputs, bytes));
}

TEST(Loader, OtherDtypesKeepTheirValues) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Int32})
    for (const DType wanted : {DType::Float32, DType::Float64, dtype}) {
      const Tensor x = counted_images(5, 2, dtype);
      for (const Batch& batch :
           Loader(x, {}, {.batch_size = 5, .shuffle = false, .dtype = wanted}).epoch(0)) {
        EXPECT_TRUE(equal(batch.inputs, counted_images(5, 2, wanted)));
        EXPECT_FALSE(batch.targets.defined());
      }
    }
}

TEST(Loader, BatchesHandedOutStay) {
  const Loader loader(counted_images(64, 4), numbers(64), {.batch_size = 4, .shuffle = false});
  std::vector<Batch> kept;
  for (const Batch& batch : loader.epoch(0)) kept.push_back(batch);
  ASSERT_EQ(kept.size(), 16u);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(kept[i].inputs.at({0, 0, 0}), static_cast<double>(12 * i));
    EXPECT_EQ(kept[i].targets.at({3}), static_cast<double>(4 * i + 3));
    for (std::size_t k = 0; k < i; ++k) EXPECT_NE(kept[i].inputs.data<float>(), kept[k].inputs.data<float>());
  }
}

TEST(Loader, TheDataSetIsNotHandedOutItself) {
  Tensor x = counted_images(4, 1);
  for (Batch batch : Loader(x, {}, {.batch_size = 4, .shuffle = false}).epoch(0))
    batch.inputs.set({0, 0, 0}, 99);
  EXPECT_TRUE(equal(x, counted_images(4, 1)));
}

TEST(Loader, LeavingEarlyNeitherHangsNorLeaks) {
  const Loader loader(counted_images(1000, 100), numbers(1000), {.batch_size = 10});
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
  std::optional<Loader> loader(std::in_place, counted_images(20, 2), numbers(20),
                               LoaderOptions{.batch_size = 5});
  Loader::Epoch epoch = loader->epoch(0);
  const std::vector<int> expected = order(*loader, 0);
  loader.reset();
  std::vector<int> labels;
  for (const Batch& batch : epoch)
    labels.insert(labels.end(), batch.targets.values<std::int32_t>().begin(),
                  batch.targets.values<std::int32_t>().end());
  EXPECT_EQ(labels, expected);
  EXPECT_EQ(epoch.begin(), epoch.end());
}

TEST(Loader, EmptySamplesAndEmptySets) {
  index_t batches = 0;
  for (const Batch& batch : Loader(zeros({5, 0}), {}, {.batch_size = 2}).epoch(0)) {
    EXPECT_EQ(batch.inputs.size(), 0);
    ++batches;
  }
  EXPECT_EQ(batches, 3);
  for ([[maybe_unused]] const Batch& batch : Loader(zeros({0, 3})).epoch(0)) FAIL();
}

// ---- Transforms

// What a loader made of each sample, by its number, for the images of counted_images().
std::map<int, Tensor> images_by_number(const Loader& loader, index_t epoch) {
  std::map<int, Tensor> images;
  for (const Batch& batch : loader.epoch(epoch))
    for (index_t i = 0; i < batch.targets.size(); ++i) {
      std::vector<index_t> sizes(batch.inputs.shape().begin() + 1, batch.inputs.shape().end());
      const Shape one(sizes);
      images[batch.targets.values<std::int32_t>()[static_cast<std::size_t>(i)]] =
          TensorAccess::clone(TensorAccess::view(batch.inputs, one, i * one.size()));
    }
  return images;
}

bool same(const std::map<int, Tensor>& a, const std::map<int, Tensor>& b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return x.first == y.first && equal(x.second, y.second); });
}

// Everything that the library draws at random.
Transform augmentation() {
  return compose({random_shift(2), random_flip(), random_crop(3, 4, 1), gaussian_noise(0.1)});
}

Loader augmented(index_t batch_size, bool shuffle = true, std::uint64_t seed = 5, int workers = 1) {
  Generator generator(3);
  const Tensor images = uniform({37, 5, 6, 2}, 0, 1, generator);
  return Loader(images, numbers(37),
                {.batch_size = batch_size,
                 .shuffle = shuffle,
                 .seed = seed,
                 .transform = augmentation(),
                 .workers = workers});
}

TEST(LoaderTransform, IsAFunctionOfSeedEpochAndSample) {
  const auto expected = images_by_number(augmented(37), 2);
  ASSERT_EQ(expected.size(), 37u);
  EXPECT_EQ(expected.at(0).shape(), (Shape{3, 4, 2}));
  for (const index_t size : {1, 5, 36, 1000})
    for (const bool shuffle : {true, false})
      for (const int workers : {1, 3})
        EXPECT_TRUE(same(expected, images_by_number(augmented(size, shuffle, 5, workers), 2))) << size;
  EXPECT_FALSE(same(expected, images_by_number(augmented(37), 3)));
  EXPECT_FALSE(same(expected, images_by_number(augmented(37, true, 6), 2)));
  const auto other = images_by_number(augmented(37), 3);
  for (const auto& [number, image] : expected) EXPECT_FALSE(equal(image, other.at(number))) << number;
}

// As the order: a seed promises the same pictures from version to version.
TEST(LoaderTransform, NumbersOfOneSeed) {
  const Loader loader(zeros({2, 1, 1, 1}), {},
                      {.shuffle = false, .seed = 1, .dtype = DType::Float64, .transform = gaussian_noise(1)});
  for (const Batch& batch : loader.epoch(1))
    for (index_t i = 0; i < 2; ++i)
      EXPECT_EQ(batch.inputs.at({i, 0, 0, 0}),
                Generator(1).child(0x7472616e73666d).child(1).child(static_cast<std::uint64_t>(i)).normal());
}

TEST(LoaderTransform, ComesAfterTheConversion) {
  const Tensor bytes = tensor({{{{0}}}, {{{255}}}}, DType::UInt8);
  const Loader loader(bytes, {}, {.shuffle = false, .transform = normalize({0.5}, {0.25})});
  for (const Batch& batch : loader.epoch(0)) {
    EXPECT_TRUE(equal(batch.inputs, tensor({{{{-2}}}, {{{2}}}})));
  }
}

TEST(LoaderTransform, MayWriteToItsImage) {
  const Tensor x = counted_images(4, 1);
  const Loader loader(x, {}, {.transform = [](Tensor image, Generator&) {
                        image.set({0, 0}, -1);
                        return image;
                      }});
  for (const Batch& batch : loader.epoch(0)) EXPECT_TRUE(equal(batch.inputs, full({4, 1, 1}, -1)));
  EXPECT_TRUE(equal(x, counted_images(4, 1)));
}

TEST(LoaderTransform, OfNothing) {
  for ([[maybe_unused]] const Batch& batch :
       Loader(zeros({0, 3, 3, 1}), {}, {.transform = random_shift(1)}).epoch(0))
    FAIL();
}

// ---- Errors on the loader's threads

// What the loader says, and how many batches it handed out before.
using Failure = std::pair<std::string, index_t>;
Failure failure(const Loader& loader) {
  index_t batches = 0;
  const std::string message = error_of("loader", [&] {
    for ([[maybe_unused]] const Batch& batch : loader.epoch(0)) ++batches;
  });
  return {message, batches};
}

TEST(LoaderErrors, NameTheSample) {
  const auto refuse = [](int bad) {
    return [bad](Tensor image, Generator&) {
      if (image.at({0, 0}) == 3 * bad) throw std::runtime_error("too dark");
      return image;
    };
  };
  for (const int workers : {1, 4}) {
    const auto make = [&](Transform transform) {
      return Loader(
          counted_images(20, 2), numbers(20),
          {.batch_size = 4, .shuffle = false, .transform = std::move(transform), .workers = workers});
    };
    EXPECT_EQ(failure(make(refuse(9))), Failure("[loader] sample 9: too dark", 2));
    EXPECT_EQ(failure(make(refuse(0))), Failure("[loader] sample 0: too dark", 0));
    // Of several, the first one of the batch, however many threads there are.
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(failure(make([](Tensor image, Generator&) -> Tensor {
                  if (image.at({0, 0}) >= 15) throw std::runtime_error("bright");
                  return image;
                })),
                Failure("[loader] sample 5: bright", 1));
    expect_contains(
        failure(make([](Tensor image, Generator&) {
          return image.at({0, 0}) < 30 ? image : zeros({1, 1});
        })).first,
        "sample 10: [transform] the transforms must make images of one shape, got [1, 1] after [2, 1]");
    expect_contains(failure(make([](const Tensor&, Generator&) {
                      return zeros({2, 1}, DType::Float64);
                    })).first,
                    "sample 0: [transform] the transforms must keep the dtype Float32, got Float64");
    expect_contains(failure(make([](const Tensor&, Generator&) { return Tensor(); })).first, "sample 0: ");
    expect_contains(failure(make([](const Tensor&, Generator&) -> Tensor { throw 7; })).first, "sample 0: ");
    expect_contains(failure(make(random_shift(1))).first, "sample 0: [random_shift]");
  }
}

struct Mine : std::runtime_error {
  Mine() : std::runtime_error("mine") {}
};

// What a step of an epoch throws; the Loader's Error holds it.
template <class Thrown>
bool holds(const std::function<Tensor(Tensor, Generator&)>& transform, int workers) {
  const Loader loader(counted_images(9, 2), {},
                      {.batch_size = 3, .transform = transform, .workers = workers});
  try {
    for ([[maybe_unused]] const Batch& batch : loader.epoch(0)) {
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.op(), "loader");
    try {
      std::rethrow_if_nested(error);
    } catch (const Thrown&) {
      return true;
    } catch (...) {
    }
  }
  return false;
}

TEST(LoaderErrors, HoldTheirCause) {
  for (const int workers : {1, 3}) {
    EXPECT_TRUE((holds<Mine>([](Tensor, Generator&) -> Tensor { throw Mine(); }, workers)));
    EXPECT_TRUE((holds<int>([](Tensor, Generator&) -> Tensor { throw 7; }, workers)));
    EXPECT_TRUE(
        (holds<std::string>([](Tensor, Generator&) -> Tensor { throw std::string("text"); }, workers)));
    EXPECT_TRUE(
        (holds<Error>([](Tensor, Generator&) -> Tensor { throw Error("disk", "on fire"); }, workers)));
    const Loader loader(
        counted_images(9, 2), {},
        {.transform = [](Tensor, Generator&) -> Tensor { throw std::bad_alloc(); }, .workers = workers});
    EXPECT_THROW((void)loader.epoch(0).begin(), std::bad_alloc);
  }
}

#if !TAPEGRAD_THREAD_SANITIZER

// How many batches differ from those of the whole epoch, from `first` on.
int wrong_batches(Loader::Epoch& epoch, const std::vector<Batch>& all, index_t first) {
  int wrong = 0;
  index_t number = first;
  for (const Batch& batch : epoch) {
    wrong += batch.number != number || !equal(batch.inputs, all[static_cast<std::size_t>(number)].inputs) ||
             !equal(batch.targets, all[static_cast<std::size_t>(number)].targets);
    ++number;
  }
  return wrong + (number != static_cast<index_t>(all.size()));
}

enum class ChildOf { Leaves, GoesOn, BeginsAnother };

// In a child process, made when `batches` of an epoch were handed out: 0 if all was right there.
int in_child(const Loader& loader, const std::vector<Batch>& all, index_t batches, ChildOf kind) {
  std::fflush(nullptr);  // or the child prints it again
  pid_t child = -1;
  {
    std::optional<Loader::Epoch> epoch(loader.epoch(2));
    auto at = epoch->begin();
    for (index_t i = 0; i < batches; ++i) ++at;
    child = fork();
    if (child == 0) {
      alarm(20);  // instead of hanging
      int wrong = 0;
      if (kind == ChildOf::GoesOn) wrong = wrong_batches(*epoch, all, batches);
      epoch.reset();
      if (kind == ChildOf::BeginsAnother) {
        Loader::Epoch another = loader.epoch(2);
        wrong = wrong_batches(another, all, 0);
      }
      _exit(wrong == 0 ? 0 : 1);
    }
    EXPECT_EQ(wrong_batches(*epoch, all, batches), 0);  // the parent goes on as well
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Workers fill batches at the moment of the fork. The address sanitizer's allocator is not made for that (Fork.WhileOtherThreadsTrain
// says more).
TEST(Loader, AProcessThatIsForkedInAnEpoch) {
  if (TAPEGRAD_ADDRESS_SANITIZER) GTEST_SKIP() << "the sanitizer's allocator does not survive fork()";
  for (const int workers : {1, 3})
    for (const bool transforms : {false, true}) {
      const Loader loader(counted_images(40, 2), numbers(40),
                          {.batch_size = 4,
                           .seed = 5,
                           .transform = transforms ? gaussian_noise(1) : Transform(),
                           .workers = workers});
      std::vector<Batch> all;
      for (const Batch& batch : loader.epoch(2)) all.push_back(batch);
      for (const ChildOf kind : {ChildOf::Leaves, ChildOf::GoesOn, ChildOf::BeginsAnother})
        for (const index_t batches : {0, 1, 5, 9}) EXPECT_EQ(in_child(loader, all, batches, kind), 0);
    }
}

#endif

TEST(LoaderErrors, OfImagesAndLabelsThatAreRead) {
  const Samples good = counted_images(6, 2);
  const Samples bad(good.shape(), good.dtype(), [good](index_t i) {
    if (i == 4) throw Error("disk", "on fire");
    return good[i];
  });
  const LoaderOptions options{.batch_size = 2, .shuffle = false};
  EXPECT_EQ(failure(Loader(bad, {}, options)), Failure("[loader] sample 4: [disk] on fire", 2));
  EXPECT_EQ(failure(Loader(good, bad, options)), Failure("[loader] sample 4: [disk] on fire", 2));
}

TEST(LoaderErrors, EndThePass) {
  const Loader loader(counted_images(20, 2), {},
                      {.batch_size = 4, .shuffle = false, .transform = [](Tensor image, Generator&) {
                         if (image.at({0, 0}) == 15) throw std::runtime_error("no");
                         return image;
                       }});
  auto epoch = loader.epoch(0);
  auto at = epoch.begin();
  EXPECT_THROW(++at, Error);
  EXPECT_EQ(at, epoch.end());
  ++at;
  EXPECT_EQ(at, epoch.end());
  // Nobody asks for the batch that failed: nothing is thrown, nothing hangs.
  for (int i = 0; i < 20; ++i)
    for (const Batch& batch : loader.epoch(0)) {
      EXPECT_EQ(batch.number, 0);
      break;
    }
}

// ---- In the middle of an epoch

TEST(LoaderResume, FromEveryBatchOn) {
  for (const bool drop_last : {false, true}) {
    const Loader loader(counted_images(23, 2), numbers(23),
                        {.batch_size = 5, .seed = 2, .drop_last = drop_last, .transform = gaussian_noise(1)});
    std::vector<Batch> all;
    for (const Batch& batch : loader.epoch(3)) all.push_back(batch);
    ASSERT_EQ(static_cast<index_t>(all.size()), loader.batches());
    for (index_t first = 0; first <= loader.batches(); ++first) {
      index_t number = first;
      for (const Batch& batch : loader.epoch(3, first)) {
        const Batch& expected = all[static_cast<std::size_t>(number)];
        EXPECT_EQ(batch.epoch, 3);
        EXPECT_EQ(batch.number, number++);
        EXPECT_EQ(batch.first, expected.first);
        EXPECT_TRUE(equal(batch.inputs, expected.inputs));
        EXPECT_TRUE(equal(batch.targets, expected.targets));
      }
      EXPECT_EQ(number, loader.batches());
    }
  }
}

TEST(Loader, TakesInputsWithoutTargets) {
  const Loader loader(counted_images(4, 2), {.batch_size = 4, .shuffle = false});
  for (const Batch& batch : loader.epoch(0)) {
    EXPECT_TRUE(equal(batch.inputs, counted_images(4, 2)));
    EXPECT_FALSE(batch.targets.defined());
  }
}

TEST(Loader, MistakesAreNamed) {
  const auto refused = [](auto&&... arguments) { return error_of("loader", [&] { Loader(arguments...); }); };
  error_of("samples", [] { Loader(tensor(1)); });
  expect_contains(refused(zeros({3, 2}), zeros({4})),
                  "3 inputs (shape [3, 2]), but the targets have shape [4]");
  refused(zeros({3}), Tensor(), LoaderOptions{.batch_size = 0});
  refused(zeros({3}), Tensor(), LoaderOptions{.dtype = DType::UInt8});
  refused(zeros({3}), Tensor(), LoaderOptions{.workers = 0});
  expect_contains(refused(Tensor()), "must be defined");
  error_of("loader", [] { Loader(zeros({3})).epoch(-1); });
  expect_contains(error_of("loader", [] { Loader(zeros({3})).epoch(0, 2); }),
                  "must be 0 to 1, the number of batches, got 2");
  error_of("loader", [] { Loader(zeros({3})).epoch(0, -1); });
}

TEST(Loader, PartsAreTheBatchTogether) {
  const Tensor rows = reshape(arange(0, 23 * 4), {23, 2, 2, 1});
  const auto options = [](index_t share) {
    LoaderOptions all{.batch_size = 8, .seed = 3, .transform = random_shift(1)};
    if (share >= 0)
      all.part = [share](index_t samples) {
        const index_t first = samples * share / 3;
        return BatchPart{.first = first, .count = samples * (share + 1) / 3 - first};
      };
    return all;
  };
  for (index_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<std::vector<Batch>> shares;
    for (const index_t share : {0, 1, 2}) {
      shares.emplace_back();
      for (const Batch& batch : Loader(rows, options(share)).epoch(epoch)) shares.back().push_back(batch);
    }
    std::size_t number = 0;
    for (const Batch& batch : Loader(rows, options(-1)).epoch(epoch)) {
      std::vector<Tensor> parts;
      for (const auto& share : shares) {
        const BatchPart& part = share.at(number).part;
        EXPECT_EQ(part.samples, batch.inputs.shape()[0]);
        EXPECT_EQ(part.key, batch.part.key);
        EXPECT_EQ(part.count, share[number].inputs.shape()[0]);
        parts.push_back(share[number].inputs);
      }
      EXPECT_TRUE(equal(concat(parts), batch.inputs));
      EXPECT_EQ(batch.part.count, batch.part.samples);
      ++number;
    }
    EXPECT_EQ(number, 3u);
    EXPECT_NE(shares[0][0].part.key, shares[0][1].part.key);
  }
}

TEST(Loader, APartMayBeEmptyAndMustLieInTheBatch) {
  const Tensor rows = zeros({6, 2, 2, 1});
  const auto with = [&](BatchPart part) {
    return Loader(rows, LoaderOptions{.batch_size = 4, .transform = random_shift(1), .part = [part](index_t) {
                                        return part;
                                      }});
  };
  index_t batches = 0;
  for (const Batch& batch : with({.first = 2, .count = 0}).epoch(0)) {
    EXPECT_EQ(batch.part.count, 0);
    EXPECT_FALSE(batch.inputs.defined());
    ++batches;
  }
  EXPECT_EQ(batches, 2);
  for (const BatchPart& wrong : {BatchPart{.first = -1, .count = 1}, BatchPart{.first = 1, .count = 4},
                                 BatchPart{.first = 0, .count = -1}})
    try {
      for (const Batch& batch : with(wrong).epoch(0)) (void)batch;
      ADD_FAILURE() << wrong.first << " " << wrong.count;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("must lie in its 4 samples"), std::string::npos)
          << error.what();
    }
}

}  // namespace
}  // namespace tapegrad
