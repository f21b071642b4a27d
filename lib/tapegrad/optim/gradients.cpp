#include "tapegrad/optim/gradients.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"

namespace tapegrad::inline v0 {
namespace {

template <class F>
void dispatch_floating(const char* op, const Tensor& x, F f) {
  if (!is_floating(x.dtype())) fail(op, "a gradient is {} {}", x.dtype(), x.shape());
  x.dtype() == DType::Float32 ? f(std::type_identity<float>{}) : f(std::type_identity<double>{});
}

// y[i] = f(y[i], x[i]).
template <class F>
void change(const char* op, Tensor& y, F f, const Tensor& x) {
  dispatch_floating(op, y, [&]<class T>(std::type_identity<T>) {
    T* out = y.mutable_data<T>();
    kernels::map(y.size(), out, f, static_cast<const T*>(out), x.data<T>());
  });
}

template <class F>
void change(const char* op, Tensor& y, F f) {
  change(
      op, y, [f](auto v, auto) { return f(v); }, y);
}

double sum_of_squares(const char* op, const Tensor& gradient) {
  double total = 0;
  dispatch_floating(op, gradient, [&]<class T>(std::type_identity<T>) {
    for (const T v : gradient.values<T>()) total += static_cast<double>(v) * static_cast<double>(v);
  });
  return total;
}

}  // namespace

double global_norm(const std::vector<Tensor>& gradients) {
  double total = 0;
  for (const Tensor& gradient : gradients) total += sum_of_squares("global_norm", gradient);
  return std::sqrt(total);
}

static double clip_norm_of(std::span<Tensor> gradients, double max_norm) {
  if (!(max_norm > 0)) fail("clip_by_norm", "max_norm is {} but must be positive", max_norm);
  double total = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const double squares = sum_of_squares("clip_by_norm", gradients[i]);
    if (!std::isfinite(squares))
      fail("clip_by_norm", "the norm of gradient {} (shape {}) is {}", i, gradients[i].shape(),
           std::sqrt(squares));
    total += squares;
  }
  const double norm = std::sqrt(total);
  if (norm <= max_norm) return norm;
  for (Tensor& gradient : gradients)
    change("clip_by_norm", gradient,
           [scale = max_norm / norm](auto v) { return static_cast<decltype(v)>(scale) * v; });
  return norm;
}

double clip_by_norm(std::vector<Tensor>& gradients, double max_norm) {
  return clip_norm_of(gradients, max_norm);
}

double clip_by_norm(Gradients& gradients, double max_norm) {
  return clip_norm_of(gradients, max_norm);
}

static void clip_values_of(std::span<Tensor> gradients, double limit) {
  if (!(limit > 0)) fail("clip_by_value", "limit is {} but must be positive", limit);
  for (Tensor& gradient : gradients)
    change("clip_by_value", gradient, [limit](auto v) {
      const auto most = static_cast<decltype(v)>(limit);
      return v > most ? most : v < -most ? -most : v;
    });
}

void clip_by_value(std::vector<Tensor>& gradients, double limit) {
  clip_values_of(gradients, limit);
}

void clip_by_value(Gradients& gradients, double limit) {
  clip_values_of(gradients, limit);
}

void GradientAccumulator::add(const Gradients& gradients, double weight) {
  constexpr const char* kName = "GradientAccumulator";
  if (!(weight > 0 && std::isfinite(weight))) fail(kName, "weight is {} but must be positive", weight);
  const bool first = sums_.empty();
  if (!first && gradients.size() != sums_.size())
    fail(kName, "{} gradients were given but {} before", gradients.size(), sums_.size());
  // Sums that came from a state are those of the first parameters that are given.
  const std::vector<Tensor>& owners = parameters_.empty() ? gradients.parameters() : parameters_;
  const std::vector<std::size_t> positions = detail::positions_of(owners, gradients.parameters());
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (positions[i] == detail::kNotFound)
      fail(kName, "no gradient was given for parameter {} (shape {}), which had one before", i,
           owners[i].shape());
    const Tensor& gradient = gradients[positions[i]];
    if (!is_floating(gradient.dtype()))
      fail(kName, "gradient {} is {} {}", positions[i], gradient.dtype(), gradient.shape());
    if (!first && (gradient.shape() != sums_[i].shape() || gradient.dtype() != sums_[i].dtype()))
      fail(kName, "gradient {} is {} {} but was {} {} before", positions[i], gradient.dtype(),
           gradient.shape(), sums_[i].dtype(), sums_[i].shape());
  }
  parameters_ = std::vector<Tensor>(owners);
  if (first)
    for (const Tensor& gradient : gradients) sums_.push_back(zeros_like(gradient));
  for (std::size_t i = 0; i < sums_.size(); ++i)
    change(
        kName, sums_[i],
        [weight](auto total, auto v) { return total + static_cast<decltype(v)>(weight) * v; },
        gradients[positions[i]]);
  weight_ += weight;
}

Gradients GradientAccumulator::take() {
  constexpr const char* kName = "GradientAccumulator";
  if (weight_ == 0) fail(kName, "nothing was added");
  if (parameters_.empty() && !sums_.empty())
    fail(kName,
         "take() was called after load_state() but before add(): whose gradients the state holds is unknown");
  for (Tensor& total : sums_)
    change(kName, total, [weight = weight_](auto v) { return v / static_cast<decltype(v)>(weight); });
  weight_ = 0;
  return Gradients(std::exchange(parameters_, {}), std::exchange(sums_, {}));
}

State GradientAccumulator::state() const {
  State state;
  for (std::size_t i = 0; i < sums_.size(); ++i) state.tensors.emplace_back(fmt::format("{}", i), sums_[i]);
  state.numbers["weight"] = weight_;
  return state;
}

void GradientAccumulator::load_state(const State& state) {
  constexpr const char* kName = "GradientAccumulator";
  const double weight = state.number(kName, "weight");
  if (!(weight >= 0 && std::isfinite(weight)))
    fail(kName, "the state's weight is {} but must be 0 or more", weight);
  std::vector<Tensor> sums;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const Tensor* given = state.find(fmt::format("{}", i));
    if (given == nullptr) fail(kName, "the state has no tensor '{}'", i);
    if (!is_floating(given->dtype()))
      fail(kName, "'{}' is {} {} in the state", i, given->dtype(), given->shape());
    sums.push_back(TensorAccess::clone(*given));
  }
  parameters_.clear();
  sums_ = std::move(sums);
  weight_ = weight;
}

}  // namespace tapegrad::inline v0
