#pragma once

// The version, and what makes a name of the library visible outside of it.

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
#if defined(__GNUC__)
#define TAPEGRAD_API __attribute__((visibility("default")))
#define TAPEGRAD_INTERNAL __attribute__((visibility("hidden")))
#else
#define TAPEGRAD_API
#define TAPEGRAD_INTERNAL
#endif
