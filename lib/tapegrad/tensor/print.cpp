// The rules are those of numpy.array2string with its default options (numpy/core/arrayprint.py, NumPy 1.24).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <ostream>
#include <string_view>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0 {
namespace {

constexpr index_t kThreshold = 1000;  // longer tensors are summarized
constexpr index_t kEdge = 3;          // what a summary shows at each end of an axis
constexpr std::size_t kLineWidth = 75;
constexpr std::size_t kDigits = 8;  // at most, after the point

// A number in the parts that are aligned in a column: -12 | 5 | -07 for -12.5e-07.
struct Number {
  std::string whole, fraction, exponent;
};

// Takes what to_chars wrote apart, without zeros at the end of the fraction. to_chars knows no locale, and
// unlike fmt it has the shortest digits in either notation.
Number parts(std::string_view text) {
  const auto split = [](std::string_view whole, char at) {
    const std::size_t end = std::min(whole.find(at), whole.size());
    return std::pair(whole.substr(0, end), whole.substr(std::min(end + 1, whole.size())));
  };
  const auto [mantissa, exponent] = split(text, 'e');
  const auto [whole, fraction] = split(mantissa, '.');
  return {std::string(whole), std::string(fraction.substr(0, fraction.find_last_not_of('0') + 1)),
          std::string(exponent)};
}

// The shortest digits that read back as the same element; or, when `digits` is given, the exact value rounded to
// this number of digits after the point.
template <class T, class... Digits>
Number number_from(T value, bool scientific, Digits... digits) {
  char buffer[512];  // the longest number has 1 + 309 + 1 + kDigits characters
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto written = std::to_chars(buffer, std::end(buffer), value, format, static_cast<int>(digits)...);
  return parts({buffer, static_cast<std::size_t>(written.ptr - buffer)});
}

// "nan", "inf", "-inf", and for every other value nothing.
template <class T>
std::string special(T value) {
  if (std::isnan(value)) return "nan";
  return std::isinf(value) ? (value < 0 ? "-inf" : "inf") : "";
}

template <class T>
bool wants_exponents(const std::vector<T>& values) {
  T smallest = std::numeric_limits<T>::infinity(), largest = 0;
  for (const T value : values) {
    if (value == 0 || !std::isfinite(value)) continue;
    smallest = std::min(smallest, std::abs(value));
    largest = std::max(largest, std::abs(value));
  }
  return largest != 0 && (largest >= static_cast<T>(1e8) || static_cast<double>(smallest) < 1e-4 ||
                          largest / smallest > 1000);
}

// The values as words of one width.
template <class T>
std::vector<std::string> align(const std::vector<T>& values) {
  std::vector<std::string> words;
  words.reserve(values.size());
  if constexpr (std::is_integral_v<T>) {
    std::size_t width = 0;
    for (const T value : values) width = std::max(width, words.emplace_back(fmt::format("{}", value)).size());
    for (std::string& word : words) word = fmt::format("{:>{}}", word, width);
  } else {
    const bool scientific = wants_exponents(values);
    std::vector<Number> numbers;  // of the values that are finite
    std::size_t whole = 0, fraction = 0, exponent = 0, longest_special = 0;
    for (const T value : values) {
      longest_special = std::max(longest_special, special(value).size());
      if (!std::isfinite(value)) continue;
      Number& number = numbers.emplace_back(number_from(value, scientific));
      if (number.fraction.size() > kDigits) number = number_from(value, scientific, kDigits);
      whole = std::max(whole, number.whole.size());
      fraction = std::max(fraction, number.fraction.size());
      exponent = std::max(exponent, number.exponent.size());
    }
    // The point and what follows it.
    const std::size_t after = 1 + fraction + (scientific ? 1 + exponent : 0);
    whole = std::max(whole, longest_special - std::min(longest_special, after));
    auto number = numbers.begin();
    for (const T value : values) {
      if (!std::isfinite(value)) {
        words.push_back(fmt::format("{:>{}}", special(value), whole + after));
        continue;
      }
      if (scientific) {  // as many digits as the longest, and not zeros, where the shortest are fewer
        if (number->fraction.size() < fraction) *number = number_from(value, scientific, fraction);
        const std::string& power = number->exponent;  // a sign and digits
        words.push_back(fmt::format("{:>{}}.{:0<{}}e{}{:0>{}}", number->whole, whole, number->fraction,
                                    fraction, power.front(), power.substr(1), exponent - 1));
      } else {
        words.push_back(fmt::format("{:>{}}.{:<{}}", number->whole, whole, number->fraction, fraction));
      }
      ++number;
    }
  }
  return words;
}

// A tensor without axes is a number, and prints as one: all its digits, and a zero after the point.
template <class T>
std::string scalar(T value) {
  if constexpr (std::is_integral_v<T>) {
    return fmt::format("{}", value);
  } else {
    if (!std::isfinite(value)) return special(value);
    const double size = std::abs(static_cast<double>(value));
    const bool scientific = size != 0 && (size >= 1e16 || size < 1e-4);
    const Number shortest = number_from(value, true);
    Number number = scientific ? shortest : number_from(value, false);
    // 43440152 in Float32 has the shortest digits 4.344015e7: zeros after them.
    if (number.fraction.empty() && !scientific) {
      number.whole = fmt::format("{:0<{}}", shortest.whole + shortest.fraction, number.whole.size());
      number.fraction = "0";
    }
    return fmt::format("{}{}{}{}{}", number.whole, number.fraction.empty() ? "" : ".", number.fraction,
                       scientific ? "e" : "", number.exponent);
  }
}

// The elements of a tensor that are shown, in brackets and lines.
class Columns {
 public:
  explicit Columns(const Shape& shape) : shape_(shape), summarized_(shape.size() > kThreshold) {}

