// IDX files, plain and gzipped: read_idx() and open_idx().

#include "tapegrad/io/idx.h"

#include "memory_file.h"
#include "repair.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::in_memory({data, size});
  Tensor whole;
  const bool read = fuzz::accepts("read_idx", [&] { whole = read_idx(path); });
  if (size > 1 && data[0] == 0x1f) return 0;
  Tensor rows;
  fuzz::accepts("open_idx", [&] {
    const ArrayFile file = open_idx(path);
    if (file.shape().rank() > 0) rows = file.rows(0, file.shape()[0]);
    if (read && (file.shape() != whole.shape() || file.dtype() != whole.dtype()))
      fuzz::found("open_idx and read_idx tell different shapes");
  });
  if (!read || whole.rank() == 0) return 0;
  if (!rows.defined()) fuzz::found("open_idx refuses what read_idx reads");
  if (std::memcmp(TensorAccess::elements(rows), TensorAccess::elements(whole),
                  static_cast<std::size_t>(whole.size()) * size_of(whole.dtype())) != 0)
    fuzz::found("rows() gives other elements than read_idx");
  return 0;
}

// Of a gzip file its content is changed, three times out of four.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  if (size < 2 || data[0] != 0x1f || data[1] != 0x8b || seed % 4 == 0)
    return LLVMFuzzerMutate(data, size, max_size);
  fuzz::Bytes content = fuzz::unpacked({data, size}, true);
  const std::size_t length = content.size();
  content.resize(length + 64);
  content.resize(LLVMFuzzerMutate(content.data(), length, content.size()));
  const fuzz::Bytes packed = fuzz::gzipped(content);
  if (packed.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(packed.begin(), packed.end(), data);
  return packed.size();
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const auto add = [&](const std::string& name, const Tensor& x) {
    for (const char* extension : {"", ".gz"})
      made.emplace_back(name + extension,
                        written_by([&](const auto& path) { write_idx(path, x); }, extension));
  };
  add("uint8", tensor({{1, 2, 3}, {250, 0, 9}}, DType::UInt8));
  add("int32", tensor({{-1, 2}, {70000, 0}}, DType::Int32));
  add("float32", tensor({0.5, -2}, DType::Float32));
  add("float64", tensor(3.25, DType::Float64));
  add("empty", zeros({2, 0, 3}));
  for (const int code : {0x09, 0x0B}) {  // signed bytes, and two bytes: other programs write them
    Bytes file{0, 0, static_cast<std::uint8_t>(code), 1, 0, 0, 0, 2, 0x80, 1, 2, 3};
    if (code == 0x09) file.resize(10);
    made.emplace_back("code" + std::to_string(code), file);
  }
  Bytes two = gzipped(View(made[0].second).first(7));  // a file of two streams
  const Bytes second = gzipped(View(made[0].second).subspan(7));
  two.insert(two.end(), second.begin(), second.end());
  made.emplace_back("two_streams.gz", two);
  return made;
}
