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

double clip_by_norm(std::vector<Tensor>& gradients, double max_norm) {
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

void clip_by_value(std::vector<Tensor>& gradients, double limit) {
  if (!(limit > 0)) fail("clip_by_value", "limit is {} but must be positive", limit);
  for (Tensor& gradient : gradients)
    change("clip_by_value", gradient, [limit](auto v) {
      const auto most = static_cast<decltype(v)>(limit);
      return v > most ? most : v < -most ? -most : v;
    });
}

void GradientAccumulator::add(const std::vector<Tensor>& gradients, double weight) {
  constexpr const char* kName = "GradientAccumulator";
  if (!(weight > 0 && std::isfinite(weight))) fail(kName, "weight is {} but must be positive", weight);
  const bool first = sums_.empty();
  if (!first && gradients.size() != sums_.size())
    fail(kName, "{} gradients were given but {} before", gradients.size(), sums_.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!is_floating(gradients[i].dtype()))
      fail(kName, "gradient {} is {} {}", i, gradients[i].dtype(), gradients[i].shape());
    if (!first && (gradients[i].shape() != sums_[i].shape() || gradients[i].dtype() != sums_[i].dtype()))
      fail(kName, "gradient {} is {} {} but was {} {} before", i, gradients[i].dtype(), gradients[i].shape(),
           sums_[i].dtype(), sums_[i].shape());
  }
  if (first)
    for (const Tensor& gradient : gradients) sums_.push_back(zeros_like(gradient));
  for (std::size_t i = 0; i < gradients.size(); ++i)
    change(
        kName, sums_[i],
        [weight](auto total, auto v) { return total + static_cast<decltype(v)>(weight) * v; }, gradients[i]);
  weight_ += weight;
}

std::vector<Tensor> GradientAccumulator::take() {
  if (weight_ == 0) fail("GradientAccumulator", "nothing was added");
  for (Tensor& total : sums_)
    change("GradientAccumulator", total,
           [weight = weight_](auto v) { return v / static_cast<decltype(v)>(weight); });
  weight_ = 0;
  return std::exchange(sums_, {});
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
  sums_ = std::move(sums);
  weight_ = weight;
}

}  // namespace tapegrad::inline v0
