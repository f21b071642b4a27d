#include "tapegrad/autograd/tape.h"

#include <vector>

#include "tapegrad/autograd/backward_internal.h"
#include "tapegrad/autograd/gradients_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

// What a tape is. A call of gradient() holds on to it, so that a hook or a rule may end the tape.
struct detail::TapeState {
  std::shared_ptr<Recording> recording;
  std::shared_ptr<Scope> scope;
  index_t mark = 0;  // what was recorded before is not this tape's
  int number = 0;    // among the tapes of this recording, from 1
  bool nested = false;
  bool persistent = false;
  bool spent = false;
};

namespace {

using detail::BlockVector;
using detail::KeptList;
using detail::Node;
using detail::Recording;
using detail::TapeState;

// While a gradient runs its rules: recorded on the tape, or (nullptr) not at all.
class RuleScope {
 public:
  explicit RuleScope(Recording* recording)
      : scope_(detail::open_scope(recording == nullptr ? nullptr : recording->shared_from_this())) {}
  ~RuleScope() { close_scope(*scope_); }
  RuleScope(const RuleScope&) = delete;
  RuleScope& operator=(const RuleScope&) = delete;

 private:
  std::shared_ptr<detail::Scope> scope_;
};

// Counts the gradients that are being computed, so that no rule frees what another one still reads; and says whether
// the outermost one frees what it has passed.
class Running {
 public:
  Running(Recording& recording, bool freeing) : recording_(recording), outer_(recording.freeing) {
    ++recording.gradients_running;
    recording.freeing = outer_ || freeing;
  }
  ~Running() {
    --recording_.gradients_running;
    recording_.freeing = outer_;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Recording& recording_;
  const bool outer_;
};

void require_here(const TapeState& tape, const char* what) {
  const Recording& recording = *tape.recording;
  if (recording.thread != std::this_thread::get_id())
    fail("tape", "{}() must be called on the thread that made the tape", what);
  if (recording.loop_depth != detail::context().loop_depth)
    fail("tape",
         "{}() must not be called inside a parallel loop that began after the tape: open a Tape in the loop",
         what);
}

void require_usable(const TapeState& tape, const char* what) {
  require_here(tape, what);
  if (tape.spent || tape.recording->spent)
    fail(
        "tape",
        "{}() was called on a spent tape: gradient() frees what the tape saved. For several calls use "
        "Tape({{.persistent = true}}); for gradients of gradients pass {{.create_graph = true}} to gradient()",
        what);
}

// The recording that a new tape of this thread would be a part of, nullptr when it is on its own.
Recording* recording_around() {
  detail::Context& own = detail::context();
  const detail::Scope* scope = innermost_scope(own);
  if (scope == nullptr || scope->recording == nullptr || scope->recording->spent) return nullptr;
  return scope->loop_depth == own.loop_depth ? scope->recording.get() : nullptr;
}

// A handle on x with a node of its own; linked: it depends on x, if x is known to the recording.
Tensor variable(Recording& recording, const char* op, const Tensor& x, bool linked) {
  const RuleScope scope(&recording);
  Tensor made = TensorAccess::view(x, x.shape());
  if (linked && !x.is_stopped() && (recording.made(x) || x.is_parameter()))
    return record(op, std::move(made), {{x, [](const Tensor& g) { return g; }}});
  TensorAccess::set_stopped(made, false);
  TensorAccess::origin(made) = {recording.serial, recording.add(op, x.shape(), x.dtype())};
  return made;
}

// The node of a tensor that the recording knows, nullptr for a constant and for a parameter that was not used.
Node* known_node(const Recording& recording, const Tensor& x) {
  if (x.is_stopped()) return nullptr;
  if (recording.made(x)) return TensorAccess::origin(x).node;
  return x.is_parameter() ? recording.find_parameter(x) : nullptr;
}

// The node of the result y, nullptr for a constant.
const Node* result_node(Recording& recording, const Tensor& y) {
  if (!y.is_parameter() || y.is_stopped() || recording.made(y)) return known_node(recording, y);
  const RuleScope scope(&recording);
  return recording.parameter_node(y);  // y may be a view of it, or never have been used
}

Tensor seed_for(const Tensor& y, const Tensor& output_gradient) {
  Tensor seed = output_gradient;
  if (!seed.defined()) {
    if (y.size() != 1)
      fail(
          "gradient",
          "the result has shape {}: reduce it to one element (sum, mean) or give an output_gradient of that shape",
          y.shape());
    seed = ones(y.shape(), y.dtype());
  }
  if (seed.shape() != y.shape() || seed.dtype() != y.dtype())
    fail("gradient", "the output_gradient must be {} {}, as the result, got {} {}", y.dtype(), y.shape(),
         seed.dtype(), seed.shape());
  return seed;
}

BlockVector<Node*> source_nodes(const Recording& recording, const std::vector<Tensor>& xs) {
  BlockVector<Node*> sources;
  sources.reserve(xs.size());
  for (const Tensor& x : xs) {
    const auto number = sources.size();
    if (!x.defined()) fail("gradient", "source {} was never given a value", number);
    Node* node = known_node(recording, x);
    if (node == nullptr && (!x.is_parameter() || x.is_stopped()))
      fail("gradient",
           "source {} (shape {}) is a constant of this tape: make it a parameter(), or watch() it before use",
           number, x.shape());
    if (node != nullptr && node->shape.size() != x.size())
      fail("gradient", "source {} (shape {}) is a part of a parameter of shape {}: ask for the whole one",
           number, x.shape(), node->shape);
    sources.push_back(node);
  }
  return sources;
}

// The gradient of source x as it is returned: in memory of its own, and shaped as asked (a parameter may have been
// asked for through a view of it).
Tensor delivered(Tensor g, const Tensor& x, bool recorded) {
  if (g.shape() != x.shape()) g = detail::view("reshape", std::exchange(g, Tensor()), x.shape(), 0);
  if (!detail::nobody_else_holds(g) || TensorAccess::storage(g)->count() != g.size()) g = detail::copy_of(g);
  return recorded ? g : TensorAccess::view(std::exchange(g, Tensor()), x.shape());
}

KeptList<std::vector<Tensor>> run(Recording& recording, const detail::BackwardPass& pass,
                                  const std::vector<Tensor>& xs, Tensor seed, bool zeros_for_unreached) {
  const Running running(recording, pass.forget);
  const RuleScope scope(pass.recorded ? &recording : nullptr);
  // Recorded, the output gradient is a variable as well: then every rule's result must be, too.
  seed = pass.recorded
             ? detail::view("reshape", variable(recording, "output_gradient", seed, true), pass.last.shape, 0)
             : TensorAccess::view(seed, pass.last.shape);
  KeptList<std::vector<Tensor>> found = run_backward(pass, std::move(seed));
  for (std::size_t s = 0; s < xs.size(); ++s) {
    Tensor& gradient = (*found)[s];
    if (!gradient.defined()) {
      if (!zeros_for_unreached)
        fail(
            "gradient",
            "the result does not depend on source {} (shape {}). Leave it out, or pass .zeros_for_unreached = true",
            s, xs[s].shape());
      gradient = zeros_like(xs[s]);
    }
    gradient = delivered(std::exchange(gradient, Tensor()), xs[s], pass.recorded);
  }
  return found;
}

}  // namespace

bool is_recording() {
  const detail::Scope* scope = innermost_scope(detail::context());
  return scope != nullptr && scope->recording != nullptr && !scope->recording->spent;
}

Tape::Tape(TapeOptions options)
    : state_(std::allocate_shared<TapeState>(detail::BlockAllocator<TapeState>())) {
  TapeState& state = *state_;
  state.persistent = options.persistent;
  if (Recording* around = recording_around(); around != nullptr) {
    // Shares the recording: the outer tape holds on to it, and so does this one.
    state.recording = around->shared_from_this();
    state.nested = true;
    state.mark = around->size();
  } else {
    state.recording = std::allocate_shared<Recording>(detail::BlockAllocator<Recording>());
  }
  Recording& recording = *state.recording;
  state.number = ++recording.tapes;
  recording.check_finite = recording.check_finite || options.check_finite;
  detail::context().bytes_saved = 0;
  state.scope = detail::open_scope(state.recording);
  recording.add_tape();
}

Tape::~Tape() {
  close_scope(*state_->scope);
  state_->recording->remove_tape();
}

void Tape::on_gradient(const Tensor& x, std::function<void(const Tensor& gradient)> hook) {
  constexpr const char* kName = "on_gradient";
  require_usable(*state_, kName);
  Recording& recording = *state_->recording;
  if (!hook) fail(kName, "takes a function, and this one is empty");
  if (!x.defined()) fail(kName, "x was never given a value");
  const Node* node = nullptr;
  if (!x.is_stopped() && recording.made(x))
    node = TensorAccess::origin(x).node;
  else if (!x.is_stopped() && x.is_parameter())
    node = recording.leaf(x);
  if (node == nullptr) fail(kName, "a constant of this tape (shape {}) gets no gradient", x.shape());
  if (node->shape.size() != x.size())
    fail(
        kName,
        "x (shape {}) is a part of a parameter of shape {}, made outside of the tape: give the whole parameter, or "
        "take the part in the scope of the tape",
        x.shape(), node->shape);
  recording.hooks[node].push_back({state_->number, x.shape(), std::move(hook)});
}

std::vector<Tensor> Tape::parameters() const {
  require_usable(*state_, "parameters");
  std::vector<Tensor> handles;
  const KeptList<std::vector<Tensor>> parameters = state_->recording->parameters();
  for (const Tensor& handle : *parameters) handles.push_back(TensorAccess::view(handle, handle.shape()));
  return handles;
}

Graph Tape::graph(const State& names) const {
  require_usable(*state_, "graph");
  const Recording& recording = *state_->recording;
  if (recording.freeing)
    fail(
        "tape",
        "graph() was called while gradient() frees what the tape saved: call graph() before, or make the tape "
        "Tape({{.persistent = true}})");
  Graph graph;
  for (index_t i = 0; i < recording.size(); ++i) {
    const Node& node = recording[i];
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
  const KeptList<std::vector<Tensor>> parameters = recording.parameters();
  for (const Tensor& handle : *parameters)
    for (const auto& named : names.tensors)
      if (TensorAccess::storage(named.second) == TensorAccess::storage(handle))
        graph.nodes[static_cast<std::size_t>(TensorAccess::origin(handle).node->number)].name = named.first;
  return graph;
}

index_t Tape::size() const {
  require_here(*state_, "size");
  return state_->recording->size() - state_->mark;
}

Tensor Tape::watch(const Tensor& x) {
  require_usable(*state_, "watch");
  if (!x.defined()) fail("watch", "x was never given a value");
  if (!is_floating(x.dtype())) fail("watch", "x must be Float32 or Float64, got {}", x.dtype());
  Tensor watched = variable(*state_->recording, "watch", x, state_->nested);
  TensorAccess::origin(watched).node->watched_by = state_->number;
  return watched;
}

std::vector<Tensor> Tape::watch(const std::vector<Tensor>& xs, Constants constants) {
  std::vector<Tensor> watched;
  for (const Tensor& x : xs) {
    const bool constant =
        constants == Constants::Keep && x.defined() && (x.is_stopped() || !is_floating(x.dtype()));
    const bool keep = constant || (constants == Constants::KeepParameters && x.is_parameter());
    watched.push_back(keep ? x : watch(x));
  }
  return watched;
}

Tensor Tape::gradient(const Tensor& y, const Tensor& x, const GradientOptions& options) {
  return gradient(y, std::vector<Tensor>{x}, options)[0];
}

Gradients Tape::gradient(const Tensor& y, const std::vector<Tensor>& xs, const GradientOptions& options) {
  const std::shared_ptr<TapeState> state = state_;  // a hook may end this tape
  require_usable(*state, "gradient");
  Recording& recording = *state->recording;
  // Inside another tape the backward pass is a part of that tape's computation.
  const bool recorded = options.create_graph || (state->nested && is_recording());
  const bool keep = recorded || state->nested || state->persistent;
  if (!keep && recording.gradients_running > 0)
    fail("gradient", "a gradient rule asked for a gradient that would end the tape which runs it");
  constexpr int kMostNested = 100;  // far below what a thread's stack holds
  if (recording.gradients_running >= kMostNested)
    fail(
        "gradient",
        "{} calls of gradient() run inside each other on one tape: a hook or a rule must not ask, each time, for the "
        "gradient that calls it again",
        kMostNested);

  if (!y.defined()) fail("gradient", "the result was never given a value");
  const Node* last = result_node(recording, y);
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
  Tensor seed = seed_for(y, options.output_gradient);
  const BlockVector<Node*> sources = source_nodes(recording, xs);
  if (options.all_parameters)
    detail::require_all_parameters(recording, *last, state->mark, state->number, sources);

  const auto end = [&] {
    if (!keep) recording.clear();
    state->spent = !state->persistent && !options.create_graph;
  };
  try {
    KeptList<std::vector<Tensor>> of;
    KeptList<std::vector<Tensor>> found =
        run(recording, {recording, state->mark, state->number, *last, sources, recorded, !keep}, xs,
            std::move(seed), options.zeros_for_unreached);
    end();
    of->assign(xs.begin(), xs.end());
    return Gradients(of.release(), found.release());
  } catch (...) {
    end();
    throw;
  }
}

NoGrad::NoGrad() : scope_(detail::open_scope(nullptr)) {}

NoGrad::~NoGrad() {
  close_scope(*scope_);
}

}  // namespace tapegrad::inline v0
