#include "tapegrad/autograd/constant_filters_internal.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "tapegrad/base/thread_memory.h"

namespace tapegrad::inline v0::detail {

// The memory of packed forms, for the next object of this thread: a step of training takes what the last one had.
struct ConstantFilters::Stock final : ThreadMemory {
  std::vector<std::unique_ptr<kernels::PackedFilter>> free;  // the first filter's last

  std::unique_ptr<kernels::PackedFilter> take() {
    if (free.empty()) return std::make_unique<kernels::PackedFilter>();
    std::unique_ptr<kernels::PackedFilter> packed = std::move(free.back());
    free.pop_back();
    packed->forget();
    return packed;
  }
  void release() override { std::vector<std::unique_ptr<kernels::PackedFilter>>().swap(free); }
};

ConstantFilters::ConstantFilters(std::span<const Tensor> tensors) : outer_(context().filters) {
  const auto is_filter = [](const Tensor& x) { return x.rank() == 4; };
  const auto count = static_cast<std::size_t>(std::ranges::count_if(tensors, is_filter));
  filters_.reserve(count);
  Stock* stock = own_of_thread<Stock>();
  for (const Tensor& x : tensors)
    if (is_filter(x))
      filters_.push_back({x, TensorAccess::storage(x)->version(),
                          stock != nullptr ? stock->take() : std::make_unique<kernels::PackedFilter>()});
  if (stock != nullptr && outer_ == nullptr) stock->free.clear();  // what is left is of a larger model
  if (stock != nullptr) stock->free.reserve(stock->free.size() + count);
  context().filters = this;
}

ConstantFilters::~ConstantFilters() {
  context().filters = outer_;
  Stock* stock = own_of_thread<Stock>();
  if (stock == nullptr) return;
  for (std::size_t i = filters_.size(); i-- > 0 && stock->free.size() < stock->free.capacity();)
    stock->free.push_back(std::move(filters_[i].packed));
}

kernels::PackedFilter* ConstantFilters::find(const Tensor& w) const {
  const auto is = [&](const Filter& filter) {
    const Storage* storage = TensorAccess::storage(filter.w);
    return storage == TensorAccess::storage(w) && storage->version() == filter.version &&
           TensorAccess::offset(filter.w) == TensorAccess::offset(w) && filter.w.shape() == w.shape();
  };
  const auto found = std::ranges::find_if(filters_, is);
  if (found != filters_.end()) return found->packed.get();
  return outer_ != nullptr ? outer_->find(w) : nullptr;
}

}  // namespace tapegrad::inline v0::detail
