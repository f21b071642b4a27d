#pragma once

// Internal: one failure with what is known about it, and the table of mistakes that it is compared with. A pattern
// says only what it verified in numbers.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/gradcheck/hints_internal.h"

namespace tapegrad::inline v0::detail {

using Values = std::vector<double>;
using Hint = std::optional<GradcheckHint>;

Values values_of(const Tensor& x);
double largest(const Values& values);
/// "h and w".
std::string axis_list(const std::vector<int>& axes, const std::vector<std::string>& words);
/// "axis 0", "axis 1", ...
std::vector<std::string> plain_words(const Shape& shape);
bool is_filter(const std::vector<std::string>& words);

/// The failure of one input.
class Case {
 public:
  explicit Case(const Evidence& evidence);

  bool close(double a, double b) const { return std::abs(a - b) <= tolerance; }
  /// Whether these values, in place of the analytic gradient, would be right.
  bool explains(const Values& values) const;
  /// Whether the analytic gradient is this. (An empty list is nothing.)
  bool is(const Values& values) const { return within(values, 1e-8); }
  /// The same, for values that were made with the differences.
  bool is_nearly(const Values& values) const { return within(values, 1e-5); }
  /// Whether every entry was compared.
  bool complete() const { return checked.size() == numeric.size(); }
  const std::string& axis(int d) const { return me.axes[static_cast<std::size_t>(d)]; }
  /// "'x'", for a text.
  std::string name_of(std::size_t input) const { return "'" + e.tensors[input].name + "'"; }

  /// What the backward pass gives for this input with these output gradients; nothing if it throws.
  std::optional<Values> backward(const Tensors& rs) const;
  /// The same with a result of ours in place of f's own; nothing if the backward pass takes none.
  std::optional<Values> backward_with(const Tensor& y) const;
  /// The only result, and the output gradient, of a check of the first order.
  const Tensor& result() const { return result_; }
  const Tensor& output_gradient() const { return e.rs[0]; }
  /// Whether f is linear (or affine) in this input, found by moving it far.
  bool linear() const;

  /// "h = 3" if the wrong entries are all those with these indices, or a regular pattern of them.
  std::string where() const;
  /// "the first index of h or w" if all wrong entries are there, and right ones elsewhere.
  std::string border_place() const;

  const Evidence& e;
  const GradcheckTensor& me;
  const Values analytic, numeric;
  const double scale, tolerance;
  std::vector<std::size_t> checked, right, wrong;

 private:
  bool within(const Values& values, double margin) const;

  Tensor result_;
  mutable std::optional<bool> linear_;
};

/// How much a hint says. Of a report's hints only the strongest kind is shown.
enum class Strength {
  Certain,  ///< nothing else matters before this is mended
  Formula,  ///< the function was recognized, and the gradient is that of a known wrong formula, in every entry
  Exact,    ///< one change makes every entry right
  Likely,   ///< fits every wrong entry
  Vague,    ///< only where
};

/// A mistake that people make.
struct Pattern {
  std::string_view name;
  Strength strength;
  bool (*applies)(const Case&);  ///< whether it makes sense to ask
  Hint (*find)(const Case&);     ///< the hint, if the numbers say so
  bool costly = false;           ///< calls the functions often: not asked once there is a hint
};

// The table, in parts; the likelier come first.
std::span<const Pattern> output_patterns();   // what is done with the output gradient
std::span<const Pattern> conv2d_patterns();   // convolutions with another stride, dilation or padding
std::span<const Pattern> formula_patterns();  // softmax, normalization, pooling, cross entropy
std::span<const Pattern> scale_patterns();    // a factor
std::span<const Pattern> layout_patterns();   // turned, transposed, exchanged
std::span<const Pattern> factor_patterns();   // functions of single entries, operands in each other's place
std::span<const Pattern> term_patterns();     // which terms of a sum arrived
std::span<const Pattern> place_patterns();    // where the wrong entries are

inline bool always(const Case&) {
  return true;
}
inline bool some_wrong(const Case& c) {
  return !c.wrong.empty();
}
inline bool first_order(const Case& c) {
  return !c.e.second_order;
}

}  // namespace tapegrad::inline v0::detail
