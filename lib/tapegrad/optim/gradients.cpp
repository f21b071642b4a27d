#include "tapegrad/optim/gradients.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "tapegrad/autograd/gradients_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/optim/class_internal.h"
#include "tapegrad/tensor/distinct_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char* kAccumulator = "GradientAccumulator";

void require_floating(const char* op, std::size_t number, const Tensor& x) {
  if (!x.defined()) fail(op, "gradient {} was never given a value", number);
  if (!is_floating(x.dtype()))
    fail(op, "gradient {} must be Float32 or Float64, got {} {}", number, x.dtype(), x.shape());
}

// y[i] = f(y[i], x[i]).
template <class F>
void change(Tensor& y, F f, const Tensor& x) {
  dispatch_floating(y.dtype(), [&]<class T>(std::type_identity<T>) {
    T* out = y.mutable_data<T>();
    kernels::map(y.size(), out, f, static_cast<const T*>(out), x.data<T>());
  });
}

template <class F>
void change(Tensor& y, F f) {
  change(
      y, [f](auto v, auto) { return f(v); }, y);
}

// NaN if there is one.
double largest_magnitude(const Tensor& x) {
  double largest = 0;
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    for (const T v : x.values<T>()) {
      const double magnitude = std::abs(static_cast<double>(v));
      if (!(magnitude <= largest)) largest = std::isnan(largest) ? largest : magnitude;
    }
  });
  return largest;
}

double sum_of_squares(const Tensor& x, double scale) {
  double total = 0;
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    for (const T v : x.values<T>()) {
      const double scaled = static_cast<double>(v) * scale;
      total += scaled * scaled;
    }
  });
  return total;
}

// A norm as root / scale, where scale is a power of two: the norm itself may lie outside of double's range.
struct Norm {
  double root = 0, scale = 1;
  double value() const { return root / scale; }
};

Norm norm_of(std::span<const Tensor> xs) {
  double total = 0;
  for (const Tensor& x : xs) total += sum_of_squares(x, 1);
  constexpr double kLow = 1e-250, kHigh = 1e290;  // squares in between were added up without a loss
  if (total == 0 || !(total >= kLow && total <= kHigh)) {
    double largest = 0;
    for (const Tensor& x : xs) {
      const double magnitude = largest_magnitude(x);
      if (!std::isfinite(magnitude)) return {magnitude};
      largest = std::max(largest, magnitude);
    }
    if (largest == 0) return {};
    // The largest element becomes about 1; the scale itself must stay a normal number.
    const double scale = std::ldexp(1.0, std::clamp(-std::ilogb(largest), -1000, 1000));
    total = 0;
    for (const Tensor& x : xs) total += sum_of_squares(x, scale);
    return {std::sqrt(total), scale};
  }
  return {std::sqrt(total)};
}

// to is rounded towards 0, so that the norm of what was clipped is not above the limit.
template <class T>
T towards_zero(double to) {
  const T rounded = static_cast<T>(to);
  return std::abs(static_cast<double>(rounded)) > std::abs(to) ? std::nextafter(rounded, T{0}) : rounded;
}

double clip_norm_of(std::span<Tensor> gradients, double max_norm) {
  constexpr const char* kName = "clip_by_norm";
  if (!(max_norm > 0)) fail(kName, "max_norm must be positive, got {}", max_norm);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    require_floating(kName, i, gradients[i]);
    if (!std::isfinite(largest_magnitude(gradients[i])))
      fail(kName,
           "gradient {} (shape {}) has elements that are not finite, so it cannot be scaled to max_norm", i,
           gradients[i].shape());
  }
  const std::vector<Tensor> all(gradients.begin(), gradients.end());
  detail::require_distinct(kName, all, "it would be scaled twice");
  const Norm norm = norm_of(gradients);
  if (norm.value() <= max_norm) return norm.value();
  detail::require_writable(kName, all);
  // One factor, unless it leaves the range of double: then the elements are scaled before they are multiplied.
  const double factor = max_norm / norm.value();
  const bool plain = factor >= std::numeric_limits<double>::min();
  const double first = plain ? 1 : norm.scale, second = plain ? factor : max_norm / norm.root;
  for (Tensor& gradient : gradients)
    change(gradient,
           [=](auto v) { return towards_zero<decltype(v)>(static_cast<double>(v) * first * second); });
  return norm.value();
}

