// NumPy's .npy files: read_npy() and open_npy().

#include "tapegrad/io/npy.h"

#include "memory_file.h"
#include "repair.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::in_memory({data, size});
  Tensor whole, rows;
  const bool read = fuzz::accepts("read_npy", [&] { whole = read_npy(path); });
  const bool opened = fuzz::accepts("open_npy", [&] {
    const ArrayFile file = open_npy(path);
    if (read && (file.shape() != whole.shape() || file.dtype() != whole.dtype()))
      fuzz::found("open_npy and read_npy tell different shapes");
    if (file.shape().rank() > 0) rows = file.rows(0, file.shape()[0]);
  });
  if (read && opened && rows.defined() &&
      std::memcmp(TensorAccess::elements(rows), TensorAccess::elements(whole),
                  static_cast<std::size_t>(whole.size()) * size_of(whole.dtype())) != 0)
    fuzz::found("rows() gives other elements than read_npy");
  return 0;
}

// The header's length is made right, and as many elements follow as it says.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  constexpr std::size_t kBegin = 10;  // of the header, in version 1
  if (size < kBegin || data[6] != 1 || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::size_t length = fuzz::little({data, size}, 8, 2), end = std::min(size, kBegin + length);
  const std::size_t grown = fuzz::mutate_part(data, size, max_size, kBegin, end), header = end + grown - size;
  fuzz::put_little({data, grown}, 8, 2, header - kBegin);
  std::string refusal;
  fuzz::accepts(
      "",
      [&] {
        (void)read_npy(fuzz::in_memory({data, grown}));
      },
      &refusal);
  const auto elements = fuzz::number_behind(refusal, "its header says ");
  if (!elements || header + *elements > max_size) return grown;
  if (header + *elements > grown) std::memset(data + grown, 1, header + *elements - grown);
  return header + *elements;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const auto file_of = [](int version, std::string header, const Bytes& elements) {
    Bytes file{0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(version), 0};
    header += '\n';
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
      file.push_back(static_cast<std::uint8_t>(header.size() >> (8 * i)));
    file.insert(file.end(), header.begin(), header.end());
    file.insert(file.end(), elements.begin(), elements.end());
    return file;
  };
  for (const char* descr :
       {"|b1", "|u1", "|i1", "<u2", ">i2", "<u4", ">i4", ">u8", "<i8", "<f2", ">f4", "<f8"}) {
    const std::string type = descr;
    Bytes elements(static_cast<std::size_t>(2 * (type[2] - '0')), 0);
    elements.back() = 1;
    made.emplace_back(
        "type_" + type.substr(1) + (type[0] == '>' ? "_big" : ""),
        file_of(1, "{'descr': '" + type + "', 'fortran_order': False, 'shape': (2,), }", elements));
  }
  made.emplace_back("fortran", file_of(2, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }",
                                       {1, 2, 3, 4, 5, 6}));
  made.emplace_back("version3",
                    file_of(3, "{\"shape\": (1L, 1,), 'descr': '|u1', 'fortran_order': False}", {7}));
  made.emplace_back("scalar", written_by([](const auto& path) { write_npy(path, tensor(2.5)); }));
  made.emplace_back("records",
                    file_of(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (0,)}", {}));
  return made;
}
