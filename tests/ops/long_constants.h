#pragma once

namespace tapegrad::testing {

// Constants of references in long double, exact to its last bit: std::numbers of libc++ 19 has no more digits of them than double.
inline constexpr long double kPi = 3.141592653589793238462643383279502884L;
inline constexpr long double kLn2 = 0.693147180559945309417232121458176568L;
inline constexpr long double kLn10 = 2.302585092994045684017991454684364208L;

}  // namespace tapegrad::testing
