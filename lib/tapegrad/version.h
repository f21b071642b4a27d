#pragma once

// The version, and what makes a name of the library visible outside of it.

// By features, not by __cplusplus, which not every compiler sets as the standard says. A file that is missing ends the
// compilation: else some hundred errors of what older standards do not know would follow.
#if !defined(__cpp_concepts) || !defined(__cpp_designated_initializers) || \
    !defined(__cpp_impl_three_way_comparison)
#error \
    "tapegrad needs C++20: compile with -std=c++20 or later (CMake: target_compile_features(... cxx_std_20))"
#include <tapegrad_needs_cpp20>
#endif

#define TAPEGRAD_VERSION_MAJOR 0
#define TAPEGRAD_VERSION_MINOR 1
#define TAPEGRAD_VERSION_PATCH 0
/// One number to compare with: 1.2.3 is 10203.
#define TAPEGRAD_VERSION \
  (TAPEGRAD_VERSION_MAJOR * 10000 + TAPEGRAD_VERSION_MINOR * 100 + TAPEGRAD_VERSION_PATCH)

// The library is compiled with hidden visibility. A public header opens the namespace with
//   namespace tapegrad {
//   inline namespace v0 TAPEGRAD_API {
// which exports what is declared in that block; other files write namespace tapegrad::inline v0. The inline
// namespace keeps two versions of the library in one program apart.
// A class that is only named there, and declared in an internal header, is a TAPEGRAD_INTERNAL one.
// Windows exports functions, not namespaces: there CMake has a DLL export all of them (WINDOWS_EXPORT_ALL_SYMBOLS).
#if defined(__GNUC__) && !defined(_WIN32)
#define TAPEGRAD_API __attribute__((visibility("default")))
#define TAPEGRAD_INTERNAL __attribute__((visibility("hidden")))
#else
#define TAPEGRAD_API
#define TAPEGRAD_INTERNAL
#endif
