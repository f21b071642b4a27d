#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

class Module;

/// Shown every tensor of a module, with its path ("encoder.0.kernel").
class Visitor {
 public:
  using Function = std::function<void(const std::string& path, Tensor& tensor)>;
  explicit Visitor(Function function) : function_(std::move(function)) {}

  /// A tensor of the module that is being visited; one that was never given a value is passed over.
  void operator()(std::string_view name, Tensor& tensor);
  /// A module inside of it.
  void operator()(std::string_view name, Module& module);

 private:
  std::string path_;
  Function function_;
};

/// A function of a tensor that owns parameters. To write one: its members, forward(), and visit(), which
/// names them:
///
///   struct Residual : tapegrad::Module {
///     Residual(index_t channels, Generator& generator) : conv({.in_channels = channels, ...}, generator) {}
///     Tensor forward(const Tensor& x) override { return x + conv(x); }
///     void visit(Visitor& visitor) override { visitor("conv", conv); }
///     Conv2D conv;
///   };
///
/// Modules are moved, not copied: a copied handle would train the original's parameters.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x) { return forward(x); }

  /// Calls visitor(name, member) for every tensor and module that is a member, always in the same order.
  virtual void visit(Visitor& visitor) { (void)visitor; }

  /// What is trained, in the order of visit().
  std::vector<Tensor> parameters();
  /// All tensors by path.
  State state();
  /// Copies the values of a state into this module's tensors, converted to their dtype. Throws, and changes
  /// nothing, when a tensor is missing, superfluous, or has another shape.
  void load_state(const State& state);
  /// Converts all floating tensors; the parameters become new ones, so make the optimizer afterwards.
  void to(DType dtype);
};

}  // namespace tapegrad
