#pragma once

// Gradients that know whose they are: what Tape::gradient() and batch_gradient() return, and what optimizers take.

#include <cstddef>
#include <span>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Gradients, each with the tensor (most often a parameter) that it is the gradient of. To be read as a list of
/// tensors: it has their size(), [], begin() and end(), and converts to a const std::vector<Tensor>&. A list of
/// plain tensors becomes gradients only with their parameters, so that none is taken for another's:
///
///   Gradients gradients(net.parameters(), averaged);
class Gradients {
 public:
  Gradients() = default;
  /// gradients[i] is that of parameters[i]. Throws unless both have the same length, shapes and dtypes.
  Gradients(std::vector<Tensor> parameters, std::vector<Tensor> gradients);

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

  /// Whose gradients they are, in the same order.
  const std::vector<Tensor>& parameters() const { return parameters_; }
  /// The gradients of these parameters only, in this order. For several optimizers that share one backward pass.
  /// Throws when one of the parameters has no gradient here.
  [[nodiscard]] Gradients of(const std::vector<Tensor>& parameters) const;

 private:
  std::vector<Tensor> parameters_, tensors_;
};

}  // namespace v0
}  // namespace tapegrad
