#include "tapegrad/autograd/backward_internal.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>

#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

bool nobody_else_holds(const Tensor& x) {
  const Storage* storage = TensorAccess::storage(x);
  return storage->use_count() == 1 && storage->owns_memory() && !x.is_parameter();
}

namespace {

// Nests what a rule has thrown in an error that names the op.
[[noreturn]] void nest(const Node& node) {
  const auto named = [&](std::string_view cause) {
    std::throw_with_nested(Error(node.called, fmt::format("while computing a gradient: {}", cause)));
  };
  try {
    throw;
  } catch (const Error& error) {
    named(error.op() == "saved" || error.op() == node.called ? error.message() : error.what());
  } catch (const std::exception& error) {
    named(error.what());
  } catch (...) {
    named("the rule threw something that is not a std::exception");
  }
  std::abort();  // never comes here
}

// Calls what belongs to a rule of the node.
template <class F>
auto run_rule(const Node& node, const F& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    nest(node);
  }
}

// What the rule of an edge of the node will add to a sum.
struct Part {
  const Node* node;
  const Edge* edge;
  Tensor g;
};

// The sum with the parts added to it, as one op: recorded sums are not made in place, and one for each slice of a tensor
// would cost a pass over the whole tensor each.
[[gnu::noinline]] Tensor with_parts(const Tensor& sum, const std::vector<Part>& parts) {
  Tensor whole = TensorAccess::clone(sum);
  std::vector<Tensor> inputs = {sum};
  std::vector<std::pair<const Node*, const Edge*>> from;
  for (const Part& part : parts) {
    run_rule(*part.node, [&] { return part.edge->rule->add_to(whole, part.g); });
    inputs.push_back(part.g);
    from.emplace_back(part.node, part.edge);
  }
  const auto rule = [from = std::move(from)](const Tensor& g, const std::vector<bool>& wanted) {
    std::vector<Tensor> found = {g};
    for (const auto& [node, edge] : from) {
      if (node->edge_count == 0)
        fail(node->called, "a gradient was asked for after the tape freed what it saved");
      found.push_back(wanted[found.size()] ? edge->rule->read_back(g) : Tensor());
    }
    return found;
  };
  return record_joint("add", std::move(whole), inputs, rule);
}

// The gradients that one backward pass has found so far, by the position of their node. Most nodes wait for
// theirs only briefly, so the tensors live in a few slots that are used again.
class Slots {
 public:
  // recorded: sums are recorded as well, and so never made in place.
  Slots(std::size_t positions, bool recorded) : slot_of_(positions, kNone), recorded_(recorded) {}

  bool has(std::size_t position) const { return slot_of_[position] != kNone; }

  // gated: the gradient is zero where the output of the node at this position is not positive.
  void add(std::size_t position, Tensor gradient, bool gated = false) {
    std::int32_t& slot = slot_of_[position];
    if (slot == kNone) {
      if (free_.empty()) {
        free_.push_back(static_cast<std::int32_t>(tensors_.size()));
        tensors_.emplace_back();
        gated_.push_back(0);
        if (recorded_) parts_.emplace_back();
      }
      slot = free_.back();
      free_.pop_back();
      tensors_[static_cast<std::size_t>(slot)] = std::move(gradient);
      gated_[static_cast<std::size_t>(slot)] = gated ? 1 : 0;
      return;
    }
    if (!gated) gated_[static_cast<std::size_t>(slot)] = 0;
    settle(slot);
    Tensor& sum = tensors_[static_cast<std::size_t>(slot)];
    if (changeable(position) != nullptr)
      add_in_place(sum, 0, gradient);
    else
      sum = sum_of(sum, gradient);
  }

  // Adds what the edge's rule makes of g to the sum at this position, when it is asked for. False where there is no sum yet, or
  // none that is recorded.
  bool add_later(std::size_t position, const Node& node, const Edge& edge, const Tensor& g) {
    const std::int32_t slot = slot_of_[position];
    if (slot == kNone || !recorded_ || !edge.rule->reads_back()) return false;
    parts_[static_cast<std::size_t>(slot)].push_back({&node, &edge, g});
    return true;
  }

