// The larger one of 0 and each number; a NaN stays. No include guard: files with kernels include this file inside of the
// namespace of an instruction set.
template <class V>
HWY_INLINE V Relu(V v) {
  const auto zero = hn::Zero(hn::DFromV<V>());
#if HWY_ARCH_ARM
  return hn::IfThenZeroElse(hn::Lt(v, zero), v);  // of a NaN and a number Max() takes the number
#else
  return hn::Max(zero, v);  // in this order a NaN stays
#endif
}
