#pragma once

// Which sanitizers this was compiled with.

#if defined(__SANITIZE_ADDRESS__)
#define TAPEGRAD_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TAPEGRAD_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef TAPEGRAD_ADDRESS_SANITIZER
#define TAPEGRAD_ADDRESS_SANITIZER 0
#endif

/// It does not support threads after a fork().
#if defined(__SANITIZE_THREAD__)
#define TAPEGRAD_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TAPEGRAD_THREAD_SANITIZER 1
#endif
#endif
#ifndef TAPEGRAD_THREAD_SANITIZER
#define TAPEGRAD_THREAD_SANITIZER 0
#endif

namespace tapegrad::testing {

/// Whether this was compiled with a sanitizer that needs memory of its own.
inline constexpr bool kSanitized = TAPEGRAD_ADDRESS_SANITIZER || TAPEGRAD_THREAD_SANITIZER;

}  // namespace tapegrad::testing
