#include "tapegrad/autograd/gradients.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "tapegrad/autograd/gradients_internal.h"
#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/kept_internal.h"

namespace tapegrad::inline v0 {

Gradients::Gradients(std::vector<Tensor> parameters, std::vector<Tensor> gradients)
    : parameters_(std::move(parameters)), tensors_(std::move(gradients)) {
  constexpr const char* kName = "Gradients";
  if (parameters_.size() != tensors_.size())
    fail(kName, "there must be one gradient for each parameter, got {} gradients for {} parameters",
         tensors_.size(), parameters_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const Tensor &p = parameters_[i], &g = tensors_[i];
    if (!p.defined() || !g.defined())
      fail(kName, "{} {} was never given a value", p.defined() ? "gradient" : "parameter", i);
    if (g.shape() != p.shape() || g.dtype() != p.dtype())
      fail(kName, "gradient {} must be {} {}, as its parameter, got {} {}", i, p.dtype(), p.shape(),
           g.dtype(), g.shape());
  }
}

Gradients::Gradients(const Gradients& other) = default;
Gradients& Gradients::operator=(const Gradients& other) = default;
Gradients::Gradients(Gradients&& other) noexcept = default;
Gradients& Gradients::operator=(Gradients&& other) noexcept = default;

// The next step's gradients take over the memory of the lists.
Gradients::~Gradients() {
  const detail::KeptList parameters(std::move(parameters_)), tensors(std::move(tensors_));
}

const Tensor& Gradients::at(std::size_t i) const {
  if (i >= size())
    fail("Gradients", "index must be less than {}, the number of gradients, got {}", size(), i);
  return tensors_[i];
}

Gradients Gradients::of(const std::vector<Tensor>& parameters) const {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i].defined()) fail("Gradients", "parameter {} was never given a value", i);
  const auto positions = detail::positions_of(parameters, parameters_);
  Gradients found;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (positions[i] == detail::kNotFound)
      fail("Gradients", "parameter {} (shape {}) has no gradient here: add it to the sources of gradient()",
           i, parameters[i].shape());
    found.parameters_.push_back(parameters_[positions[i]]);
    found.tensors_.push_back(tensors_[positions[i]]);
  }
  return found;
}

namespace detail {
namespace {

auto elements_of(const Tensor& x) {
  return std::tuple(TensorAccess::storage(x), TensorAccess::offset(x), x.size());
}

}  // namespace

BlockVector<std::size_t> positions_of(const std::vector<Tensor>& tensors, const std::vector<Tensor>& among) {
  BlockVector<std::size_t> positions(tensors.size(), kNotFound);
  std::map<decltype(elements_of(Tensor())), std::size_t> known;  // made when the orders differ
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto elements = elements_of(tensors[i]);
    if (known.empty() && i < among.size() && elements == elements_of(among[i])) {
      positions[i] = i;
      continue;
    }
    if (known.empty())
      for (std::size_t k = 0; k < among.size(); ++k) known.insert({elements_of(among[k]), k});
    const auto found = known.find(elements);
    if (found != known.end()) positions[i] = found->second;
  }
  return positions;
}

void require_all_parameters(const Recording& recording, const Node& last, index_t mark, int tape,
                            std::span<Node* const> sources) {
  BlockVector<char> reached(static_cast<std::size_t>(last.number) + 1, 0);
  reached.back() = 1;
  for (index_t i = last.number; i >= mark; --i) {
    const Node& node = recording[i];
    if (reached[static_cast<std::size_t>(i)] == 0 || node.watched_by == tape) continue;
    for (int e = 0; e < node.edge_count; ++e)
      reached[static_cast<std::size_t>(node.edges[e].input->number)] = 1;
  }
  BlockVector<Shape> missing;
  const KeptList<std::vector<Tensor>> parameters = recording.parameters();
  for (const Tensor& parameter : *parameters) {
    Node* node = TensorAccess::origin(parameter).node;
    const bool used = node->number <= last.number && reached[static_cast<std::size_t>(node->number)] != 0;
    if (used && std::ranges::find(sources, node) == sources.end()) missing.push_back(node->shape);
  }
  if (missing.empty()) return;
  fail(
      "gradient",
      "the result depends on {} that {} not among the sources (shape{} {}): did visit() forget a member, did a "
      "lambda capture a parameter, or does a clone use a parameter of the original?",
      missing.size() == 1 ? "a parameter" : fmt::format("{} parameters", missing.size()),
      missing.size() == 1 ? "is" : "are", missing.size() == 1 ? "" : "s", join(missing, ", "));
}

}  // namespace detail
}  // namespace tapegrad::inline v0
