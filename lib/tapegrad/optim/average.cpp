#include "tapegrad/optim/average.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "tapegrad/autograd/gradients.h"
#include "tapegrad/autograd/gradients_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/optim/class_internal.h"
#include "tapegrad/tensor/distinct_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char* kName = "ExponentialMovingAverage";

}  // namespace

ExponentialMovingAverage::ExponentialMovingAverage(const ParameterList& tensors,
                                                   const ExponentialMovingAverageOptions& options)
    : options_(options) {
  if (!(options.decay >= 0 && options.decay < 1))
    fail(kName, "decay must be in [0, 1), got {}", options.decay);
  std::set<std::tuple<const detail::Storage*, index_t, index_t>> known;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& x = tensors.tensors()[i];
    if (!x.defined()) fail(kName, "tensor {} was never given a value", i);
    if (!is_floating(x.dtype()))
      fail(kName, "tensor {} must be Float32 or Float64 to be averaged, got {} {}", i, x.dtype(), x.shape());
    if (!known.insert({TensorAccess::storage(x), TensorAccess::offset(x), x.size()}).second)
      continue;  // tied
    names_.push_back(tensors.names()[i].empty() ? fmt::format("{}", parameters_.size()) : tensors.names()[i]);
    parameters_.push_back(x);
  }
  detail::require_distinct(kName, parameters_, "the shared elements would be averaged twice");
  for (const Tensor& x : parameters_) averages_.push_back(TensorAccess::clone(x));
  state_view().require_names_once(kName);
}

void ExponentialMovingAverage::require_not_swapped(const char* what) const {
  if (swapped_)
    fail(kName,
         "{} was called while the averages are swapped in: call swap() to bring the parameters back first",
         what);
}

void ExponentialMovingAverage::update() {
  require_not_swapped("update()");
  const auto n = static_cast<double>(updates_++);
  const double decay = options_.warm_up ? std::min(options_.decay, (1 + n) / (10 + n)) : options_.decay;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    dispatch_floating(parameters_[i].dtype(), [&]<class T>(std::type_identity<T>) {
      T* average = averages_[i].mutable_data<T>();
      const T keep = static_cast<T>(decay), fresh = static_cast<T>(1 - decay);
      kernels::map(
          averages_[i].size(), average, [=](T a, T p) { return keep * a + fresh * p; },
          static_cast<const T*>(average), parameters_[i].data<T>());
    });
}

void ExponentialMovingAverage::update(const std::vector<Tensor>& parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i].defined()) fail(kName, "parameter {} was never given a value", i);
  const auto positions = detail::positions_of(parameters, parameters_);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (positions[i] == detail::kNotFound)
      fail(
          kName,
          "parameter {} (shape {}) is not one of the {} tensors that are averaged: after a model was replaced "
          "(clone(), a move, to()) make a new average",
          i, parameters[i].shape(), parameters_.size());
  update();
}

void ExponentialMovingAverage::swap() {
  detail::require_writable(kName, parameters_);
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    dispatch_floating(parameters_[i].dtype(), [&]<class T>(std::type_identity<T>) {
      const auto parameter = parameters_[i].mutable_values<T>();
      std::swap_ranges(parameter.begin(), parameter.end(), averages_[i].mutable_data<T>());
    });
  swapped_ = !swapped_;
}

void ExponentialMovingAverage::apply() {
  require_not_swapped("apply()");
  detail::require_writable(kName, parameters_);
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    dispatch_floating(parameters_[i].dtype(), [&]<class T>(std::type_identity<T>) {
      std::ranges::copy(averages_[i].values<T>(), parameters_[i].mutable_data<T>());
    });
}

NamedTensors ExponentialMovingAverage::unnamed() const {
  NamedTensors found;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (names_[i] == fmt::format("{}", i)) found.emplace_back(names_[i], parameters_[i]);
  return found;
}

State ExponentialMovingAverage::state_view() const {
  require_not_swapped("state()");
  State state;
  for (std::size_t i = 0; i < averages_.size(); ++i) state.tensors.emplace_back(names_[i], averages_[i]);
  state.numbers["updates"] = static_cast<double>(updates_);
  detail::mark_class(state, kName);
  detail::mark_values(state, unnamed());
  return state;
}

void ExponentialMovingAverage::load_state(const State& state) {
  require_not_swapped("load_state()");
  detail::require_class(state, kName);
  state.require_names_once(kName);
  const std::int64_t updates = state.count(kName, "updates");
  if (state.tensors.size() != averages_.size())
    fail(kName, "the state has {} tensors but there are {} averages", state.tensors.size(), averages_.size());
  std::vector<Tensor> loaded;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const Tensor* given = state.find(names_[i]);
    if (given == nullptr) fail(kName, "the state has no tensor '{}'", names_[i]);
    if (given->shape() != averages_[i].shape() || given->dtype() != averages_[i].dtype())
      fail(kName, "'{}' is {} {} in the state but the average is {} {}", names_[i], given->dtype(),
           given->shape(), averages_[i].dtype(), averages_[i].shape());
    loaded.push_back(TensorAccess::clone(*given));
  }
  detail::require_same_places(state, kName, unnamed(), updates_ != 0);
  averages_ = std::move(loaded);
  updates_ = updates;
}

AveragedWeights::AveragedWeights(ExponentialMovingAverage& average) : average_(average) {
  if (average.swapped()) fail(kName, "the averages are swapped in already");
  average_.swap();
}

}  // namespace tapegrad::inline v0
