#pragma once

// Which instruction sets Highway compiles a file for: on x86-64 SSE4, which every x86-64-v2 has, AVX2 and AVX-512 (those in
// between, and the later AVX-512 ones, bring nothing here but size); NEON on 64-bit ARM; the 128 bits of WebAssembly. Stands before Highway's own headers.
//
// The loops step by the largest number of lanes, so vectors must have that many: scalable ones (SVE, RVV) are not
// compiled for, and each file asserts that it got none.
//
// Newer versions of Highway have targets whose names this one does not know: their bits are AVX10_2 3, AVX3_SPR 4,
// AVX3_ZEN4 6. Older versions reserve these bits.
#ifndef HWY_DISABLED_TARGETS  // given to see that scalable ones are refused
#define HWY_DISABLED_TARGETS                                                                           \
  (HWY_SSSE3 | HWY_AVX3_DL | (1LL << 3) | (1LL << 4) | (1LL << 6) | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | \
   HWY_SVE2_128 | HWY_RVV)
#endif
#define HWY_DISABLE_PCLMUL_AES
