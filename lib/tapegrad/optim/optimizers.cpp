#include "tapegrad/optim/optimizers.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/elementwise.h"

namespace tapegrad {
namespace {

void require(const char* optimizer, bool fits, const char* option, double value, const char* range) {
  if (!fits) fail(optimizer, "{} is {} but must be {}", option, value, range);
}

template <class F>
void dispatch_floating(DType dtype, F f) {
  dtype == DType::Float32 ? f(std::type_identity<float>{}) : f(std::type_identity<double>{});
}

}  // namespace

Optimizer::Optimizer(const char* name, std::vector<Tensor> parameters, double learning_rate, int memories)
    : name_(name), parameters_(std::move(parameters)) {
  set_learning_rate(learning_rate);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& p = parameters_[i];
    if (!p.is_parameter())
      fail(name_, "tensor {} (shape {}) is not a parameter(): it would not be trained", i, p.shape());
    auto& memory = memory_.emplace_back();
    for (int k = 0; k < memories; ++k) memory.push_back(zeros_like(p));
  }
}

void Optimizer::set_learning_rate(double learning_rate) {
  require(name_, learning_rate >= 0 && std::isfinite(learning_rate), "learning_rate", learning_rate,
          "0 or more");
  learning_rate_ = learning_rate;
}

void Optimizer::step(const std::vector<Tensor>& gradients) {
  if (gradients.size() != parameters_.size())
    fail(name_, "{} gradients were given for {} parameters", gradients.size(), parameters_.size());
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].shape() != parameters_[i].shape() || gradients[i].dtype() != parameters_[i].dtype())
      fail(name_, "gradient {} is {} {} but its parameter is {} {}", i, gradients[i].dtype(),
           gradients[i].shape(), parameters_[i].dtype(), parameters_[i].shape());
  ++steps_;
  for (std::size_t i = 0; i < gradients.size(); ++i) update(parameters_[i], gradients[i], memory_[i]);
}

State Optimizer::state() const {
  State state;
  for (std::size_t i = 0; i < memory_.size(); ++i)
    for (std::size_t k = 0; k < memory_[i].size(); ++k)
      state.tensors.emplace_back(fmt::format("{}.{}", i, k), memory_[i][k]);
  state.numbers = {{"steps", static_cast<double>(steps_)}, {"learning_rate", learning_rate_}};
  return state;
}

void Optimizer::load_state(const State& state) {
  const State own = this->state();
  for (const auto& [key, value] : own.numbers)
    if (!state.numbers.contains(key)) fail(name_, "the state has no number '{}'", key);
  if (state.tensors.size() != own.tensors.size())
    fail(name_, "the state has {} tensors but this optimizer {}", state.tensors.size(), own.tensors.size());
  for (const auto& [key, tensor] : own.tensors) {
    const Tensor* given = state.find(key);
    if (given == nullptr) fail(name_, "the state has no tensor '{}'", key);
    if (given->shape() != tensor.shape() || given->dtype() != tensor.dtype())
      fail(name_, "'{}' is {} {} in the state but {} {} here", key, given->dtype(), given->shape(),
           tensor.dtype(), tensor.shape());
  }
  const double steps = state.numbers.at("steps");
  require(name_, steps >= 0 && steps <= 0x1p53 && steps == std::floor(steps), "the state's number of steps",
          steps, "a whole number, 0 or more");
  set_learning_rate(state.numbers.at("learning_rate"));
  steps_ = static_cast<std::int64_t>(steps);
  for (std::size_t i = 0; i < memory_.size(); ++i)
    for (std::size_t k = 0; k < memory_[i].size(); ++k)
      memory_[i][k] = TensorAccess::clone(*state.find(fmt::format("{}.{}", i, k)));
}

SGD::SGD(std::vector<Tensor> parameters, const SGDOptions& options)
    : Optimizer("SGD", std::move(parameters), options.learning_rate, options.momentum != 0 ? 1 : 0),
      momentum_(options.momentum) {
  require("SGD", momentum_ >= 0 && momentum_ < 1, "momentum", momentum_, "in [0, 1)");
}

void SGD::update(Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) {
  dispatch_floating(parameter.dtype(), [&]<class T>(std::type_identity<T>) {
    T* p = parameter.mutable_data<T>();
    T* velocity = memory.empty() ? nullptr : memory[0].mutable_data<T>();
    const T* g = gradient.data<T>();
    const T rate = static_cast<T>(learning_rate()), momentum = static_cast<T>(momentum_);
    parallel_for(parameter.size(), kernels::kElementwisePiece, [=](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        T direction = g[i];
        if (velocity != nullptr) direction = velocity[i] = momentum * velocity[i] + g[i];
        p[i] -= rate * direction;
      }
    });
  });
}

Adam::Adam(std::vector<Tensor> parameters, const AdamOptions& options)
    : Optimizer("Adam", std::move(parameters), options.learning_rate, 2),
      beta1_(options.beta1),
      beta2_(options.beta2),
      epsilon_(options.epsilon) {
  require("Adam", beta1_ >= 0 && beta1_ < 1, "beta1", beta1_, "in [0, 1)");
  require("Adam", beta2_ >= 0 && beta2_ < 1, "beta2", beta2_, "in [0, 1)");
  require("Adam", epsilon_ >= 0 && std::isfinite(epsilon_), "epsilon", epsilon_, "0 or more");
}

void Adam::update(Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) {
  const auto t = static_cast<double>(steps());
  const double rate = learning_rate() / (1 - std::pow(beta1_, t)),
               correction = std::sqrt(1 - std::pow(beta2_, t));
  dispatch_floating(parameter.dtype(), [&]<class T>(std::type_identity<T>) {
    T* p = parameter.mutable_data<T>();
    T* m = memory[0].mutable_data<T>();
    T* v = memory[1].mutable_data<T>();
    const T* g = gradient.data<T>();
    const T b1 = static_cast<T>(beta1_), b2 = static_cast<T>(beta2_), eps = static_cast<T>(epsilon_);
    const T new1 = static_cast<T>(1 - beta1_), new2 = static_cast<T>(1 - beta2_);
    const T scale = static_cast<T>(rate), root = static_cast<T>(correction);
    parallel_for(parameter.size(), kernels::kElementwisePiece, [=](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        m[i] = b1 * m[i] + new1 * g[i];
        v[i] = b2 * v[i] + new2 * g[i] * g[i];
        p[i] -= scale * m[i] / (std::sqrt(v[i]) / root + eps);
      }
    });
  });
}

}  // namespace tapegrad
