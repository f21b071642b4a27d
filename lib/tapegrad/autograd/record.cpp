#include "tapegrad/autograd/record.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"

namespace tapegrad::inline v0 {

std::uint64_t Saved::version_of(const Tensor& x) {
  if (!x.defined()) fail("saved", "a rule cannot save a Tensor that was never given a value");
  return TensorAccess::storage(x)->version();
}

void Saved::refuse_changed() const {
  fail("saved",
       "a tensor of shape {} was changed in place after the op used it, so its gradient cannot be computed; "
       "change it after gradient(), or give the op a copy",
       tensor_.shape());
}

void Saved::count_bytes() const noexcept {
  detail::bytes_saved() += static_cast<std::size_t>(tensor_.size()) * size_of(tensor_.dtype());
}

namespace detail {

std::size_t& bytes_saved() {
  thread_local std::size_t bytes = 0;
  return bytes;
}

bool all_finite(const Tensor& x) {
  return !is_floating(x.dtype()) || dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    return std::ranges::all_of(x.values<T>(), [](T v) { return std::isfinite(static_cast<double>(v)); });
  });
}

void* Arena::take(std::size_t bytes) {
  constexpr std::size_t align = alignof(std::max_align_t);
  bytes = (bytes + align - 1) / align * align;
  if (bytes > left_) {
    left_ = std::max(bytes, kBlock);
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(left_));
    next_ = blocks_.back().get();
  }
  left_ -= bytes;
  return std::exchange(next_, next_ + bytes);
}

static std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> serial{0};
  return ++serial;
}

Recording::Recording() : serial(next_serial()), loop_depth(loop_context().depth) {}

Node* Recording::add(const char* op, const Shape& shape, DType dtype) {
  if (size_ % kChunk == 0) chunks_.push_back(std::make_unique_for_overwrite<Node[]>(kChunk));
  Node& node = (*this)[size_];
  node = Node{.op = op, .number = size_, .shape = shape, .dtype = dtype};
  ++size_;
  return &node;
}

Node* Recording::find_parameter(const Tensor& x) const {
  const auto found = parameters_.find(TensorAccess::storage(x));
  return found == parameters_.end() ? nullptr : found->second.node;
}

Node* Recording::parameter_node(const Tensor& x) {
  const Storage* storage = TensorAccess::storage(x);
  Parameter& known = parameters_[storage];
  if (known.node == nullptr) {
    const bool whole = x.size() == storage->count();
    known.node = add("parameter", whole ? x.shape() : Shape{storage->count()}, x.dtype());
    known.handle = TensorAccess::view(x, x.shape());
    TensorAccess::origin(known.handle) = {serial, known.node};
  }
  if (known.node->shape == x.shape()) return known.node;
  // A view of a parameter is that parameter: what it stands for is a node of its own on the way to the leaf.
  const auto rule = [shape = known.node->shape, offset = TensorAccess::offset(x)](const Tensor& g) {
    return embed(g, shape, offset);
  };
  return TensorAccess::origin(record("view", TensorAccess::view(x, x.shape()), {{known.handle, rule}})).node;
}

std::vector<Tensor> Recording::parameters() const {
  std::vector<Tensor> handles;
  for (const auto& [storage, parameter] : parameters_) handles.push_back(parameter.handle);
  std::ranges::sort(handles, {}, [](const Tensor& x) { return TensorAccess::origin(x).node->number; });
  return handles;
}

void Recording::forget(Node& node) {
  for (int i = 0; i < node.edge_count; ++i)
    if (node.edges[i].rule != nullptr) node.edges[i].rule->~Rule();
  node.edge_count = 0;
  node.bytes = 0;
  if (node.joint != nullptr) std::exchange(node.joint, nullptr)->~JointRule();
  if (node.output != nullptr) std::exchange(node.output, nullptr)->~Saved();
}

void Recording::clear() {
  spent = true;
  for (Scope* scope = innermost_scope(); scope != nullptr; scope = scope->outer)
    if (scope->tape == serial) scope->tape = 0;
  for (index_t i = size_; i-- > 0;) forget((*this)[i]);
  parameters_.clear();
  hooks.clear();
}

Recording* active_recording() {
  const Scope* scope = innermost_scope();
  if (scope == nullptr) {
    if (loop_context().recording_outside)
      fail(
          "tape",
          "the thread that started this parallel loop is recording, and this piece of the loop computes with "
          "its tensors: nothing would be recorded of it. Open a Tape or a NoGrad inside the piece");
    return nullptr;
  }
  if (scope->tape == 0) return nullptr;
  Recording* recording = static_cast<const RecordingScope*>(scope)->recording;
  if (recording->loop_depth != loop_context().depth)
    fail("tape",
         "a tape cannot record inside a parallel loop that started after it. Open a Tape or a NoGrad "
         "inside the piece");
  return recording;
}

