// PyTorch's .pt files, and the pickles in them: read_pytorch().

#include "tapegrad/exchange/pytorch.h"
#include "memory_file.h"
#include "repair.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::in_memory({data, size});
  fuzz::accepts("read_pytorch", [&] {
    const State state = read_pytorch(path);
    state.require_names_once("fuzz");  // also an Error of another name
    std::size_t bytes = 0;
    for (const auto& [name, x] : state.tensors)
      bytes += static_cast<std::size_t>(x.size()) * size_of(x.dtype());
    // Deflate packs at most 1032 bytes into one, half precision becomes single, and a storage is taken at most 16 times.
    if (bytes > size * 1032 * 2 * 16) fuzz::found("more memory than the file justifies");
  });
  return 0;
}

// Half of the time in the first member alone, which is the pickle, with its length as it is.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  const std::span<std::uint8_t> file(data, size);
  const std::size_t begin = 30 + fuzz::little(file, 26, 2) + fuzz::little(file, 28, 2);
  std::size_t changed = size;
  if (seed % 2 == 0 && begin < size) {
    const std::size_t first = (seed >> 8) % (size - begin), length = size - begin - first;
    LLVMFuzzerMutate(data + begin + first, std::min<std::size_t>(length, 32),
                     std::min<std::size_t>(length, 32));
  } else {
    changed = LLVMFuzzerMutate(data, size, seed % 4 == 1 ? size : max_size);
  }
  if (seed % 8 > 0) fuzz::repair_zip({data, changed});
  return changed;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const State two{.tensors = {{"a.weight", tensor({{1, 2}, {3, 4}})}, {"b", tensor({5, 6, 7}, DType::UInt8)}},
                  .numbers = {{"lr", 0.5}},
                  .integers = {{"seed", 7}}};
  made.emplace_back("written", written_by([&](const auto& path) { write_pytorch(path, two); }));
  made.emplace_back("none", written_by([&](const auto& path) { write_pytorch(path, {}); }));
  return made;
}
