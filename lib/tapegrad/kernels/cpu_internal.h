#pragma once

// Internal: what kernels ask of the processor, beside the instruction sets that Highway finds.

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(_M_X64)
#include <intrin.h>
#endif

namespace tapegrad::inline v0::kernels {

/// Whether the CPU has registers of 512 bits, and a data path of 256. AMD's tell the width of the data path; others are taken
/// to be as wide as their registers.
inline bool halves_vectors_of_512_bits() {
  constexpr unsigned kOptimizations = 0x8000001A, kPath256 = 1U << 2, kPath512 = 1U << 3;
  unsigned eax = 0;
#if defined(__x86_64__) || defined(__i386__)
  unsigned ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(kOptimizations, &eax, &ebx, &ecx, &edx) == 0) return false;
#elif defined(_M_X64)
  int found[4] = {};
  __cpuid(found, static_cast<int>(0x80000000));
  if (static_cast<unsigned>(found[0]) < kOptimizations) return false;
  __cpuid(found, static_cast<int>(kOptimizations));
  eax = static_cast<unsigned>(found[0]);
#endif
  return (eax & (kPath256 | kPath512)) == kPath256;
}

}  // namespace tapegrad::inline v0::kernels