void* tape_memory(std::size_t bytes) {
  return active_recording()->arena.take(bytes);
}

Resolved resolve(const Tensor& x) {
  if (!x.defined()) return {.problem = "was never given a value"};
  const Origin& origin = TensorAccess::origin(x);
  const bool trainable = x.is_parameter();
  if (x.is_stopped() || (origin.tape == 0 && !trainable)) return {};
  Recording* recording = active_recording();
  if (recording == nullptr) return {};
  if (origin.tape == recording->serial) return {.node = origin.node};
  if (trainable) return {.node = recording->parameter_node(x)};
  return {
      .problem =
          "was computed on another tape: compute it in the scope of this one, or pass stop_gradient(x) to "
          "use it as a constant"};
}

}  // namespace detail

namespace {

// Appends a node with room for so many edges, and makes output its result.
detail::Node& append(detail::Recording& recording, const char* op, Tensor& output, std::size_t edges) {
  detail::Node& node = *recording.add(op, output.shape(), output.dtype());
  node.edges = static_cast<detail::Edge*>(recording.arena.take(edges * sizeof(detail::Edge)));
  detail::Storage* storage = TensorAccess::storage(output);
  if (storage->use_count() == 1) storage->recorded_by = recording.serial;
  TensorAccess::origin(output) = {recording.serial, &node};
  TensorAccess::set_stopped(output, false);
  return node;
}

void keep_output(detail::Recording& recording, detail::Node& node, const Tensor& output) {
  node.output = new (recording.arena.take(sizeof(Saved))) Saved(output);
  node.bytes += static_cast<std::size_t>(output.size()) * size_of(output.dtype());
}

void require_usable(const char* op, const detail::Resolved& input, const Shape& shape) {
  if (input.problem != nullptr) fail(op, "an input of the op (shape {}) {}", shape, input.problem);
}

// Constants are looked through as well: what is not finite may have begun there.
template <class Inputs, class ShapeOf>
void check_finite(const char* op, const Tensor& output, const Inputs& inputs, const ShapeOf& shape_of) {
  const detail::Scope* scope = detail::innermost_scope();
  if (scope == nullptr || scope->tape == 0) return;
  if (!static_cast<const detail::RecordingScope*>(scope)->recording->check_finite) return;
  if (detail::all_finite(output)) return;
  std::vector<Shape> shapes;
  for (const auto& input : inputs) shapes.push_back(shape_of(input));
  fail(op, "the result (shape {}) has values that are not finite; the inputs have shapes {}", output.shape(),
       join(shapes, ", "));
}

}  // namespace

Tensor record(const char* op, Tensor output, std::span<const Input> inputs) {
  if (!output.defined()) fail(op, "the op's result is a Tensor that was never given a value");
  for (const Input& input : inputs) require_usable(op, input.resolved_, input.shape_);
  check_finite(op, output, inputs, [](const Input& input) { return input.shape_; });
  const auto tracked =
      std::ranges::count_if(inputs, [](const Input& input) { return input.resolved_.node != nullptr; });
  if (tracked == 0) {
    TensorAccess::origin(output) = {};
    return output;
  }
  detail::Recording& recording = *detail::active_recording();
  detail::Node& node = append(recording, op, output, static_cast<std::size_t>(tracked));
  bool wants_output = false;
  for (const Input& input : inputs) {
    const int index = node.inputs++;
    if (input.resolved_.node == nullptr) continue;
    node.edges[node.edge_count++] = {input.resolved_.node, std::exchange(input.rule_, nullptr), index};
    node.bytes += input.bytes_;
    wants_output |= input.wants_output_;
  }
  if (wants_output) keep_output(recording, node, output);
  return output;
}

Tensor record_joint(const char* op, Tensor output, const std::vector<Tensor>& inputs, JointRule rule) {
  if (!output.defined()) fail(op, "the op's result is a Tensor that was never given a value");
  std::vector<detail::Edge> edges;
  int index = 0;
  for (const Tensor& x : inputs) {
    const detail::Resolved resolved = detail::resolve(x);
    require_usable(op, resolved, x.shape());
    if (resolved.node != nullptr) edges.push_back({resolved.node, nullptr, index});
    ++index;
  }
  check_finite(op, output, inputs, [](const Tensor& x) { return x.shape(); });
  if (edges.empty()) {
    TensorAccess::origin(output) = {};
    return output;
  }
  detail::Recording& recording = *detail::active_recording();
  detail::Node& node = append(recording, op, output, edges.size());
  std::ranges::copy(edges, node.edges);
  node.edge_count = static_cast<int>(edges.size());
  node.inputs = index;
  node.joint = new (recording.arena.take(sizeof(JointRule))) JointRule(std::move(rule));
  for (const Tensor& x : inputs) node.bytes += static_cast<std::size_t>(x.size()) * size_of(x.dtype());
  keep_output(recording, node, output);
  return output;
}

}  // namespace tapegrad::inline v0
