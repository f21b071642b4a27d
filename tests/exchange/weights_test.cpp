#include "tapegrad/exchange/weights.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "refuses.h"
#include "tapegrad/io/npz.h"
#include "tapegrad/io/safetensors.h"
#include "tapegrad/ops/compare.h"

namespace tapegrad::testing {
namespace {

std::string fixture(const std::string& name) {
  return std::string(TAPEGRAD_FIXTURES "/") + name;
}

TEST(ReadWeights, ReadsNpz) {
  for (const char* name : {"numpy.npz", "numpy_compressed.npz"}) {
    const State state = read_weights(fixture(name));
    const NamedTensors tensors = read_npz(fixture(name));
    ASSERT_FALSE(tensors.empty());
    ASSERT_EQ(state.tensors.size(), tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(state.tensors[i].first, tensors[i].first);
      EXPECT_TRUE(equal(state.tensors[i].second, tensors[i].second)) << tensors[i].first;
    }
  }
}

TEST(ReadWeights, ReadsSafetensors) {
  const State state = read_weights(fixture("pytorch_model.safetensors"));
  const State same = read_safetensors(fixture("pytorch_model.safetensors"));
  ASSERT_EQ(state.tensors.size(), same.tensors.size());
  for (std::size_t i = 0; i < same.tensors.size(); ++i)
    EXPECT_TRUE(equal(state.tensors[i].second, same.tensors[i].second)) << same.tensors[i].first;
}

TEST(ReadWeights, SaysWhatAnotherFileIsNot) {
  EXPECT_TRUE(refuses("read_weights", {"cannot open", "missing.npz"}, [] { read_weights("missing.npz"); }));
  EXPECT_TRUE(refuses("read_safetensors", {"numpy_compressed.npz' is not"},
                      [] { read_safetensors(fixture("numpy_compressed.npz")); }));
  EXPECT_TRUE(refuses("read_safetensors", {"is not a safetensors file"},
                      [] { read_weights(fixture("gradient.jpg")); }));
}

}  // namespace
}  // namespace tapegrad::testing
