#include "tapegrad/kernels/conv2d/packed_filter.h"

#include <cstdint>

namespace tapegrad::inline v0::kernels {
namespace {

constexpr std::size_t kAlign = 64;

}  // namespace

void* PackedFilter::Form::begin() const {
  const auto address = reinterpret_cast<std::uintptr_t>(memory.get());
  return memory.get() + (kAlign - address % kAlign) % kAlign;
}

void* PackedFilter::Form::room_for(std::size_t bytes) {
  if (room < bytes + kAlign) {
    memory.reset();  // first, so that both are never there at once
    room = 0;
    memory = std::make_unique_for_overwrite<std::byte[]>(bytes + kAlign);
    room = bytes + kAlign;
  }
  return begin();
}

PackedFilter::Form* PackedFilter::find(const Key& key) {
  for (Form& form : forms_) {
    State state = form.state.load(std::memory_order_acquire);
    if (state == State::Ready && form.key == key) return &form;
    if (state == State::Packing) return nullptr;  // maybe this very form
    const bool empty = state == State::Empty;
    if (!empty && (state != State::Stale || form.key != key)) continue;
    if (!form.state.compare_exchange_strong(state, State::Packing, std::memory_order_acquire)) return nullptr;
    if (empty) form.key = key;
    return &form;
  }
  return nullptr;
}

void PackedFilter::forget() {
  for (Form& form : forms_) {
    const bool used = form.state.load(std::memory_order_acquire) == State::Ready;
    if (!used) {
      form.memory.reset();
      form.room = 0;
    }
    form.state.store(used ? State::Stale : State::Empty, std::memory_order_release);
  }
}

}  // namespace tapegrad::inline v0::kernels
