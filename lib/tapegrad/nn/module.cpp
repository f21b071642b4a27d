#include "tapegrad/nn/module.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/nn/oihw_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

thread_local int copy_permits = 0;

template <class F>
void for_tensors(Module& module, F f) {
  Visitor visitor([&f](const std::string&, Tensor& tensor) { f(tensor); });
  module.visit(visitor);
}

template <class F>
void for_modules(Module& module, F f) {
  Visitor visitor([](const std::string&, Tensor&) {}, [&f](const std::string&, Module& inner) { f(inner); });
  f(module);
  module.visit(visitor);
}

// All elements of the storage that x is a part of, as a constant.
Tensor whole_storage(const Tensor& x) {
  const detail::Storage& storage = *TensorAccess::storage(x);
  return dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    return Tensor::wrap(static_cast<const T*>(storage.data()), Shape{storage.count()});
  });
}

// Gives the tensors for which `wanted` holds new memory, made by `renewed` of the old. Tensors that share
// memory share it afterwards, and the marks stay.
template <class Wanted, class Renewed>
void renew_memory(Module& module, Wanted wanted, Renewed renewed) {
  const NoGrad no_grad;
  struct Memory {
    Tensor old, renewed;  // the old one is kept, so that no new one gets its address
  };
  std::map<const detail::Storage*, Memory> known;
  for_tensors(module, [&](Tensor& tensor) {
    if (!wanted(tensor)) return;
    Memory& memory = known[TensorAccess::storage(tensor)];
    if (!memory.renewed.defined()) {
      memory.old = tensor;
      const Tensor made = renewed(whole_storage(tensor));
      memory.renewed = tensor.is_parameter() ? parameter(made) : made;
    }
    const bool stopped = tensor.is_stopped();
    tensor = TensorAccess::view(memory.renewed, tensor.shape(), TensorAccess::offset(tensor));
    TensorAccess::set_stopped(tensor, stopped);
  });
}

}  // namespace

void Visitor::operator()(std::string_view name, Tensor& tensor) {
  if (tensor.defined()) on_tensor_(path_ + std::string(name), tensor);
}

void Visitor::operator()(std::string_view name, Module& module) {
  const std::string outer = path_;
  path_ += name;
  if (on_module_) on_module_(path_, module);
  path_ += ".";
  module.visit(*this);
  path_ = outer;
}

Module::Module(const Module& other) : training_(other.training_) {
  if (copy_permits == 0)
    fail("module", "modules are moved, not copied: clone() makes a copy with parameters of its own");
}

Tensor Module::draw_parameter(const Initializer& initializer, const Shape& shape, Generator& generator,
                              const char* what) {
  const std::string name = detail::class_name(typeid(*this));
  if (!initializer) fail(name, "{} must not be empty", what);
  const auto values = [initializer, shape, name, what = std::string(what)](Generator& from) {
    Tensor made = initializer(shape, from, DType::Float32);
    if (made.shape() != shape) fail(name, "{} must make shape {}, got {}", what, shape, made.shape());
    return made;
  };
  const Generator::Position before = generator.position();
  Tensor made = parameter(values(generator));
  remember_draw(made, before, generator, values);
  return made;
}

void Module::remember_draw(const Tensor& target, const Generator::Position& before,
                           const Generator& generator, std::function<Tensor(Generator&)> values) {
  if (generator.position() == before) return;  // nothing was drawn
  draws_.list.push_back(
      {before, generator.position(), target, TensorAccess::storage(target)->version(), std::move(values)});
}

Tensor Module::operator()(const Tensor& x) {
  Tensor y = forward(x);
  if (detail::CallObserver* observer = detail::call_observer()) (*observer)(*this, y);
  return y;
}

std::vector<Tensor> Module::parameters() {
  std::vector<Tensor> found;
  std::map<const detail::Storage*, std::size_t> known;  // where it is in found
  for_tensors(*this, [&](Tensor& tensor) {
    if (!tensor.is_parameter() || tensor.is_stopped()) return;
    const auto [at, is_new] = known.insert({TensorAccess::storage(tensor), found.size()});
    if (is_new)
      found.push_back(tensor);
    else if (tensor.size() > found[at->second].size())
      found[at->second] = tensor;  // that was a part of it
  });
  return found;
}

State Module::state() {
  State state;
  Visitor visitor([&](const std::string& path, Tensor& tensor) { state.tensors.emplace_back(path, tensor); });
  visit(visitor);
  return state;
}

void Module::load_state(const State& given_state, const LoadOptions& options) {
  const NoGrad no_grad;
  const State state = options.layout == Layout::OIHW ? detail::from_oihw(*this, given_state) : given_state;
  const State own = this->state();
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (const auto& [path, tensor] : own.tensors) {
    const Tensor* given = state.find(path);
    if (given == nullptr)
      fail("load_state", "the state has no tensor '{}' ({} {})", path, tensor.dtype(), tensor.shape());
    if (given->shape() != tensor.shape())
      fail("load_state", "'{}' has shape {} in the state{} but {} in the module", path, given->shape(),
           options.layout == Layout::OIHW ? ", turned from PyTorch's layout," : "", tensor.shape());
    copies.emplace_back(tensor, cast(*given, tensor.dtype()));
  }
  for (const auto& [path, tensor] : state.tensors)
    if (own.find(path) == nullptr)
      fail("load_state", "the module has no tensor '{}' ({} {})", path, tensor.dtype(), tensor.shape());
  for (auto& copy : copies)
    dispatch(copy.first.dtype(), [&]<class T>(std::type_identity<T>) {
      std::ranges::copy(copy.second.values<T>(), copy.first.mutable_values<T>().begin());
    });
}

void Module::to(DType dtype) {
  if (!is_floating(dtype)) fail("module", "parameters are Float32 or Float64, not {}", dtype);
  for_modules(*this, [](Module& module) { module.draws_.list.clear(); });  // they hold the old memory
  renew_memory(
      *this, [dtype](const Tensor& tensor) { return is_floating(tensor.dtype()) && tensor.dtype() != dtype; },
      [dtype](const Tensor& elements) { return cast(elements, dtype); });
}

void Module::train(bool training) {
  for_modules(*this, [training](Module& module) { module.training_ = training; });
}

void Module::freeze() {
  for_tensors(*this, [](Tensor& tensor) {
    if (tensor.is_parameter()) tensor = stop_gradient(tensor);
  });
}

void Module::unfreeze() {
  for_tensors(*this, [](Tensor& tensor) {
    if (tensor.is_parameter()) TensorAccess::set_stopped(tensor, false);
  });
}

namespace detail {

CopyPermit::CopyPermit() {
  ++copy_permits;
}

CopyPermit::~CopyPermit() {
  --copy_permits;
}

void separate(Module& copy) {
  renew_memory(
      copy, [](const Tensor&) { return true; },
      [](const Tensor& elements) { return TensorAccess::clone(elements); });
}

void refuse_clone(const Module& module, const std::type_info& as) {
  fail("clone", "a {} was given as a {}: the copy would lack what it adds", class_name(typeid(module)),
       class_name(as));
}

CallObserver*& call_observer() {
  thread_local CallObserver* observer = nullptr;
  return observer;
}

}  // namespace detail
}  // namespace tapegrad::inline v0
