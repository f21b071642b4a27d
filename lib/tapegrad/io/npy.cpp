#include "tapegrad/io/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <exception>
#include <span>
#include <string_view>

#include "tapegrad/io/elements_internal.h"
#include "tapegrad/io/npy_internal.h"

// The format is described in NumPy's numpy/lib/format.py.

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy itself reads no longer headers, unless told to.
constexpr std::size_t kMaxHeader = 10000;
constexpr std::size_t kAlignment = 64;

// What stands in a descr behind the byte order.
struct Type {
  std::string_view name;
  detail::Stored stored;
};
constexpr std::array kTypes{
    Type{"b1", detail::Stored::Bool},    Type{"u1", detail::Stored::UInt8},
    Type{"i1", detail::Stored::Int8},    Type{"u2", detail::Stored::UInt16},
    Type{"i2", detail::Stored::Int16},   Type{"u4", detail::Stored::UInt32},
    Type{"i4", detail::Stored::Int32},   Type{"u8", detail::Stored::UInt64},
    Type{"i8", detail::Stored::Int64},   Type{"f2", detail::Stored::Float16},
    Type{"f4", detail::Stored::Float32}, Type{"f8", detail::Stored::Float64},
};

struct Header {
  detail::ArrayLayout layout;
  bool fortran_order = false;
  std::uint64_t bytes = 0;  // of the header itself
};

// Reads the dictionary that a header is, a literal of Python:
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class DictionaryReader {
 public:
  DictionaryReader(const detail::InputFile& file, std::string_view text) : file_(file), text_(text) {}

  Header read() {
    Header header;
    bool descr = false, order = false, shape = false;
    const auto once = [&](bool& seen) {
      if (std::exchange(seen, true)) refuse();
    };
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        once(descr);
        read_descr(header.layout);
      } else if (key == "fortran_order") {
        once(order);
        header.fortran_order = boolean();
      } else if (key == "shape") {
        once(shape);
        read_shape(header.layout);
      } else {
        refuse();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty() || !descr || !order || !shape) refuse();
    return header;
  }

 private:
  [[noreturn]] void refuse() const {
    file_.fail("has a header that is not one of NumPy's, at its byte {}", whole_.size() - text_.size());
  }
  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\n\r"), text_.size())); }
  bool accept(std::string_view word) {
    skip_space();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  bool accept(char character) { return accept(std::string_view(&character, 1)); }
  void expect(char character) {
    if (!accept(character)) refuse();
  }
  std::string_view quoted() {
    skip_space();
    const char quote = text_.empty() ? '\0' : text_.front();
    if (quote != '\'' && quote != '"') refuse();
    const std::size_t end = text_.find(quote, 1);
    if (end == std::string_view::npos) refuse();
    const std::string_view inside = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return inside;
  }
  bool boolean() {
    if (accept("True")) return true;
    if (!accept("False")) refuse();
    return false;
  }

  void read_descr(detail::ArrayLayout& layout) {
    if (accept('[')) file_.fail("has records of several fields as elements, which cannot be read");
    const std::string_view descr = quoted();
    const char order = descr.empty() ? '\0' : descr.front();
    const auto type =
        std::ranges::find(kTypes, descr.substr(std::min<std::size_t>(1, descr.size())), &Type::name);
    const bool known = type != kTypes.end() &&
                       (order == '<' || order == '>' || (order == '|' && detail::size_of(type->stored) == 1));
    if (!known)
      file_.fail(
          "has elements of type '{}', which cannot be read: convert them with astype before saving them",
          descr);
    layout.stored = type->stored;
    layout.big_endian = order == '>';
    layout.what = fmt::format("its elements of type '{}'", descr);
  }

  void read_shape(detail::ArrayLayout& layout) {
    std::vector<std::uint64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::uint64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc()) refuse();
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (sizes.size() == Shape::kMaxRank)
        file_.fail("has more than the {} axes that a tensor may have", Shape::kMaxRank);
      sizes.push_back(size);
      accept('L');  // as Python 2 wrote long numbers
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    layout.shape = detail::shape_in(file_, sizes, "its header");
  }

  const detail::InputFile& file_;
  std::string_view text_, whole_ = text_;
};

