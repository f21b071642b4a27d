#pragma once

// What a tape records: nodes in the order of execution, and the memory of the rules that belong to them.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/context.h"
#include "tapegrad/base/kept_internal.h"
#include "tapegrad/tensor/serial_internal.h"

namespace tapegrad::inline v0::detail {

/// An input of a node and the rule for its gradient.
struct Edge {
  Node* input;
  InputRule* rule;  // nullptr where the node has a joint rule
  SumTo sum_to;     // undoes a broadcast of the input; nullptr where there was none
  int index;        // among the inputs of the op, tracked or not
};

/// The result of one recorded op, a watched tensor, or a parameter (which has no edges).
struct Node {
  const char* op;
  const char* called;  // the op that the user called: op, or one that is made of it
  index_t number;      // position on the tape
  Shape shape;
  DType dtype;
  Edge* edges = nullptr;
  int edge_count = 0;
  int watched_by = 0;  // the number of the tape of which this is a variable; for tapes around it, it is an op
  int inputs = 0;      // of the op, tracked or not
  Saved* output = nullptr;  // if a rule takes it
  JointRule* joint = nullptr;
  bool gates = false;       // the gradient matters only where the output is positive
  bool takes_call = false;  // the joint rule can be asked for more than gradients
  std::size_t bytes = 0;    // of the tensors that the rules save
};

/// Memory handed out piece by piece and freed all at once.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* take(std::size_t bytes) {
    constexpr std::size_t align = alignof(std::max_align_t);
    bytes = (bytes + align - 1) / align * align;
    if (bytes > left_) add_block(bytes);
    left_ -= bytes;
    return std::exchange(next_, next_ + bytes);
  }

 private:
  struct alignas(std::max_align_t) Block {
    Block* before;
    int size_class;
  };
  void add_block(std::size_t bytes);

  Block* last_ = nullptr;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

/// A function of the user's that hears of the gradient of a node.
struct Hook {
  int tape;     // the number of the tape that it was given to: other tapes' gradients do not call it
  Shape shape;  // of the tensor that it was given with
  std::function<void(const Tensor&)> function;
};

/// What one tape, and the tapes nested in it, have recorded. Belongs to the thread that made it.
class Recording : public std::enable_shared_from_this<Recording> {
 public:
  Recording();
  ~Recording() { clear(); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  Node* add(const char* op, const Shape& shape, DType dtype);
  /// The node of the parameter that x is, or is a view of: its leaf.
  Node* leaf(const Tensor& x);
  /// The node of x itself: the leaf, or a node of its own for a view.
  Node* parameter_node(const Tensor& x);
  /// The leaf of a parameter if it was used, nullptr if not.
  Node* find_parameter(const Tensor& x) const;
  /// All parameters that were used: whole ones, with their leaves as origin, by node number.
  KeptList<std::vector<Tensor>> parameters() const;
  Node& operator[](index_t number) const {
    const auto at = static_cast<std::size_t>(number);
    return chunks_[at / kChunk][at % kChunk];
  }
  index_t size() const { return size_; }
  bool made(const Tensor& x) const { return TensorAccess::origin(x).tape == serial; }

  /// Destroys what a node saved.
  static void forget(Node& node);
  /// Destroys everything. The recording is spent, and the scopes of its tapes record nothing any more.
  void clear();
  /// A tape that shares the recording has come, or gone. When all are gone, what was recorded may be written to.
  void add_tape() { tapes_open_.fetch_add(1); }
  void remove_tape() {
    if (tapes_open_.fetch_sub(1) == 1) open_.close();
  }

 private:
  OpenSerial open_;
  std::atomic<int> tapes_open_ = 0;

 public:
  const std::uint64_t serial = open_.number();
  const std::thread::id thread = std::this_thread::get_id();
  const int loop_depth;
  bool spent = false;
  bool freeing = false;       // a gradient that ends the recording is running
  int tapes = 0;              // that have shared it so far
  int gradients_running = 0;  // a rule may ask a tape for gradients itself
  bool check_finite = false;
  std::unordered_map<const Node*, std::vector<Hook>> hooks;
  Arena arena;

 private:
  static constexpr std::size_t kChunk = 128;
  BlockVector<Node*> chunks_;  // in the arena: nodes never move, as rules record while the tape is read
  index_t size_ = 0;
  /// The handle has the node as its origin, and keeps the storage from being freed and its address used again.
  struct Parameter {
    Node* node = nullptr;
    Tensor handle;
  };
  std::unordered_map<const Storage*, Parameter, std::hash<const Storage*>, std::equal_to<>,
                     BlockAllocator<std::pair<const Storage* const, Parameter>>>
      parameters_;
};

/// The innermost open scope, for an op: scopes that another thread has closed stay in the list, for the op may hold the
/// recording of one, which it found before.
inline const Scope* scope_of_op(const Context& own) {
  const Scope* scope = own.scope.get();
  while (scope != nullptr && scope->closed.load(std::memory_order_acquire)) scope = scope->outer.get();
  return scope;
}

/// The recording of this thread's innermost scope, nullptr when nothing is recorded. Throws in a parallel loop that
/// began after the scope.
Recording* active_recording(Context& own);

/// Whether no element is NaN or infinite.
bool all_finite(const Tensor& x);

}  // namespace tapegrad::inline v0::detail
