#include "tapegrad/kernels/gemm_highway.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/tiles.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/gemm_highway.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

#ifndef TAPEGRAD_KERNELS_GEMM_HIGHWAY_ONCE
#define TAPEGRAD_KERNELS_GEMM_HIGHWAY_ONCE
namespace tapegrad::inline v0::kernels::highway {

// A block of b, of kInner x kColumns numbers, stays in the second cache while blocks of kRows rows of a pass by. An element
// is the sum of the sums of each kInner products: a change of kInner, and of nothing else, changes the last bits of results.
inline constexpr index_t kInner = 256, kColumns = 768, kRows = 192;

// The number of pieces that an axis is cut into, and where piece i begins: they are as long as each other, or one longer.
struct Cut {
  index_t size, pieces, least, longer;
  Cut(index_t length, index_t most)
      : size(length), pieces(divide_up(length, most)), least(length), longer(0) {
    if (pieces == 1) return;  // small products have no time to divide
    least = size / pieces;
    longer = size - least * pieces;
  }
  index_t begin(index_t i) const { return i * least + std::min(i, longer); }
  index_t length(index_t i) const { return i < longer ? least + 1 : least; }
};

// Element (i, j) of a matrix: data[i * row + j * column].
template <class T>
struct Strided {
  T* data;
  index_t row, column;
  explicit Strided(const Matrix<T>& m)
      : data(m.data), row(m.transposed ? 1 : m.step), column(m.transposed ? m.step : 1) {}
  Strided(T* at, index_t row_step, index_t column_step) : data(at), row(row_step), column(column_step) {}
  Strided part(index_t i, index_t j) const { return {data + i * row + j * column, row, column}; }
};

}  // namespace tapegrad::inline v0::kernels::highway
#endif

HWY_BEFORE_NAMESPACE();
namespace tapegrad::inline v0::kernels::highway {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(!HWY_HAVE_SCALABLE,
              "loops step by MaxLanes: scalable vectors with fewer lanes would skip elements");

// Rows of a tile and vectors in each: their sums stay in registers, with the vectors of b and one number of a.
#if HWY_TARGET == HWY_AVX3
constexpr int kTileRows = 8, kTileVectors = 3;
#elif HWY_TARGET == HWY_AVX2
constexpr int kTileRows = 6, kTileVectors = 2;
#else
constexpr int kTileRows = 4, kTileVectors = 2;
#endif

template <class T>
constexpr index_t kLanes = hn::MaxLanes(hn::ScalableTag<T>());

// A tile of c. b has whole vectors of numbers; c has `last` columns in the last one.
template <class T>
struct Tile {
  index_t k;
  Strided<const T> a;
  const T* b;
  index_t b_row;
  T* c;
  index_t c_row, last;
  bool accumulate;
};

// The first `count` numbers, and zeros after them.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadSome(D d, const T* from, index_t count) {
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN T lanes[kLanes<T>] = {};
  std::copy_n(from, count, lanes);
  return hn::Load(d, lanes);
#else
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
#endif
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreSome(D d, hn::Vec<D> v, T* to, index_t count) {
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN T lanes[kLanes<T>];
  hn::Store(v, d, lanes);
  std::copy_n(lanes, count, to);
#else
  hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, to);
#endif
}

