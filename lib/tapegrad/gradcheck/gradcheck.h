#pragma once

// Numeric checks of gradients. A gradient is compared with central differences (f(x + h) - f(x - h)) / 2h of
// the function itself, and where the two disagree the report says what the disagreement looks like.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/transforms/checkpoint.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A hand-written backward pass: given the inputs, the result y and the output gradient dy, returns one gradient for
/// each input, with that input's shape.
using BackwardFunction =
    std::function<std::vector<Tensor>(const std::vector<Tensor>& xs, const Tensor& y, const Tensor& dy)>;

enum class GradcheckMode {
  EveryEntry,  ///< two evaluations of f for each entry of each input
  Sample,      ///< the same for some entries of each input
  Direction,   ///< two evaluations for each input, whatever its size: the derivative along a random direction
};

struct GradcheckOptions {
  /// The largest error allowed in an entry, relative to that entry's magnitude. Entries too small to be distinguished
  /// from the function's rounding errors are counted in GradcheckTensor::below_noise instead. If it is not set: 1e-7;
  /// 1e-12 for gradcheck_adjoint, which computes no differences.
  std::optional<double> tolerance = std::nullopt;
  /// The step of the central differences. 0: for each entry, the cube root of the machine epsilon times the scale of
  /// the value. For a function that is linear (or quadratic) in each of its inputs central differences are exact for
  /// any step: use 1 there, and a tolerance near rounding.
  double step = 0;
  /// The seed of output gradients, directions and sampled entries. They are drawn from a stream that no Generator of
  /// the same seed gives, so that they are independent of inputs drawn with such a Generator.
  std::uint64_t seed = 1;
  GradcheckMode mode = GradcheckMode::EveryEntry;  ///< which entries are compared
  /// Sample: how many entries of each input. The first and the last one are always among them.
  index_t samples = 32;
  /// The inputs' names in the report; "input 0", ... if empty.
  std::vector<std::string> names = {};
  /// The axes of each input, separated by spaces: {"n h w c", "kh kw in out"}. Where it is not given, an
  /// input of rank 4 is taken for a filter if it is a parameter, is named like one (w, kernel, filter, ...)
  /// or comes after a first input of rank 4 and another shape; otherwise for images.
  std::vector<std::string> axes = {};
  /// 1 checks the gradients; 2 checks the gradients of the gradients instead (see gradcheck_second_order).
  int order = 1;
  /// Whether a check may pass although some input was not tested: an input whose gradient is zero both numerically and
  /// analytically, or a parameter that the function uses but that gradcheck_parameters did not get. In second order a
  /// gradient of zero is common (for a function that is linear in the input), and always allowed.
  bool allow_untested = false;
};

enum class GradcheckVerdict {
  Pass,
  Fail,        ///< some entries are wrong, at every step size
  Suspicious,  ///< some entries could not be judged: f is too noisy there, or not finite
  /// All entries that were compared are right, but some input was not tested: its gradient is zero, or so small that the
  /// rounding of the function, or of the gradient itself, hides it. GradcheckTensor::why says which.
  Vacuous,
  NonDeterministic,  ///< f or its gradient differ from call to call
  AtKink,            ///< some entries are at points where f has no derivative; all others are right
  DependentInputs,   ///< two inputs share memory
};
[[nodiscard]] std::string_view name(GradcheckVerdict verdict);

/// How an entry's error changes with the step, and what follows from that.
enum class GradcheckBehaviour {
  Right,       ///< within the tolerance at the first step
  Wrong,       ///< flat: the error is the same at every step
  Truncation,  ///< shrank with h^2: right at a smaller step
  Rounding,    ///< grew as 1 / h: right at a larger step
  Kink,        ///< the slopes on the two sides differ, and the gradient lies between them
  Zero,        ///< both the numeric and the analytic gradient are nothing but rounding
  BelowNoise,  ///< hidden by rounding errors of the function or of the gradient: not tested
  Unclear,     ///< no step size decides
  NotJudged,   ///< disagrees at the first step, but was not examined, as enough other entries are wrong
};
[[nodiscard]] std::string_view name(GradcheckBehaviour behaviour);

/// One entry of an input (or one direction: then index is empty).
struct GradcheckEntry {
  std::vector<index_t> index = {};
  double step = 0;
  double above = 0, below = 0;  ///< sum(r * f) at x + h and x - h
  double numeric = 0, analytic = 0;
  double error = 0;  ///< |numeric - analytic|
  GradcheckBehaviour behaviour = GradcheckBehaviour::Right;
};

/// A pattern that explains the wrong entries: a fixed word for programs ("ratio", "rotated", ...) and a sentence for
/// people.
struct GradcheckHint {
  std::string pattern = {};
  std::string text = {};
};

