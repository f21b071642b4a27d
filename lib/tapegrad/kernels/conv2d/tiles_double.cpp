#include "tapegrad/kernels/conv2d/tiles.h"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d/tiles_double.cpp"
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

VectorTraits TraitsOfDouble() {
  return Traits<double>();
}
void CorrelateDouble(const CorrelateJob<double>& job) {
  Correlate(job);
}
void AccumulateFilterDouble(const FilterJob<double>& job) {
  AccumulateFilter(job);
}
void TransposeDouble(index_t rows, index_t columns, const double* from, index_t from_step, double* to,
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
HWY_EXPORT(TraitsOfDouble);
HWY_EXPORT(CorrelateDouble);
HWY_EXPORT(AccumulateFilterDouble);
HWY_EXPORT(TransposeDouble);
}  // namespace

template <>
VectorTraits vector_traits<double>() {
  return HWY_DYNAMIC_DISPATCH(TraitsOfDouble)();
}
template <>
void correlate(const CorrelateJob<double>& job) {
  HWY_DYNAMIC_DISPATCH(CorrelateDouble)(job);
}
template <>
void accumulate_filter(const FilterJob<double>& job) {
  HWY_DYNAMIC_DISPATCH(AccumulateFilterDouble)(job);
}
template <>
void transpose(index_t rows, index_t columns, const double* from, index_t from_step, double* to,
               index_t to_step) {
  HWY_DYNAMIC_DISPATCH(TransposeDouble)(rows, columns, from, from_step, to, to_step);
}

}  // namespace tapegrad::inline v0::kernels
#endif
