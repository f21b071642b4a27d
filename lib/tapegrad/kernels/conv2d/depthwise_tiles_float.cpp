#include "tapegrad/kernels/conv2d/depthwise_tiles.h"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d/depthwise_tiles_float.cpp"
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

void CorrelateFloat(const DepthwiseCorrelateJob<float>& job) {
  Correlate(job);
}
void AccumulateFloat(const DepthwiseAccumulateJob<float>& job) {
  Accumulate(job);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {
namespace {
HWY_EXPORT(CorrelateFloat);
HWY_EXPORT(AccumulateFloat);
}  // namespace

template <>
void correlate_depthwise(const DepthwiseCorrelateJob<float>& job) {
  HWY_DYNAMIC_DISPATCH(CorrelateFloat)(job);
}
template <>
void accumulate_depthwise(const DepthwiseAccumulateJob<float>& job) {
  HWY_DYNAMIC_DISPATCH(AccumulateFloat)(job);
}

}  // namespace tapegrad::inline v0::kernels
#endif
