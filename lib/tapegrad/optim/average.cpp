#include "tapegrad/optim/average.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char* kName = "ExponentialMovingAverage";

}  // namespace

ExponentialMovingAverage::ExponentialMovingAverage(const std::vector<Tensor>& parameters,
                                                   const ExponentialMovingAverageOptions& options)
    : options_(options), parameters_(parameters) {
  if (!(options.decay >= 0 && options.decay < 1))
    fail(kName, "decay is {} but must be in [0, 1)", options.decay);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!is_floating(parameters[i].dtype()))
      fail(kName, "tensor {} is {} {}: only Float32 and Float64 have an average", i, parameters[i].dtype(),
           parameters[i].shape());
    averages_.push_back(TensorAccess::clone(parameters[i]));
  }
}

void ExponentialMovingAverage::require_not_swapped(const char* what) const {
  if (swapped_) fail(kName, "{} while the averages are swapped in: swap() them back first", what);
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

void ExponentialMovingAverage::swap() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    dispatch_floating(parameters_[i].dtype(), [&]<class T>(std::type_identity<T>) {
      const auto parameter = parameters_[i].mutable_values<T>();
      std::swap_ranges(parameter.begin(), parameter.end(), averages_[i].mutable_data<T>());
    });
  swapped_ = !swapped_;
}

void ExponentialMovingAverage::apply() {
  require_not_swapped("apply()");
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    dispatch_floating(parameters_[i].dtype(), [&]<class T>(std::type_identity<T>) {
      std::ranges::copy(averages_[i].values<T>(), parameters_[i].mutable_data<T>());
    });
}

State ExponentialMovingAverage::state() const {
  require_not_swapped("state()");
  State state;
  for (std::size_t i = 0; i < averages_.size(); ++i)
    state.tensors.emplace_back(fmt::format("{}", i), averages_[i]);
  state.numbers["updates"] = static_cast<double>(updates_);
  return state;
}

void ExponentialMovingAverage::load_state(const State& state) {
  require_not_swapped("load_state()");
  const std::int64_t updates = state.count(kName, "updates");
  if (state.tensors.size() != averages_.size())
    fail(kName, "the state has {} tensors but there are {} averages", state.tensors.size(), averages_.size());
  std::vector<Tensor> loaded;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const Tensor* given = state.find(fmt::format("{}", i));
    if (given == nullptr) fail(kName, "the state has no tensor '{}'", i);
    if (given->shape() != averages_[i].shape() || given->dtype() != averages_[i].dtype())
      fail(kName, "'{}' is {} {} in the state but {} {} here", i, given->dtype(), given->shape(),
           averages_[i].dtype(), averages_[i].shape());
    loaded.push_back(TensorAccess::clone(*given));
  }
  averages_ = std::move(loaded);
  updates_ = updates;
}

AveragedWeights::AveragedWeights(ExponentialMovingAverage& average) : average_(average) {
  if (average.swapped()) fail(kName, "the averages are swapped in already");
  average_.swap();
}

}  // namespace tapegrad::inline v0
