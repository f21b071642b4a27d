#include "tapegrad/gradcheck/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad {
namespace {

// Random output gradients: all ones would hide a rule that mixes up the entries.
Tensor random_like(const Tensor& x, Generator& generator) {
  return normal(x.shape(), 0, 1, generator, x.dtype());
}

void require_float64(const char* what, const Tensor& x) {
  if (x.dtype() != DType::Float64)
    fail("gradcheck",
         "{} is {} {}: differences need Float64; convert with cast(x, DType::Float64), a module with "
         "model.to(DType::Float64)",
         what, x.dtype(), x.shape());
}

std::vector<index_t> index_of(index_t element, const Shape& shape) {
  std::vector<index_t> index(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank(); axis-- > 0; element /= shape[axis])
    index[static_cast<std::size_t>(axis)] = element % shape[axis];
  return index;
}

std::vector<Tensor> watch_all(Tape& tape, const std::vector<Tensor>& xs) {
  std::vector<Tensor> watched;
  for (const Tensor& x : xs) watched.push_back(x.is_parameter() ? x : tape.watch(x));
  return watched;
}

// One entry of a tensor, which has its value back at the end of the scope, even if f throws.
class Entry {
 public:
  Entry(Tensor& x, index_t at) : x_(x), at_(at), value_(x.data<double>()[at]) {}
  ~Entry() { set(value_); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  double value() const { return value_; }
  void set(double value) { x_.mutable_data<double>()[at_] = value; }

 private:
  Tensor& x_;
  index_t at_;
  double value_;
};

// y, depending on every x by 0 times its sum. To the tape a result that does not depend on an input is an
// error; here it has the gradient 0 there, as has every gradient of a linear function.
Tensor depending_on(const std::vector<Tensor>& xs, Tensor y) {
  for (const Tensor& x : xs) y = y + 0.0 * sum(x);
  return y;
}

}  // namespace

GradcheckReport gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  const PauseRecording pause;
  std::vector<Tensor> xs;
  for (const Tensor& x : inputs) {
    require_float64("an input", x);
    xs.push_back(x.is_parameter() ? x : TensorAccess::clone(x));
  }
  Generator generator(options.seed);
  const Tensor first = f(xs);
  require_float64("the result", first);
  const Tensor r = random_like(first, generator);
  const auto value = [&] { return sum(r * f(xs)).item(); };
  if (value() != sum(r * first).item())
    fail("gradcheck", "the function gives different results for the same inputs");

  std::vector<Tensor> gradients;
  {
    Tape tape;
    const std::vector<Tensor> watched = watch_all(tape, xs);
    gradients = tape.gradient(depending_on(watched, f(watched)), watched, {.output_gradient = r});
  }

  GradcheckReport report{.passed = true, .tensors = {}};
  for (std::size_t k = 0; k < xs.size(); ++k) {
    GradcheckTensor found{.shape = xs[k].shape(), .entries = xs[k].size(), .worst = {}};
    const double* analytic = gradients[k].data<double>();
    for (index_t i = 0; i < found.entries; ++i)
      found.largest_gradient = std::max(found.largest_gradient, std::abs(analytic[i]));
    for (index_t i = 0; i < found.entries; ++i) {
      Entry entry(xs[k], i);
      const double at = entry.value();
      const double automatic =
          std::cbrt(std::numeric_limits<double>::epsilon()) * std::max(1.0, std::abs(at));
      const double h = options.step != 0 ? options.step : automatic;
      const double above = at + h, below = at - h;
      entry.set(above);
      const double f_above = value();
      entry.set(below);
      const double f_below = value();
      const double numeric = (f_above - f_below) / (above - below);
      const double error = std::abs(numeric - analytic[i]);
      if (!(error <= found.largest_error) || found.worst.empty()) {  // NaN is the worst
        found.largest_error = error;
        found.worst = index_of(i, found.shape);
        found.numeric = numeric;
        found.analytic = analytic[i];
        if (std::isnan(error)) break;
      }
    }
    // A gradient that is 0 must be 0 to rounding of the values themselves.
    const double scale = std::max(found.largest_gradient, 1e-3);
    if (!(found.largest_error <= options.tolerance * scale)) report.passed = false;
    report.tensors.push_back(std::move(found));
  }
  return report;
}

GradcheckReport gradcheck_second_order(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                       const GradcheckOptions& options) {
  const PauseRecording pause;
  Generator generator(options.seed, 2);
  std::vector<Tensor> directions;
  for (const Tensor& x : inputs) directions.push_back(random_like(x, generator));
  const Tensor r = random_like(f(inputs), generator);
  const TensorFunction gradient_along = [&](const std::vector<Tensor>& xs) {
    Tape tape;
    const std::vector<Tensor> watched = watch_all(tape, xs);
    const auto gradients = tape.gradient(depending_on(watched, f(watched)), watched, {.output_gradient = r});
    Tensor total = zeros({}, DType::Float64);
    for (std::size_t k = 0; k < gradients.size(); ++k) total = total + sum(directions[k] * gradients[k]);
    return total;
  };
  return gradcheck(gradient_along, inputs, options);
}

std::string GradcheckReport::str() const {
  std::string text = passed ? "gradcheck passed\n" : "gradcheck FAILED\n";
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const GradcheckTensor& t = tensors[k];
    text += fmt::format("  input {} {}: {} entries, largest gradient {:.3e}, largest error {:.3e}", k,
                        t.shape, t.entries, t.largest_gradient, t.largest_error);
    if (!t.worst.empty())
      text += fmt::format(" at [{}]: numeric {:.12g}, analytic {:.12g}", fmt::join(t.worst, ", "), t.numeric,
                          t.analytic);
    text += "\n";
  }
  return text;
}

}  // namespace tapegrad
