#pragma once

// Internal: lists of the standard library whose memory is used again.

#include <cstddef>
#include <utility>

#include "tapegrad/base/thread_memory.h"

namespace tapegrad::inline v0::detail {

/// A list that begins empty, in the memory of one that ended before on this thread. For the lists of public interfaces, which
/// have the standard library's allocator; others live in blocks (BlockVector).
template <class List>
class KeptList {
 public:
  KeptList() {
    if (Stock* own = stock(); own != nullptr) list_ = own->take();
    list_.reserve(kUsual);  // so that it does not matter which of them a short list gets
  }
  explicit KeptList(List list) : list_(std::move(list)) {}
  ~KeptList() {
    list_.clear();
    if (Stock* own = stock(); own != nullptr) own->give(list_);
  }
  KeptList(const KeptList& other) : KeptList() { list_ = other.list_; }
  KeptList(KeptList&& other) noexcept : list_(std::move(other.list_)) {}
  KeptList& operator=(KeptList other) noexcept {
    std::swap(list_, other.list_);
    return *this;
  }

  List& operator*() & { return list_; }
  const List& operator*() const& { return list_; }
  void operator*() && = delete;  // a loop over it would outlive it
  List* operator->() { return &list_; }
  const List* operator->() const { return &list_; }
  /// The list itself, for an interface that takes it over.
  List release() { return std::move(list_); }

 private:
  static constexpr std::size_t kUsual = 32;
  struct Stock final : ThreadMemory {
    static constexpr std::size_t kMost = 16, kMostElements = 1024;
    List lists[kMost];
    std::size_t count = 0;

    List take() { return count == 0 ? List() : std::move(lists[--count]); }
    void give(List& list) {
      if (list.capacity() > 0 && list.capacity() <= kMostElements && count < kMost)
        lists[count++] = std::move(list);
    }
    void release() override {
      while (count > 0) lists[--count] = List();
    }
  };
  static Stock* stock() { return own_of_thread<Stock>(); }

  List list_;
};

}  // namespace tapegrad::inline v0::detail
