#include "tapegrad/io/npy.h"
#include "tapegrad/io/npz.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <span>

#include "io/hostile.h"
#include "io/temporary.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::crc32, testing::damage, testing::error_of, testing::expect_contains,
    testing::MemoryLimit, testing::read_bytes, testing::TemporaryFolder, testing::write_bytes;

const std::vector<DType> kDTypes{DType::Float32, DType::Float64, DType::Int32, DType::UInt8};

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Where `part` begins in `whole`; its end if it does not.
template <class WholeBytes>
auto find(WholeBytes& whole, const Bytes& part) {
  return std::search(whole.begin(), whole.end(), part.begin(), part.end());
}

Bytes text(const std::string& characters) {
  return Bytes(characters.begin(), characters.end());
}

// A file of this version with this header, and these bytes behind it.
Bytes npy(const std::string& header, const Bytes& elements, std::uint8_t version = 1) {
  Bytes bytes = text("\x93NUMPY") + Bytes{version, 0};
  for (std::size_t i = 0; i < (version == 1 ? 2u : 4u); ++i)
    bytes.push_back(static_cast<std::uint8_t>(header.size() >> (8 * i)));
  return bytes + text(header) + elements;
}

std::string header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

Tensor read(const Bytes& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", bytes);
  return read_npy(folder / "x");
}

std::string refusal(const Bytes& bytes) {
  const MemoryLimit little(std::size_t{64} << 20);
  return error_of("read_npy", [&] { read(bytes); });
}

Bytes written(const Tensor& x) {
  const TemporaryFolder folder;
  write_npy(folder / "x", x);
  EXPECT_EQ(folder.entries(), 1u);
  return read_bytes(folder / "x");
}

// Whole numbers and, for floating dtypes, fractions.
Tensor sample(const Shape& shape, DType dtype) {
  Tensor x = zeros(shape, dtype);
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    int i = 0;
    for (T& value : x.mutable_values<T>()) {
      if constexpr (std::is_floating_point_v<T>) {
        value = static_cast<T>(++i) / T{7} - T{3};
      } else {
        value = static_cast<T>(i += 37);
      }
    }
  });
  return x;
}

std::vector<Tensor> samples() {
  std::vector<Tensor> made;
  for (const DType dtype : kDTypes)
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{3, 0, 2}, Shape{2, 3, 5},
                               Shape{2, 1, 2, 1, 2, 1, 2, 2}, Shape{40000}})
      made.push_back(sample(shape, dtype));
  return made;
}

TEST(Npy, RoundTripIsExact) {
  const TemporaryFolder folder;
  for (const Tensor& x : samples()) {
    write_npy(folder / "x.npy", x);
    EXPECT_TRUE(equal(read_npy(folder / "x.npy"), x)) << x.shape().str();
    EXPECT_EQ(written(x), written(x));
  }
}

TEST(Npy, SpecialFloatsKeepTheirBits) {
  const std::vector<double> values{-0.0, std::numeric_limits<double>::infinity(), std::nan("0x123"),
                                   std::numeric_limits<double>::signaling_NaN(),
                                   std::numeric_limits<double>::denorm_min()};
  const Bytes little = written(tensor(values, {5}));
  // The same in the other byte order.
  Bytes big = little;
  *std::ranges::find(big, std::uint8_t{'<'}) = '>';
  for (auto at = big.end() - 40; at != big.end(); at += 8) std::reverse(at, at + 8);
  for (const Bytes& bytes : {little, big}) {
    const Tensor back = read(bytes);
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(std::bit_cast<std::uint64_t>(back.values<double>()[i]),
                std::bit_cast<std::uint64_t>(values[i]));
  }
}

