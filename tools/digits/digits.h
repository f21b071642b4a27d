#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tapegrad/base/random.h"
#include "tapegrad/data/dataset.h"

namespace digits {

namespace tg = tapegrad;

inline constexpr std::size_t kDigitSide = 28;                         ///< rows and columns of a drawn digit
inline constexpr std::size_t kDigitPixels = kDigitSide * kDigitSide;  ///< bytes of a drawn digit

/// Draws a handwritten digit 0..9 as MNIST shows them: 28 x 28 grey values, row by row, 0 the background and
/// 255 full ink; the ink fits a box of 20 x 20, whose centre of mass is put on pixel (14, 14). Style, shape,
/// slant and pen are chosen by the generator, so the same generator draws the same bytes with every compiler
/// and on every platform. Throws when the digit is not in 0..9.
void draw_digit(int digit, tg::Generator& generator, std::span<std::uint8_t, kDigitPixels> pixels);

/// A data set of such digits: images UInt8, [count, 28, 28, 1], each drawn whenever it is asked for, so that
/// no memory is needed; labels Int32, [count], as many of each digit, in random order. A function of the
/// generator, which does not advance. Throws when count is negative.
tg::Dataset drawn_digits(tg::index_t count, const tg::Generator& generator);

}  // namespace digits
