#include "tapegrad/io/array_file.h"

#include "tapegrad/io/elements_internal.h"

namespace tapegrad::inline v0 {

// What the file is read from: none after ArrayFile(nullptr), and after a move.
static const ArrayFile::Source& opened(const std::shared_ptr<const ArrayFile::Source>& source) {
  if (source == nullptr)
    fail("ArrayFile", "no file is open: take one that open_npy() or open_idx() returned");
  return *source;
}

ArrayFile::ArrayFile(std::shared_ptr<const Source> source) : source_(std::move(source)) {
  (void)opened(source_);
}

const Shape& ArrayFile::shape() const {
  return opened(source_).layout.shape;
}

DType ArrayFile::dtype() const {
  return detail::dtype_of(opened(source_).layout.stored);
}

Tensor ArrayFile::rows(index_t first, index_t count) const {
  const detail::InputFile& file = opened(source_).file;
  detail::ArrayLayout layout = opened(source_).layout;
  const Shape& shape = opened(source_).layout.shape;
  if (shape.rank() == 0) file.fail("holds a scalar, which has no rows");
  if (first < 0 || count < 0 || first > shape[0] - count)
    file.fail("has {} rows (shape {}); {} from row {} on were asked for", shape[0], shape, count, first);
  std::vector<index_t> sizes(shape.begin(), shape.end());
  sizes[0] = 1;
  const auto row = static_cast<std::uint64_t>(Shape(sizes).size()) * detail::size_of(layout.stored);
  sizes[0] = count;
  layout.shape = Shape(sizes);
  std::uint64_t at = opened(source_).begin + static_cast<std::uint64_t>(first) * row;
  return detail::read_elements(file, layout, [&](std::span<std::uint8_t> buffer) {
    file.read_at(at, buffer);
    at += buffer.size();
  });
}

}  // namespace tapegrad::inline v0
