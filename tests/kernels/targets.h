#pragma once

#include <gtest/gtest.h>

#include <hwy/targets.h>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tapegrad::testing {

struct Target {
  std::int64_t bit;
  const char* name;
};

/// The library's instruction sets on this kind of processor, the best first.
inline const std::vector<Target> kTargetList = {
#if defined(TAPEGRAD_ONE_TARGET)  // Highway's headers without its library: what is compiled for is used
    Target{HWY_STATIC_TARGET, "Compiled"},
#elif HWY_ARCH_X86
    Target{HWY_AVX3, "AVX512"},
    Target{HWY_AVX2, "AVX2"},
    Target{HWY_SSE4, "SSE4"},
#elif HWY_ARCH_ARM
    Target{HWY_NEON, "NEON"},
#else
    Target{HWY_STATIC_TARGET, "Compiled"},
#endif
};

/// Whether this CPU has an instruction set.
inline bool has_target(const Target& target) {
#if defined(TAPEGRAD_ONE_TARGET)
  return target.bit == HWY_STATIC_TARGET;
#else
  hwy::SetSupportedTargetsForTest(0);
  return (hwy::SupportedTargets() & target.bit) != 0;
#endif
}

/// The one that the environment variable TAPEGRAD_TEST_TARGET forces on all tests; 0: the CPU's best.
inline std::int64_t forced_target() {
  const char* const name = std::getenv("TAPEGRAD_TEST_TARGET");
  if (name == nullptr || *name == '\0') return 0;
  for (const Target& target : kTargetList)
    if (target.name == std::string_view(name) && has_target(target)) return target.bit;
  throw std::runtime_error(std::string("TAPEGRAD_TEST_TARGET: this CPU or this build has no ") + name);
}

/// Makes the kernels use an instruction set that the CPU has; 0: the forced one, or the best.
inline void use_target(std::int64_t bit) {
  const std::int64_t chosen = bit != 0 ? bit : forced_target();
#if defined(TAPEGRAD_ONE_TARGET)
  (void)chosen;
#else
  hwy::SetSupportedTargetsForTest(chosen);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
#endif
}

/// Tests of vectorized kernels: with each of the library's instruction sets in turn, as far as this CPU has
/// it.
class EachTarget : public ::testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    if (!has_target(GetParam())) GTEST_SKIP() << "this CPU has no " << GetParam().name;
    use_target(GetParam().bit);
  }
  void TearDown() override { use_target(0); }
};

inline const auto kTargets = ::testing::ValuesIn(kTargetList);
inline std::string target_name(const ::testing::TestParamInfo<Target>& target) {
  return target.param.name;
}

}  // namespace tapegrad::testing