  /// Calls f with the place of every element that is shown, in the order of render's words.
  template <class F>
  void visit(F&& f, int axis = 0, index_t at = 0) const {
    if (axis == shape_.rank()) return f(at);
    for_shown(axis, [&](index_t i, bool) {
      if (i >= 0) visit(f, axis + 1, at * shape_[axis] + i);
    });
  }

  std::string render(const std::vector<std::string>& words) const {
    auto next = words.begin();
    return render(next, 0);
  }

 private:
  using Words = std::vector<std::string>::const_iterator;

  // Calls f(i, is_last) for the indices of the axis that are shown, with i = -1 for those that are left out.
  template <class F>
  void for_shown(int axis, F&& f) const {
    const index_t size = shape_[axis];
    const bool cut = summarized_ && size > 2 * kEdge;
    for (index_t i = 0; i < size; ++i) {
      if (cut && i == kEdge) {
        f(index_t{-1}, false);
        i = size - kEdge;
      }
      f(i, i == size - 1);
    }
  }

  std::string render(Words& next, int axis) const {
    return axis == shape_.rank() - 1 ? render_row(next) : render_block(next, axis);
  }

  std::string render_block(Words& next, int axis) const {
    const std::string break_lines = std::string(static_cast<std::size_t>(shape_.rank() - axis - 1), '\n') +
                                    std::string(static_cast<std::size_t>(axis + 1), ' ');
    std::string text = "[";
    for_shown(axis, [&](index_t i, bool is_last) {
      text += i < 0 ? "..." : render(next, axis + 1);
      if (!is_last) text += break_lines;
    });
    return text + "]";
  }

  std::string render_row(Words& next) const {
    const auto indent = static_cast<std::size_t>(shape_.rank());
    const std::size_t width = kLineWidth - indent;  // room for the closing brackets
    std::string text = "[";
    std::size_t column = indent;
    for_shown(shape_.rank() - 1, [&](index_t i, bool is_last) {
      const std::string word = i < 0 ? "..." : *next++;
      if (column + word.size() > width && column > indent) {
        text.erase(text.find_last_not_of(' ') + 1);
        text += "\n" + std::string(indent, ' ');
        column = indent;
      }
      text += word + (is_last ? "" : " ");
      column += word.size() + 1;
    });
    return text + "]";
  }

  const Shape& shape_;
  bool summarized_;
};

}  // namespace

std::string to_string(const Tensor& x) {
  if (!x.defined()) return "(undefined tensor)";
  if (x.size() == 0) return "[]";
  return dispatch(x.dtype(), [&](auto type) {
    const auto elements = x.values<typename decltype(type)::type>();
    if (x.rank() == 0) return scalar(elements[0]);
    const Columns layout(x.shape());
    std::vector<typename decltype(type)::type> shown;
    layout.visit([&](index_t at) { shown.push_back(elements[static_cast<std::size_t>(at)]); });
    return layout.render(align(shown));
  });
}

std::ostream& operator<<(std::ostream& stream, const Tensor& x) {
  return stream << to_string(x);
}

}  // namespace tapegrad::inline v0
