#pragma once

namespace tapegrad::testing {

/// Whether an emulator runs the tests, which makes them tens of times slower.
#if defined(TAPEGRAD_EMULATED)
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif

/// How often to repeat what goes wrong by chance alone.
constexpr int often(int times) {
  return kEmulated ? times / 50 : times;
}

}  // namespace tapegrad::testing
