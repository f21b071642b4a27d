#pragma once

// A filter in the order of the tiles, kept from one call to the next.

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

#include "tapegrad/kernels/conv2d/plan.h"

namespace tapegrad::inline v0::kernels {

/// The packed forms of one filter (for the convolution, and for its transpose), for as long as whoever owns this object knows that
/// nobody writes to the filter. Threads may share it: none waits for another.
class PackedFilter {
 public:
  /// The filter as the plan packs it, from pack(memory) where that was not called before. nullptr where there is no place for one
  /// more form, and while another thread packs one: then the caller packs for itself.
  template <class T, class Pack>
  const T* get(const CorrelationPlan& plan, const Pack& pack) {
    Form* form = find({of_one_image(plan.c.g), plan.c.transposed, sizeof(T)});
    if (form == nullptr) return nullptr;
    if (form->state.load(std::memory_order_acquire) == State::Ready) return static_cast<T*>(form->begin());
    try {
      pack(static_cast<T*>(form->room_for(static_cast<std::size_t>(plan.weights) * sizeof(T))));
    } catch (...) {
      form->state.store(State::Stale, std::memory_order_release);
      throw;
    }
    form->state.store(State::Ready, std::memory_order_release);
    return static_cast<T*>(form->begin());
  }

  /// The filter may have changed. Memory is kept for the forms that were asked for since the last call. No other thread uses this
  /// object meanwhile.
  void forget();

 private:
  struct Key {
    Conv2DGeometry g;
    bool transposed = false;
    std::size_t number_size = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  enum class State { Empty, Stale, Packing, Ready };
  struct Form {
    std::atomic<State> state{State::Empty};
    Key key;  // of a form that is not empty; written once, by the thread that packs the form first
    std::unique_ptr<std::byte[]> memory;
    std::size_t room = 0;

    void* begin() const;
    void* room_for(std::size_t bytes);
  };

  // The packed filter does not depend on how many images there are.
  static Conv2DGeometry of_one_image(Conv2DGeometry g) {
    g.batch = 1;
    return g;
  }
  // One that is ready, or that is the caller's to pack; or nullptr.
  Form* find(const Key& key);

  std::array<Form, 4> forms_;
};

}  // namespace tapegrad::inline v0::kernels
