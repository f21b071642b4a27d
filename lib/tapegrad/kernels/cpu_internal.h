#pragma once

// Internal: what kernels ask of the processor, beside what Highway has for all of them.

#include "hwy/base.h"

#if HWY_ARCH_X86 && !HWY_COMPILER_MSVC
#include <cpuid.h>
#elif HWY_COMPILER_MSVC
#include <intrin.h>
#endif

namespace tapegrad::inline v0::kernels {

/// Whether the CPU has registers of 512 bits, and a data path of 256. AMD's tell the width of the data path; others are taken
/// to be as wide as their registers.
inline bool halves_vectors_of_512_bits() {
  [[maybe_unused]] constexpr unsigned kOptimizations = 0x8000001A;
  constexpr unsigned kPath256 = 1U << 2, kPath512 = 1U << 3;
  unsigned eax = 0;
#if HWY_ARCH_X86 && !HWY_COMPILER_MSVC
  unsigned ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(kOptimizations, &eax, &ebx, &ecx, &edx) == 0) return false;
#elif HWY_ARCH_X86
  int found[4] = {};
  __cpuid(found, static_cast<int>(0x80000000));
  if (static_cast<unsigned>(found[0]) < kOptimizations) return false;
  __cpuid(found, static_cast<int>(kOptimizations));
  eax = static_cast<unsigned>(found[0]);
#endif
  return (eax & (kPath256 | kPath512)) == kPath256;
}

}  // namespace tapegrad::inline v0::kernels

// Macros: where these stand in inline functions, GCC gives the vectors of a tile other registers.

/// Brings what stands at an address into the first cache; an address outside of all arrays does no harm.
#if !HWY_COMPILER_MSVC
#define TAPEGRAD_PREFETCH(address) __builtin_prefetch(address)
#define TAPEGRAD_PREFETCH_TO_WRITE(address) __builtin_prefetch(address, 1)
#define TAPEGRAD_PREFETCH_INTO_SECOND_CACHE(address) __builtin_prefetch(address, 0, 2)
#elif HWY_ARCH_X86
#define TAPEGRAD_PREFETCH(address) _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0)
#define TAPEGRAD_PREFETCH_TO_WRITE(address) TAPEGRAD_PREFETCH(address)
#define TAPEGRAD_PREFETCH_INTO_SECOND_CACHE(address) \
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T1)
#else
#define TAPEGRAD_PREFETCH(address) __prefetch(address)
#define TAPEGRAD_PREFETCH_TO_WRITE(address) __prefetch(address)
#define TAPEGRAD_PREFETCH_INTO_SECOND_CACHE(address) __prefetch(address)
#endif

/// Holds a vector of Highway's in its register, from which GCC for x86 would drop it, to load it again for each of its uses.
#if HWY_ARCH_X86 && !HWY_COMPILER_MSVC
#define TAPEGRAD_HOLD(vector) __asm__("" : "+v"((vector).raw))
#else
#define TAPEGRAD_HOLD(vector)
#endif