template <int kRowsHere, int kVectors, class T>
void Multiply(const Tile<T>& tile) {
  const hn::ScalableTag<T> d;
  constexpr index_t kStep = kLanes<T>;
  hn::Vec<decltype(d)> sums[kRowsHere][kVectors];
  HWY_UNROLL(8)
  for (int i = 0; i < kRowsHere; ++i) {
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::Zero(d);
  }
  const T* a = tile.a.data;
  const T* b = tile.b;
  const index_t a_row = tile.a.row;
  for (index_t r = tile.k; r > 0; --r, a += tile.a.column, b += tile.b_row) {
    hn::Vec<decltype(d)> columns[kVectors];
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) columns[v] = hn::LoadU(d, b + v * kStep);
    HWY_UNROLL(8)
    for (int i = 0; i < kRowsHere; ++i) {
      const auto x = hn::Set(d, a[i * a_row]);
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::MulAdd(x, columns[v], sums[i][v]);
    }
  }
  T* c = tile.c;
  HWY_UNROLL(8)
  for (int i = 0; i < kRowsHere; ++i, c += tile.c_row) {
    HWY_UNROLL(8)
    for (int v = 0; v + 1 < kVectors; ++v) {
      const auto before = tile.accumulate ? hn::LoadU(d, c + v * kStep) : hn::Zero(d);
      hn::StoreU(tile.accumulate ? hn::Add(before, sums[i][v]) : sums[i][v], d, c + v * kStep);
    }
    T* end = c + (kVectors - 1) * kStep;
    auto sum = sums[i][kVectors - 1];
    if (tile.last == kStep) {
      hn::StoreU(tile.accumulate ? hn::Add(hn::LoadU(d, end), sum) : sum, d, end);
    } else {
      if (tile.accumulate) sum = hn::Add(LoadSome(d, end, tile.last), sum);
      StoreSome(d, sum, end, tile.last);
    }
  }
}

template <class T>
using MultiplyTile = void (*)(const Tile<T>&);

// Multiply() for each number of rows and vectors: entry (rows - 1) * kTileVectors + vectors - 1.
template <class T, int... kAt>
constexpr std::array<MultiplyTile<T>, sizeof...(kAt)> tiles_of(std::integer_sequence<int, kAt...>) {
  return {Multiply<kAt / kTileVectors + 1, kAt % kTileVectors + 1, T>...};
}
template <class T>
constexpr auto kTiles = tiles_of<T>(std::make_integer_sequence<int, kTileRows * kTileVectors>());

#include "tapegrad/kernels/transpose_internal.h"

// The k rows of the first n columns of b, as rows of `step` numbers: zeros after the columns.
template <class T>
void PackColumns(index_t k, index_t n, const Strided<const T>& b, T* to, index_t step) {
  const hn::ScalableTag<T> d;
  const index_t whole = n / kLanes<T> * kLanes<T>;
  if (b.column != 1) {
    const index_t blocks = k / kSquare<T> * kSquare<T>;
    for (index_t j = 0; j < whole; j += kLanes<T>)
      for (index_t r = 0; r < blocks; r += kSquare<T>)
        TransposeBlocks(d, b.data + j * b.column + r, b.column, to + r * step + j, step);
    for (index_t r = blocks; r < k; ++r)
      for (index_t j = 0; j < whole; ++j) to[r * step + j] = b.data[j * b.column + r];
    if (whole == n) return;
    for (index_t r = 0; r < k; ++r) hn::StoreU(hn::Zero(d), d, to + r * step + whole);
    transpose(n - whole, k, b.data + whole * b.column, b.column, to + whole, step);
    return;
  }
  const T* from = b.data;
  for (index_t r = 0; r < k; ++r, from += b.row, to += step) {
    for (index_t j = 0; j < whole; j += kLanes<T>) hn::StoreU(hn::LoadU(d, from + j), d, to + j);
    if (whole < n) hn::StoreU(LoadSome(d, from + whole, n - whole), d, to + whole);
  }
}

// The rows of a block of a as the tiles read them. Where that is worth it they are copied: rows one after the other, with room
// between them, so that they do not share a place in the cache; of a transposed a, the columns of each tile, tile after tile.
template <class T>
struct RowPanels {
  Strided<const T> a;
  const Cut& tiles;
  bool tile_after_tile = false;

  Strided<const T> of_tile(index_t q, index_t k) const {
    const index_t first = tiles.begin(q);
    return tile_after_tile ? Strided<const T>{a.data + first * k, 1, tiles.length(q)} : a.part(first, 0);
  }
};

