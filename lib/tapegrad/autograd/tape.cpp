#include "tapegrad/autograd/tape.h"

#include <algorithm>
#include <vector>

#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/elementwise.h"

namespace tapegrad {
namespace {

using detail::Edge;
using detail::Node;
using detail::Recording;
using detail::RecordingScope;

// Scopes nest, so normally the innermost one ends; a scope that ends out of turn is unlinked where it stands.
void enter(RecordingScope& scope) {
  scope.outer = detail::innermost_scope();
  detail::innermost_scope() = &scope;
  detail::loop_context().is_recording = &is_recording;
}

void leave(RecordingScope& scope) {
  for (detail::Scope** at = &detail::innermost_scope(); *at != nullptr; at = &(*at)->outer) {
    if (*at != &scope) continue;
    *at = scope.outer;
    return;
  }
}

// While a gradient runs its rules: recorded on the tape, or not at all.
class RuleScope {
 public:
  explicit RuleScope(Recording* recording) {
    scope_.tape = recording == nullptr ? 0 : recording->serial;
    scope_.recording = recording;
    enter(scope_);
  }
  ~RuleScope() { leave(scope_); }
  RuleScope(const RuleScope&) = delete;
  RuleScope& operator=(const RuleScope&) = delete;

 private:
  RecordingScope scope_;
};

bool tracked_by(const Recording& recording, const Tensor& x) {
  return TensorAccess::origin(x).tape == recording.serial;
}

bool nobody_else_holds(const Tensor& x) {
  const detail::Storage* storage = TensorAccess::storage(x);
  return storage->use_count() == 1 && storage->owns_memory() && !storage->trainable;
}

/// The gradients that one call of gradient() has found so far, by node. Most nodes wait for theirs only
/// briefly, so the tensors live in a few slots that are used again.
class Slots {
 public:
  explicit Slots(index_t nodes) : slot_of_(static_cast<std::size_t>(nodes), kNone) {}

  void add(const Recording& recording, index_t node, Tensor gradient) {
    std::int32_t& slot = slot_of_[static_cast<std::size_t>(node)];
    if (slot == kNone) {
      if (free_.empty()) {
        free_.push_back(static_cast<std::int32_t>(tensors_.size()));
        tensors_.emplace_back();
      }
      slot = free_.back();
      free_.pop_back();
      tensors_[static_cast<std::size_t>(slot)] = std::move(gradient);
      return;
    }
    Tensor& sum = tensors_[static_cast<std::size_t>(slot)];
    if (nobody_else_holds(sum) && !tracked_by(recording, sum) && !tracked_by(recording, gradient)) {
      dispatch(sum.dtype(), [&](auto type) {
        using T = typename decltype(type)::type;
        T* into = sum.mutable_data<T>();
        kernels::map(
            sum.size(), into, [](T x, T y) { return static_cast<T>(x + y); }, static_cast<const T*>(into),
            gradient.data<T>());
      });
    } else {
      sum = detail::sum_of(sum, gradient);
    }
  }

  bool has(index_t node) const { return slot_of_[static_cast<std::size_t>(node)] != kNone; }

  Tensor take(index_t node) {
    const std::int32_t slot = std::exchange(slot_of_[static_cast<std::size_t>(node)], kNone);
    free_.push_back(slot);
    return std::move(tensors_[static_cast<std::size_t>(slot)]);
  }

