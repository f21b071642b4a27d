// What all test programs share, beside precompiled headers: TAPEGRAD_TEST_TARGET=SSE4, AVX2, ... forces an instruction set on
// all tests of a program but those that choose one themselves.
#include "kernels/targets.h"

namespace tapegrad::testing {
namespace {

class Forced : public ::testing::Environment {
 public:
  void SetUp() override {
    if (forced_target() != 0) use_target(0);
  }
};
[[maybe_unused]] const ::testing::Environment* const forced = ::testing::AddGlobalTestEnvironment(new Forced);

}  // namespace
}  // namespace tapegrad::testing