void clip_values_of(std::span<Tensor> gradients, double limit) {
  constexpr const char* kName = "clip_by_value";
  if (!(limit > 0)) fail(kName, "limit must be positive, got {}", limit);
  for (std::size_t i = 0; i < gradients.size(); ++i) require_floating(kName, i, gradients[i]);
  const std::vector<Tensor> all(gradients.begin(), gradients.end());
  detail::require_writable(kName, all);
  for (Tensor& gradient : gradients)
    change(gradient, [limit](auto v) {
      using T = decltype(v);
      const auto most = static_cast<T>(std::min(limit, static_cast<double>(std::numeric_limits<T>::max())));
      return v > most ? most : v < -most ? -most : v;
    });
}

}  // namespace

double global_norm(const std::vector<Tensor>& gradients) {
  for (std::size_t i = 0; i < gradients.size(); ++i) require_floating("global_norm", i, gradients[i]);
  return norm_of(gradients).value();
}

double clip_by_norm(std::vector<Tensor>& gradients, double max_norm) {
  return clip_norm_of(gradients, max_norm);
}

double clip_by_norm(Gradients& gradients, double max_norm) {
  return clip_norm_of(gradients, max_norm);
}

void clip_by_value(std::vector<Tensor>& gradients, double limit) {
  clip_values_of(gradients, limit);
}

void clip_by_value(Gradients& gradients, double limit) {
  clip_values_of(gradients, limit);
}

GradientAccumulator::GradientAccumulator(const ParameterList& parameters)
    : parameters_(parameters.tensors()), names_(parameters.names()), fixed_(true) {
  detail::require_distinct(kAccumulator, parameters_, "its gradient would be counted twice");
  NamedTensors keys;
  for (std::size_t i = 0; i < parameters_.size(); ++i) keys.emplace_back(key(i), parameters_[i]);
  State{keys}.require_names_once(kAccumulator);
}

// In the state.
std::string GradientAccumulator::key(std::size_t parameter) const {
  return parameter < names_.size() && !names_[parameter].empty() ? names_[parameter]
                                                                 : fmt::format("{}", parameter);
}

NamedTensors GradientAccumulator::unnamed(const std::vector<Tensor>& parameters) const {
  NamedTensors found;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (i >= names_.size() || names_[i].empty()) found.emplace_back(key(i), parameters[i]);
  return found;
}