  // The sum at this position if there is one that may be changed in place.
  Tensor* changeable(std::size_t position) {
    const std::int32_t slot = slot_of_[position];
    if (slot == kNone || recorded_) return nullptr;
    Tensor& sum = tensors_[static_cast<std::size_t>(slot)];
    return nobody_else_holds(sum) ? &sum : nullptr;
  }

  // The sum at this position, to which the rule is to add its part; none where there is no sum yet. Where others hold the
  // sum, it is a copy of it: the parts are added in the same order whoever holds what.
  Tensor* sum_for(std::size_t position, const Edge& edge) {
    Tensor* sum = changeable(position);
    if (has(position)) gated_[static_cast<std::size_t>(slot_of_[position])] = 0;
    if (sum != nullptr || recorded_ || !has(position) || !edge.rule->reads_back()) return sum;
    sum = &tensors_[static_cast<std::size_t>(slot_of_[position])];
    *sum = TensorAccess::clone(*sum);
    return sum;
  }

  bool gated(std::size_t position) const { return gated_[static_cast<std::size_t>(slot_of_[position])] != 0; }

  Tensor take(std::size_t position) {
    const std::int32_t slot = std::exchange(slot_of_[position], kNone);
    free_.push_back(slot);
    settle(slot);
    return std::move(tensors_[static_cast<std::size_t>(slot)]);
  }

 private:
  // Adds what is still to be added.
  void settle(std::int32_t slot) {
    if (const auto at = static_cast<std::size_t>(slot); recorded_ && !parts_[at].empty())
      tensors_[at] = with_parts(tensors_[at], std::exchange(parts_[at], {}));
  }

  static constexpr std::int32_t kNone = -1;
  BlockVector<std::int32_t> slot_of_, free_;
  BlockVector<Tensor> tensors_;
  BlockVector<char> gated_;               // by slot: all parts of the sum are
  BlockVector<std::vector<Part>> parts_;  // by slot: what is still to be added to a recorded sum
  bool recorded_;
};

