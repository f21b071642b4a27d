#include "tapegrad/kernels/conv2d/conv2d.h"

#include "tapegrad/kernels/conv2d/depthwise.h"
#include "tapegrad/kernels/conv2d/direct.h"
#include "tapegrad/kernels/conv2d/plan.h"

namespace tapegrad::inline v0::kernels {
namespace {

template <class T>
void correlate_images(const CorrelationPlan& plan, const T* x, const T* w, T* y, const Epilogue<T>& epilogue,
                      PackedFilter* kept) {
  plan.family == Family::Depthwise ? depthwise_correlate(plan, x, w, y, epilogue)
                                   : direct_correlate(plan, x, w, y, epilogue, kept);
}

}  // namespace

template <class T>
void conv2d(const Conv2DGeometry& g, const T* x, const T* w, T* y, const Epilogue<T>& epilogue,
            PackedFilter* kept) {
  correlate_images(*cached_correlation(g, false, vector_traits<T>()), x, w, y, epilogue, kept);
}

template <class T>
void conv2d_backprop_input(const Conv2DGeometry& g, const T* dy, const T* w, T* dx,
                           const Epilogue<T>& epilogue, PackedFilter* kept) {
  correlate_images(*cached_correlation(g, true, vector_traits<T>()), dy, w, dx, epilogue, kept);
}

template <class T>
void conv2d_backprop_filter(const Conv2DGeometry& g, const T* x, const T* dy, T* dw) {
  const auto plan = cached_filter(g, vector_traits<T>());
  plan->family == Family::Depthwise ? depthwise_filter_gradient(*plan, x, dy, dw)
                                    : direct_filter_gradient(*plan, x, dy, dw);
}

template void conv2d(const Conv2DGeometry&, const float*, const float*, float*, const Epilogue<float>&,
                     PackedFilter*);
template void conv2d(const Conv2DGeometry&, const double*, const double*, double*, const Epilogue<double>&,
                     PackedFilter*);
template void conv2d_backprop_input(const Conv2DGeometry&, const float*, const float*, float*,
                                    const Epilogue<float>&, PackedFilter*);
template void conv2d_backprop_input(const Conv2DGeometry&, const double*, const double*, double*,
                                    const Epilogue<double>&, PackedFilter*);
template void conv2d_backprop_filter(const Conv2DGeometry&, const float*, const float*, float*);
template void conv2d_backprop_filter(const Conv2DGeometry&, const double*, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
