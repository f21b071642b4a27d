#pragma once

// The memory that tensors share.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {
namespace detail {

/// The elements of one or more tensors: a reference count, a version that every write raises, and the bytes,
/// in one block of memory that is reused from step to step. Or the caller's memory, which is not owned.
class Storage {
 public:
  /// Room for count elements, uninitialized, aligned to 64 bytes; nullptr where there is no memory for them.
  static Storage* allocate(DType dtype, std::int64_t count);
  /// The caller's memory, which must outlive the storage.
  static Storage* wrap(DType dtype, void* data, std::int64_t count, bool read_only);

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    // Nobody can join a single owner: then no count has to be agreed on between threads.
    if (references_.load(std::memory_order_acquire) == 1 ||
        references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      destroy();
  }
  std::uint32_t use_count() const { return references_.load(std::memory_order_acquire); }

  void* data() const { return data_; }
  std::int64_t count() const { return count_; }
  DType dtype() const { return dtype_; }
  bool owns_memory() const { return size_class_ != kWrapped; }
  bool read_only() const { return read_only_; }

  std::uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void raise_version() { version_.fetch_add(1, std::memory_order_relaxed); }

  /// The parameter's own shape, set by parameter() right after creation. Storage that has one is trainable.
  std::unique_ptr<const Shape> parameter_shape;
  /// The serial number of the recording of the op that made these elements; 0 when none did.
  std::uint64_t recorded_by = 0;

 private:
  static constexpr std::int16_t kWrapped = -1;
  Storage(DType dtype, void* data, std::int64_t count, std::int16_t size_class, bool read_only)
      : data_(data), count_(count), size_class_(size_class), dtype_(dtype), read_only_(read_only) {}
  void destroy();

  void* data_;
  std::int64_t count_;
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::uint32_t> references_{1};
  std::int16_t size_class_;
  DType dtype_;
  bool read_only_;
};

/// Shared ownership of a Storage.
class StorageHandle {
 public:
  StorageHandle() = default;
  explicit StorageHandle(Storage* adopted) : storage_(adopted) {}
  StorageHandle(const StorageHandle& other) noexcept : storage_(other.storage_) {
    if (storage_ != nullptr) storage_->retain();
  }
  StorageHandle(StorageHandle&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StorageHandle& operator=(StorageHandle other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageHandle() {
    if (storage_ != nullptr) storage_->release();
  }

  Storage* get() const { return storage_; }
  Storage* operator->() const { return storage_; }
  explicit operator bool() const { return storage_ != nullptr; }

 private:
  Storage* storage_ = nullptr;
};

}  // namespace detail

/// The bytes that the calling thread keeps for reuse: of freed tensors, and of what spent tapes held. release_memory() returns them to the system.
[[nodiscard]] std::size_t cached_memory();

}  // namespace v0
}  // namespace tapegrad
