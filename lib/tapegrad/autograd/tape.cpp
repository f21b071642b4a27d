#include "tapegrad/autograd/tape.h"

#include <algorithm>
#include <exception>
#include <new>
#include <vector>

#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/elementwise.h"

namespace tapegrad::inline v0 {
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

/// The gradients that one backward pass has found so far, by the position of their node. Most nodes wait for
/// theirs only briefly, so the tensors live in a few slots that are used again.
class Slots {
 public:
  /// recorded: sums are recorded as well, and so never made in place.
  Slots(std::size_t positions, bool recorded) : slot_of_(positions, kNone), recorded_(recorded) {}

  bool has(std::size_t position) const { return slot_of_[position] != kNone; }

  void add(std::size_t position, Tensor gradient) {
    std::int32_t& slot = slot_of_[position];
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
    if (recorded_ || !nobody_else_holds(sum)) {
      sum = detail::sum_of(sum, gradient);
      return;
    }
    dispatch(sum.dtype(), [&]<class T>(std::type_identity<T>) {
      T* into = sum.mutable_data<T>();
      kernels::map(
          sum.size(), into, [](T a, T b) { return static_cast<T>(a + b); }, static_cast<const T*>(into),
          gradient.data<T>());
    });
  }

  Tensor take(std::size_t position) {
    const std::int32_t slot = std::exchange(slot_of_[position], kNone);
    free_.push_back(slot);
    return std::exchange(tensors_[static_cast<std::size_t>(slot)], Tensor());
  }

 private:
  static constexpr std::int32_t kNone = -1;
  std::vector<std::int32_t> slot_of_, free_;
  std::vector<Tensor> tensors_;
  bool recorded_;
};

/// One call of gradient(): from the node `last` back to the sources. A tape's own nodes are those from `mark`
/// on, and what it watches are variables for it: behind these, and behind the mark, nothing is followed.
class Backward {
 public:
  Backward(Recording& recording, index_t mark, int tape, const Node& last, const std::vector<Node*>& sources)
      : recording_(recording), tape_(tape), last_(last.number), next_source_(sources.size(), kNone) {
    // Only what lies between the first source and the result can matter, and sources from before the mark.
    low_ = last_ + 1;
    for (const Node* source : sources) {
      if (source == nullptr) continue;
      if (source->number < mark)
        early_.push_back(source->number);
      else
        low_ = std::min(low_, source->number);
    }
    if (!early_.empty()) low_ = mark;
    std::ranges::sort(early_);
    early_.erase(std::unique(early_.begin(), early_.end()), early_.end());
    low_ = std::min(low_, std::max(mark, last_ + 1));

    const std::size_t positions =
        early_.size() + static_cast<std::size_t>(std::max<index_t>(0, last_ + 1 - low_));
    leads_.assign(positions, 0);
    source_at_.assign(positions, kNone);
    for (std::size_t s = sources.size(); s-- > 0;) {
      if (sources[s] == nullptr) continue;
      const std::size_t at = position(*sources[s]);
      if (at == kNowhere) continue;  // younger than the result
      leads_[at] = 1;
      next_source_[s] = std::exchange(source_at_[at], static_cast<std::int32_t>(s));
    }
    for (index_t i = low_; i <= last_; ++i) {
      const Node& node = recording_[i];
      char& leads = leads_[position(node)];
      for (const Edge& edge : followed(node)) leads |= leads_to_source(*edge.input);
    }
  }

  /// Runs the rules on the way, the last op's first. found[s] becomes the gradient of source s if it is
  /// reached.
  void run(Tensor seed, std::vector<Tensor>& found, bool recorded, bool forget) {
    Slots slots(leads_.size(), recorded);
    const std::size_t top = position(recording_[last_]);
    if (top != kNowhere) slots.add(top, std::move(seed));
    const auto deliver = [&](std::size_t at, const Tensor& g) {
      for (std::int32_t s = source_at_[at]; s != kNone; s = next_source_[static_cast<std::size_t>(s)])
        found[static_cast<std::size_t>(s)] = g;
    };
    for (index_t i = last_; i >= low_; --i) {
      Node& node = recording_[i];
      if (const std::size_t at = position(node); slots.has(at)) {
        const Tensor g = slots.take(at);
        deliver(at, g);
        call_hooks(node, g);
        run_rules(node, g, recorded, slots);
      }
      if (forget) Recording::forget(node);
    }
    for (std::size_t at = 0; at < early_.size(); ++at) {
      if (!slots.has(at)) continue;
      const Tensor g = slots.take(at);
      deliver(at, g);
      call_hooks(recording_[early_[at]], g);
    }
  }