// The arrays of the fixtures, by their names (fixtures/README.md): what tapegrad should make of them.
Tensor expected_array(const std::string& name) {
  const std::size_t kind_at = name.find('-') + 1;
  const char kind = name[kind_at];
  const std::string type = name.substr(kind_at, 2), sizes = name.substr(kind_at + 5);
  std::vector<index_t> shape;
  for (std::size_t at = 0; at < sizes.size();
       at = sizes.find('x', at) == std::string::npos ? sizes.size() : sizes.find('x', at) + 1)
    shape.push_back(std::stoi(sizes.substr(at)));
  const DType dtype = type == "f8"                   ? DType::Float64
                      : kind == 'f'                  ? DType::Float32
                      : type == "b1" || type == "u1" ? DType::UInt8
                                                     : DType::Int32;
  const Tensor made = zeros(Shape(shape), dtype);
  Tensor flat = zeros({made.size()}, dtype);
  for (index_t i = 0; i < made.size(); ++i) {
    const auto number = static_cast<double>(i);
    flat.set({i}, kind == 'b'   ? i % 3 == 0
                  : kind == 'u' ? 3 * number
                  : kind == 'i' ? 3 * number - 40
                                : number / 4 - 1);
  }
  return TensorAccess::view(flat, made.shape());
}

TEST(Npz, ReadsWhatNumpyWrote) {
  for (const char* file : {"numpy.npz", "numpy_compressed.npz"}) {
    const NamedTensors arrays = read_npz(std::string(TAPEGRAD_FIXTURES) + "/" + file);
    EXPECT_EQ(arrays.size(), std::string(file) == "numpy.npz" ? 189u : 42u);
    for (const auto& [name, x] : arrays) EXPECT_TRUE(equal(x, expected_array(name))) << file << " " << name;
  }
}

TEST(Npy, BytesAreNumpys) {
  const Bytes archive = read_bytes(std::string(TAPEGRAD_FIXTURES) + "/numpy.npz");
  for (const char* name : {"byte-u1-C-2x3", "little-i4-C-2x3x4", "little-f4-C-", "little-f4-C-5",
                           "little-f8-C-2x0x3", "little-f8-C-2x3x4"}) {
    const Bytes own = written(expected_array(name));
    EXPECT_NE(find(archive, own), archive.end()) << name;
  }
}

TEST(Npy, ReadsOtherHeaders) {
  const Bytes two{1, 0, 0, 0, 254, 255, 255, 255};
  const Tensor expected = tensor({1, -2}, DType::Int32);
  for (const char* whole : {"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n",
                            "{'descr': '<i4', 'fortran_order': True, 'shape': (2,)}",
                            "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<i4\"}",
                            " { 'shape' : ( 2L , ) , 'descr' : '<i4' , 'fortran_order' : False }   \n\t"})
    for (const std::uint8_t version : Bytes{1, 2, 3})
      EXPECT_TRUE(equal(read(npy(whole, two, version)), expected)) << whole;
}

TEST(Npy, ValuesThatDoNotFitAreNamed) {
  expect_contains(refusal(npy(header("<i8", "(1,)"), {0, 0, 0, 0x80, 0, 0, 0, 0})),
                  "2147483648 in its elements of type '<i8'");
  expect_contains(refusal(npy(header(">i8", "(1,)"), {0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})),
                  "-2147483649");
  expect_contains(refusal(npy(header("<u8", "(1,)"), Bytes(8, 0xff))), "18446744073709551615");
  expect_contains(refusal(npy(header("<u4", "(1,)"), Bytes(4, 0xff))), "4294967295");
  expect_contains(refusal(npy(header("|b1", "(1,)"), {2})), "where only 0 and 1 are possible");
  EXPECT_TRUE(equal(read(npy(header("<i8", "(2,)"),
                             {0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff})),
                    tensor({2147483647.0, -2147483648.0}, DType::Int32)));
}

TEST(Npy, OtherTypesAreNamed) {
  for (const char* descr : {"<c8", "<c16", "<f16", "|O", "<U4", "|S3", "<M8[D]", "|V4", "<b1 ", "=f4", "f4",
                            "|f4", "<", "", "<f3"})
    expect_contains(refusal(npy(header(descr, "(0,)"), {})), "elements of type '" + std::string(descr) + "'");
  expect_contains(refusal(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (0,)}", {})),
                  "several fields");
}

