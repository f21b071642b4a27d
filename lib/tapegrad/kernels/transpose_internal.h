// Transposition in blocks of 128 bits, for the files that Highway includes once for each instruction set. No include guard: they
// include this file there, inside of the namespace of the instruction set.

// The number of elements in a block.
template <class T>
constexpr index_t kSquare = index_t{16} / static_cast<index_t>(sizeof(T));

// Block i is from row i * kSquare.
template <class D>
HWY_INLINE hn::Vec<D> LoadBlocks(D d, const hn::TFromD<D>* from, index_t step) {
  if constexpr (hn::MaxLanes(D()) == kSquare<hn::TFromD<D>>) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, LoadBlocks(half, from + static_cast<index_t>(hn::MaxLanes(half)) * step, step),
                       LoadBlocks(half, from, step));
  }
}

// A vector of rows and a block of columns of `from` become a block of rows and a vector of columns.
template <class D>
HWY_INLINE void TransposeBlocks(D d, const hn::TFromD<D>* from, index_t step, hn::TFromD<D>* to,
                                index_t to_step) {
  const auto v0 = LoadBlocks(d, from, step), v1 = LoadBlocks(d, from + step, step);
  if constexpr (kSquare<hn::TFromD<D>> == 2) {
    hn::StoreU(hn::InterleaveLower(d, v0, v1), d, to);
    hn::StoreU(hn::InterleaveUpper(d, v0, v1), d, to + to_step);
  } else {
    const hn::Repartition<double, D> pairs;
    const auto v2 = LoadBlocks(d, from + 2 * step, step), v3 = LoadBlocks(d, from + 3 * step, step);
    const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, v0, v1)),
               low23 = hn::BitCast(pairs, hn::InterleaveLower(d, v2, v3)),
               high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, v0, v1)),
               high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, v2, v3));
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, to);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, to + to_step);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, to + 2 * to_step);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, to + 3 * to_step);
  }
}