 private:
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  static constexpr std::int32_t kNone = -1;

  std::size_t position(const Node& node) const {
    if (node.number > last_) return kNowhere;
    if (node.number >= low_) return early_.size() + static_cast<std::size_t>(node.number - low_);
    const auto found = std::ranges::lower_bound(early_, node.number);
    return found == early_.end() || *found != node.number ? kNowhere
                                                          : static_cast<std::size_t>(found - early_.begin());
  }

  bool leads_to_source(const Node& node) const {
    const std::size_t at = position(node);
    return at != kNowhere && leads_[at] != 0;
  }

  std::span<const Edge> followed(const Node& node) const {
    if (node.watched_by == tape_) return {};
    return {node.edges, static_cast<std::size_t>(node.edge_count)};
  }

  void call_hooks(const Node& node, const Tensor& g) const {
    if (recording_.hooks.empty()) return;
    const auto found = recording_.hooks.find(&node);
    if (found == recording_.hooks.end()) return;
    const std::uint64_t version = TensorAccess::storage(g)->version();
    for (const auto& hook : found->second) hook(g);
    if (TensorAccess::storage(g)->version() != version)
      fail(
          "on_gradient",
          "the hook of a tensor of shape {} changed the gradient in place: others hold it too. Change a copy",
          g.shape());
  }

  // Adds to the slots of the node's inputs what its rules make of its gradient g.
  void run_rules(const Node& node, const Tensor& g, bool recorded, Slots& slots) const {
    const auto edges = followed(node);
    if (edges.empty()) return;
    const std::uint64_t version = TensorAccess::storage(g)->version();
    const auto accept = [&](const Edge& edge, Tensor found) {
      check(node, *edge.input, g, found, recorded);
      if (TensorAccess::storage(g)->version() != version)
        fail(
            node.op,
            "its gradient rule changed the output gradient (shape {}) in place: others hold it too. Change a "
            "copy",
            g.shape());
      slots.add(position(*edge.input), std::move(found));
    };
    const auto run = [&](auto rule) {
      try {
        return rule(node.output != nullptr ? (*node.output)() : none_);
      } catch (const Error& error) {
        fail(node.op, "while computing a gradient: {}",
             error.op() == "saved" ? error.message() : error.what());
      } catch (const std::bad_alloc&) {
        throw;
      } catch (const std::exception& error) {  // the program's own: nested in one that names the op
        std::throw_with_nested(Error(node.op, fmt::format("while computing a gradient: {}", error.what())));
      }
    };
    if (node.joint == nullptr) {
      for (const Edge& edge : edges)
        if (leads_to_source(*edge.input))
          accept(edge, run([&](const Tensor& output) { return edge.rule->apply(g, output); }));
      return;
    }
    std::vector<bool> wanted(static_cast<std::size_t>(node.inputs), false);
    for (const Edge& edge : edges)
      wanted[static_cast<std::size_t>(edge.index)] = leads_to_source(*edge.input);
    std::vector<Tensor> found = run([&](const Tensor& output) { return (*node.joint)(g, output, wanted); });
    if (found.size() != wanted.size())
      fail(node.op, "its gradient rule returned {} gradients for {} inputs", found.size(), wanted.size());
    for (const Edge& edge : edges)
      if (const auto index = static_cast<std::size_t>(edge.index); wanted[index])
        accept(edge, std::move(found[index]));
  }

  void check(const Node& node, const Node& input, const Tensor& g, const Tensor& found, bool recorded) const {
    if (!found.defined())
      fail(node.op, "its gradient rule returned no tensor for the input of shape {}", input.shape);
    if (found.shape() != input.shape || found.dtype() != input.dtype)
      fail(node.op,
           "its gradient rule returned {} {} for an input of {} {}: it must have the input's shape (sum_to() "
           "undoes a broadcast) and dtype (cast())",
           found.dtype(), found.shape(), input.dtype, input.shape);
    if (recorded && (!tracked_by(recording_, found) || found.is_stopped()))
      fail(node.op,
           "its gradient rule for the input of shape {} is not made of differentiable ops, so gradients of "
           "gradients would be wrong",
           input.shape);
    if (recording_.check_finite && !detail::all_finite(found))
      fail(node.op,
           "the gradient for its input of shape {} has values that are not finite; the output's gradient "
           "(shape {}) {}",
           input.shape, g.shape(), detail::all_finite(g) ? "has none" : "has some too");
  }