// One call of gradient(): from the node `last` back to the sources. A tape's own nodes are those from `mark`
// on, and what it watches are variables for it: behind these, and behind the mark, nothing is followed.
class Backward {
 public:
  explicit Backward(const BackwardPass& pass)
      : pass_(pass),
        recording_(pass.recording),
        last_(pass.last.number),
        next_source_(pass.sources.size(), kNone) {
    // Only what lies between the first source and the result can matter, and sources from before the mark.
    const std::span<Node* const> sources = pass.sources;
    low_ = last_ + 1;
    for (const Node* source : sources) {
      if (source == nullptr) continue;
      if (source->number < pass.mark)
        early_.push_back(source->number);
      else
        low_ = std::min(low_, source->number);
    }
    if (!early_.empty()) low_ = pass.mark;
    std::ranges::sort(early_);
    early_.erase(std::unique(early_.begin(), early_.end()), early_.end());

    shift_ = static_cast<index_t>(early_.size()) - low_;
    const auto positions = static_cast<std::size_t>(std::max<index_t>(0, last_ + 1 - low_)) + early_.size();
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

  // The last op's rules first. found[s] becomes the gradient of source s if it is reached.
  KeptList<std::vector<Tensor>> run(Tensor seed) {
    KeptList<std::vector<Tensor>> found;
    found->resize(pass_.sources.size());
    Slots slots(leads_.size(), pass_.recorded);
    const std::size_t top = position(recording_[last_]);
    if (top != kNowhere) slots.add(top, std::move(seed));
    const auto deliver = [&](std::size_t at, const Tensor& g) {
      for (std::int32_t s = source_at_[at]; s != kNone; s = next_source_[static_cast<std::size_t>(s)])
        (*found)[static_cast<std::size_t>(s)] = g;
    };
    for (index_t i = last_; i >= low_; --i) {
      Node& node = recording_[i];
      if (const std::size_t at = position(node); slots.has(at)) {
        const bool gated = slots.gated(at);
        const Tensor g = slots.take(at);
        deliver(at, g);
        call_hooks(node, g);
        run_rules(node, g, gated, slots);
      }
      if (pass_.forget) Recording::forget(node);
    }
    for (std::size_t at = 0; at < early_.size(); ++at) {
      if (!slots.has(at)) continue;
      const Tensor g = slots.take(at);
      deliver(at, g);
      call_hooks(recording_[early_[at]], g);
    }
    return found;
  }

 private:
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  static constexpr std::int32_t kNone = -1;

  std::size_t position(const Node& node) const {
    if (node.number > last_) return kNowhere;
    if (node.number >= low_) return static_cast<std::size_t>(node.number + shift_);
    const auto found = std::ranges::lower_bound(early_, node.number);
    return found == early_.end() || *found != node.number ? kNowhere
                                                          : static_cast<std::size_t>(found - early_.begin());
  }

  bool leads_to_source(const Node& node) const {
    const std::size_t at = position(node);
    return at != kNowhere && leads_[at] != 0;
  }

  std::span<const Edge> followed(const Node& node) const {
    if (node.watched_by == pass_.tape) return {};
    return {node.edges, static_cast<std::size_t>(node.edge_count)};
  }

  // Whether nobody sees the node's gradient but a rule to which it matters only where the node's output is positive.
  bool may_be_gated(const Node& node, std::size_t at) const {
    return node.gates && source_at_[at] == kNone && !pass_.recorded && recording_.hooks.empty() &&
           !recording_.check_finite;
  }

  // Copies of the hooks: they may give the tape more, or end it.
  void call_hooks(const Node& node, const Tensor& g) const {
    if (recording_.hooks.empty()) return;
    const auto found = recording_.hooks.find(&node);
    if (found == recording_.hooks.end()) return;
    const std::vector<Hook> hooks = found->second;
    const std::uint64_t version = TensorAccess::storage(g)->version();
    for (const Hook& hook : hooks) {
      if (hook.tape != pass_.tape) continue;
      hook.function(g.shape() == hook.shape ? g : view("reshape", g, hook.shape, 0));
      if (TensorAccess::storage(g)->version() != version)
        fail(
            "on_gradient",
            "the hook of a tensor of shape {} changed the gradient in place: others hold it too. Change a copy",
            hook.shape);
    }
  }

  // What a joint rule is asked for, of which `wanted` is a part.
  JointCall call_of(const Node& node, std::span<const Edge> edges, bool gated,
                    std::vector<bool>& wanted) const {
    wanted.resize(static_cast<std::size_t>(node.inputs), false);
    JointCall call{.wanted = wanted, .gated = gated};
    for (const Edge& edge : edges) {
      const bool leads = leads_to_source(*edge.input);
      wanted[static_cast<std::size_t>(edge.index)] = leads;
      if (leads && node.takes_call && edge.index == 0)
        call.gate_first = may_be_gated(*edge.input, position(*edge.input));
    }
    return call;
  }

  // Adds to the slots of the node's inputs what its rules make of its gradient g. gated: that is zero where the node's output is
  // not positive.
  void run_rules(const Node& node, const Tensor& g, bool gated, Slots& slots) const {
    const auto edges = followed(node);
    if (edges.empty()) return;
    const std::uint64_t version = TensorAccess::storage(g)->version();
    const auto require_unchanged = [&] {
      if (TensorAccess::storage(g)->version() != version)
        fail(
            node.called,
            "the op's gradient rule changed the output gradient (shape {}) in place: others hold it too. Change a copy",
            g.shape());
    };
    const auto accept = [&](const Edge& edge, std::size_t at, Tensor found, bool found_gated = false) {
      check(node, *edge.input, g, found);
      require_unchanged();
      slots.add(at, std::move(found), found_gated);
    };
    const auto run = [&](auto rule) {
      return run_rule(node, [&] {
        if (node.output == nullptr) return rule(none_);
        return rule((*node.output)());
      });
    };
    if (node.joint == nullptr) {
      for (const Edge& edge : edges) {
        const std::size_t at = position(*edge.input);
        if (at == kNowhere || leads_[at] == 0) continue;
        if (gated) {  // the rule would do nothing more
          accept(edge, at, g);
          continue;
        }
        const bool unseen = recording_.check_finite && !edge.rule->reads_back();  // what add_to() adds
        if (recording_.check_finite && !unseen && slots.has(at))
          check(node, *edge.input, g, run([&](const Tensor& output) { return applied(edge, g, output); }));
        if (slots.add_later(at, node, edge, g)) continue;
        Tensor* sum = unseen ? nullptr : slots.sum_for(at, edge);
        if (sum != nullptr && run([&](const Tensor&) { return edge.rule->add_to(*sum, g); })) {
          require_alike(node, *edge.input, *sum);
          require_unchanged();
          continue;
        }
        accept(edge, at, run([&](const Tensor& output) { return applied(edge, g, output); }));
      }
      return;
    }
    KeptList<std::vector<bool>> wanted;
    const JointCall call = call_of(node, edges, gated, *wanted);
    KeptList found(run([&](const Tensor& output) { return node.joint->apply(g, output, call); }));
    if (found->size() != wanted->size())
      fail(node.called, "the op's gradient rule must return one gradient for each of {} inputs, got {}",
           wanted->size(), found->size());
    for (const Edge& edge : edges)
      if (const auto index = static_cast<std::size_t>(edge.index); (*wanted)[index])
        accept(edge, position(*edge.input), std::move((*found)[index]), call.gate_first && index == 0);
  }

  static Tensor applied(const Edge& edge, const Tensor& g, const Tensor& output) {
    Tensor found = edge.rule->apply(g, output);
    return edge.sum_to == nullptr ? found : edge.sum_to(std::move(found), edge.input->shape);
  }

  // What a rule has returned, or has left of the sum that it adds to.
  static void require_alike(const Node& node, const Node& input, const Tensor& found) {
    if (!found.defined())
      fail(node.called, "the op's gradient rule returned no tensor for the input of shape {}", input.shape);
    if (found.shape() != input.shape || found.dtype() != input.dtype)
      fail(
          node.called,
          "the op's gradient rule must return {} {}, like the input, got {} {}: sum_to() undoes a broadcast, "
          "cast() changes the dtype",
          input.dtype, input.shape, found.dtype(), found.shape());
  }

  void check(const Node& node, const Node& input, const Tensor& g, const Tensor& found) const {
    require_alike(node, input, found);
    if (!pass_.recorded && !recording_.check_finite) return;
    if (pass_.recorded && (!recording_.made(found) || found.is_stopped()))
      fail(
          node.called,
          "the op's gradient rule for the input of shape {} is not made of differentiable ops, so gradients of "
          "gradients would be wrong",
          input.shape);
    if (recording_.check_finite && !all_finite(found))
      fail(
          node.called,
          "the gradient for the op's input of shape {} has values that are not finite; the output's gradient "
          "(shape {}) {}",
          input.shape, g.shape(), all_finite(g) ? "has none" : "has some too");
  }

  const Tensor none_;  // the output of a node whose rules do not take it
  const BackwardPass& pass_;
  Recording& recording_;
  const index_t last_;
  index_t low_;                          // the first node that is looked at, but for the early sources
  index_t shift_;                        // from the number of such a node to its position
  BlockVector<index_t> early_;           // the numbers of sources from before the mark, sorted
  BlockVector<char> leads_;              // by position: the early sources, then the nodes from low_ to last_
  BlockVector<std::int32_t> source_at_;  // by position: the first source that this node is
  BlockVector<std::int32_t> next_source_;  // by source: the next one that is the same node
};

}  // namespace

KeptList<std::vector<Tensor>> run_backward(const BackwardPass& pass, Tensor seed) {
  return Backward(pass).run(std::move(seed));
}

}  // namespace tapegrad::inline v0::detail
