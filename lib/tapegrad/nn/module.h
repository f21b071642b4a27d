#pragma once

// Module, the base class of layers and models; visit(), which shows what a module holds; and clone().

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "tapegrad/nn/draws.h"
#include "tapegrad/nn/initializers.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Cloning;
class Module;
namespace detail {
struct ModuleAccess;
}

/// How the tensors of a state are laid out, and what they are called.
enum class Layout {
  HWIO,  ///< as this library writes them
  OIHW,  ///< as PyTorch does
};

struct LoadOptions {
  Layout layout = Layout::HWIO;  ///< of the state that is loaded
};

/// Shown every tensor of a module, with its path ("encoder.0.kernel"), and every module inside of it, before
/// what that one holds.
class Visitor {
 public:
  using OnTensor = std::function<void(const std::string& path, Tensor& tensor)>;
  using OnModule = std::function<void(const std::string& path, Module& module)>;
  explicit Visitor(OnTensor on_tensor, OnModule on_module = {})
      : on_tensor_(std::move(on_tensor)), on_module_(std::move(on_module)) {}

  /// A tensor of the module that is being visited; one that was never given a value is passed over.
  void operator()(std::string_view name, Tensor& tensor);
  /// A module inside of it.
  void operator()(std::string_view name, Module& module);

 private:
  std::string path_;
  OnTensor on_tensor_;
  OnModule on_module_;
};

/// A function of a tensor that owns parameters (tensors made by parameter(), which are trained) and buffers
/// (all its other tensors). To write one: its members, forward(), and visit(), which names them:
///
///   struct Residual : tapegrad::Module {
///     Residual(index_t channels, Generator& generator) : conv({.in_channels = channels, ...}, generator) {}
///     Tensor forward(const Tensor& x) override { return x + conv(x); }
///     void visit(Visitor& visitor) override { visitor("conv", conv); }
///     Conv2D conv;
///   };
///
/// Modules are moved, not copied: a copy's handles would train the original's parameters, so the compiler refuses it.
/// clone() makes a copy with parameters of its own.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  Module(const Module&) = delete;             // modules are moved; clone() makes a copy
  Module& operator=(const Module&) = delete;  // modules are moved; clone() makes a copy

  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x);

  /// Calls visitor(name, member) for every tensor and module that is a member, always in the same order.
  virtual void visit(Visitor& visitor) { (void)visitor; }

  /// What is trained, in the order of visit(): the parameters that are not frozen, each once, whatever views
  /// of it there are.
  [[nodiscard]] std::vector<Tensor> parameters();
  /// The same with their paths. Tied weights have the path that visit() names first.
  [[nodiscard]] NamedTensors named_parameters();
  /// The number of elements of all parameters, frozen ones included, tied ones counted once; without buffers.
  [[nodiscard]] index_t parameter_count();
  /// All tensors by path: a snapshot, which training does not change. Throws when visit() gives two tensors the same
  /// path.
  [[nodiscard]] State state();
  /// The tensors themselves by path, for writing a file without a copy and for what shows or checks parameters by
  /// name; is_parameter() tells parameters from buffers.
  [[nodiscard]] State state_view();
  /// Copies the values of a state into this module's tensors, converted to their dtype. Throws, and changes
  /// nothing, when a tensor is missing, superfluous, or has another shape, when one of the module cannot be written,
  /// and when tied weights have different values in the state.
  ///
  /// With {.layout = Layout::OIHW} the state is one of PyTorch's, of a model whose layers have the same names
  /// ("0", "1",
  /// ... in a Sequential): filters of convolutions (OIHW), transposed convolutions (IOHW) and depthwise ones
  /// become ours, so do the weights of Linear for a Dense ([out, in]), and names (weight and bias,
  /// running_mean and running_var; num_batches_tracked is left out). Of a Module of one's own, all tensors of
  /// rank 4 are taken for filters. What cannot be seen from here: PyTorch flattens images channel by channel,
  /// so the weights of a Linear behind a Flatten expect their features in that order, and a BatchNorm here
  /// has another epsilon unless it is told PyTorch's 1e-5.
  void load_state(const State& state, const LoadOptions& options = {});
  /// Converts all floating tensors; the parameters become new ones, so make the optimizer afterwards. Tensors that
  /// shared memory before share it afterwards.
  void to(DType dtype);

  /// Whether layers that behave differently while they are trained (Dropout, BatchNorm) do: true at first.
  bool training() const { return training_; }
  /// Sets that for this module and all inside of it.
  void train(bool training = true);
  void eval() { train(false); }

  /// Makes this module's parameters, and those of all modules inside of it, constants for every tape:
  /// parameters() leaves them out. Where another module shares one of them it is still trained, for its use
  /// there. BatchNorm's running averages are no parameters: eval() stops them.
  void freeze();
  void unfreeze();

  /// A table of the layers as Keras prints it: path and type, shape of the result, number of elements of the
  /// parameters; and their sums, and that of the buffers, which are no parameters. A layer that is used several times
  /// shows its first result; one that is not called through operator() shows none. Calls the module, in eval mode, with
  /// zeros of this shape or with an input. Parameters that forward() uses but visit() does not show are named below the
  /// table: they would be neither trained nor saved.
  std::string summary(const Shape& input_shape);
  std::string summary(const Tensor& input);

 protected:
  /// A parameter of this shape whose first values the initializer draws. A module that draws all of its
  /// parameters with it has the same ones wherever it stands in a Sequential, whatever order the compiler
  /// makes the layers in. Throws, with this name for the
  /// initializer, when it is empty or makes another shape.
  Tensor draw_parameter(const Initializer& initializer, const Shape& shape, Generator& generator,
                        const char* what = "the initializer");
  /// The same for what is not made by an initializer: tells that values(generator), called when the generator
  /// was at `before`, drew the elements of target.
  void remember_draw(const Tensor& target, const Generator::Position& before, const Generator& generator,
                     std::function<Tensor(Generator&)> values);

 private:
  friend struct detail::ModuleAccess;
  detail::Draws draws_;
  bool training_ = true;
};

