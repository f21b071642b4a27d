#pragma once

// Gradients together with their parameters: Tape::gradient() and batch_gradient() return them, optimizers take them.

#include <cstddef>
#include <span>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A list of gradients, each with the tensor (most often a parameter) that it is the gradient of. Reads like a list of
/// tensors: size(), [], begin() and end() are those of the gradients, and it converts to a const std::vector<Tensor>&.
/// Plain tensors become Gradients only together with their parameters, so that no gradient reaches another parameter:
///
///   Gradients gradients(net.parameters(), averaged);
class Gradients {
 public:
  Gradients() = default;
  /// gradients[i] is the gradient of parameters[i]. Throws unless both lists have the same length, shapes and dtypes.
  Gradients(std::vector<Tensor> parameters, std::vector<Tensor> gradients);
  Gradients(const Gradients& other);
  Gradients& operator=(const Gradients& other);
  Gradients(Gradients&& other) noexcept;
  Gradients& operator=(Gradients&& other) noexcept;
  ~Gradients();

  std::size_t size() const { return tensors_.size(); }
  bool empty() const { return tensors_.empty(); }
  const Tensor& operator[](std::size_t i) const { return tensors_[i]; }
  Tensor& operator[](std::size_t i) { return tensors_[i]; }
  /// Throws when there is no gradient i.
  const Tensor& at(std::size_t i) const;
  const Tensor& front() const { return at(0); }
  const Tensor& back() const { return at(size() - 1); }
  auto begin() const { return tensors_.begin(); }
  auto end() const { return tensors_.end(); }
  auto begin() { return tensors_.begin(); }
  auto end() { return tensors_.end(); }
  operator const std::vector<Tensor>&() const { return tensors_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }

  /// The tensors that these are the gradients of, in the same order.
  const std::vector<Tensor>& parameters() const { return parameters_; }
  /// The gradients of these parameters only, in the order of `parameters`. For several optimizers that share one
  /// backward pass. Throws when one of the parameters has no gradient in this list.
  [[nodiscard]] Gradients of(const std::vector<Tensor>& parameters) const;

 private:
  std::vector<Tensor> parameters_, tensors_;
};

}  // namespace v0
}  // namespace tapegrad
