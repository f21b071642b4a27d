#include "tapegrad/tensor/storage.h"

#include <new>

#include "tapegrad/base/blocks_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::size_t kHeader = 64;
static_assert(sizeof(detail::Storage) <= kHeader);

}  // namespace

namespace detail {

Storage* Storage::allocate(DType dtype, std::int64_t count) {
  const int size_class = block_class(kHeader + static_cast<std::uint64_t>(count) * size_of(dtype));
  void* block = take_block(size_class);
  if (block == nullptr) return nullptr;
  void* data = static_cast<std::byte*>(block) + kHeader;
  return new (block) Storage(dtype, data, count, static_cast<std::int16_t>(size_class), false);
}

Storage* Storage::wrap(DType dtype, void* data, std::int64_t count, bool read_only) {
  return new Storage(dtype, data, count, kWrapped, read_only);
}

void Storage::destroy() {
  if (!owns_memory()) {
    delete this;
    return;
  }
  const int size_class = size_class_;
  this->~Storage();
  give_block(this, size_class);
}

}  // namespace detail

std::size_t cached_memory() {
  return detail::kept_blocks();
}

}  // namespace tapegrad::inline v0
