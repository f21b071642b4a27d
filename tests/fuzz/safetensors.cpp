// Files of the safetensors format: read_safetensors() and read_safetensors_header().

#include "tapegrad/io/safetensors.h"

#include "memory_file.h"
#include "repair.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& path = fuzz::in_memory({data, size});
  State state;
  SafetensorsHeader header;
  const bool read = fuzz::accepts("read_safetensors", [&] { state = read_safetensors(path); });
  const bool opened = fuzz::accepts("", [&] { header = read_safetensors_header(path); });
  if (!read) return 0;
  if (!opened || header.tensors.size() != state.tensors.size()) fuzz::found("header and state are not alike");
  for (std::size_t i = 0; i < state.tensors.size(); ++i)
    if (header.tensors[i].name != state.tensors[i].first ||
        header.tensors[i].shape != state.tensors[i].second.shape())
      fuzz::found("the header tells of other tensors than the state has");
  return 0;
}

// Of header and elements one is changed, and the header's length follows; the file ends where the last tensor does.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  constexpr std::size_t kBegin = 8;
  const std::size_t length = fuzz::little({data, size}, 0, 8);
  if (seed % 4 == 0 || size < kBegin || length > size - kBegin) return LLVMFuzzerMutate(data, size, max_size);
  std::size_t end = kBegin + length;
  const bool elements = seed % 4 == 1;
  std::size_t grown = fuzz::mutate_part(data, size, max_size, elements ? end : kBegin, elements ? size : end);
  if (!elements) end += grown - size;
  fuzz::put_little({data, grown}, 0, 8, end - kBegin);
  std::string refusal;
  fuzz::accepts(
      "",
      [&] {
        (void)read_safetensors_header(fuzz::in_memory({data, grown}));
      },
      &refusal);
  const auto needed = fuzz::number_behind(refusal, "of which tensors take only ");
  if (needed && end + *needed < grown) grown = end + *needed;
  return grown;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const auto add = [&](const char* name, const State& state) {
    made.emplace_back(name, written_by([&](const auto& path) { write_safetensors(path, state); }));
  };
  add("state", {.tensors = {{"w", tensor({{1, 2}, {3, 4}})}, {"b", tensor({5, 6}, DType::Int32)}},
                .numbers = {{"rate", 0.1}},
                .integers = {{"seed", 18446744073709551615u}}});
  add("types", {.tensors = {{"a", tensor({1}, DType::Float64)}, {"b", tensor({2}, DType::UInt8)}}});
  add("empty", {});
  const auto by_hand = [&](const char* name, std::string header, std::size_t elements) {
    const std::size_t length = header.size();
    header.insert(0, 8, '\0');
    for (std::size_t i = 0; i < 8; ++i) header[i] = static_cast<char>(length >> (8 * i));
    header.append(elements, '\1');
    made.emplace_back(name, Bytes(header.begin(), header.end()));
  };
  by_hand(
      "halves",
      R"({"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[],"data_offsets":[4,6]}})",
      6);
  by_hand(
      "wide",
      R"({"i":{"dtype":"I64","shape":[1,1],"data_offsets":[1,9]},"b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})",
      9);
  by_hand(
      "metadata",
      R"({"__metadata__":{"format":"pt","\u00e4":"\\"},"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}} )",
      0);
  return made;
}