TEST(Npy, HostileHeaders) {
  const auto of_shape = [](const std::string& shape) {
    return refusal(npy(header("<f4", shape), Bytes(24)));
  };
  EXPECT_TRUE(equal(read(npy(header("<f4", "(2, 3)"), Bytes(24))), zeros({2, 3})));
  expect_contains(of_shape("(2, 4)"),
                  "24 bytes of elements, but its header says 32: 8 of 4 bytes, shape [2, 4]");
  expect_contains(of_shape("(2, 2)"), "24 bytes of elements, but its header says 16");
  expect_contains(of_shape("(1099511627776,)"), "its header says 4398046511104");
  expect_contains(of_shape("(9223372036854775808,)"), "impossible shape");
  expect_contains(of_shape("(9223372036854775807,)"), "impossible shape");
  expect_contains(of_shape("(4294967296, 4294967296)"), "impossible shape");  // 2^64, which would wrap to 0
  expect_contains(of_shape("(0, 4294967296, 4294967296)"), "impossible shape");
  expect_contains(of_shape("(1, 1, 1, 1, 1, 1, 1, 2, 3)"), "more than the 8 axes");
  for (const char* shape : {"(-6,)", "(6.0,)", "(6", "6", "[6]", "(,)", "(6,,)", "(18446744073709551616,)",
                            "(6 6)", "(0x6,)", "(+6,)"})
    expect_contains(of_shape(shape), "not one of NumPy's");
  for (const char* whole : {"", "{", "{}", "{'descr': '<f4'}",
                            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (0,)}",
                            "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), 'more': 1}",
                            "{'descr': '<f4', 'fortran_order': 0, 'shape': (0,)}",
                            "{'descr': <f4, 'fortran_order': False, 'shape': (0,)}",
                            "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)} x", "{'descr: "})
    expect_contains(refusal(npy(whole, {})), "not one of NumPy's");

  expect_contains(refusal({}), "0 bytes");
  expect_contains(refusal(text("PK\3\4 this is an archive")), "does not begin as one");
  expect_contains(refusal(npy(header("<f4", "(0,)"), {}, 4)), "version 4");
  expect_contains(refusal(npy(header("<f4", "(0,)"), {}, 0)), "version 0");
  Bytes endless = npy("{}", Bytes(100), 2);  // a header of 4 GB
  std::ranges::fill(endless.begin() + 8, endless.begin() + 12, std::uint8_t{0xff});
  expect_contains(refusal(endless), "its header would be 4294967295 long");
  for (const std::uint8_t version : Bytes{1, 2})
    expect_contains(refusal(npy(header("<f4", "(0,)") + std::string(20000, ' '), {}, version)),
                    "at most 10000 are read");
  expect_contains(refusal(npy(header("<f4", "(0,)") + std::string(70000, ' '), {}, 2)),
                  "at most 10000 are read");
  const TemporaryFolder folder;
  expect_contains(error_of("read_npy", [&] { read_npy(folder / "none"); }), "No such file");
  error_of("read_npy", [&] { read_npy(folder.path()); });
}

TEST(Npy, DamagedFilesAreRefusedOrRead) {
  damage(written(sample({2, 3}, DType::Float32)), "read_npy", [](const auto& path) { read_npy(path); });
  damage(npy("{'descr': '>i8', 'fortran_order': True, 'shape': (2, 1)}", Bytes(16)), "read_npy",
         [](const auto& path) { read_npy(path); });
  damage(written(sample({2, 3}, DType::UInt8)), "open_npy",
         [](const auto& path) { open_npy(path).rows(0, 2); });
}

