#pragma once

// Which instruction sets Highway compiles a file for: SSE4, which every x86-64-v2 has, AVX2 and AVX-512.
// Those in between bring nothing here. Stands before Highway's own headers.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#define HWY_DISABLE_PCLMUL_AES
