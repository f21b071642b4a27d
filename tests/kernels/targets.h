#pragma once

#include <gtest/gtest.h>

#include <hwy/targets.h>
#include <string>

namespace tapegrad::testing {

struct Target {
  std::int64_t bit;
  const char* name;
};

/// Tests of vectorized kernels: with each of the library's instruction sets in turn, as far as this CPU has
/// it.
class EachTarget : public ::testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    if (!(hwy::SupportedTargets() & GetParam().bit)) GTEST_SKIP() << "this CPU has no " << GetParam().name;
    hwy::SetSupportedTargetsForTest(GetParam().bit);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

inline const auto kTargets =
    ::testing::Values(Target{HWY_AVX3, "AVX512"}, Target{HWY_AVX2, "AVX2"}, Target{HWY_SSE4, "SSE4"});
inline std::string target_name(const ::testing::TestParamInfo<Target>& target) {
  return target.param.name;
}

}  // namespace tapegrad::testing
