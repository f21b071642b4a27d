#pragma once

// Numeric checks of gradients. A gradient is compared with central differences (f(x + h) - f(x - h)) / 2h of
// the function itself, and where the two disagree the report says what the disagreement looks like.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/transforms/checkpoint.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A hand-written backward pass: from the inputs, the result y and the gradient dy of whatever comes after y
/// to one gradient for each input, with that input's shape.
using BackwardFunction =
    std::function<std::vector<Tensor>(const std::vector<Tensor>& xs, const Tensor& y, const Tensor& dy)>;

enum class GradcheckMode {
  EveryEntry,  ///< two evaluations of f for each entry of each input
  Sample,      ///< the same for some entries of each input
  Direction,   ///< two evaluations for each input, whatever its size: one random direction
};

struct GradcheckOptions {
  /// The largest error allowed, relative to the largest entry of the tensor's gradient.
  double tolerance = 1e-7;
  /// The distance of the central differences. 0: for each entry the cube root of the machine epsilon times
  /// the scale of the value. For a function that is linear (or quadratic) in each of its inputs the
  /// differences are exact at any distance: use 1 there, and a tolerance near rounding.
  double step = 0;
  /// The output gradient, the directions and the samples are drawn with this seed.
  std::uint64_t seed = 1;
  GradcheckMode mode = GradcheckMode::EveryEntry;
  /// Sample: how many entries of each input. The first and the last one are always among them.
  index_t samples = 32;
  /// What the report calls the inputs; "input 0", ... if empty.
  std::vector<std::string> names = {};
  /// The axes of each input, separated by spaces: {"n h w c", "kh kw in out"}. Where it is not given, an
  /// input of rank 4 is taken for a filter if it is a parameter, is named like one (w, kernel, filter, ...)
  /// or comes after a first input of rank 4 and another shape; otherwise for images.
  std::vector<std::string> axes = {};
  /// 2: check the gradients of the gradient instead (see gradcheck_second_order).
  int order = 1;
};

enum class GradcheckVerdict {
  Pass,
  Fail,              ///< some entries are wrong, at every step size
  Suspicious,        ///< some entries could not be judged: f is too noisy there, or not finite
  Vacuous,           ///< everything compared was zero
  NonDeterministic,  ///< f or its gradient differ from call to call
  AtKink,            ///< some entries sit where f has no derivative; all others are right
  DependentInputs,   ///< two inputs share memory
};
std::string_view name(GradcheckVerdict verdict);

/// What an entry's error does as the step changes.
enum class GradcheckBehaviour {
  Right,       ///< within the tolerance at the first step
  Wrong,       ///< flat: the error is the same at every step
  Truncation,  ///< shrank with h^2: right at a smaller step
  Rounding,    ///< grew as 1 / h: right at a larger step
  Kink,        ///< the slopes on the two sides differ, and the gradient lies between them
  Zero,        ///< nothing but rounding on both sides
  Unclear,     ///< no step tells
};
std::string_view name(GradcheckBehaviour behaviour);

/// One entry of an input (or one direction: then index is empty).
struct GradcheckEntry {
  std::vector<index_t> index = {};
  double step = 0;
  double above = 0, below = 0;  ///< sum(r * f) at x + h and x - h
  double numeric = 0, analytic = 0;
  double error = 0;  ///< |numeric - analytic|
  GradcheckBehaviour behaviour = GradcheckBehaviour::Right;
};

/// A pattern that explains the wrong entries: a fixed word for programs ("ratio", "rotated", ...) and a
/// sentence.
struct GradcheckHint {
  std::string pattern = {};
  std::string text = {};
};

/// What was found for one input.
struct GradcheckTensor {
  std::string name = {};
  Shape shape = {};
  std::vector<std::string> axes = {};  ///< one word for each axis
  GradcheckVerdict verdict = GradcheckVerdict::Pass;
  index_t entries = 0;  ///< how many were compared
  index_t retried = 0;  ///< how many of them needed other steps
  index_t wrong = 0, kinks = 0, unclear = 0;
  double largest_gradient = 0;             ///< largest magnitude in the analytic gradient
  double largest_error = 0;                ///< largest |numeric - analytic|, entries at a kink left out
  double largest_relative_error = 0;       ///< that, relative to the largest gradient, analytic or numeric
  std::vector<GradcheckEntry> worst = {};  ///< the entries with the largest errors, the worst first
  std::vector<GradcheckHint> hints = {};
  Tensor analytic = {};  ///< the gradient that is checked
  Tensor numeric = {};   ///< NaN where it was not computed
};

struct GradcheckReport {
  /// Whether the verdict is Pass.
  bool passed = false;
  GradcheckVerdict verdict = GradcheckVerdict::Fail;
  /// One for each input; for the second order also one for the output gradient.
  std::vector<GradcheckTensor> tensors = {};
  GradcheckOptions options = {};
  /// What the verdict rests on, if that is not in the tensors.
  std::string note = {};

  /// For people: a verdict, a table, the worst entries, hints. With colour for a terminal (ask
  /// isatty(STDOUT_FILENO)).
  std::string str(bool colour = false) const;
  /// The same for programs. Numbers that are not finite are strings: "nan", "inf", "-inf".
  std::string json() const;
  /// Of input k: for each entry (numeric - analytic) / (the tensor's largest gradient), NaN where it was not
  /// compared. What a picture of the error shows: see filters_image() and grid() in io/image.h.
  Tensor error_map(std::size_t k) const;
  /// Whether some tensor has a hint of this pattern.
  bool has_hint(std::string_view pattern) const;
};

/// Compares the gradient that the tape finds for sum(r * f(inputs)), r random, with central differences.
/// Inputs that are parameters are changed in place (and restored), so f may also use them through a module;
/// others are replaced by copies. An entry that disagrees is tried at other steps before it is called wrong.
/// A result or input that is not Float64 throws. Nothing is recorded on a tape that is open outside.
GradcheckReport gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});

/// The same for the gradients: the functions that are compared are the gradients of sum(r * f), as functions
/// of the inputs and of the output gradient r. It asks whether rules are differentiated rightly, not whether
/// they are right: that is gradcheck's question.
GradcheckReport gradcheck_second_order(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                       const GradcheckOptions& options = {});

/// The parameters of a module: gradcheck_parameters([&] { return model(x); }, model.state_view()). The report has
/// the state's names; a parameter with several names (tied weights) is checked once. Float64 tensors that are
/// no parameters are put back afterwards: the running statistics of a batch norm.
GradcheckReport gradcheck_parameters(const std::function<Tensor()>& f, const State& state,
                                     const GradcheckOptions& options = {});

/// A forward and a backward pass written by hand; neither needs to know the tape. First order only.
GradcheckReport gradcheck_backward(const TensorFunction& forward, const BackwardFunction& backward,
                                   const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

/// The adjoint test for a linear function of an input of this shape: <A x, y> = <x, A^T y> for random x and
/// y, without any differences. tolerance is relative to the sum of the magnitudes in both products; give it
/// along with options of your own, which start from 1e-7. If the test fails, the report is that of
/// gradcheck_backward with step 1.
GradcheckReport gradcheck_adjoint(const std::function<Tensor(const Tensor&)>& a,
                                  const std::function<Tensor(const Tensor&)>& a_transposed,
                                  const Shape& input_shape,
                                  const GradcheckOptions& options = {.tolerance = 1e-12});

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
