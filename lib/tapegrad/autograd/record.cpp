#include "tapegrad/autograd/record.h"

#include <algorithm>
#include <atomic>

#include "tapegrad/autograd/recording_internal.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"

namespace tapegrad {

std::uint64_t Saved::version_of(const Tensor& x) {
  if (!x.defined()) fail("saved", "a rule cannot save a Tensor that was never given a value");
  return TensorAccess::storage(x)->version();
}

void Saved::refuse_changed() const {
  fail("saved",
       "a tensor of shape {} was changed in place after the op used it, so its gradient cannot be computed; "
       "change it "
       "after gradient(), or give the op a copy",
       tensor_.shape());
}

namespace detail {

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

void Recording::forget(Node& node) {
  for (int i = 0; i < node.edge_count; ++i) node.edges[i].rule->~Rule();
  node.edge_count = 0;
  if (node.output != nullptr) std::exchange(node.output, nullptr)->~Saved();
}

void Recording::clear() {
  spent = true;
  for (Scope* scope = innermost_scope(); scope != nullptr; scope = scope->outer)
    if (scope->tape == serial) scope->tape = 0;
  for (index_t i = size_; i-- > 0;) forget((*this)[i]);
  parameters_.clear();
}

Recording* active_recording() {
  const Scope* scope = innermost_scope();
  if (scope == nullptr) {
    if (loop_context().recording_outside)
      fail(
          "tape",
          "the thread that started this parallel loop is recording, and this piece of the loop computes with "
          "its tensors: nothing would be recorded of it. Open a Tape or a PauseRecording inside the piece");
    return nullptr;
  }
  if (scope->tape == 0) return nullptr;
  Recording* recording = static_cast<const RecordingScope*>(scope)->recording;
  if (recording->loop_depth != loop_context().depth)
    fail("tape",
         "a tape cannot record inside a parallel loop that started after it. Open a Tape or a PauseRecording "
         "inside the piece");
  return recording;
}

void* tape_memory(std::size_t bytes) {
  return active_recording()->arena.take(bytes);
}

Node* resolve(const Tensor& x) {
  if (!x.defined()) fail("record", "an input of the op is a Tensor that was never given a value");
  const Origin& origin = TensorAccess::origin(x);
  const bool trainable = x.is_parameter();
  if (x.is_stopped() || (origin.tape == 0 && !trainable)) return nullptr;
  Recording* recording = active_recording();
  if (recording == nullptr) return nullptr;
  if (origin.tape == recording->serial) return origin.node;
  if (trainable) return recording->parameter_node(x);
  fail("tape",
       "a tensor of shape {} was computed on another tape; compute it in the scope of this one, or pass "
       "stop_gradient(x) to use it as a constant",
       x.shape());
}

}  // namespace detail

Tensor record(const char* op, Tensor output, std::span<const Input> inputs) {
  if (!output.defined()) fail(op, "the op's result is a Tensor that was never given a value");
  const auto tracked =
      std::ranges::count_if(inputs, [](const Input& input) { return input.node_ != nullptr; });
  if (tracked == 0) {
    TensorAccess::origin(output) = {};
    return output;
  }
  detail::Recording& recording = *detail::active_recording();
  detail::Node* node = recording.add(op, output.shape(), output.dtype());
  node->edges = static_cast<detail::Edge*>(
      recording.arena.take(static_cast<std::size_t>(tracked) * sizeof(detail::Edge)));
  bool wants_output = false;
  for (const Input& input : inputs) {
    if (input.node_ == nullptr) continue;
    node->edges[node->edge_count++] = {input.node_, std::exchange(input.rule_, nullptr)};
    wants_output |= input.wants_output_;
  }
  detail::Storage* storage = TensorAccess::storage(output);
  if (storage->use_count() == 1) storage->recorded_by = recording.serial;
  TensorAccess::origin(output) = {recording.serial, node};
  TensorAccess::set_stopped(output, false);
  if (wants_output) node->output = new (recording.arena.take(sizeof(Saved))) Saved(output);
  return output;
}

}  // namespace tapegrad