TEST(Npy, RowsAreReadWhenAskedFor) {
  const TemporaryFolder folder;
  for (const DType dtype : kDTypes) {
    const Tensor x = sample({7, 3, 2}, dtype);
    write_npy(folder / "x.npy", x);
    const ArrayFile file = open_npy(folder / "x.npy");
    EXPECT_EQ(file.shape(), x.shape());
    EXPECT_EQ(file.dtype(), dtype);
    EXPECT_TRUE(equal(file.rows(0, 7), x));
    for (index_t first = 0; first <= 7; ++first)
      EXPECT_TRUE(equal(file.rows(first, 7 - first), TensorAccess::view(x, {7 - first, 3, 2}, 6 * first)));
    for (const auto& range : std::vector<std::pair<index_t, index_t>>{
             {-1, 1}, {0, 8}, {7, 1}, {8, 0}, {0, -1}, {1, std::numeric_limits<index_t>::max()}})
      expect_contains(error_of("open_npy", [&] { file.rows(range.first, range.second); }), "has 7 rows");
  }
  write_npy(folder / "scalar.npy", tensor(1));
  expect_contains(error_of("open_npy", [&] { open_npy(folder / "scalar.npy").rows(0, 1); }), "scalar");
  // Converted as when all of it is read; a value that does not fit is met when its row is.
  write_bytes(folder / "wide.npy",
              npy(header(">i8", "(2,)"), {0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0}));
  const ArrayFile wide = open_npy(folder / "wide.npy");
  EXPECT_TRUE(equal(wide.rows(0, 1), tensor({258}, DType::Int32)));
  expect_contains(error_of("open_npy", [&] { wide.rows(1, 1); }), "72057594037927936");
  // A column lies together in Fortran's order, a row does not; a vector is the same in both.
  write_bytes(folder / "order.npy",
              npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2)}", Bytes(4)));
  expect_contains(error_of("open_npy", [&] { open_npy(folder / "order.npy"); }), "ascontiguousarray");
  write_bytes(folder / "order.npy", npy("{'descr': '|u1', 'fortran_order': True, 'shape': (3,)}", {1, 2, 3}));
  EXPECT_TRUE(equal(open_npy(folder / "order.npy").rows(1, 2), tensor({2, 3}, DType::UInt8)));
  // Cut off after it was opened.
  write_npy(folder / "x.npy", sample({7, 3}, DType::Float32));
  expect_contains(error_of("ArrayFile", [] { (void)ArrayFile(nullptr); }), "open_npy()");
  ArrayFile moved = open_npy(folder / "x.npy");
  const ArrayFile taken = std::move(moved);
  EXPECT_EQ(taken.rows(0, 1).size(), taken.rows(1, 1).size());
  for (const auto& use : {std::function<void()>([&] { (void)moved.shape(); }),
                          std::function<void()>([&] { (void)moved.dtype(); }),
                          std::function<void()>([&] { (void)moved.rows(0, 1); })})
    expect_contains(error_of("ArrayFile", use), "no file is open");
  const ArrayFile cut = open_npy(folder / "x.npy");
  std::filesystem::resize_file(folder / "x.npy", 128 + 5 * 12);
  EXPECT_EQ(cut.rows(4, 1).size(), 3);
  expect_contains(error_of("open_npy", [&] { cut.rows(5, 1); }), "cut off");
}

// ---- Archives

NamedTensors named_samples() {
  NamedTensors tensors;
  for (const Tensor& x : samples()) tensors.emplace_back("layer." + std::to_string(tensors.size()) + "/x", x);
  tensors.emplace_back("größe", tensor(3));
  tensors.emplace_back("", tensor(4));
  return tensors;
}

void expect_same(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_TRUE(equal(a[i].second, b[i].second)) << a[i].first;
  }
}

Bytes archive_of(const NamedTensors& tensors, bool compressed = false) {
  const TemporaryFolder folder;
  write_npz(folder / "x.npz", tensors, {.compressed = compressed});
  EXPECT_EQ(folder.entries(), 1u);
  return read_bytes(folder / "x.npz");
}

NamedTensors read_archive(const Bytes& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x.npz", bytes);
  return read_npz(folder / "x.npz");
}

std::string archive_refusal(const Bytes& bytes) {
  const MemoryLimit little(std::size_t{64} << 20);
  return error_of("read_npz", [&] { read_archive(bytes); });
}

TEST(Npz, RoundTripIsExactAndBytesAreTheSame) {
  for (const bool compressed : {false, true}) {
    const Bytes bytes = archive_of(named_samples(), compressed);
    expect_same(read_archive(bytes), named_samples());
    EXPECT_EQ(bytes, archive_of(named_samples(), compressed));
    expect_same(read_archive(archive_of({}, compressed)), {});
  }
  EXPECT_LT(archive_of({{"x", zeros({10000})}}, true).size(), 1000u);
}

// The first day that an archive can tell, in both places where it is told: bytes that depend on no clock, and a date that is one.
TEST(Npz, MembersAreOfTheFirstOf1980) {
  const Bytes bytes = archive_of({{"x", tensor({1, 2})}});
  const auto times = [&](std::uint8_t kind, std::uint8_t last, std::ptrdiff_t time) {
    const Bytes begin{'P', 'K', kind, last};
    const auto record = std::search(bytes.begin(), bytes.end(), begin.begin(), begin.end());
    return Bytes(record + time, record + time + 4);
  };
  const Bytes midnight{0, 0, 1 << 5 | 1, 0};  // bits 5 to 8 are the month, bits 0 to 4 the day
  EXPECT_EQ(times(3, 4, 10), midnight);
  EXPECT_EQ(times(1, 2, 12), midnight);
}

