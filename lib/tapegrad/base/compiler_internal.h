#pragma once

// Internal: what compilers have beside the standard, or call by names of their own: GCC and Clang, and MSVC, with which nobody
// has tried it. An attribute such as [[gnu::noinline]] is standard C++, which others pass over.

// Results are the same bits for any number of threads, NaN stays NaN, and sums keep their order.
#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "tapegrad cannot be compiled with -ffast-math, -Ofast or /fp:fast"
#endif

/// Behind the parameters of a lambda: it is always inlined. MSVC judges by itself.
#if defined(__GNUC__)
#define TAPEGRAD_INLINE_LAMBDA __attribute__((always_inline))
#else
#define TAPEGRAD_INLINE_LAMBDA
#endif

namespace tapegrad::inline v0::detail {

struct Compiler {
  const char* name;
  int major, minor;
};
#if defined(__clang__)
inline constexpr Compiler kCompiler{"Clang", __clang_major__, __clang_minor__};
#elif defined(__GNUC__)
inline constexpr Compiler kCompiler{"GCC", __GNUC__, __GNUC_MINOR__};
#else
inline constexpr Compiler kCompiler{"MSVC", _MSC_VER / 100, _MSC_VER % 100};
#endif

}  // namespace tapegrad::inline v0::detail
