// Preloaded into a program that tests start (LD_PRELOAD, which the programs that it starts inherit): forces the instruction set
// TAPEGRAD_TEST_TARGET on the library's kernels there, as kernels/targets.h does in test programs. Other programs do not notice.
#include <hwy/targets.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Target {
  const char* name;
  std::int64_t bit;
};
constexpr Target kTargets[] = {{"AVX512", HWY_AVX3}, {"AVX2", HWY_AVX2}, {"SSE4", HWY_SSE4}};

struct Forced {
  Forced() {
    const char* const name = std::getenv("TAPEGRAD_TEST_TARGET");
    if (name == nullptr || *name == '\0') return;
    for (const Target& target : kTargets)
      if (std::strcmp(target.name, name) == 0 && (hwy::SupportedTargets() & target.bit) != 0) {
        hwy::SetSupportedTargetsForTest(target.bit);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        return;
      }
    std::fprintf(stderr, "TAPEGRAD_TEST_TARGET: this CPU has no %s\n", name);
    std::_Exit(1);
  }
} const forced;

}  // namespace
