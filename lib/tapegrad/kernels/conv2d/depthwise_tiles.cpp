// The tiles of the depthwise convolutions. Highway includes this file once more for each instruction set; and the file includes
// depthwise_tiles_internal.h for each type of numbers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d/depthwise_tiles.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "tapegrad/base/compiler_internal.h"
#include "tapegrad/kernels/conv2d/depthwise_tiles.h"
#include "tapegrad/kernels/cpu_internal.h"

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(!HWY_HAVE_SCALABLE,
              "loops step by MaxLanes: scalable vectors with fewer lanes would skip elements");

#include "tapegrad/kernels/conv2d/relu_internal.h"

namespace of_float {
using T = float;
#include "tapegrad/kernels/conv2d/depthwise_tiles_internal.h"
}  // namespace of_float

namespace of_double {
using T = double;
#include "tapegrad/kernels/conv2d/depthwise_tiles_internal.h"
}  // namespace of_double

const DepthwiseKernels<float>& FloatKernels() {
  return of_float::kKernels;
}
const DepthwiseKernels<double>& DoubleKernels() {
  return of_double::kKernels;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {
namespace {
HWY_EXPORT(FloatKernels);
HWY_EXPORT(DoubleKernels);

// The kernels of the best instruction set that the CPU has.
template <class T>
const DepthwiseKernels<T>& best_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return HWY_DYNAMIC_DISPATCH(FloatKernels)();
  } else {
    return HWY_DYNAMIC_DISPATCH(DoubleKernels)();
  }
}

// The kernels of AVX2, where AVX2 is compiled for.
template <class T>
const DepthwiseKernels<T>& avx2_kernels() {
#if (HWY_TARGETS & HWY_AVX2) != 0
  if constexpr (std::is_same_v<T, float>) {
    return N_AVX2::FloatKernels();
  } else {
    return N_AVX2::DoubleKernels();
  }
#else
  return best_kernels<T>();
#endif
}
}  // namespace

template <class T>
void correlate_depthwise(const DepthwiseCorrelateJob<T>& job) {
  const DepthwiseKernels<T>& best = best_kernels<T>();
  (best.takes(job.windows.channels) ? best : avx2_kernels<T>()).correlate(job);
}
template <class T>
void accumulate_depthwise(const DepthwiseAccumulateJob<T>& job) {
  const DepthwiseKernels<T>& best = best_kernels<T>();
  (best.takes(job.windows.channels) ? best : avx2_kernels<T>()).accumulate(job);
}

template void correlate_depthwise(const DepthwiseCorrelateJob<float>&);
template void correlate_depthwise(const DepthwiseCorrelateJob<double>&);
template void accumulate_depthwise(const DepthwiseAccumulateJob<float>&);
template void accumulate_depthwise(const DepthwiseAccumulateJob<double>&);

}  // namespace tapegrad::inline v0::kernels
#endif
