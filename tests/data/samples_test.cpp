#include "tapegrad/data/samples.h"

#include <gtest/gtest.h>

#include "tapegrad/data/loader.h"

#include "refuses.h"

namespace tapegrad {
namespace {

using testing::refuses;

TEST(Samples, OfATensorShareItsMemory) {
  const Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}});
  const Samples samples = x;
  EXPECT_TRUE(samples.defined());
  EXPECT_EQ(samples.size(), 3);
  EXPECT_EQ(samples.shape(), (Shape{3, 2}));
  EXPECT_EQ(samples.sample_shape(), Shape{2});
  EXPECT_TRUE(equal(samples[2], tensor({5, 6})));
  EXPECT_EQ(samples[1].data<float>(), x.data<float>() + 2);
  EXPECT_TRUE(equal(read_all(samples), x));
  EXPECT_TRUE(equal(Samples(tensor({7, 8}, DType::Int32))[1], tensor(8, DType::Int32)));
}

TEST(Samples, OfAFunction) {
  const Samples squares({5}, DType::Float64, [](index_t i) { return tensor(i * i, DType::Float64); });
  EXPECT_EQ(squares.size(), 5);
  EXPECT_EQ(squares[3].item(), 9);
  EXPECT_TRUE(equal(read_all(squares), tensor({0, 1, 4, 9, 16}, DType::Float64)));
}

TEST(Samples, MayBeNoneOrEmpty) {
  EXPECT_FALSE(Samples().defined());
  EXPECT_FALSE(Samples(Tensor()).defined());
  EXPECT_EQ(Samples().size(), 0);
  EXPECT_EQ(Samples(zeros({0, 4})).size(), 0);
  EXPECT_TRUE(equal(read_all(zeros({0, 4})), zeros({0, 4})));
  EXPECT_TRUE(equal(Samples(zeros({4, 0}))[3], zeros({0})));
}

// What a network that was trained through a Loader is to be given.
TEST(Samples, AreConvertedAsLoadersDo) {
  const Tensor bytes = tensor({{0, 51}, {102, 255}}, DType::UInt8);
  EXPECT_TRUE(equal(read_all(bytes), bytes));
  EXPECT_TRUE(equal(read_all(bytes, DType::UInt8), bytes));
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    const Loader loader(bytes, {}, {.batch_size = 2, .shuffle = false, .dtype = dtype});
    for (const Batch& batch : loader.epoch(0)) EXPECT_TRUE(equal(read_all(bytes, dtype), batch.inputs));
  }
  EXPECT_TRUE(equal(read_all(tensor({3, 300}, DType::Int32), DType::Float32), tensor({3, 300})));
  EXPECT_TRUE(refuses("read_all", {"UInt8", "Int32"}, [&] { (void)read_all(bytes, DType::Int32); }));
}

TEST(Samples, MistakesAreNamed) {
  EXPECT_TRUE(refuses("samples", {"scalar"}, [] { Samples(tensor(1)); }));
  EXPECT_TRUE(refuses("samples", {"less than 3, the number of samples, got 3"},
                      [] { (void)Samples(zeros({3}))[3]; }));
  EXPECT_TRUE(
      refuses("samples", {"at least 0 and less than 3", "got -1"}, [] { (void)Samples(zeros({3}))[-1]; }));
  EXPECT_TRUE(refuses("samples", {"less than 0, the number of samples, got 0"}, [] { (void)Samples()[0]; }));
  EXPECT_TRUE(refuses("samples", {"no function"}, [] { Samples({3}, DType::Float32, nullptr); }));
  const auto returning = [](const Tensor& x) {
    return [x] { (void)Samples({3, 2}, DType::Float32, [x](index_t) { return x; })[1]; };
  };
  EXPECT_TRUE(refuses("samples", {"sample 1", "Float32 of shape [2]", "Float32 of shape [3]"},
                      returning(zeros({3}))));
  EXPECT_TRUE(refuses("samples", {"Int32 of shape [2]"}, returning(zeros({2}, DType::Int32))));
  EXPECT_TRUE(refuses("samples", {"not defined"}, returning(Tensor())));
}

}  // namespace
}  // namespace tapegrad
