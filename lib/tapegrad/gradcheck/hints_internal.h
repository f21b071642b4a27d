#pragma once

// Internal: known mistakes, recognized by comparing the numeric gradient with transformations of the analytic
// one, and with what the backward pass gives for transformed inputs.

#include <string>
#include <vector>

#include "tapegrad/gradcheck/probe_internal.h"

namespace tapegrad::inline v0::detail {

/// All that is known about the failure of one input.
struct Evidence {
  const Problem& problem;
  const Prober& prober;
  Tensors& xs;
  const Tensors& rs;
  const Tensors& analytic;
  const std::vector<GradcheckTensor>& tensors;  // names, axes, numeric gradients
  const std::vector<std::string>& result_names;
  std::size_t k;                     // which input
  const std::vector<double>& steps;  // for each of its entries
  bool second_order;
};

/// The best explanations of what is wrong with input k; none if no pattern fits.
std::vector<GradcheckHint> find_hints(const Evidence& evidence);

/// Where an entry is, as numbers along the axes.
std::vector<index_t> index_of(index_t element, const Shape& shape);

}  // namespace tapegrad::inline v0::detail