 private:
  static constexpr std::int32_t kNone = -1;
  std::vector<std::int32_t> slot_of_, free_;
  std::vector<Tensor> tensors_;
};

Tensor run_rule(const Recording& recording, const Node& node, const Edge& edge, const Tensor& g) {
  Tensor found;
  try {
    found = edge.rule->apply(g, node.kept != nullptr ? *node.kept : Tensor());
  } catch (const Error& error) {
    fail(node.op, "while computing a gradient: {}", error.op() == "saved" ? error.message() : error.what());
  }
  const Node& input = *edge.input;
  if (!found.defined())
    fail(node.op, "its gradient rule returned no tensor for the input of shape {}", input.shape);
  if (found.shape() != input.shape || found.dtype() != input.dtype)
    fail(node.op, "its gradient rule returned {} {} for an input of {} {}", found.dtype(), found.shape(),
         input.dtype, input.shape);
  if (tracked_by(recording, g) && !tracked_by(recording, found))
    fail(node.op,
         "its gradient rule for the input of shape {} is not made of differentiable ops, so gradients of "
         "gradients "
         "would be wrong",
         input.shape);
  return found;
}

}  // namespace

bool is_recording() {
  return detail::active_recording() != nullptr;
}

Tape::Tape(TapeOptions options) : persistent_(options.persistent) {
  const detail::Scope* outer = detail::innermost_scope();
  const bool in_this_loop =
      outer != nullptr && outer->tape != 0 &&
      static_cast<const RecordingScope*>(outer)->recording->loop_depth == detail::loop_context().depth;
  if (in_this_loop) {
    // Shares the recording: the outer tape holds on to it, and so does this one.
    recording_ = static_cast<const RecordingScope*>(outer)->recording->shared_from_this();
    nested_ = true;
    mark_ = recording_->size();
  } else {
    recording_ = std::make_shared<Recording>();
  }
  scope_.tape = recording_->serial;
  scope_.recording = recording_.get();
  enter(scope_);
}

Tape::~Tape() {
  leave(scope_);
}

void Tape::require_usable(const char* what) const {
  if (recording_->thread != std::this_thread::get_id())
    fail("tape", "{} was called on another thread than the one that made the tape", what);
  if (spent_ || recording_->spent)
    fail("tape",
         "{} was called on a spent tape: gradient() frees what the tape saved. For several calls make it "
         "Tape({{.persistent = true}}), for gradients of gradients pass {{.create_graph = true}}",
         what);
}

index_t Tape::size() const {
  return recording_->size() - mark_;
}

Tensor Tape::watch(const Tensor& x) {
  require_usable("watch");
  if (!is_floating(x.dtype())) fail("watch", "takes Float32 or Float64, not {}", x.dtype());
  const RuleScope scope(recording_.get());
  // For the outer tapes it is x itself.
  Tensor watched = TensorAccess::view(x, x.shape());
  const bool known_outside = nested_ && (tracked_by(*recording_, x) || x.is_parameter()) && !x.is_stopped();
  if (known_outside) return record("watch", watched, {{x, [](const Tensor& g) { return g; }}});
  TensorAccess::set_stopped(watched, false);
  TensorAccess::origin(watched) = {recording_->serial, recording_->add("watch", x.shape(), x.dtype())};
  return watched;
}

Tensor Tape::gradient(const Tensor& y, const Tensor& x, const GradientOptions& options) {
  return std::move(gradient(y, std::vector<Tensor>{x}, options).front());
}

std::vector<Tensor> Tape::gradient(const Tensor& y, const std::vector<Tensor>& xs,
                                   const GradientOptions& options) {
  require_usable("gradient");
  Recording& recording = *recording_;
  const index_t first = mark_;
  const auto node_of = [&](const Tensor& x) -> Node* {
    if (x.is_stopped()) return nullptr;
    if (tracked_by(recording, x)) return TensorAccess::origin(x).node;
    return x.is_parameter() ? recording.find_parameter(x) : nullptr;
  };

  // The arguments.
  Node* const last = node_of(y);
  if (last == nullptr)
    fail("gradient",
         "the result (shape {}) was not computed on this tape from a parameter or a watched tensor, so it "
         "has no "
         "gradient",
         y.shape());
  Tensor seed = options.output_gradient;
  if (!seed.defined()) {
    if (y.size() != 1)
      fail("gradient",
           "the result has shape {}: reduce it to one element (sum, mean) or give an output_gradient of "
           "that shape",
           y.shape());
    seed = ones(y.shape(), y.dtype());
  }
  if (seed.shape() != y.shape() || seed.dtype() != y.dtype())
    fail("gradient", "the output_gradient is {} {} but the result is {} {}", seed.dtype(), seed.shape(),
         y.dtype(), y.shape());
  std::vector<Node*> sources;
  for (const Tensor& x : xs) {
    Node* node = node_of(x);
    const auto number = sources.size();
    if (node == nullptr && !x.is_parameter())
      fail("gradient",
           "source {} (shape {}) is a constant of this tape: make it a parameter(), or watch() it before use",
           number, x.shape());
    if (node != nullptr && node->shape.size() != x.size())
      fail("gradient", "source {} (shape {}) is a part of a parameter of shape {}: ask for the whole one",
           number, x.shape(), node->shape);
    sources.push_back(node);
  }

  // Which nodes lead to a source. Sources from before the mark are variables of their own: nothing behind
  // them counts.
  const index_t count = std::max(last->number + 1, first);
  std::vector<char> leads(static_cast<std::size_t>(count), 0);
  for (const Node* source : sources)
    if (source != nullptr && source->number < count) leads[static_cast<std::size_t>(source->number)] = 1;
  std::vector<char> is_source = leads;
  const auto leads_at = [&](index_t number) -> char& { return leads[static_cast<std::size_t>(number)]; };
  for (index_t i = first; i < count; ++i)
    for (int e = 0; e < recording[i].edge_count; ++e)
      leads_at(i) |= leads_at(recording[i].edges[e].input->number);

  // Inside another tape the backward pass is a part of that tape's computation.
  const bool record_rules = options.create_graph || nested_;
  const bool keep = record_rules || persistent_;
  std::vector<Tensor> found(sources.size());
  const auto deliver = [&](const Node& node, const Tensor& g) {
    for (std::size_t s = 0; s < sources.size(); ++s)
      if (sources[s] == &node) found[s] = g;
  };
  try {
    const RuleScope scope(record_rules ? &recording : nullptr);
    Slots slots(count);
    slots.add(recording, last->number, std::move(seed));
    for (index_t i = count; i-- > 0;) {
      Node& node = recording[i];
      if (slots.has(i)) {
        const Tensor g = slots.take(i);
        if (is_source[static_cast<std::size_t>(i)]) deliver(node, g);
        for (int e = 0; i >= first && e < node.edge_count; ++e)
          if (leads_at(node.edges[e].input->number) != 0)
            slots.add(recording, node.edges[e].input->number, run_rule(recording, node, node.edges[e], g));
      }
      if (!keep) Recording::forget(node);
    }
    for (std::size_t s = 0; s < sources.size(); ++s) {
      Tensor& g = found[s];
      if (!g.defined()) {
        if (!options.zeros_for_unreached)
          fail("gradient",
               "the result does not depend on source {} (shape {}). Leave it out, or pass "
               ".zeros_for_unreached = true",
               s, xs[s].shape());
        g = zeros_like(xs[s]);
      }
      // In memory of its own, and shaped as asked: a parameter may have been asked for through a view of it.
      if (g.shape() != xs[s].shape())
        g = detail::view("reshape", std::exchange(g, Tensor()), xs[s].shape(), 0);
      if (!nobody_else_holds(g) || TensorAccess::storage(g)->count() != g.size()) g = detail::copy_of(g);
      if (!record_rules) g = TensorAccess::view(std::exchange(g, Tensor()), xs[s].shape());
    }
  } catch (...) {
    if (!keep) recording.clear();
    spent_ = spent_ || !(persistent_ || options.create_graph);
    scope_.tape = spent_ && !nested_ ? 0 : scope_.tape;
    throw;
  }
  if (!keep) recording.clear();
  if (!persistent_ && !options.create_graph) {
    spent_ = true;
    if (!nested_) scope_.tape = 0;  // an outer tape goes on recording, this one is done
  }
  return found;
}

PauseRecording::PauseRecording() {
  enter(scope_);
}

PauseRecording::~PauseRecording() {
  leave(scope_);
}

}  // namespace tapegrad
