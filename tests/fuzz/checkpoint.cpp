// Checkpoints: read_checkpoint(). A wrong checksum is made right first, or nothing behind it would ever be looked at.

#include "tapegrad/io/checkpoint.h"

#include "memory_file.h"
#include "repair.h"

using namespace tapegrad;

namespace {

constexpr std::string_view kChecksum = "\"tapegrad.integer.tapegrad.checksum\":\"";

// The same file with this checksum, if it has one.
fuzz::Bytes with_checksum(fuzz::View file, std::uint64_t checksum) {
  fuzz::Bytes made(file.begin(), file.end());
  const auto at = std::search(made.begin(), made.end(), kChecksum.begin(), kChecksum.end());
  if (at == made.end()) return made;
  const auto first = at + static_cast<std::ptrdiff_t>(kChecksum.size());
  const auto last = std::find(first, made.end(), '"');
  const std::string digits = std::to_string(checksum);
  const auto length = static_cast<std::int64_t>(digits.size()) - (last - first);
  made.insert(made.erase(first, last), digits.begin(), digits.end());
  fuzz::put_little(made, 0, 8, fuzz::little(made, 0, 8) + static_cast<std::uint64_t>(length));
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string refusal;
  Checkpoint checkpoint;
  const auto read = [&] { checkpoint = read_checkpoint(fuzz::in_memory({data, size})); };
  bool good = fuzz::accepts("read_checkpoint", read, &refusal);
  const auto checksum = fuzz::number_behind(refusal, "that of its content ", 16);
  fuzz::Bytes repaired;
  if (checksum) {
    repaired = with_checksum({data, size}, *checksum);
    good = fuzz::accepts(
        "read_checkpoint", [&] { checkpoint = read_checkpoint(fuzz::in_memory(repaired)); }, &refusal);
    // Where the name is spelled with escapes, with_checksum() changes something else or nothing.
    if (!good && fuzz::number_behind(refusal, "that of its content ", 16) &&
        fuzz::number_behind(refusal, "its checksum is ", 16) == checksum)
      fuzz::found("the checksum that was asked for is refused");
  }
  if (good && checkpoint.step < 0) fuzz::found("a negative step");
  if (good)
    for (const auto& [name, number] : checkpoint.state.integers)
      if (name == "tapegrad.checksum" || name == "tapegrad.step") fuzz::found("reserved names are left");
  // Of a run's parts each takes or refuses what the file says.
  if (!good) return 0;
  Generator generator(1);
  Tensor x = zeros({2});
  double number = 0;
  std::int8_t integer = 0;
  TrainingState run;
  run.add("g", generator).add("x", x).add("n", number).add("i", integer).require("r", 2);
  fuzz::accepts("training_state", [&] { run.load_state(checkpoint.state); });
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  Generator generator(3);
  Tensor x = tensor({1, 2});
  double number = 0.5;
  std::int8_t integer = 7;
  TrainingState run;
  run.add("g", generator).add("x", x).add("n", number).add("i", integer).require("r", 2);
  std::vector<std::pair<std::string, Bytes>> made;
  for (const auto& metric : {std::optional<double>(), std::optional(0.25)})
    made.emplace_back(metric ? "metric" : "run", written_by([&](const auto& path) {
                        write_checkpoint(path, {.state = run.state(), .step = 12, .metric = metric});
                      }));
  made.emplace_back("empty", written_by([&](const auto& path) { write_checkpoint(path, {}); }));
  return made;
}
