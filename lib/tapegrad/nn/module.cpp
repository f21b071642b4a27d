#include "tapegrad/nn/module.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/context.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/nn/oihw_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/rounding.h"
#include "tapegrad/tensor/distinct_internal.h"
#include "tapegrad/tensor/no_memory_internal.h"

namespace tapegrad::inline v0 {
namespace {

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

// All elements of the storage that x is a part of, as a constant; of a parameter, in the parameter's shape.
Tensor whole_storage(const Tensor& x) {
  const detail::Storage& storage = *TensorAccess::storage(x);
  return dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    return Tensor::wrap(static_cast<const T*>(storage.data()),
                        x.is_parameter() ? *storage.parameter_shape : Shape{storage.count()});
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

// What load_state() writes.
struct Copy {
  std::string path;
  Tensor to, from;
};

// Of tensors that share elements the last one would win.
void require_same_where_tied(const std::vector<Copy>& copies) {
  std::map<const detail::Storage*, std::vector<const Copy*>> by_storage;
  for (const Copy& copy : copies) by_storage[TensorAccess::storage(copy.to)].push_back(&copy);
  for (const auto& [storage, tied] : by_storage)
    for (std::size_t i = 1; i < tied.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) {
        const Copy &a = *tied[k], &b = *tied[i];
        const index_t a_begin = TensorAccess::offset(a.to), b_begin = TensorAccess::offset(b.to),
                      begin = std::max(a_begin, b_begin),
                      end = std::min(a_begin + a.to.size(), b_begin + b.to.size());
        if (begin >= end) continue;
        const std::size_t width = size_of(a.to.dtype());
        const auto at = [&](const Copy& copy, index_t first) {
          return TensorAccess::elements(copy.from) + static_cast<std::size_t>(begin - first) * width;
        };
        if (std::memcmp(at(a, a_begin), at(b, b_begin), static_cast<std::size_t>(end - begin) * width) != 0)
          fail(
              "load_state",
              "'{}' and '{}' share elements in the module (tied weights) but have different values in the state",
              a.path, b.path);
      }
}

}  // namespace

Module::~Module() = default;

void Visitor::operator()(std::string_view name, Tensor& tensor) {
  if (tensor.defined() && on_tensor_) on_tensor_(path_ + std::string(name), tensor);
}

void Visitor::operator()(std::string_view name, Module& module) {
  const std::string outer = path_;
  path_ += name;
  if (on_module_) on_module_(path_, module);
  path_ += ".";
  module.visit(*this);
  path_ = outer;
}

Tensor Module::draw_parameter(const Initializer& initializer, const Shape& shape, Generator& generator,
                              const char* what) {
  const std::string name = detail::class_name(*this);
  if (!initializer) fail(name, "{} must not be empty", what);
  const auto values = [initializer, shape, name, what = std::string(what)](Generator& from) {
    Tensor made = initializer(shape, from, DType::Float32);
    if (!made.defined()) fail(name, "{} returned a Tensor that was never given a value", what);
    if (made.shape() != shape) fail(name, "{} must make shape {}, got {}", what, shape, made.shape());
    return made;
  };
  const Generator::Position before = generator.position();
  Tensor made;
  try {
    made = parameter(values(generator));
  } catch (const detail::NoMemory& error) {
    throw detail::NoMemory(name, error.message());
  }
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
  const detail::TracedLayer traced(*this);
  Tensor y;
  try {
    y = forward(x);
  } catch (const Error&) {
    if (x.defined()) throw;
    fail(detail::class_name(*this), "the input was never given a value");
  }
  if (const auto* observer = detail::context().call_observer) (*observer)(*this, y);
  return y;
}

std::vector<Tensor> Module::parameters() {
  std::vector<Tensor> found;
  for (auto& [path, tensor] : named_parameters()) found.push_back(tensor);
  return found;
}

NamedTensors Module::named_parameters() {
  NamedTensors found;
  std::set<const detail::Storage*> known;
  Visitor visitor([&](const std::string& path, Tensor& tensor) {
    if (!tensor.is_parameter() || tensor.is_stopped()) return;
    // Of a part of a parameter, the whole of it: gradients are of whole parameters.
    if (known.insert(TensorAccess::storage(tensor)).second)
      found.emplace_back(path, tensor.size() < TensorAccess::storage(tensor)->count()
                                   ? TensorAccess::parameter_of(tensor)
                                   : tensor);
  });
  visit(visitor);
  return found;
}

index_t Module::parameter_count() {
  std::set<const detail::Storage*> counted;
  index_t count = 0;
  for_tensors(*this, [&](Tensor& tensor) {
    // A view of a parameter is that parameter.
    if (tensor.is_parameter() && counted.insert(TensorAccess::storage(tensor)).second)
      count += TensorAccess::storage(tensor)->count();
  });
  return count;
}

State Module::state() {
  return state_view().copy();
}

State Module::state_view() {
  State state;
  Visitor visitor([&](const std::string& path, Tensor& tensor) { state.tensors.emplace_back(path, tensor); });
  visit(visitor);
  state.require_names_once("module");
  return state;
}

namespace {

// Throws for numbers that a tensor of whole numbers does not hold.
void require_fitting(const std::string& path, const Tensor& given, DType dtype) {
  if (is_floating(dtype) || given.dtype() == dtype) return;
  const Tensor x = cast(given, DType::Float64);
  const double low = dtype == DType::UInt8 ? 0 : -0x1p31, high = dtype == DType::UInt8 ? 255 : 0x1p31 - 1;
  if (all(equals(floor(x), x) * (x >= low) * (x <= high)).item() == 0)
    fail("load_state",
         "'{}' is {} in the module: its numbers must be whole and fit, and those in the state ({}) do not",
         path, dtype, given.dtype());
}

}  // namespace

void Module::load_state(const State& given_state, const LoadOptions& options) {
  const NoGrad no_grad;
  given_state.require_names_once("load_state");
  const State state = options.layout == Layout::OIHW ? detail::from_oihw(*this, given_state) : given_state;
  const State own = state_view();
  std::vector<Copy> copies;
  for (const auto& [path, tensor] : own.tensors) {
    const Tensor* given = state.find(path);
    if (given == nullptr)
      fail("load_state", "the state has no tensor '{}' ({} {})", path, tensor.dtype(), tensor.shape());
    if (given->shape() != tensor.shape())
      fail("load_state", "'{}' has shape {} in the state{} but {} in the module", path, given->shape(),
           options.layout == Layout::OIHW ? ", turned from PyTorch's layout," : "", tensor.shape());
    require_fitting(path, *given, tensor.dtype());
    // Memory of their own, which cast() gives: a state that shares the module's would change while it is read.
    copies.push_back({path, tensor, cast(*given, tensor.dtype())});
  }
  for (const auto& [path, tensor] : state.tensors)
    if (own.find(path) == nullptr)
      fail("load_state", "the module has no tensor '{}' ({} {})", path, tensor.dtype(), tensor.shape());
  require_same_where_tied(copies);
  std::vector<Tensor> tensors;
  for (const Copy& copy : copies) tensors.push_back(copy.to);
  detail::require_writable("load_state", tensors);
  for (Copy& copy : copies)
    dispatch(copy.to.dtype(), [&]<class T>(std::type_identity<T>) {
      std::ranges::copy(copy.from.values<T>(), copy.to.mutable_values<T>().begin());
    });
}

void Module::to(DType dtype) {
  if (!is_floating(dtype)) fail("to", "the dtype of parameters must be Float32 or Float64, got {}", dtype);
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

namespace {

// What visit() shows, in its order.
struct Shown {
  explicit Shown(Module& module) {
    modules.push_back(&module);
    Visitor visitor([&](const std::string& path, Tensor& tensor) { tensors.emplace_back(path, tensor); },
                    [&](const std::string&, Module& inner) { modules.push_back(&inner); });
    module.visit(visitor);
  }
  NamedTensors tensors;
  std::vector<Module*> modules;
};

}  // namespace

void separate(Module& copy, const Module& original) {
  if (!same_class(copy, original))
    fail(
        "clone",
        "a {} was given as a {}, so the copy would lack the members of the derived class: call clone() with it",
        class_name(original), class_name(copy));
  const Shown from(const_cast<Module&>(original)), to(copy);  // visit() is for those who change tensors, too
  for (std::size_t i = 0; i < from.tensors.size(); ++i) {
    const auto& [path, tensor] = from.tensors[i];
    if (i >= to.tensors.size() || to.tensors[i].first != path ||
        TensorAccess::storage(to.tensors[i].second) != TensorAccess::storage(tensor))
      fail("clone", "'{}' was not copied by {}(const {}& other, Cloning cloning)", path, class_name(original),
           class_name(original));
  }
  if (from.modules.size() != to.modules.size() || from.tensors.size() != to.tensors.size())
    fail("clone", "visit() shows {} modules and {} tensors of a {} but {} and {} of its copy",
         from.modules.size(), from.tensors.size(), class_name(original), to.modules.size(),
         to.tensors.size());
  for (std::size_t i = 0; i < from.modules.size(); ++i)
    ModuleAccess::set_training(*to.modules[i], from.modules[i]->training());
  renew_memory(
      copy, [](const Tensor&) { return true; },
      [](const Tensor& elements) { return TensorAccess::clone(elements); });
}

}  // namespace detail
}  // namespace tapegrad::inline v0
