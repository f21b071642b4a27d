#include <gtest/gtest.h>

#include <cmath>

#include "oracle.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

TEST(Dropout, OnlyWhileItIsTrained) {
  Generator generator(1);
  Dropout layer(0.25, generator);
  const Tensor x = ones({100, 100});
  const Tensor y = layer(x);
  double dropped = 0;
  for (const float value : y.values<float>()) {
    EXPECT_TRUE(value == 0 || std::abs(value - 4.0f / 3) < 1e-6f) << value;
    dropped += value == 0;
  }
  EXPECT_NEAR(dropped, 2500, 150);
  layer.eval();
  EXPECT_TRUE(equal(layer(x), x));
}

TEST(Dropout, EverySampleHasAMaskOfItsOwn) {
  Generator generator(1);
  Dropout layer(0.5, generator);
  const Tensor x = ones({2, 64}), first = layer(x), second = layer(x);
  EXPECT_FALSE(equal(row(first, 0), row(first, 1)));
  EXPECT_FALSE(equal(first, second));
  Dropout other(0.5, generator);
  EXPECT_FALSE(equal(other(x), first)) << "another layer has other masks";
}

TEST(Dropout, DoesNotDependOnHowABatchIsSplit) {
  Generator generator(1);
  Dropout whole(0.5, generator), parts = clone(whole);
  const Tensor x = uniform({10, 16}, 1, 2, generator);
  const Tensor y = whole(x);
  EXPECT_TRUE(equal(parts(slice(x, {{0, 3}})), slice(y, {{0, 3}})));
  EXPECT_TRUE(equal(parts(slice(x, {{3, 9}})), slice(y, {{3, 9}})));
  EXPECT_TRUE(equal(parts(slice(x, {{9, 10}})), slice(y, {{9, 10}})));
  EXPECT_TRUE(equal(parts(x), whole(x)));
}

TEST(Dropout, ContinuesFromItsState) {
  Generator generator(1);
  Dropout first(0.5, generator), second(0.5, generator);
  const Tensor x = ones({3, 32});
  first(x);
  second.load_state(first.state());
  EXPECT_TRUE(equal(first(x), second(x)));
  EXPECT_TRUE(first.parameters().empty());
}

// The numbers of samples use both words.
TEST(Dropout, CountsBeyondOneWord) {
  Generator generator(1);
  Dropout layer(0.5, generator);
  layer.generator_state.set({2}, -2);  // 2^32 - 2
  layer(ones({5, 1}));
  EXPECT_EQ(layer.generator_state.at({2}), 3);
  EXPECT_EQ(layer.generator_state.at({3}), 1);
}

TEST(Dropout, GradientIsTheMask) {
  Generator generator(1);
  Dropout layer(0.5, generator);
  Tape tape;
  const Tensor x = tape.watch(ones({4, 8}));
  const Tensor y = layer(x);
  EXPECT_TRUE(equal(tape.gradient(sum(y), x), y));
}

TEST(Dropout, WrongArguments) {
  Generator generator(1);
  for (const double rate : {-0.1, 1.0, std::nan("")})
    EXPECT_TRUE(refuses("Dropout", {"rate", "[0, 1)"}, [&] { Dropout(rate, generator); }));
  Dropout layer(0.5, generator);
  EXPECT_TRUE(refuses("Dropout", {"scalar"}, [&] { layer(ones({})); }));
}

TEST(Embedding, LooksUpRows) {
  Generator generator(1);
  Embedding layer({.input_dim = 5, .output_dim = 3}, generator);
  EXPECT_EQ(layer.embeddings.shape().str(), "[5, 3]");
  for (const float value : layer.embeddings.values<float>()) EXPECT_LE(std::abs(value), 0.05f);
  const Tensor indices = tensor({{4, 0}, {1, 4}}, DType::Int32);
  const Tensor y = layer(indices);
  ASSERT_EQ(y.shape().str(), "[2, 2, 3]");
  EXPECT_TRUE(equal(row(row(y, 0), 0), row(layer.embeddings, 4)));
  EXPECT_TRUE(equal(row(row(y, 1), 0), row(layer.embeddings, 1)));
  EXPECT_TRUE(refuses("Embedding", {"5", "[1]"}, [&] { layer(tensor({0, 5}, DType::Int32)); }));
  EXPECT_TRUE(refuses("Embedding", {"input_dim", "got 0"}, [&] { Embedding({.output_dim = 1}, generator); }));
  EXPECT_TRUE(refuses("Embedding", {"output_dim", "got 0"}, [&] { Embedding({.input_dim = 1}, generator); }));
}

TEST(EmbeddingOracle, ForwardAndGradient) {
  int run = 0;
  for (const OracleCase& c : read_oracle("op_cases")) {
    if (c.op != "embedding") continue;
    ++run;
    for (const DType dtype : {DType::Float32, DType::Float64}) {
      const Shape table = c.tensor("table").shape();
      Generator generator(1);
      Embedding layer({.input_dim = table[0], .output_dim = table[1]}, generator);
      layer.to(dtype);
      State state;
      state.tensors = {{"embeddings", c.tensor("table")}};
      layer.load_state(state);
      Tape tape;
      const Tensor y = layer(c.tensor("indices", DType::Int32));
      const double tolerance = dtype == DType::Float64 ? 1e-12 : 1e-5;
      expect_close(y, c, "y", tolerance);
      expect_close(tape.gradient(y, layer.embeddings, {.output_gradient = c.tensor("dy", dtype)}), c,
                   "dtable", tolerance);
    }
  }
  EXPECT_EQ(run, 2);
}

}  // namespace
}  // namespace tapegrad::testing