TEST(Npz, DamagedFilesAreRefused) {
  const NamedTensors small{{"a", tensor({1, 2}, DType::UInt8)}, {"b", sample({2, 2}, DType::Float32)}};
  for (const bool compressed : {false, true}) {
    const Bytes whole = archive_of(small, compressed);
    // A flipped bit is noticed, or it was in what nobody reads: a time, an attribute.
    const std::size_t refused = damage(whole, "read_npz", [&](const auto& path) {
      const NamedTensors back = read_npz(path);
      ASSERT_EQ(back.size(), small.size());
      for (std::size_t i = 0; i < small.size(); ++i) EXPECT_TRUE(equal(back[i].second, small[i].second));
    });
    EXPECT_GT(refused, whole.size() * 8 / 2);
  }
}

void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t count = 4) {
  for (std::size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// What an archive says twice, in its directory and in front of each member, must be the same.
TEST(Npz, DirectoryAndMembersMustAgree) {
  for (const bool compressed : {false, true}) {
    const NamedTensors tensors{{"layer/a", sample({2, 3}, DType::Float32)}};
    const Bytes whole = archive_of(tensors, compressed);
    const std::size_t length = 11, directory = whole.size() - 22 - length;
    for (const std::size_t begin : {std::size_t{30}, directory})
      for (std::size_t bit = 0; bit < 8 * length; ++bit) {
        Bytes flipped = whole;
        flipped[begin + bit / 8] = static_cast<std::uint8_t>(flipped[begin + bit / 8] ^ 1u << bit % 8);
        expect_contains(archive_refusal(flipped), "has another name");
      }
    for (const std::size_t byte : std::initializer_list<std::size_t>{
             8, 14, 15, 16, 17}) {  // method and checksum in front of the member
      Bytes changed = whole;
      changed[byte] ^= 8;
      expect_contains(archive_refusal(changed), "differ");
    }
  }
}

TEST(Npz, LiesAboutSizesAreRefused) {
  const Bytes stored = archive_of({{"a", zeros({10}, DType::UInt8)}});
  const Bytes packed = archive_of({{"a", zeros({10}, DType::UInt8)}}, true);
  const std::size_t directory = stored.size() - 22 - 46 - 5, packed_directory = packed.size() - 22 - 46 - 5;
  const auto with = [](Bytes bytes, std::size_t at, std::uint64_t value, std::size_t count = 4) {
    put(bytes, at, value, count);
    return archive_refusal(bytes);
  };
  // Sizes of the content: of a stored member, and more than deflate could have packed.
  expect_contains(with(stored, directory + 24, 1u << 30), "cannot have 1073741824 bytes packed into 138");
  expect_contains(with(packed, packed_directory + 24, 1u << 30), "cannot have 1073741824 bytes packed into");
  expect_contains(with(packed, packed_directory + 24, 50000), "its header says 10");
  expect_contains(with(packed, packed_directory + 24, 50),
                  "it has 50 bytes, and its header would be 118 long");
  // Places.
  expect_contains(with(stored, directory + 42, 1), "has no header");
  expect_contains(with(stored, directory + 42, 0xfffffff0u), "lies outside");
  expect_contains(with(stored, directory + 20, 0xfffffff0u), "cannot have");
  expect_contains(with(stored, 28, 0xffff, 2), "lies outside");  // the local header's extra field
  // The directory's own.
  expect_contains(with(stored, stored.size() - 10, 0xfffffff0u), "cannot lie");
  expect_contains(with(stored, stored.size() - 6, 7), "cannot lie");
  expect_contains(with(stored, stored.size() - 14, 0x00020002), "cannot");
  expect_contains(with(stored, directory + 8, 1, 2), "encrypted");
  expect_contains(with(stored, directory + 10, 12, 2), "method 12");
  expect_contains(with(stored, directory + 28, 4, 2), "directory");  // a shorter name
  // The header of the array itself: checked, though the checksum was made to fit.
  Bytes hollow = stored;
  std::ranges::copy(text("(99,), }"), find(hollow, text("(10,), }")));
  const auto begin = hollow.begin() + 30 + 5;
  const std::uint32_t checksum = crc32(std::span(&*begin, 138));
  put(hollow, 14, checksum);
  put(hollow, directory + 16, checksum);
  expect_contains(archive_refusal(hollow), "10 bytes of elements, but its header says 99");
  expect_contains(archive_refusal(hollow), "(in its member 'a.npy')");
}

// Members that share their bytes make a small file unpack to a huge one.
TEST(Npz, OverlappingMembersAreRefused) {
  const Bytes one = archive_of({{"a", zeros({10}, DType::UInt8)}});
  const auto directory = one.end() - 22 - 46 - 5;
  Bytes entry(directory, one.end() - 22), second = entry;
  second[46] = 'b';
  Bytes end(one.end() - 22, one.end());
  put(end, 8, 0x00020002);
  put(end, 12, 2 * entry.size());
  expect_contains(archive_refusal(Bytes(one.begin(), directory) + entry + second + end), "overlaps");
  expect_contains(archive_refusal(Bytes(one.begin(), directory) + entry + entry + end),
                  "two members called 'a.npy'");
}

TEST(Npz, OtherArchivesAreRefused) {
  Bytes other = archive_of({{"a", tensor(1)}});
  for (auto at = find(other, text(".npy")); at != other.end(); at = find(other, text(".npy")))
    std::ranges::copy(text(".txt"), at);
  expect_contains(archive_refusal(other), "not an array, 'a.txt'");
  expect_contains(archive_refusal(text("hello")), "not a ZIP archive");
  expect_contains(archive_refusal({}), "not a ZIP archive");
  expect_contains(archive_refusal(written(tensor(1))), "not a ZIP archive");
}

// A comment at the end is a part of the format.
TEST(Npz, ArchivesWithACommentAreRead) {
  Bytes bytes = archive_of({{"a", tensor(7)}});
  put(bytes, bytes.size() - 2, 4, 2);
  expect_same(read_archive(bytes + text("PK\5\6")), {{"a", tensor(7)}});
}

// The same archive with all that its directory says in fields of 64 bits, as large ones are written. It holds one member, whose
// name has 5 bytes.
Bytes with_64_bits(const Bytes& archive) {
  const auto directory = archive.end() - 22 - 46 - 5;
  const auto offset = static_cast<std::uint64_t>(directory - archive.begin());
  Bytes entry(directory, archive.end() - 22), end(archive.end() - 22, archive.end());
  Bytes extra(6 + 28), record(56), locator(20);
  put(extra, 0, 2 << 16 | 0xcafe);  // a field of another kind in front of it
  put(extra, 6, 24 << 16 | 1);
  std::copy_n(entry.begin() + 24, 4, extra.begin() + 10);
  std::copy_n(entry.begin() + 20, 4, extra.begin() + 18);  // the member begins at 0, which follows
  for (const std::size_t at : {20u, 24u, 42u}) put(entry, at, 0xffffffff);
  put(entry, 30, extra.size(), 2);
  put(record, 0, 0x06064b50);
  put(record, 4, 44, 8);
  put(record, 24, 1, 8);
  put(record, 32, 1, 8);
  put(record, 40, entry.size() + extra.size(), 8);
  put(record, 48, offset, 8);
  put(locator, 0, 0x07064b50);
  put(locator, 8, offset + entry.size() + extra.size(), 8);
  put(locator, 16, 1);
  for (const std::size_t at : {8u, 12u, 16u}) put(end, at, 0xffffffff);
  return Bytes(archive.begin(), directory) + entry + extra + record + locator + end;
}

TEST(Npz, NumbersOf64BitsAreRead) {
  const NamedTensors tensors{{"a", sample({2, 300}, DType::Float32)}};
  for (const bool compressed : {false, true})
    expect_same(read_archive(with_64_bits(archive_of(tensors, compressed))), tensors);

  const Bytes whole = with_64_bits(archive_of(tensors));
  const std::size_t locator = whole.size() - 22 - 20, record = locator - 56, extra = record - 28;
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t count = 8) {
    Bytes changed = whole;
    put(changed, at, value, count);
    return archive_refusal(changed);
  };
  expect_contains(with(extra + 2, 16, 2), "sizes of its member 'a.npy' are missing");
  expect_contains(with(extra + 4, 1), "cannot have 1 bytes packed into 2528");
  expect_contains(with(extra + 20, 1), "has no header");
  expect_contains(with(extra + 20, std::uint64_t{1} << 63), "lies outside");
  expect_contains(with(record, 0, 1), "the end of its directory is not where it says");
  expect_contains(with(record + 24, 2), "several files");
  expect_contains(with(record + 32, 2), "several files");
  expect_contains(with(record + 40, 1), "cannot lie in 1 bytes");
  expect_contains(with(record + 48, std::uint64_t{1} << 63), "cannot lie");
  for (const std::uint64_t place : {record - 1, record + 1, locator, whole.size(), ~std::size_t{0}})
    expect_contains(with(locator + 8, place), "the end of its directory is not where it says");
  // Nor may the record reach into the locator behind it, which would be read as sizes and places.
  for (std::size_t place = record + 1; place + 4 <= locator; ++place) {
    Bytes changed = whole;
    put(changed, place, 0x06064b50);
    put(changed, locator + 8, place, 8);
    expect_contains(archive_refusal(changed), "the end of its directory is not where it says");
  }
}

TEST(Npz, WhatCannotBeWrittenIsNamed) {
  const TemporaryFolder folder;
  const auto refused = [&](const NamedTensors& tensors) {
    return error_of("write_npz", [&] { write_npz(folder / "x.npz", tensors); });
  };
  expect_contains(refused({{"a", tensor(1)}, {"a", tensor(2)}}), "'a.npy'");
  expect_contains(refused({{"a", Tensor()}}), "'a' is not defined");
  refused({{std::string(70000, 'a'), tensor(1)}});
  EXPECT_THROW(write_npy(folder / "x.npy", Tensor()), Error);
  error_of("write_npy", [&] { write_npy(folder / "none/x.npy", tensor(1)); });
  EXPECT_EQ(folder.entries(), 0u);
}

// ---- NumPy itself

// The command that runs a Python with NumPy; empty where there is none.
std::string numpy() {
  for (const char* python : {"python3", "/usr/bin/python3"})
    if (std::system((std::string(python) + " -c 'import numpy' 2>/dev/null").c_str()) == 0) return python;
  return "";
}

// NumPy reads what was written here, and saves it again: as it is, in the other byte order, and in Fortran's.
TEST(Npz, NumpyReadsItAndIsRead) {
  const std::string python = numpy();
  if (python.empty()) GTEST_SKIP() << "there is no NumPy";
  const TemporaryFolder folder;
  NamedTensors tensors = named_samples();
  for (const bool compressed : {false, true})
    write_npz(folder / (compressed ? "packed.npz" : "stored.npz"), tensors, {.compressed = compressed});
  write_npy(folder / "one.npy", tensors[5].second);
  std::ofstream(folder / "script.py") << R"(
import numpy as np
stored, packed = np.load("stored.npz"), np.load("packed.npz")
assert stored.files == packed.files
arrays = {name: stored[name] for name in stored.files}
for name, x in arrays.items():
    assert x.dtype == packed[name].dtype and np.array_equal(x, packed[name])
assert np.array_equal(np.load("one.npy"), arrays["layer.5/x"])
assert np.load("one.npy", mmap_mode="r").shape == (2, 3, 5)
np.savez("again.npz", **arrays)
np.savez_compressed("again_packed.npz", **arrays)
np.savez("swapped.npz", **{name: x.astype(x.dtype.newbyteorder(">")) for name, x in arrays.items()})
np.savez("fortran.npz", **{name: np.asfortranarray(x) if x.ndim > 1 else x for name, x in arrays.items()})
np.save("again.npy", arrays["layer.5/x"])
)";
  ASSERT_EQ(std::system(("cd '" + folder.path().string() + "' && " + python + " script.py").c_str()), 0);
  for (const char* file : {"again.npz", "again_packed.npz", "swapped.npz", "fortran.npz"})
    expect_same(read_npz(folder / file), tensors);
  EXPECT_EQ(read_bytes(folder / "again.npy"), read_bytes(folder / "one.npy"));
}

}  // namespace
}  // namespace tapegrad