namespace detail {

/// Gives the copy, whose tensors are still those of the original, tensors of its own. Throws unless visit() shows the
/// same in both: a member was not copied.
void separate(Module& copy, const Module& original);

[[noreturn]] void refuse_clone(const Module& module, const std::type_info& as);

/// A class's name as it is written, without namespaces.
std::string class_name(const std::type_info& type);

}  // namespace detail

/// What clone() hands to the constructor that copies a module's members, M(const M& other, Cloning cloning). Every layer
/// of the library has one; a module of one's own that is to be cloned gets it like this:
///
///   Residual(const Residual& other, Cloning cloning)
///       : conv(other.conv, cloning), layers(cloning(other.layers)), scale(other.scale) {}
///
/// Tensors and plain values are copied as they are: clone() gives the tensors memory of their own afterwards.
class Cloning {
 public:
  /// Copies of the modules in a list.
  template <std::derived_from<Module> M>
  std::vector<M> operator()(const std::vector<M>& modules) const {
    std::vector<M> copies;
    copies.reserve(modules.size());
    for (const M& module : modules) copies.emplace_back(module, *this);
    return copies;
  }

 private:
  friend struct detail::ModuleAccess;
  Cloning() = default;
};

namespace detail {

struct ModuleAccess {
  static Draws& draws(Module& module) { return module.draws_; }
  static void set_training(Module& module, bool training) { module.training_ = training; }
  static Cloning cloning() { return {}; }
};

}  // namespace detail

/// A copy with tensors of its own, all that visit() shows: training one leaves the other alone. Weights that
/// are tied in the original are tied in the copy, what is frozen is frozen, and the modes (train, eval) are the same.
/// Of a module of one's own it needs a constructor: see Cloning. Throws when that did not copy all that visit()
/// shows, and when module is of a class derived from M.
///
/// What clone() cannot see stays that of the original: a tensor that visit() does not show (forgotten, or captured by a
/// lambda) is shared by both, and a module that points into itself (a pointer or reference to a member, a lambda that
/// captured `this`) still computes with the original's members. GradientOptions::all_parameters and summary() find
/// such parameters. To bring back earlier weights no clone is needed: State best = net.state();
/// net.load_state(best).
template <std::derived_from<Module> M>
requires(!std::is_abstract_v<M>) [[nodiscard]] M clone(const M& module) {
  static_assert(
      std::constructible_from<M, const M&, Cloning>,
      "clone() needs a constructor M(const M& other, Cloning cloning) that copies the members: see Cloning");
  if (typeid(module) != typeid(M)) detail::refuse_clone(module, typeid(M));
  M copy(module, detail::ModuleAccess::cloning());
  detail::separate(copy, module);
  return copy;
}

}  // namespace v0
}  // namespace tapegrad
