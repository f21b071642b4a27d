#pragma once

// What an exercise is made of. A learner needs new_tensor() and add_to(); the rest is for who writes checks.

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace exercises {

namespace tg = tapegrad;
using tg::index_t;
using tg::Shape;
using tg::Tensor;
using Tensors = std::vector<Tensor>;

// ---- For learners

/// A tensor of zeros, Float64.
Tensor new_tensor(const Shape& shape);
/// t[index] += value.
void add_to(Tensor& t, std::initializer_list<index_t> index, double value);
/// Stands where the body of a function is left out: the function is reported as not written yet.
[[noreturn]] void not_written();

// ---- For checks

/// How strictly an answer is judged. All but Strict are what courses do; --score runs the catalogue of mistakes
/// under them, so that the difference is a number.
enum class Rigour {
  Strict,        ///< gradcheck: random output gradients, every entry, tolerances near rounding
  OnesGradient,  ///< gradients are compared for one output gradient, all ones (y.sum())
  Loose,         ///< rtol = atol = 1e-2
  Means,         ///< only the means over all entries are compared
};
std::string_view name(Rigour rigour);

/// A mistake that can be recognized by its result: what it computes, and what is said about it.
struct Explanation {
  std::string text;
  std::function<Tensor()> wrong;
};

/// The same for a gradient: what the mistake gives for one input. xs, y and dy are as in a BackwardFunction.
struct GradientExplanation {
  std::size_t input;
  std::string text;
  std::function<Tensor(const Tensors& xs, const Tensor& y, const Tensor& dy)> wrong;
};

struct CompareOptions {
  std::string axes = {};     ///< words for the axes, separated by spaces: "n h w out"
  double tolerance = 1e-10;  ///< relative to the largest expected entry
  std::vector<Explanation> explanations = {};
};

/// A picture of where a tensor is wrong.
struct ErrorMap {
  std::string tensor;
  std::string axes;
  Tensor error;  ///< (expected - got) / (the largest magnitude), NaN where it was not compared
};

/// What is wrong with an answer.
struct Finding {
  std::string text = {};                  ///< for people: which tensor, which entries, by how much
  std::vector<std::string> tensors = {};  ///< which tensors are wrong
  std::vector<std::string> hints = {};    ///< what the mistake looks like
  std::optional<tg::GradcheckReport> report = std::nullopt;
  std::vector<ErrorMap> maps = {};
};

/// One function of an answer.
struct Part {
  enum class Status { Passed, Failed, NotWritten };
  std::string function = {};
  Status status = Status::Passed;
  index_t checks = 0;        ///< how many were passed
  std::string context = {};  ///< the case that failed
  Finding finding = {};
  std::string look_next = {};  ///< what to look at, for who is stuck
};

/// Judges an answer. Each of the learner's functions is one part(), and each part ends at its first failure:
/// begin with the simplest case. A learner sees the report of the first part that fails; the parts of functions that
/// others use come first.
class Check {
 public:
  /// friendly: only cases as courses have them, with stride 1, pad 1, height = width, square kernels.
  explicit Check(Rigour rigour = Rigour::Strict, bool friendly = false)
      : rigour_(rigour), friendly_(friendly) {}

  /// Checks one function. What body throws is a failure of the answer: an Error of the library, an index out of
  /// bounds. look_next is shown after a failure: where to look for who is stuck.
  void part(std::string_view function, std::string_view look_next, const std::function<void()>& body);

  // -- Inside of a part

  /// What the checks that follow are about: "x [2, 7, 8, 2], w [3, 2, 2, 4], strides 2 and 3".
  void context(std::string_view text) { context_ = text; }
  /// The cases to go through: all of them, or the friendly ones that a course has.
  template <class Case>
  std::vector<Case> cases(const std::vector<Case>& all, const std::vector<Case>& friendly) const {
    return friendly_ ? friendly : all;
  }
  /// Normally distributed, Float64; never the same twice.
  Tensor draw(const Shape& shape, double mean = 0, double standard_deviation = 1);

  /// Whether a tensor is what it should be.
  void compare(std::string_view name, const Tensor& got, const Tensor& expected,
               const CompareOptions& options = {});
  /// The same for a number.
  void number(std::string_view name, double got, double expected, double tolerance = 1e-10,
              const std::vector<std::pair<double, std::string>>& explanations = {});
  /// Whether the gradients are those of forward: gradcheck_backward(). options.names are those of the inputs: the
  /// learner reads "d" before them. Inputs in `given` are not the answer's: backward has their gradients from the
  /// library, so that gradcheck knows all operands and names more mistakes; the report leaves them out.
  void backward(const tg::TensorFunction& forward, const tg::BackwardFunction& backward,
                const Tensors& inputs, const tg::GradcheckOptions& options = {},
                const std::vector<GradientExplanation>& explanations = {},
                const std::vector<std::size_t>& given = {});
  /// Anything else: text says what is wrong when holds is false, and hint what the mistake is.
  void expect(bool holds, std::string_view text, std::string_view hint = {});
  /// Fails with a finding that the check made itself.
  [[noreturn]] void fail(Finding finding);

  // -- The result

  Rigour rigour() const { return rigour_; }
  bool friendly() const { return friendly_; }
  const std::vector<Part>& parts() const { return parts_; }
  bool passed() const;

 private:
  void weak_backward(const tg::TensorFunction& forward, const tg::BackwardFunction& backward,
                     const Tensors& inputs, const tg::GradcheckOptions& options,
                     const std::vector<std::size_t>& given);
  void differ(std::string_view name, const Tensor& got, const Tensor& expected,
              const CompareOptions& options);

  Rigour rigour_;
  bool friendly_;
  std::vector<Part> parts_;
  std::string context_;
  index_t passed_ = 0;
  std::uint64_t drawn_ = 0;
};

// ---- For programs

struct Exercise {
  int number = 0;
  std::string name, title;  ///< "conv2d_valid", "conv2d, VALID"
  std::string file;         ///< what the learner edits
};

/// The report of a check, for a terminal.
std::string text_of(const Exercise& exercise, const Check& check, bool colour);
/// The same for programs, with the error maps.
std::string json_of(const Exercise& exercise, const Check& check);
/// What the program of an exercise does: checks, prints, and returns its exit code.
int run(const Exercise& exercise, void (*judge)(Check&), int argc, char** argv);

/// A wrong solution, and what should be said about it.
struct Mistake {
  std::string title;
  std::vector<std::string> hints;  ///< a hint that names the mistake has one of these
  std::string at;                  ///< the tensor or the function that must be called wrong
  void (*judge)(Check&);
};

/// An exercise with all its answers, as the generated files list them.
struct Entry {
  Exercise exercise;
  void (*untouched)(Check&);  ///< nullptr if the learner has edited the file
  void (*solution)(Check&);
  std::vector<Mistake> mistakes;
};
/// Every generated file calls it once.
bool enter(Entry entry);
/// Sorted by number.
const std::vector<Entry>& catalogue();

}  // namespace exercises
