#include "tapegrad/kernels/conv2d/depthwise_tiles.h"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d/depthwise_tiles_double.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "tapegrad/kernels/conv2d/depthwise_tiles_internal.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels {
namespace HWY_NAMESPACE {
namespace {

void CorrelateDouble(const DepthwiseCorrelateJob<double>& job) {
  Correlate(job);
}
void AccumulateDouble(const DepthwiseAccumulateJob<double>& job) {
  Accumulate(job);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {
namespace {
HWY_EXPORT(CorrelateDouble);
HWY_EXPORT(AccumulateDouble);
}  // namespace

template <>
void correlate_depthwise(const DepthwiseCorrelateJob<double>& job) {
  HWY_DYNAMIC_DISPATCH(CorrelateDouble)(job);
}
template <>
void accumulate_depthwise(const DepthwiseAccumulateJob<double>& job) {
  HWY_DYNAMIC_DISPATCH(AccumulateDouble)(job);
}

}  // namespace tapegrad::inline v0::kernels
#endif
