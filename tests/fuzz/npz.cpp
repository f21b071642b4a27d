// NumPy's .npz files, and the ZIP archives that they are: read_npz().

#include "tapegrad/io/npz.h"
#include "memory_file.h"
#include "repair.h"
#include "tapegrad/io/npy.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::in_memory({data, size});
  fuzz::accepts("read_npz", [&] {
    for (const auto& [name, x] : read_npz(path))
      if (!x.defined()) fuzz::found("the array '" + name + "' has no elements");
  });
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  // Half of the time the length stays, and with it all offsets.
  const std::size_t changed =
      seed % 2 == 0 ? LLVMFuzzerMutate(data, size, size) : LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 > 1) fuzz::repair_zip({data, changed});
  return changed;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const NamedTensors two = {{"a", tensor({{1, 2}, {3, 4}})}, {"b\xC3\xA4", tensor({5, 6, 7}, DType::UInt8)}};
  for (const bool compressed : {false, true})
    made.emplace_back(compressed ? "compressed" : "stored", written_by([&](const auto& path) {
                        write_npz(path, two, {.compressed = compressed});
                      }));
  made.emplace_back("one", written_by([&](const auto& path) { write_npz(path, {{"x", tensor(1)}}); }));
  made.emplace_back("none", written_by([&](const auto& path) { write_npz(path, {}); }));
  Bytes comment = made[2].second;  // an archive with a comment behind its end
  comment[comment.size() - 2] = 3;
  comment.insert(comment.end(), {'a', 'b', 'c'});
  made.emplace_back("comment", comment);
  return made;
}
