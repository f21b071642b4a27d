#include "tapegrad/tensor/serial_internal.h"

#include <memory>

namespace tapegrad::inline v0::detail {
namespace {

// The numbers that are open, 0 in free places. Places are taken and left without a lock, so that a child that fork()
// makes finds none held; blocks are added, never freed.
struct Block {
  std::atomic<std::uint64_t> numbers[63] = {};
  std::atomic<Block*> next = nullptr;
};
constinit Block first;

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> number{0};
  return ++number;
}

std::atomic<std::uint64_t>* place_for(std::uint64_t number) {
  for (Block* block = &first;;) {
    for (auto& place : block->numbers)
      if (std::uint64_t none = 0; place.compare_exchange_strong(none, number, std::memory_order_acq_rel))
        return &place;
    Block* next = block->next.load(std::memory_order_acquire);
    if (next == nullptr) {
      auto added = std::make_unique<Block>();
      if (block->next.compare_exchange_strong(next, added.get(), std::memory_order_acq_rel))
        next = added.release();
    }
    block = next;
  }
}

}  // namespace

OpenSerial::OpenSerial() : number_(next_number()), slot_(place_for(number_)) {}

void OpenSerial::close() {
  std::uint64_t own = number_;  // the place may be another's by now
  slot_->compare_exchange_strong(own, 0, std::memory_order_acq_rel);
}

bool is_open(std::uint64_t serial) {
  if (serial == 0) return false;
  for (const Block* block = &first; block != nullptr; block = block->next.load(std::memory_order_acquire))
    for (const auto& place : block->numbers)
      if (place.load(std::memory_order_acquire) == serial) return true;
  return false;
}

}  // namespace tapegrad::inline v0::detail
