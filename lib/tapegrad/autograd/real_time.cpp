#include "tapegrad/autograd/real_time.h"

#include "tapegrad/autograd/constant_filters_internal.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

RealTimeScope::RealTimeScope(const std::vector<Tensor>& constants) : threads_(1) {
  for (std::size_t i = 0; i < constants.size(); ++i)
    if (!constants[i].defined()) fail("RealTimeScope", "constant {} was never given a value", i);
  if (!constants.empty()) filters_ = std::make_unique<detail::ConstantFilters>(constants);
}

RealTimeScope::~RealTimeScope() = default;

}  // namespace tapegrad::inline v0
