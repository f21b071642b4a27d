#include "tapegrad/autograd/rules.h"

#include <algorithm>

#include "tapegrad/autograd/called_internal.h"
#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/tensor/defined_internal.h"

namespace tapegrad::inline v0 {

using detail::Node;
using detail::Recording;
using detail::Resolved;

std::uint64_t Saved::saved_version(const Tensor& x) {
  if (!x.defined()) return 0;
  detail::Context& own = detail::context();
  const std::size_t bytes = static_cast<std::size_t>(x.size()) * size_of(x.dtype());
  own.bytes_saved += bytes;
  if (own.chunk != nullptr && !x.is_parameter()) own.chunk->add_saved(bytes);
  if (own.run != nullptr && !is_floating(x.dtype()))
    own.run->note_constant(x);  // labels and masks are no inputs
  return TensorAccess::storage(x)->version();
}

void Saved::refuse() const {
  if (!tensor_.defined()) fail("saved", "a rule has saved a Tensor that was never given a value");
  fail(
      "saved",
      "a tensor of shape {} was changed in place after the op used it, so the gradient cannot be computed: change the "
      "tensor after gradient(), or give the op a copy()",
      tensor_.shape());
}

Input::Input(const Tensor& x, detail::SumTo sum_to, const detail::InputClosure& rule)
    : own_(detail::context()),
      resolved_(detail::resolve(own_, x)),
      shape_(TensorAccess::shape(x)),
      sum_to_(sum_to) {
  if (own_.trace != nullptr) own_.trace->input(x);
  if (resolved_.node == nullptr) return;
  rule_ = rule.move_to(resolved_.recording->arena.take(rule.bytes), rule.closure);
  wants_output_ = rule.takes_output;
  gates_ = rule.gates;
}

Input::~Input() {
  if (rule_ != nullptr) rule_->destroy();
}

namespace {

// Appends a node with room for `edges` edges, and makes output its result.
Node& append(Recording& recording, const char* op, Tensor& output, std::size_t edges) {
  Node& node = *recording.add(op, output.shape(), output.dtype());
  node.edges = static_cast<detail::Edge*>(recording.arena.take(edges * sizeof(detail::Edge)));
  detail::Storage* storage = TensorAccess::storage(output);
  if (storage->use_count() == 1) storage->recorded_by = recording.serial;
  TensorAccess::origin(output) = {recording.serial, &node};
  TensorAccess::set_stopped(output, false);
  return node;
}

void keep_output(Recording& recording, Node& node, const Tensor& output) {
  node.output = new (recording.arena.take(sizeof(Saved))) Saved(output);
  node.bytes += std::exchange(detail::context().bytes_saved, 0);
}

void require_usable(const char* op, const Resolved& input, const Shape& shape) {
  if (input.problem != nullptr) fail(op, "an input of the op (shape {}) {}", shape, input.problem);
}

// Constants are looked through as well: what is not finite may have begun there.
bool checks_finite(const detail::Context& own) {
  const detail::Scope* scope = detail::scope_of_op(own);
  return own.called == nullptr && scope != nullptr && scope->recording != nullptr &&
         !scope->recording->spent && scope->recording->check_finite;
}

void require_finite(const char* op, const Tensor& output, const std::vector<Shape>& shapes) {
  if (!detail::all_finite(output))
    fail(op, "the result (shape {}) has values that are not finite; the inputs have shapes {}",
         output.shape(), join(shapes, ", "));
}

template <class Inputs, class ShapeOf>
void check_finite(const char* op, const Tensor& output, const Inputs& inputs, const ShapeOf& shape_of) {
  if (!checks_finite(detail::context())) return;
  std::vector<Shape> shapes;
  for (const auto& input : inputs) shapes.push_back(shape_of(input));
  require_finite(op, output, shapes);
}

void trace_result(const char* op, const Tensor& output, std::size_t inputs) {
  if (detail::Trace* trace = detail::context().trace; trace != nullptr) trace->result(op, output, inputs);
}

}  // namespace

detail::CalledOp::CalledOp(const char* op, std::span<const Tensor* const> xs)
    : outermost_(context().called == nullptr) {
  for (const Tensor* x : xs)
    if (TensorAccess::origin(*x).tape != 0 && !x->is_stopped() && !x->is_parameter())
      require_usable(op, resolve(*x), x->shape());
  Context& own = context();
  if (!outermost_) return;
  if (checks_finite(own))
    for (const Tensor* x : xs) shapes_.push_back(TensorAccess::shape(*x));
  own.called = op;
}

detail::CalledOp::~CalledOp() {
  if (outermost_) context().called = nullptr;
}

Tensor detail::CalledOp::result(Tensor y) const {
  Context& own = context();
  if (!outermost_) return y;
  const char* op = std::exchange(own.called, nullptr);
  if (checks_finite(own)) require_finite(op, y, shapes_);
  own.called = op;
  return y;
}

void detail::record_result(const char* op, Tensor& output, std::span<const Input> inputs) {
  detail::require_defined(op, output, "the op's result");
  Recording* recording = nullptr;
  std::size_t tracked = 0;
  for (const Input& input : inputs) {
    require_usable(op, input.resolved_, input.shape_);
    if (input.resolved_.node == nullptr) continue;
    recording = input.resolved_.recording;
    ++tracked;
  }
  if (recording == nullptr || recording->check_finite)
    check_finite(op, output, inputs, [](const Input& input) { return input.shape_; });
  if (recording == nullptr) {
    TensorAccess::origin(output) = {};
    trace_result(op, output, inputs.size());
    return;
  }
  Node& node = append(*recording, op, output, tracked);
  bool wants_output = false;
  for (const Input& input : inputs) {
    const int index = node.inputs++;
    if (input.resolved_.node == nullptr) continue;
    node.edges[node.edge_count++] = {input.resolved_.node, std::exchange(input.rule_, nullptr),
                                     input.shape_ == node.shape ? nullptr : input.sum_to_, index};
    node.bytes += input.resolved_.bytes_saved;
    wants_output |= input.wants_output_;
    node.gates = input.gates_;
  }
  if (wants_output) keep_output(*recording, node, output);
  trace_result(op, output, inputs.size());
}

Tensor detail::record_joint(const char* op, Tensor output, std::span<const Tensor> inputs,
                            const JointClosure& rule) {
  detail::require_defined(op, output, "the op's result");
  Context& own = context();
  const std::size_t bytes_saved = std::exchange(own.bytes_saved, 0);
  Recording* recording = nullptr;
  BlockVector<Edge> edges;
  int index = 0;
  for (const Tensor& x : inputs) {
    const Resolved resolved = resolve(own, x);
    require_usable(op, resolved, TensorAccess::shape(x));
    if (own.trace != nullptr) own.trace->input(x);
    if (resolved.node != nullptr) {
      if (edges.empty()) edges.reserve(inputs.size());
      edges.push_back({resolved.node, nullptr, nullptr, index});
      recording = resolved.recording;
    }
    ++index;
  }
  if (recording == nullptr || recording->check_finite)
    check_finite(op, output, inputs, [](const Tensor& x) { return x.shape(); });
  if (recording == nullptr) {
    TensorAccess::origin(output) = {};
    trace_result(op, output, inputs.size());
    return output;
  }
  Node& node = append(*recording, op, output, edges.size());
  node.joint = rule.move_to(recording->arena.take(rule.bytes), rule.closure);
  std::ranges::copy(edges, node.edges);
  node.edge_count = static_cast<int>(edges.size());
  node.inputs = index;
  node.bytes = bytes_saved;
  node.gates = rule.gates;
  node.takes_call = rule.takes_call;
  if (rule.takes_output) keep_output(*recording, node, output);
  trace_result(op, output, inputs.size());
  return output;
}

}  // namespace tapegrad::inline v0
