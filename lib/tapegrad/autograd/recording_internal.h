#pragma once

// The tape's memory: nodes in the order of execution, and the rules that belong to them.

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tapegrad/autograd/record.h"

namespace tapegrad::inline v0::detail {

/// An input of a node and the rule for its gradient.
struct Edge {
  Node* input;
  Rule* rule;  // nullptr where the node has a joint rule
  int index;   // among the inputs of the op, tracked or not
};

/// The result of one recorded op, a watched tensor, or a parameter (which has no edges).
struct Node {
  const char* op;
  index_t number;  // position on the tape
  Shape shape;
  DType dtype;
  Edge* edges = nullptr;
  int edge_count = 0;
  int watched_by =
      0;  // the number of the tape that watches it: a variable for that one, an op for those around it
  int inputs = 0;           // of the op, tracked or not
  Saved* output = nullptr;  // if a rule needs it
  JointRule* joint = nullptr;
  std::size_t bytes = 0;  // what is saved for the rules
};

/// Memory handed out piece by piece and freed all at once.
class Arena {
 public:
  void* take(std::size_t bytes);
  void clear() { blocks_.clear(); }

 private:
  static constexpr std::size_t kBlock = 1 << 15;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

/// What one tape, and the tapes nested in it, have recorded. Belongs to the thread that made it.
class Recording : public std::enable_shared_from_this<Recording> {
 public:
  Recording();
  ~Recording() { clear(); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  Node* add(const char* op, const Shape& shape, DType dtype);
  /// The node of a parameter, or of a view of one.
  Node* parameter_node(const Tensor& x);
  /// The node of a parameter if it was used, nullptr if not.
  Node* find_parameter(const Tensor& x) const;
  /// All parameters that were used: handles with their nodes as origin, by node number.
  std::vector<Tensor> parameters() const;
  Node& operator[](index_t number) const {
    return chunks_[static_cast<std::size_t>(number / kChunk)][static_cast<std::size_t>(number % kChunk)];
  }
  index_t size() const { return size_; }

  /// Destroys what a node saved.
  static void forget(Node& node);
  /// Destroys everything. The recording is spent, and the scopes of its tapes record nothing any more.
  void clear();

  const std::uint64_t serial;
  const std::thread::id thread = std::this_thread::get_id();
  const int loop_depth;
  bool spent = false;
  int tapes = 0;              // that have shared it so far
  int gradients_running = 0;  // a rule may ask a tape for gradients itself
  bool check_finite = false;
  std::unordered_map<const Node*, std::vector<std::function<void(const Tensor&)>>> hooks;
  Arena arena;

 private:
  static constexpr index_t kChunk = 128;
  std::vector<std::unique_ptr<Node[]>> chunks_;  // nodes never move: rules record while the tape is read
  index_t size_ = 0;
  struct Parameter {
    Node* node = nullptr;
    Tensor
        handle;  // with the node as its origin; keeps the storage from being freed and its address used again
  };
  std::unordered_map<const Storage*, Parameter> parameters_;
};

/// The recording that ops of this thread go to, nullptr when there is none.
Recording* active_recording();

/// Whether no element is NaN or infinite.
bool all_finite(const Tensor& x);

}  // namespace tapegrad::inline v0::detail
