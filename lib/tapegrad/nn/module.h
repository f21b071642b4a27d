#pragma once

// Module, the base class of layers and models; Visitor, which receives the members of a module; and clone().

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
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

/// The layout and the names of the tensors in a state.
enum class Layout {
  HWIO,  ///< those of this library
  OIHW,  ///< those of PyTorch
};

struct LoadOptions {
  Layout layout = Layout::HWIO;  ///< of the state that is loaded
};

/// Receives every tensor of a module, with its path ("encoder.0.kernel"), and every inner module, before that module's
/// own members.
class Visitor {
 public:
  using OnTensor = std::function<void(const std::string& path, Tensor& tensor)>;
  using OnModule = std::function<void(const std::string& path, Module& module)>;
  explicit Visitor(OnTensor on_tensor, OnModule on_module = {})
      : on_tensor_(std::move(on_tensor)), on_module_(std::move(on_module)) {}

  /// Called by visit() for each tensor member. An undefined tensor is skipped.
  void operator()(std::string_view name, Tensor& tensor);
  /// Called by visit() for each member that is a module.
  void operator()(std::string_view name, Module& module);

 private:
  std::string path_;
  OnTensor on_tensor_;
  OnModule on_module_;
};

/// A function of a tensor that owns parameters (tensors made by parameter(), which are trained) and buffers (all other
/// tensors). To write a module, declare its members, forward(), and visit(), which names the members:
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
  virtual ~Module();
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  Module(const Module&) = delete;             // modules are moved; clone() makes a copy
  Module& operator=(const Module&) = delete;  // modules are moved; clone() makes a copy

  /// Computes the result. A module implements forward(); its users call the module, net(x).
  [[nodiscard]] virtual Tensor forward(const Tensor& x) = 0;
  /// forward(x), in a way that summary() can observe.
  [[nodiscard]] Tensor operator()(const Tensor& x);

  /// Calls visitor(name, member) for every tensor and module that is a member, always in the same order.
  virtual void visit(Visitor& visitor) { (void)visitor; }

  /// The parameters that are trained (those that are not frozen), in the order of visit(), each once, however many
  /// views of it visit() shows.
  [[nodiscard]] std::vector<Tensor> parameters();
  /// The parameters with their paths. Tied weights have the path that visit() names first.
  [[nodiscard]] NamedTensors named_parameters();
  /// The number of elements of all parameters, frozen ones included, tied ones counted once; without buffers.
  [[nodiscard]] index_t parameter_count();
  /// A snapshot of all tensors by path, which training does not change. Throws when visit() gives two tensors the same
  /// path.
  [[nodiscard]] State state();
  /// The tensors themselves by path, without a copy: for writing a file, and for functions that show or check
  /// parameters by name. is_parameter() tells parameters from buffers.
  [[nodiscard]] State state_view();
  /// Copies the values of a state into this module's tensors, converted to their dtype. Throws, and changes nothing,
  /// when a tensor of the state is missing, superfluous, or has another shape, when a tensor of the module cannot be
  /// written, and when tied weights have different values in the state.
  ///
  /// With {.layout = Layout::OIHW} the state is one of PyTorch, of a model whose layers have the same names ("0", "1",
  /// ... in a Sequential). Filters of convolutions (OIHW), of transposed convolutions (IOHW) and of depthwise
  /// convolutions are permuted to the layout of this library, the weight of a Linear ([out, in]) is transposed for a
  /// Dense, and names are translated (weight and bias, running_mean and running_var; num_batches_tracked is ignored). A
  /// tensor of rank 4 in a Module of your own is permuted if only its permuted shape fits; where both shapes fit,
  /// load_state() throws. Two differences remain: PyTorch flattens images channel by channel, so the weights of a
  /// Linear after a Flatten expect their features in that order; and PyTorch's BatchNorm has the epsilon 1e-5, which
  /// the BatchNorm here must be given.
  void load_state(const State& state, const LoadOptions& options = {});
  /// Converts all floating tensors; the parameters become new ones, so make the optimizer afterwards. Tensors that
  /// shared memory before share it afterwards.
  void to(DType dtype);

  /// Whether the module is in training mode, in which Dropout and BatchNorm behave differently: true at first.
  bool training() const { return training_; }
  /// Sets the mode of this module and of all inner modules.
  void train(bool training = true);
  /// train(false).
  void eval() { train(false); }

  /// Makes the parameters of this module and of all inner modules constants for every tape; parameters() leaves them
  /// out. A parameter that another module shares is still trained through that module. The running averages of
  /// BatchNorm are not parameters: eval() stops their updates.
  void freeze();
  /// Undoes freeze().
  void unfreeze();

  /// A table of the layers as Keras prints it: path and type, shape of the result, and number of parameters of each
  /// layer; then the sums of parameters and of buffers. A layer that is called several times shows its first result; a
  /// layer that is not called through operator() shows none. Calls the module in eval mode, with zeros of this shape or
  /// with the given input. Parameters that forward() uses but visit() does not show are named below the table: they
  /// would be neither trained nor saved.
  [[nodiscard]] std::string summary(const Shape& input_shape);
  [[nodiscard]] std::string summary(const Tensor& input);

 protected:
  /// A new parameter of this shape, whose initial values the initializer draws. A module that draws all its parameters
  /// with draw_parameter() gets the same values wherever it stands in a Sequential, whatever order the compiler
  /// constructs the layers in. Throws, calling the initializer `what`, when it is empty or returns another shape.
  Tensor draw_parameter(const Initializer& initializer, const Shape& shape, Generator& generator,
                        const char* what = "the initializer");
  /// As draw_parameter(), for values that no initializer makes: records that values(generator), called when the
  /// generator was at `before`, drew the elements of target.
  void remember_draw(const Tensor& target, const Generator::Position& before, const Generator& generator,
                     std::function<Tensor(Generator&)> values);

 private:
  friend struct detail::ModuleAccess;
  detail::Draws draws_;
  bool training_ = true;
};

namespace detail {

/// Gives the copy, whose tensors are still those of the original, tensors of its own. Throws unless both are of one class,
/// and visit() shows the same in both: a member was not copied.
void separate(Module& copy, const Module& original);

}  // namespace detail

/// The argument that clone() passes to the constructor that copies a module's members, M(const M& other, Cloning
/// cloning). Every layer of the library has such a constructor; a module of your own that is to be cloned needs one:
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

/// A copy of a module, with tensors of its own for all members that visit() shows: training one module leaves the other
/// alone. Weights that are tied in the original are tied in the copy, frozen ones are frozen, and the modes (train,
/// eval) are the same. A module of your own needs a constructor for clone(): see Cloning. Throws when this constructor
/// did not copy all members that visit() shows, and when module is of a class derived from M.
///
/// clone() cannot separate everything: a tensor that visit() does not show (forgotten, or captured by a lambda) is
/// shared by both modules, and a module that points into itself (a pointer or reference to a member, a lambda that
/// captured `this`) still computes with the original's members. GradientOptions::all_parameters and summary() find such
/// parameters. To restore earlier weights no clone is needed: State best = net.state(); net.load_state(best).
template <std::derived_from<Module> M>
requires(!std::is_abstract_v<M>) [[nodiscard]] M clone(const M& module) {
  static_assert(
      std::constructible_from<M, const M&, Cloning>,
      "clone() needs a constructor M(const M& other, Cloning cloning) that copies the members: see Cloning");
  M copy(module, detail::ModuleAccess::cloning());
  detail::separate(copy, module);
  return copy;
}

}  // namespace v0
}  // namespace tapegrad
