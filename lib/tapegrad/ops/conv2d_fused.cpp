#include <span>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/kept_internal.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/kernels/relu_backward.h"
#include "tapegrad/ops/conv2d_internal.h"
#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::backprop_filter;
using detail::backprop_input;
using detail::check_conv2d_dtypes;
using detail::compute_conv2d;
using detail::conv2d_transpose_geometry;
using detail::convolve;

void check_bias(const char* op, const Tensor& bias, const Tensor& w, index_t channels) {
  if (!bias.defined()) return;
  if (bias.shape() != Shape{channels})
    fail(op, "the bias has shape {} but the result has {} channels (w: {})", bias.shape(), channels,
         w.shape());
  check_conv2d_dtypes(op, bias, "bias", w, "w");
}

// The gradients of a convolution or its transpose, and of what layers do to the result.
struct FusedRule {
  Conv2DGeometry g;
  Saved x, w;
  bool transposed;

  // Where the output is not defined, there was no relu.
  std::vector<Tensor> gradients(const Tensor& gradient, const Tensor& out,
                                const detail::JointCall& call) const {
    std::vector<Tensor> found = detail::KeptList<std::vector<Tensor>>().release();
    found.resize(call.wanted.size());
    Tensor* const bias = call.wanted.size() == 3 && call.wanted[2] ? &found[2] : nullptr;
    // Of what relu was applied to. A gradient that was gated has passed relu already.
    const Tensor gy = through_relu(gradient, call.gated ? Tensor() : out, bias);
    const Tensor gate = call.gate_first ? x() : Tensor();
    if (call.wanted[0])
      found[0] = transposed ? convolve("conv2d", g, gy, w(), gate)
                            : backprop_input("conv2d_backprop_input", g, gy, w(), gate);
    if (call.wanted[1])
      found[1] = backprop_filter("conv2d_backprop_filter", g, transposed ? gy : x(), transposed ? x() : gy);
    return found;
  }

 private:
  static Tensor through_relu(const Tensor& gradient, const Tensor& out, Tensor* bias) {
    if (!is_recording() && (out.defined() || bias != nullptr)) return in_one_pass(gradient, out, bias);
    const Tensor gy = out.defined() ? detail::gate(gradient, out, [](auto v) { return v > 0; }) : gradient;
    if (bias != nullptr) *bias = sum(gy, {0, 1, 2});
    return gy;
  }

  // What the differentiable ops above compute.
  static Tensor in_one_pass(const Tensor& gradient, const Tensor& out, Tensor* bias) {
    // Nobody else's: may be written to. The less memory is touched, the more of it stays in the cache.
    const bool own =
        TensorAccess::storage(gradient)->use_count() == 1 && TensorAccess::storage(gradient)->owns_memory();
    Tensor gy = out.defined() && !own ? TensorAccess::empty(gradient.shape(), gradient.dtype()) : gradient;
    Tensor sums = TensorAccess::empty({gy.shape()[3]}, gy.dtype());
    const auto run = [&]<class T>(std::type_identity<T>) {
      kernels::relu_backward(
          gy.size(), gy.shape()[3], gradient.data<T>(), out.defined() ? out.data<T>() : nullptr,
          out.defined() ? reinterpret_cast<T*>(TensorAccess::elements(gy)) : nullptr, sums.mutable_data<T>());
    };
    dispatch_floating(gy.dtype(), run);
    if (bias != nullptr) *bias = sums;
    return gy;
  }
};

struct LinearRule : FusedRule {
  std::vector<Tensor> operator()(const Tensor& gradient, const detail::JointCall& call) const {
    return gradients(gradient, Tensor(), call);  // without relu, the output need not be kept
  }
};
struct ReluRule : FusedRule {
  static constexpr bool kGates = true;
  std::vector<Tensor> operator()(const Tensor& gradient, const Tensor& out,
                                 const detail::JointCall& call) const {
    return gradients(gradient, out, call);
  }
};

// A convolution or its transpose with what layers do to the result.
Tensor fuse(const char* op, const Conv2DGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
            bool relu, bool transposed) {
  const Shape shape = transposed ? g.in_shape() : g.out_shape();
  Tensor y = compute_conv2d(op, shape, x, w, [&]<class T>(const T* px, const T* pw, T* py) {
    const kernels::Epilogue<T> epilogue = {.bias = bias.defined() ? bias.data<T>() : nullptr, .relu = relu};
    if (transposed)
      kernels::conv2d_backprop_input(g, px, pw, py, epilogue, detail::kept_filter(w));
    else
      kernels::conv2d(g, px, pw, py, epilogue, detail::kept_filter(w));
  });
  detail::note(g);
  detail::note("transposed", transposed);
  detail::note("relu", relu);
  // No vector: a forward pass without a tape takes no memory from the system.
  const Tensor all[] = {x, w, bias};
  const std::span<const Tensor> inputs(all, bias.defined() ? 3 : 2);
  const FusedRule rule{g, Saved(x), Saved(w), transposed};
  return relu ? detail::record_joint_call(op, std::move(y), inputs, ReluRule{rule})
              : detail::record_joint_call(op, std::move(y), inputs, LinearRule{rule});
}

}  // namespace

Tensor fused_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const FusedOptions& fused,
                    const Conv2DOptions& options) {
  const char* const op = fused.op != nullptr ? fused.op : "fused_conv2d";
  check_conv2d_dtypes(op, x, "x", w, "w");
  const Conv2DGeometry g = resolve_conv2d(op, x.shape(), w.shape(), options);
  check_bias(op, bias, w, g.out_channels);
  return fuse(op, g, x, w, bias, fused.relu, false);
}

Tensor fused_conv2d_transpose(const Tensor& x, const Tensor& w, const Tensor& bias, const FusedOptions& fused,
                              const Conv2DTransposeOptions& options) {
  const char* const op = fused.op != nullptr ? fused.op : "fused_conv2d_transpose";
  const Conv2DGeometry g = conv2d_transpose_geometry(op, x, w, options);
  check_bias(op, bias, w, g.in_channels);
  return fuse(op, g, x, w, bias, fused.relu, true);
}

}  // namespace tapegrad::inline v0
