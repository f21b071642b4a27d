#include "tapegrad/kernels/vector_math.h"

#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/vector_math.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(!HWY_HAVE_SCALABLE,
              "loops step by MaxLanes: scalable vectors with fewer lanes would skip elements");

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

struct ExpOf {
  HWY_INLINE V operator()(V x) const {
    // Highway's Exp is made for numbers whose result is finite.
    const D d;
    const V y = hn::Exp(d, hn::Min(hn::Max(x, hn::Set(d, -104.0F)), hn::Set(d, 88.72283F)));
    const V large = hn::IfThenElse(hn::Gt(x, hn::Set(d, 88.72283F)), hn::Inf(d), y);
    return hn::IfThenElse(hn::IsNaN(x), x, large);
  }
};

struct SigmoidOf {
  HWY_INLINE V operator()(V x) const {
    // exp(-|x|) never overflows; 1 / (1 + e) and e / (1 + e) are both accurate.
    const D d;
    const V one = hn::Set(d, 1.0F);
    const V e = hn::Exp(d, hn::Max(hn::Neg(hn::Abs(x)), hn::Set(d, -104.0F)));
    const V y = hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  }
};

struct SigmoidSlopeOf {
  HWY_INLINE V operator()(V x) const {
    // e / (1 + e)^2, which is the same for x and -x.
    const D d;
    const V e = hn::Exp(d, hn::Max(hn::Neg(hn::Abs(x)), hn::Set(d, -104.0F)));
    const V more = hn::Add(hn::Set(d, 1.0F), e);
    return hn::IfThenElse(hn::IsNaN(x), x, hn::Div(e, hn::Mul(more, more)));
  }
};

// exp(-|x|) and, where that is tiny, e^16 times as much: then a factor in [1, 104] comes before the rounding to a subnormal
// number. `back` is what undoes it. Beside 1 the exponential is nothing there.
struct Decay {
  V e, back;
  HWY_INLINE explicit Decay(V x) {
    const D d;
    const V size = hn::Min(hn::Abs(x), hn::Set(d, 120.0F));
    const auto tiny = hn::Gt(size, hn::Set(d, 64.0F));
    e = hn::Exp(d, hn::Sub(hn::IfThenElse(tiny, hn::Set(d, 16.0F), hn::Zero(d)), size));
    back = hn::IfThenElse(tiny, hn::Set(d, 1.1253517e-7F), hn::Set(d, 1.0F));
  }
};

struct SiluOf {
  HWY_INLINE V operator()(V x) const {
    const D d;
    const V one = hn::Set(d, 1.0F);
    const Decay decay(x);
    // -infinity has the slope 0 of all that is so far out.
    const V below = hn::Mul(hn::Mul(hn::Max(x, hn::Set(d, -120.0F)), decay.e), decay.back);
    const V y = hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), below, x), hn::Add(one, decay.e));
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  }
};

struct SiluSlopeOf {
  HWY_INLINE V operator()(V x) const {
    // sigmoid(x) (1 + x sigmoid(-x)).
    const D d;
    const V one = hn::Set(d, 1.0F), end = hn::Set(d, 120.0F);
    const Decay decay(x);
    const V more = hn::Add(one, decay.e), cut = hn::Min(hn::Max(x, hn::Neg(end)), end);
    const auto below = hn::Lt(x, hn::Zero(d));
    const V high = hn::Div(hn::Add(more, hn::Mul(hn::Mul(cut, decay.e), decay.back)), more);
    const V low = hn::Mul(hn::Mul(decay.e, hn::Div(hn::Add(more, cut), more)), decay.back);
    const V y = hn::Div(hn::IfThenElse(below, low, high), more);
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  }
};

struct TanhOf {
  HWY_INLINE V operator()(V x) const {
    const D d;
    const V y = hn::Tanh(d, hn::Min(hn::Max(x, hn::Set(d, -20.0F)), hn::Set(d, 20.0F)));
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  }
};

struct Log1pOf {
  HWY_INLINE V operator()(V x) const {
    // Highway's Log1p is made for finite numbers above -1.
    const D d;
    const V lowest = hn::Set(d, -1.0F), infinity = hn::Inf(d);
    const V edges = hn::IfThenElse(hn::Eq(x, lowest), hn::Neg(infinity), hn::NaN(d));
    const V y = hn::IfThenElse(hn::Lt(x, infinity), hn::Log1p(d, x), x);
    return hn::IfThenElse(hn::Gt(x, lowest), y, edges);
  }
};

template <class F>
void Map(index_t n, const float* x, float* y, F f) {
  const D d;
  constexpr index_t kLanes = hn::MaxLanes(d);
  index_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(f(hn::LoadU(d, x + i)), d, y + i);
  if (i == n) return;
  HWY_ALIGN float rest[kLanes] = {};
  std::copy_n(x + i, n - i, rest);
  hn::Store(f(hn::Load(d, rest)), d, rest);
  std::copy_n(rest, n - i, y + i);
}

void Exp(index_t n, const float* x, float* y) {
  Map(n, x, y, ExpOf());
}
void Sigmoid(index_t n, const float* x, float* y) {
  Map(n, x, y, SigmoidOf());
}
void SigmoidSlope(index_t n, const float* x, float* y) {
  Map(n, x, y, SigmoidSlopeOf());
}
void Silu(index_t n, const float* x, float* y) {
  Map(n, x, y, SiluOf());
}
void SiluSlope(index_t n, const float* x, float* y) {
  Map(n, x, y, SiluSlopeOf());
}
void Tanh(index_t n, const float* x, float* y) {
  Map(n, x, y, TanhOf());
}
void Log1p(index_t n, const float* x, float* y) {
  Map(n, x, y, Log1pOf());
}

}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels {
namespace {

HWY_EXPORT(Exp);
HWY_EXPORT(Sigmoid);
HWY_EXPORT(SigmoidSlope);
HWY_EXPORT(Silu);
HWY_EXPORT(SiluSlope);
HWY_EXPORT(Tanh);
HWY_EXPORT(Log1p);

template <class F>
void in_parallel(index_t n, const float* x, float* y, F f) {
  parallel_for(n, kElementwisePiece,
               [=](index_t begin, index_t end) { f(end - begin, x + begin, y + begin); });
}

}  // namespace

void exp(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(Exp));
}
void sigmoid(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(Sigmoid));
}
void sigmoid_slope(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(SigmoidSlope));
}
void silu(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(Silu));
}
void silu_slope(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(SiluSlope));
}
void tanh(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(Tanh));
}
void log1p(index_t n, const float* x, float* y) {
  in_parallel(n, x, y, HWY_DYNAMIC_DISPATCH(Log1p));
}

}  // namespace tapegrad::inline v0::kernels
#endif