void GradientAccumulator::add(const Gradients& gradients, double weight) {
  if (!(weight > 0 && std::isfinite(weight_ + weight)))
    fail(kAccumulator, "weight must be positive and finite, got {}", weight);
  // A mean that came from a state belongs to the first parameters that are given.
  const std::vector<Tensor> owners = parameters_.empty() && !fixed_ ? gradients.parameters() : parameters_;
  const bool first = means_.empty();
  if (gradients.size() != owners.size() || (!first && owners.size() != means_.size()))
    fail(kAccumulator,
         "add() must get the gradients of the same parameters each time, got {} gradients but {} before",
         gradients.size(), first ? owners.size() : means_.size());
  const auto positions = detail::positions_of(owners, gradients.parameters());
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (positions[i] == detail::kNotFound)
      fail(kAccumulator,
           "no gradient was given for parameter {} (shape {}), whose gradients are added up here", i,
           owners[i].shape());
    const Tensor& g = gradients[positions[i]];
    const Tensor& like = first ? owners[i] : means_[i];
    require_floating(kAccumulator, positions[i], g);
    if (g.shape() != like.shape() || g.dtype() != like.dtype())
      fail(kAccumulator, "gradient {} is {} {} but must be {} {}", positions[i], g.dtype(), g.shape(),
           like.dtype(), like.shape());
  }
  if (parameters_.empty() && !first)
    detail::require_same_places(loaded_, kAccumulator, unnamed(owners), false);
  // The mean is kept, not the sum: a sum of weight times gradient could leave the range of the dtype.
  const double total = weight_ + weight, keep = weight_ / total, fresh = weight / total;
  std::vector<Tensor> means = first ? std::vector<Tensor>() : std::move(means_);
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const Tensor& g = gradients[positions[i]];
    if (first) {
      means.push_back(TensorAccess::clone(g));
      continue;
    }
    change(
        means[i],
        [=](auto mean, auto v) {
          return static_cast<decltype(v)>(keep * static_cast<double>(mean) + fresh * static_cast<double>(v));
        },
        g);
  }
  parameters_ = owners;
  means_ = std::move(means);
  weight_ = total;
}

Gradients GradientAccumulator::take() {
  if (weight_ == 0) fail(kAccumulator, "take() was called but nothing was added: call add() first");
  if (parameters_.empty() && !means_.empty())
    fail(
        kAccumulator,
        "take() was called after load_state() but before add(), so whose gradients the state holds is unknown: make "
        "the accumulator with the parameters, GradientAccumulator(net.parameters())");
  weight_ = 0;
  Gradients taken(parameters_, std::exchange(means_, {}));
  if (!fixed_) parameters_.clear();
  return taken;
}

State GradientAccumulator::state_view() const {
  State state;
  for (std::size_t i = 0; i < means_.size(); ++i) state.tensors.emplace_back(key(i), means_[i]);
  state.numbers["weight"] = weight_;
  detail::mark_class(state, kAccumulator);
  if (!means_.empty() && parameters_.empty())
    state.integers.insert(loaded_.integers.begin(), loaded_.integers.end());
  else if (!means_.empty())
    detail::mark_values(state, unnamed(parameters_));
  return state;
}

void GradientAccumulator::load_state(const State& state) {
  detail::require_class(state, kAccumulator);
  const double weight = state.number(kAccumulator, "weight");
  if (!(weight >= 0 && std::isfinite(weight)))
    fail(kAccumulator, "the state's weight must be 0 or more, got {}", weight);
  state.require_names_once(kAccumulator);
  std::vector<Tensor> means;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const Tensor* given = state.find(key(i));
    if (given == nullptr) fail(kAccumulator, "the state has no tensor '{}'", key(i));
    if (!is_floating(given->dtype()))
      fail(kAccumulator, "'{}' must be Float32 or Float64 in the state, got {} {}", key(i), given->dtype(),
           given->shape());
    if (!fixed_)
      (void)state.integer(kAccumulator, fmt::format("values.{}", i));  // the first add() compares them
    means.push_back(TensorAccess::clone(*given));
  }
  if (fixed_ && !means.empty() && means.size() != parameters_.size())
    fail(kAccumulator, "the state has {} gradients but there are {} parameters", means.size(),
         parameters_.size());
  for (std::size_t i = 0; fixed_ && i < means.size(); ++i)
    if (means[i].shape() != parameters_[i].shape() || means[i].dtype() != parameters_[i].dtype())
      fail(kAccumulator, "'{}' is {} {} in the state but its parameter is {} {}", key(i), means[i].dtype(),
           means[i].shape(), parameters_[i].dtype(), parameters_[i].shape());
  if (fixed_ && !means.empty()) detail::require_same_places(state, kAccumulator, unnamed(parameters_), false);
  loaded_.integers = state.integers;
  if (!fixed_) parameters_.clear();
  means_ = std::move(means);
  weight_ = weight;
}

}  // namespace tapegrad::inline v0
