// The tiles of the direct convolutions. Highway includes this file once more for each instruction set; and the file includes
// tiles_internal.h for each type of numbers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d/tiles.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tapegrad/kernels/conv2d/tiles.h"
#include "tapegrad/kernels/cpu_internal.h"

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(!HWY_HAVE_SCALABLE,
              "loops step by MaxLanes: scalable vectors with fewer lanes would skip elements");

#include "tapegrad/kernels/conv2d/relu_internal.h"
#include "tapegrad/kernels/transpose_internal.h"

namespace of_float {
using T = float;
#include "tapegrad/kernels/conv2d/tiles_internal.h"
}  // namespace of_float

namespace of_double {
using T = double;
#include "tapegrad/kernels/conv2d/tiles_internal.h"
}  // namespace of_double

const DirectKernels<float>& FloatKernels() {
  return of_float::kKernels;
}
const DirectKernels<double>& DoubleKernels() {
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
const DirectKernels<T>& best_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return HWY_DYNAMIC_DISPATCH(FloatKernels)();
  } else {
    return HWY_DYNAMIC_DISPATCH(DoubleKernels)();
  }
}

// The kernels of AVX2, where AVX2 is compiled for.
template <class T>
const DirectKernels<T>& avx2_kernels() {
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
VectorTraits vector_traits() {
  return best_kernels<T>().traits();
}
template <class T>
void correlate(const CorrelateJob<T>& job) {
  (job.narrow ? avx2_kernels<T>() : best_kernels<T>()).correlate(job);
}
template <class T>
void accumulate_filter(const FilterJob<T>& job) {
  best_kernels<T>().accumulate_filter(job);
}
template <class T>
void transpose(index_t rows, index_t columns, const T* from, index_t from_step, T* to, index_t to_step) {
  best_kernels<T>().transpose(rows, columns, from, from_step, to, to_step);
}

template VectorTraits vector_traits<float>();
template VectorTraits vector_traits<double>();
template void correlate(const CorrelateJob<float>&);
template void correlate(const CorrelateJob<double>&);
template void accumulate_filter(const FilterJob<float>&);
template void accumulate_filter(const FilterJob<double>&);
template void transpose(index_t, index_t, const float*, index_t, float*, index_t);
template void transpose(index_t, index_t, const double*, index_t, double*, index_t);

}  // namespace tapegrad::inline v0::kernels
#endif