  const Tensor none_;  // the output of a node whose rules do not take it
  Recording& recording_;
  const int tape_;
  const index_t last_;
  index_t low_;                          // the first node that is looked at, but for the early sources
  std::vector<index_t> early_;           // the numbers of sources from before the mark, sorted
  std::vector<char> leads_;              // by position: the early sources, then the nodes from low_ to last_
  std::vector<std::int32_t> source_at_;  // by position: the first source that this node is
  std::vector<std::int32_t> next_source_;  // by source: the next one that is the same node
};

// Counts the gradients that are being computed, so that no rule frees what another one still reads.
class Running {
 public:
  explicit Running(int& count) : count_(++count) {}
  ~Running() { --count_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  int& count_;
};

}  // namespace

bool is_recording() {
  const detail::Scope* scope = detail::innermost_scope();
  return scope != nullptr && scope->tape != 0;
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
  number_ = ++recording_->tapes;
  recording_->check_finite = recording_->check_finite || options.check_finite;
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
  if (recording_->loop_depth != detail::loop_context().depth)
    fail("tape", "{} was called inside a parallel loop on a tape from outside of it", what);
  if (spent_ || recording_->spent)
    fail("tape",
         "{} was called on a spent tape: gradient() frees what the tape saved. For several calls make it "
         "Tape({{.persistent = true}}), for gradients of gradients pass {{.create_graph = true}}",
         what);
}

void Tape::on_gradient(const Tensor& x, std::function<void(const Tensor& gradient)> hook) {
  require_usable("on_gradient");
  if (!hook) fail("on_gradient", "takes a function, and this one is empty");
  const Node* node = nullptr;
  if (!x.is_stopped() && tracked_by(*recording_, x))
    node = TensorAccess::origin(x).node;
  else if (!x.is_stopped() && x.is_parameter()) {
    const RuleScope scope(recording_.get());  // a view of a parameter is recorded as one
    node = recording_->parameter_node(x);
  }
  if (node == nullptr) fail("on_gradient", "a constant of this tape (shape {}) gets no gradient", x.shape());
  recording_->hooks[node].push_back(std::move(hook));
}

std::vector<Tensor> Tape::parameters() const {
  std::vector<Tensor> handles;
  for (const Tensor& handle : recording_->parameters())
    handles.push_back(TensorAccess::view(handle, handle.shape()));
  return handles;
}

Graph Tape::graph(const State& names) const {
  Graph graph;
  for (index_t i = 0; i < recording_->size(); ++i) {
    const Node& node = (*recording_)[i];
    GraphNode described{.op = node.op,
                        .name = {},
                        .shape = node.shape,
                        .dtype = node.dtype,
                        .bytes = node.bytes,
                        .inputs = {}};
    for (int e = 0; e < node.edge_count; ++e)
      described.inputs.push_back(static_cast<int>(node.edges[e].input->number));
    graph.nodes.push_back(std::move(described));
  }
  for (const Tensor& handle : recording_->parameters())
    for (const auto& named : names.tensors)
      if (TensorAccess::storage(named.second) == TensorAccess::storage(handle))
        graph.nodes[static_cast<std::size_t>(TensorAccess::origin(handle).node->number)].name = named.first;
  return graph;
}

index_t Tape::size() const {
  return recording_->size() - mark_;
}

Tensor Tape::watch(const Tensor& x) {
  require_usable("watch");
  if (!x.defined()) fail("watch", "x is a Tensor that was never given a value");
  if (!is_floating(x.dtype())) fail("watch", "takes Float32 or Float64, not {}", x.dtype());
  Tensor watched = variable("watch", x, nested_);
  TensorAccess::origin(watched).node->watched_by = number_;
  return watched;
}

// A handle on x with a node of its own; linked: it depends on x, if x is known to the recording.
Tensor Tape::variable(const char* op, const Tensor& x, bool linked) {
  const RuleScope scope(recording_.get());
  Tensor made = TensorAccess::view(x, x.shape());
  if (linked && !x.is_stopped() && (tracked_by(*recording_, x) || x.is_parameter()))
    return record(op, std::move(made), {{x, [](const Tensor& g) { return g; }}});
  TensorAccess::set_stopped(made, false);
  TensorAccess::origin(made) = {recording_->serial, recording_->add(op, x.shape(), x.dtype())};
  return made;
}

Tensor Tape::gradient(const Tensor& y, const Tensor& x, const GradientOptions& options) {
  return gradient(y, std::vector<Tensor>{x}, options)[0];
}

Gradients Tape::gradient(const Tensor& y, const std::vector<Tensor>& xs, const GradientOptions& options) {
  require_usable("gradient");
  Recording& recording = *recording_;
  // Inside another tape the backward pass is a part of that tape's computation.
  const bool recorded = options.create_graph || (nested_ && is_recording());
  const bool keep = recorded || nested_ || persistent_;
  if (!keep && recording.gradients_running > 0)
    fail("gradient", "a gradient rule asked for a gradient that would end the tape which runs it");

  const auto node_of = [&](const Tensor& x) -> Node* {
    if (x.is_stopped()) return nullptr;
    if (tracked_by(recording, x)) return TensorAccess::origin(x).node;
    return x.is_parameter() ? recording.find_parameter(x) : nullptr;
  };
  if (!y.defined()) fail("gradient", "the result is a Tensor that was never given a value");
  const Node* last = node_of(y);
  if (y.is_parameter() && !y.is_stopped() && !tracked_by(recording, y)) {
    const RuleScope scope(&recording);
    last = recording.parameter_node(y);  // y may be a view of it, or never have been used
  }
  if (last == nullptr && options.zeros_for_unreached &&
      (y.is_stopped() || TensorAccess::origin(y).tape == 0)) {
    std::vector<Tensor> zero;
    for (const Tensor& x : xs) zero.push_back(zeros_like(x));
    return Gradients(xs, std::move(zero));
  }
  if (last == nullptr)
    fail("gradient",
         "the result (shape {}) was not computed on this tape from a parameter or a watched tensor, so it "
         "has no gradient: watch() its inputs, and compute it in the scope of the tape",
         y.shape());
  Tensor seed = options.output_gradient;
  if (!seed.defined()) {
    if (y.size() != 1)
      fail("gradient",
           "the result has shape {}: reduce it to one element (sum, mean) or give an output_gradient of that "
           "shape",
           y.shape());
    seed = ones(y.shape(), y.dtype());
  }
  if (seed.shape() != y.shape() || seed.dtype() != y.dtype())
    fail("gradient", "the output_gradient is {} {} but the result is {} {}", seed.dtype(), seed.shape(),
         y.dtype(), y.shape());
  std::vector<Node*> sources;
  for (const Tensor& x : xs) {
    const auto number = sources.size();
    if (!x.defined()) fail("gradient", "source {} is a Tensor that was never given a value", number);
    Node* node = node_of(x);
    if (node == nullptr && (!x.is_parameter() || x.is_stopped()))
      fail("gradient",
           "source {} (shape {}) is a constant of this tape: make it a parameter(), or watch() it before use",
           number, x.shape());
    if (node != nullptr && node->shape.size() != x.size())
      fail("gradient", "source {} (shape {}) is a part of a parameter of shape {}: ask for the whole one",
           number, x.shape(), node->shape);
    sources.push_back(node);
  }
  if (options.all_parameters) detail::require_all_parameters(recording, *last, mark_, number_, sources);

  std::vector<Tensor> found(sources.size());
  const auto end = [&] {
    if (!keep) recording.clear();
    spent_ = !persistent_ && !options.create_graph;
  };
  try {
    const Running running(recording.gradients_running);
    const RuleScope scope(recorded ? &recording : nullptr);
    // Recorded, the output gradient is a variable as well: then every rule's result must be, too.
    seed = recorded ? detail::view("reshape", variable("output_gradient", seed, true), last->shape, 0)
                    : TensorAccess::view(seed, last->shape);
    Backward(recording, mark_, number_, *last, sources).run(std::move(seed), found, recorded, !keep);
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
      if (!recorded) g = TensorAccess::view(std::exchange(g, Tensor()), xs[s].shape());
    }
  } catch (...) {
    end();
    throw;
  }
  end();
  return Gradients(xs, std::move(found));
}

NoGrad::NoGrad() {
  enter(scope_);
}

NoGrad::~NoGrad() {
  leave(scope_);
}

}  // namespace tapegrad::inline v0
