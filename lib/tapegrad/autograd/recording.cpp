#include "tapegrad/autograd/recording_internal.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <type_traits>

#include "tapegrad/autograd/services_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

bool all_finite(const Tensor& x) {
  return !is_floating(x.dtype()) || dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    return std::ranges::all_of(x.values<T>(), [](T v) { return std::isfinite(static_cast<double>(v)); });
  });
}

Arena::~Arena() {
  while (Block* block = last_) {
    last_ = block->before;
    give_block(block, block->size_class);
  }
}

void Arena::add_block(std::size_t bytes) {
  constexpr std::size_t kUsual = 1 << 15;
  const int size_class = block_class(std::max(bytes + sizeof(Block), kUsual));
  void* memory = take_block(size_class);
  if (memory == nullptr) throw std::bad_alloc();
  last_ = new (memory) Block{last_, size_class};
  next_ = reinterpret_cast<std::byte*>(last_ + 1);
  left_ = block_bytes(size_class) - sizeof(Block);
}

Recording::Recording() : loop_depth(context().loop_depth) {}

Node* Recording::add(const char* op, const Shape& shape, DType dtype) {
  if (static_cast<std::size_t>(size_) % kChunk == 0)
    chunks_.push_back(static_cast<Node*>(arena.take(kChunk * sizeof(Node))));
  static_assert(std::is_trivially_destructible_v<Node>);  // the arena frees them
  const char* called = context().called;
  Node* node = new (&(*this)[size_]) Node{
      .op = op, .called = called == nullptr ? op : called, .number = size_, .shape = shape, .dtype = dtype};
  ++size_;
  return node;
}

Node* Recording::find_parameter(const Tensor& x) const {
  const auto found = parameters_.find(TensorAccess::storage(x));
  return found == parameters_.end() ? nullptr : found->second.node;
}

Node* Recording::leaf(const Tensor& x) {
  if (Node* known = find_parameter(x); known != nullptr) return known;
  // The node first: where there is no memory for the entry, none is left without a node.
  Tensor handle = TensorAccess::parameter_of(x);
  Node* node = add("parameter", handle.shape(), x.dtype());
  TensorAccess::origin(handle) = {serial, node};
  parameters_.try_emplace(TensorAccess::storage(x), Parameter{node, std::move(handle)});
  return node;
}

Node* Recording::parameter_node(const Tensor& x) {
  Node* whole = leaf(x);
  if (whole->shape == x.shape()) return whole;
  // A view of a parameter is that parameter: what it stands for is a node of its own on the way to the leaf.
  const Tensor& handle = parameters_.at(TensorAccess::storage(x)).handle;
  return TensorAccess::origin(record("view", TensorAccess::view(x, x.shape()),
                                     {{handle, Embed{whole->shape, TensorAccess::offset(x), x.shape()}}}))
      .node;
}

KeptList<std::vector<Tensor>> Recording::parameters() const {
  KeptList<std::vector<Tensor>> handles;
  for (const auto& [storage, parameter] : parameters_) handles->push_back(parameter.handle);
  std::ranges::sort(*handles, {}, [](const Tensor& x) { return TensorAccess::origin(x).node->number; });
  return handles;
}

void Recording::forget(Node& node) {
  for (int i = 0; i < node.edge_count; ++i)
    if (node.edges[i].rule != nullptr) node.edges[i].rule->destroy();
  node.edge_count = 0;
  if (node.joint != nullptr) std::exchange(node.joint, nullptr)->destroy();
  if (node.output != nullptr) std::exchange(node.output, nullptr)->~Saved();
}

void Recording::clear() {
  spent = true;
  open_.close();
  for (index_t i = size_; i-- > 0;) forget((*this)[i]);
  parameters_.clear();
  // What hooks hold may reach back here when it is destroyed.
  const auto gone = std::exchange(hooks, {});
}

Recording* active_recording(Context& own) {
  const Scope* scope = scope_of_op(own);
  if (scope == nullptr || scope->recording == nullptr || scope->recording->spent) return nullptr;
  if (scope->loop_depth != own.loop_depth)
    fail(
        "tape",
        "a tape cannot record inside a parallel loop that started after it, on any thread: open a Tape or a NoGrad "
        "inside the piece");
  return scope->recording.get();
}

bool skips_recording() {
  Context& own = context();
  const Scope* scope = scope_of_op(own);
  if (scope == nullptr || own.trace != nullptr || (scope->recording != nullptr && !scope->recording->spent))
    return false;
  own.bytes_saved = 0;
  return true;
}

Resolved resolve(Context& own, const Tensor& x) {
  Resolved found{.bytes_saved = std::exchange(own.bytes_saved, 0)};
  if (!x.defined()) {
    found.problem = "was never given a value";
    return found;
  }
  const Origin& origin = TensorAccess::origin(x);
  const bool trainable = x.is_parameter();
  if (x.is_stopped() || (origin.tape == 0 && !trainable)) {
    if (own.run != nullptr) own.run->note_constant(x);
    return found;
  }
  found.recording = active_recording(own);
  if (found.recording == nullptr) return found;
  if (origin.tape == found.recording->serial)
    found.node = origin.node;
  else if (trainable)
    found.node = found.recording->parameter_node(x);
  else
    found.problem =
        "was computed on another tape: compute it in the scope of this one, or pass stop_gradient(x) to "
        "use it as a constant";
  return found;
}

Resolved resolve(const Tensor& x) {
  return resolve(context(), x);
}

}  // namespace tapegrad::inline v0::detail