template <class T>
RowPanels<T> PackRows(const Cut& tiles, index_t k, const Strided<const T>& a) {
  constexpr index_t kBetween = index_t{64} / static_cast<index_t>(sizeof(T));
  struct Rows;
  T* const packed = scratch<T, Rows>(tiles.size * (k + kBetween));
  if (a.column == 1) {
    for (index_t i = 0; i < tiles.size; ++i) std::copy_n(a.data + i * a.row, k, packed + i * (k + kBetween));
    return {{packed, k + kBetween, 1}, tiles};
  }
  T* to = packed;
  for (index_t q = 0; q < tiles.pieces; ++q) {
    const index_t rows = tiles.length(q);
    const T* from = a.data + tiles.begin(q);
    for (index_t r = 0; r < k; ++r, from += a.column, to += rows) {
      if (rows == kTileRows)
        std::copy_n(from, kTileRows, to);  // in a vector or two
      else
        std::copy_n(from, rows, to);
    }
  }
  return {{packed, 1, 1}, tiles, true};
}

// A block of columns of b as the tiles read them: whole vectors, each few of them copied to where they are neighbours. What is
// there in whole vectors already is not copied if it is small, or read by few tiles.
template <class T>
class ColumnPanels {
 public:
  ColumnPanels(index_t m, index_t n, index_t k, const Strided<const T>& b)
      : vectors(divide_up(n, kLanes<T>), kTileVectors), n_(n), k_(k), b_(b) {
    const bool all = b.column != 1 || (m > 4 * kTileRows && k * n * static_cast<index_t>(sizeof(T)) > kSmall);
    first_packed_ = all ? 0 : vectors.pieces - (n % kLanes<T> != 0);
    if (first_packed_ == vectors.pieces) return;
    struct Columns;
    packed_ = scratch<T, Columns>(k * (vectors.size * kLanes<T> - first(first_packed_)));
    for (index_t p = first_packed_; p < vectors.pieces; ++p)
      PackColumns(k, std::min(step(p), n - first(p)), b.part(0, first(p)), packed(p), step(p));
  }

  const Cut vectors;
  index_t first(index_t p) const { return vectors.begin(p) * kLanes<T>; }
  // What a tile of panel p reads, and how many columns of c its last vector has.
  void put(index_t p, Tile<T>& tile) const {
    tile.b = p >= first_packed_ ? packed(p) : b_.data + first(p);
    tile.b_row = p >= first_packed_ ? step(p) : b_.row;
    tile.last = p + 1 == vectors.pieces ? n_ - (vectors.size - 1) * kLanes<T> : kLanes<T>;
  }

 private:
  static constexpr index_t kSmall = 16384;  // bytes
  index_t step(index_t p) const { return vectors.length(p) * kLanes<T>; }
  T* packed(index_t p) const { return packed_ + (first(p) - first(first_packed_)) * k_; }
  index_t n_, k_, first_packed_;
  Strided<const T> b_;
  T* packed_ = nullptr;
};

// A block of c: k is at most kInner, n at most kColumns.
template <class T>
void MultiplyBlock(index_t m, index_t n, index_t k, const Strided<const T>& a, const Strided<const T>& b,
                   T* c, index_t c_row, bool accumulate) {
  const ColumnPanels<T> columns(m, n, k, b);
  constexpr index_t kLargeRows = 40960;  // bytes of a transposed a that stay in the first cache
  const bool pack =
      a.column == 1 ? n > 8 * kTileVectors * kLanes<T> : m * k * static_cast<index_t>(sizeof(T)) > kLargeRows;
  for (index_t i = 0; i < m; i += kRows) {
    const Cut tiles(std::min(kRows, m - i), kTileRows);
    const auto rows = pack ? PackRows(tiles, k, a.part(i, 0)) : RowPanels<T>{a.part(i, 0), tiles};
    for (index_t p = 0; p < columns.vectors.pieces; ++p) {
      Tile<T> tile{k, rows.a, nullptr, 0, nullptr, c_row, 0, accumulate};
      columns.put(p, tile);
      for (index_t q = 0; q < tiles.pieces; ++q) {
        tile.a = rows.of_tile(q, k);
        tile.c = c + (i + tiles.begin(q)) * c_row + columns.first(p);
        const index_t kind = (tiles.length(q) - 1) * kTileVectors + columns.vectors.length(p) - 1;
        kTiles<T>[static_cast<std::size_t>(kind)](tile);
      }
    }
  }
}

