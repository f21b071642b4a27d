#include "tapegrad/kernels/conv2d/tiles.h"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d/tiles_float.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "tapegrad/kernels/conv2d/tiles_internal.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels {
namespace HWY_NAMESPACE {
namespace {

VectorTraits TraitsOfFloat() {
  return Traits<float>();
}
void CorrelateFloat(const CorrelateJob<float>& job) {
  Correlate(job);
}
void AccumulateFilterFloat(const FilterJob<float>& job) {
  AccumulateFilter(job);
}
void TransposeFloat(index_t rows, index_t columns, const float* from, index_t from_step, float* to,
                    index_t to_step) {
  Transpose(rows, columns, from, from_step, to, to_step);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {
namespace {
HWY_EXPORT(TraitsOfFloat);
HWY_EXPORT(CorrelateFloat);
HWY_EXPORT(AccumulateFilterFloat);
HWY_EXPORT(TransposeFloat);
}  // namespace

template <>
VectorTraits vector_traits<float>() {
  return HWY_DYNAMIC_DISPATCH(TraitsOfFloat)();
}
template <>
void correlate(const CorrelateJob<float>& job) {
  HWY_DYNAMIC_DISPATCH(CorrelateFloat)(job);
}
template <>
void accumulate_filter(const FilterJob<float>& job) {
  HWY_DYNAMIC_DISPATCH(AccumulateFilterFloat)(job);
}
template <>
void transpose(index_t rows, index_t columns, const float* from, index_t from_step, float* to,
               index_t to_step) {
  HWY_DYNAMIC_DISPATCH(TransposeFloat)(rows, columns, from, from_step, to, to_step);
}

}  // namespace tapegrad::inline v0::kernels
#endif