/// The result for one input.
struct GradcheckTensor {
  std::string name = {};
  Shape shape = {};
  std::vector<std::string> axes = {};  ///< one word for each axis
  GradcheckVerdict verdict = GradcheckVerdict::Pass;
  index_t entries = 0;  ///< number of entries that were compared
  index_t retried = 0;  ///< number of entries that needed other steps
  index_t wrong = 0, kinks = 0, unclear = 0;
  index_t below_noise = 0;            ///< hidden by rounding errors (BelowNoise and Zero): not tested
  index_t not_judged = 0;             ///< not examined, as enough other entries were wrong
  double largest_gradient = 0;        ///< largest magnitude in the analytic gradient
  double largest_error = 0;           ///< largest |numeric - analytic|, entries at a kink left out
  double largest_relative_error = 0;  ///< largest error relative to the entry's own size, of entries tested
  /// Whether backward(-2 dy) is -2 backward(dy), as the chain rule demands. If not, the verdict is Fail.
  bool linear = true;
  std::string why = {};                    ///< if the verdict is Vacuous: why nothing was tested
  std::vector<GradcheckEntry> worst = {};  ///< the entries with the largest errors, the worst first
  std::vector<GradcheckHint> hints = {};
  Tensor analytic = {};  ///< the gradient that is checked
  Tensor numeric = {};   ///< NaN where it was not computed
};

/// How GradcheckReport::str() writes.
struct GradcheckTextOptions {
  bool colour = false;  ///< with a terminal's colours: ask isatty(STDOUT_FILENO)
};

struct GradcheckReport {
  /// Whether the verdict is Pass.
  bool passed = false;
  GradcheckVerdict verdict = GradcheckVerdict::Fail;
  /// One for each input; for the second order also one for the output gradient.
  std::vector<GradcheckTensor> tensors = {};
  GradcheckOptions options = {};
  /// The reason for the verdict, if it is not found in the tensors.
  std::string note = {};

  /// The report for people: verdict, table, worst entries, hints.
  [[nodiscard]] std::string str(const GradcheckTextOptions& text_options = {}) const;
  /// The report for programs, as JSON. Numbers that are not finite are strings: "nan", "inf", "-inf".
  [[nodiscard]] std::string json() const;
  /// The errors of input k, to be drawn with filters_image() or grid() of show/sheet.h: for each entry
  /// (numeric - analytic) / (the tensor's largest gradient), NaN where the entry was not compared.
  [[nodiscard]] Tensor error_map(std::size_t k) const;
  /// Whether some tensor has a hint of this pattern.
  [[nodiscard]] bool has_hint(std::string_view pattern) const;
};

/// Compares the gradient that the tape computes for sum(r * f(inputs)) with central differences, for two random output
/// gradients r (one evaluation of f serves both), and checks that the gradient is linear in r. Inputs that are
/// parameters are changed in place (and restored), so f may also use them through a module; other inputs are replaced
/// by copies. An entry that disagrees is tried with other steps before it is called wrong. To measure rounding, f and its
/// backward pass also run while this thread rounds up, down or towards zero (fesetround), which is restored. Throws unless the result and
/// all inputs are Float64. Nothing is recorded on a tape that is open outside.
[[nodiscard]] GradcheckReport gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                        const GradcheckOptions& options = {});

/// gradcheck of the gradients: checks the gradients of sum(r * f) as functions of the inputs and of the output gradient
/// r. It checks that the rules' own derivatives are right and that the rules are linear in r, not that the rules are
/// right: gradcheck() does that.
[[nodiscard]] GradcheckReport gradcheck_second_order(const TensorFunction& f,
                                                     const std::vector<Tensor>& inputs,
                                                     const GradcheckOptions& options = {});

/// gradcheck with respect to the parameters of a module: gradcheck_parameters([&] { return model(x); },
/// model.state_view()). The report uses the state's names; a parameter with several names (tied weights) is checked
/// once. Float64 buffers, such as the running statistics of a batch norm, are restored afterwards. Throws when f uses a
/// parameter that the state does not contain (forgotten in visit(), or another module's), unless options.allow_untested
/// is set.
[[nodiscard]] GradcheckReport gradcheck_parameters(const std::function<Tensor()>& f, const State& state,
                                                   const GradcheckOptions& options = {});

/// Checks a backward pass that was written by hand against central differences of the forward pass; neither needs the
/// tape. First order only.
[[nodiscard]] GradcheckReport gradcheck_backward(const TensorFunction& forward,
                                                 const BackwardFunction& backward,
                                                 const std::vector<Tensor>& inputs,
                                                 const GradcheckOptions& options = {});

/// The adjoint test of a linear function a, whose input has the shape input_shape: <A x, y> = <x, A^T y> for random x
/// and y. The tolerance (1e-12 if options set none) is relative to the sum of the magnitudes in both products. If the
/// test fails, the report is that of gradcheck_backward with step 1.
[[nodiscard]] GradcheckReport gradcheck_adjoint(const std::function<Tensor(const Tensor&)>& a,
                                                const std::function<Tensor(const Tensor&)>& a_transposed,
                                                const Shape& input_shape,
                                                const GradcheckOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
