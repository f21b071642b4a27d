#pragma once

// Internal: filters that nobody writes to for a while, whose packed forms convolutions keep meanwhile.

#include <cstdint>
#include <memory>
#include <span>

#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/context.h"
#include "tapegrad/kernels/conv2d/packed_filter.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// The filters (tensors with four axes) among some tensors. While such an object lives, the ops of the calling thread, and of the
/// loops that it starts, keep the packed forms of these filters. Whoever makes it knows that nobody writes to the filters meanwhile
/// through a pointer; a filter that is written to as an op would do it is packed anew by each call. Objects end on the thread that
/// made them, the last one first.
class ConstantFilters {
 public:
  explicit ConstantFilters(std::span<const Tensor> tensors);
  ~ConstantFilters();
  ConstantFilters(const ConstantFilters&) = delete;
  ConstantFilters& operator=(const ConstantFilters&) = delete;

  /// Where the packed forms of this filter are; nullptr if it is none of them.
  kernels::PackedFilter* find(const Tensor& w) const;

 private:
  struct Filter {
    Tensor w;
    std::uint64_t version;
    std::unique_ptr<kernels::PackedFilter> packed;
  };
  struct Stock;
  BlockVector<Filter> filters_;
  ConstantFilters* const outer_;
};

}  // namespace tapegrad::inline v0::detail