// Reads what stands before the elements, and checks that as many follow as the file (or a member of an
// archive) has bytes.
Header read_header(const detail::InputFile& file, std::uint64_t total, const detail::ReadBytes& read) {
  constexpr std::size_t kBegin = kMagic.size() + 2;
  if (total < kBegin) file.fail("is not an array of NumPy's, or was cut off: it has {} bytes", total);
  std::array<std::uint8_t, kBegin> begin{};
  read(begin);
  if (!std::ranges::equal(std::span(begin).first(kMagic.size()), kMagic, {},
                          [](std::uint8_t byte) { return static_cast<char>(byte); }))
    file.fail("is not an array of NumPy's: it does not begin as one");
  const int version = begin[kMagic.size()];
  if (version < 1 || version > 3)
    file.fail("is of version {} of NumPy's format; 1 to 3 can be read", version);
  std::array<std::uint8_t, 4> length_bytes{};
  const std::size_t length_size = version == 1 ? 2 : 4;
  if (total < kBegin + length_size) file.fail("ends too early: it was cut off");
  read(std::span(length_bytes).first(length_size));
  const auto length = std::bit_cast<std::uint32_t>(length_bytes);
  const std::uint64_t bytes = kBegin + length_size + length;
  if (bytes > total)
    file.fail("is damaged or was cut off: it has {} bytes, and its header would be {} long", total, length);
  if (length > kMaxHeader)
    file.fail(
        "has a header of {} bytes; at most {} are read, as by NumPy (max_header_size). The elements of such a file are "
        "records of many fields: save each field as an array of its own",
        length, kMaxHeader);
  std::string text(length, '\0');
  read({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  Header header = DictionaryReader(file, text).read();
  header.bytes = bytes;
  const detail::ArrayLayout& layout = header.layout;
  if (total - bytes != layout.bytes())
    file.fail("has {} bytes of elements, but its header says {}: {} of {} bytes, shape {}", total - bytes,
              layout.bytes(), layout.shape.size(), detail::size_of(layout.stored), layout.shape);
  return header;
}

// The tensor whose first axis is the last of x, and so on.
Tensor with_axes_reversed(const Tensor& x) {
  std::vector<index_t> sizes(x.shape().begin(), x.shape().end()), strides, index(sizes.size());
  std::ranges::reverse(sizes);
  index_t stride = 1;  // of each axis of the result, in x
  for (const index_t size : sizes) strides.push_back(std::exchange(stride, stride * size));
  Tensor y = TensorAccess::empty(Shape(sizes), x.dtype());
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T* from = x.data<T>();
    index_t at = 0;
    for (T& element : y.mutable_values<T>()) {
      element = from[at];
      for (std::size_t axis = sizes.size(); axis-- > 0;) {
        at += strides[axis];
        if (++index[axis] < sizes[axis]) break;
        at -= sizes[axis] * strides[axis];
        index[axis] = 0;
      }
    }
  });
  return y;
}

}  // namespace

namespace detail {

Tensor read_npy_array(const InputFile& file, std::uint64_t total, const ReadBytes& read) {
  Header header = read_header(file, total, read);
  if (!header.fortran_order) return read_elements(file, header.layout, read);
  std::vector<index_t> sizes(header.layout.shape.begin(), header.layout.shape.end());
  std::ranges::reverse(sizes);
  header.layout.shape = Shape(sizes);
  return with_axes_reversed(read_elements(file, header.layout, read));
}

std::vector<std::uint8_t> npy_header(const Tensor& x) {
  const auto type = std::ranges::find(kTypes, stored_as(x.dtype()), &Type::stored);
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': (",
                                 size_of(x.dtype()) == 1 ? '|' : '<', type->name);
  for (int axis = 0; axis < x.rank(); ++axis)
    text += fmt::format("{}{}", axis == 0 ? "" : ", ", x.shape()[axis]);
  text += x.rank() == 1 ? ",), }" : "), }";
  // Room for the first size to grow in place, for programs that append rows.
  constexpr std::size_t kMostDigits = 21;
  if (x.rank() > 0) text.append(kMostDigits - std::to_string(x.shape()[0]).size(), ' ');
  constexpr std::size_t kBegin = kMagic.size() + 4;
  text.append(kAlignment - (kBegin + text.size() + 1) % kAlignment, ' ');
  text += '\n';
  std::vector<std::uint8_t> bytes(kMagic.begin(), kMagic.end());
  for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, text.size() % 256, text.size() / 256})
    bytes.push_back(static_cast<std::uint8_t>(byte));
  bytes.insert(bytes.end(), text.begin(), text.end());
  return bytes;
}

std::span<const std::uint8_t> npy_elements(const Tensor& x) {
  return dispatch(x.dtype(), [&](auto type) -> std::span<const std::uint8_t> {
    const auto values = x.values<typename decltype(type)::type>();
    return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
  });
}

}  // namespace detail

Tensor read_npy(const std::filesystem::path& path) {
  detail::InputFile file("read_npy", path);
  return detail::read_npy_array(file, file.size(),
                                [&](std::span<std::uint8_t> buffer) { file.read(buffer); });
}

ArrayFile open_npy(const std::filesystem::path& path) {
  const std::shared_ptr<ArrayFile::Source> source(new ArrayFile::Source{.file = {"open_npy", path}});
  detail::InputFile& file = source->file;
  Header header = read_header(file, file.size(), [&](std::span<std::uint8_t> buffer) { file.read(buffer); });
  if (header.fortran_order && header.layout.shape.rank() > 1)
    file.fail(
        "is in Fortran's order, in which rows do not lie together: save np.ascontiguousarray of it, or read "
        "all of it (read_npy)");
  source->layout = std::move(header.layout);
  source->begin = header.bytes;
  return ArrayFile(source);
}

void write_npy(const std::filesystem::path& path, const Tensor& x) {
  if (!x.defined()) fail("write_npy", "x was never given a value");
  const std::vector<std::uint8_t> header = detail::npy_header(x);
  const std::array<std::span<const std::uint8_t>, 2> parts{header, detail::npy_elements(x)};
  detail::write_file("write_npy", path, parts);
}

}  // namespace tapegrad::inline v0