template <class T>
void Gemm(index_t m, index_t n, index_t k, const Matrix<const T>& a, const Matrix<const T>& b,
          const Matrix<T>& c, bool accumulate) {
  const Strided<const T> left(a), right(b);
  const Cut inner(k, kInner), columns(n, kColumns);
  for (index_t r = 0; r < inner.pieces; ++r)
    for (index_t j = 0; j < columns.pieces; ++j)
      MultiplyBlock<T>(m, columns.length(j), inner.length(r), left.part(0, inner.begin(r)),
                       right.part(inner.begin(r), columns.begin(j)), c.data + columns.begin(j), c.step,
                       accumulate || r > 0);
}

void GemmFloat(index_t m, index_t n, index_t k, const Matrix<const float>& a, const Matrix<const float>& b,
               const Matrix<float>& c, bool accumulate) {
  Gemm(m, n, k, a, b, c, accumulate);
}
void GemmDouble(index_t m, index_t n, index_t k, const Matrix<const double>& a, const Matrix<const double>& b,
                const Matrix<double>& c, bool accumulate) {
  Gemm(m, n, k, a, b, c, accumulate);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::inline v0::kernels::highway
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::inline v0::kernels::highway {
namespace {
HWY_EXPORT(GemmFloat);
HWY_EXPORT(GemmDouble);

// The rows and columns of c that make a piece of a parallel loop: small enough to be shared out, large enough to be worth
// packing for.
struct Piece {
  index_t rows, columns;
};
Piece piece_of(index_t m, index_t n, index_t k) {
  constexpr index_t kEnough = 8;
  Piece piece{m, n};
  const auto halved = [](index_t size) { return divide_up(size / 2, index_t{16}) * 16; };
  while (piece.rows * piece.columns * k > 2 * kMatmulWork && std::max(piece.rows, piece.columns) > 64 &&
         divide_up(m, piece.rows) * divide_up(n, piece.columns) < kEnough) {
    index_t& longer = piece.rows >= piece.columns ? piece.rows : piece.columns;
    longer = halved(longer);
  }
  return piece;
}

}  // namespace

template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate) {
  if (m == 0 || n == 0) return;
  if (k == 0) return gemm_of_nothing(m, n, c, accumulate);
  if constexpr (std::is_same_v<T, float>)
    HWY_DYNAMIC_DISPATCH(GemmFloat)(m, n, k, a, b, c, accumulate);
  else
    HWY_DYNAMIC_DISPATCH(GemmDouble)(m, n, k, a, b, c, accumulate);
}

template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products) {
  if (m == 0 || n == 0) return;
  if (products.size() == 1 && m * n * k <= kMatmulWork) {
    const Product<T>& one = products.front();
    return highway::gemm(m, n, k, one.a, one.b, one.c);
  }
  const Piece piece = piece_of(m, n, k);
  const index_t down = divide_up(m, piece.rows), across = divide_up(n, piece.columns), pieces = down * across;
  const index_t together = pieces > 1 ? 1 : units_in_piece(kMatmulWork, m * n * k);
  parallel_for(static_cast<index_t>(products.size()) * pieces, together, [&](index_t begin, index_t end) {
    for (index_t at = begin; at < end; ++at) {
      const Product<T>& product = products[static_cast<std::size_t>(at / pieces)];
      const index_t row = at % pieces / across * piece.rows, column = at % across * piece.columns;
      highway::gemm(std::min(piece.rows, m - row), std::min(piece.columns, n - column), k,
                    part(product.a, row, 0), part(product.b, 0, column), part(product.c, row, column));
    }
  });
}

template void gemm(index_t, index_t, index_t, Matrix<const float>, Matrix<const float>, Matrix<float>, bool);
template void gemm(index_t, index_t, index_t, Matrix<const double>, Matrix<const double>, Matrix<double>,
                   bool);
template void matmul(index_t, index_t, index_t, std::span<const Product<float>>);
template void matmul(index_t, index_t, index_t, std::span<const Product<double>>);

}  // namespace tapegrad::inline v0::kernels::highway
#endif
