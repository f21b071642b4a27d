#pragma once

// For exporters: which ops compute the result of a function, with their inputs and options.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tapegrad/base/window.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Module;

/// An option of an op, as numbers: "axes" {1, 2}, "number" {0.5} for x * 0.5, a truth as 0 or 1.
struct OpOption {
  std::string name;
  std::vector<double> values;
};

/// An op that was computed.
struct TracedOp {
  std::string op;  ///< "conv2d", "add": the name that the op has in errors and on a tape
  /// The op's arguments that are tensors, in their order; before them masks and indices, which have no gradient.
  std::vector<Tensor> inputs;
  Tensor output;                  ///< the result
  std::vector<OpOption> options;  ///< what the op was told beside tensors
  /// Of convolutions and poolings: as of the conv2d() that the op is, or is a transpose or a gradient of.
  std::optional<Conv2DGeometry> geometry;
  /// Of the inputs, and of the output behind them: how often each had been written to. A number that is not that of the
  /// tensor any more tells that it was changed in place since.
  std::vector<std::uint64_t> versions;
  const Module* layer = nullptr;  ///< the innermost module whose call computed the op; nullptr outside of one
};

/// Calls f, and returns the ops that f computes on this thread, in their order: those that a tape would record, and
/// comparisons, argmax() and the like, which a tape does not record. Ops that are made of others, such as
/// layer_norm(), are told as these others. A number that f takes out of a tensor (item(), values()) is not seen: what
/// depends on it is a constant here. Tensors with the same elements() and shape() are the same value; of several ops with
/// the same output the last tells the most: batch_norm(), after the products that it is made of. Throws what f throws.
[[nodiscard]] std::vector<TracedOp> trace_ops(const std::function<void()>& f);

}  // namespace v0
}  // namespace tapegrad
