// Runs a fuzz target without libFuzzer, with any compiler: the files of a corpus, and random changes of them.

#include <fcntl.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz.h"

namespace fs = std::filesystem;
using tapegrad::fuzz::Bytes, tapegrad::fuzz::Stream;

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
[[gnu::weak]] std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                                  unsigned seed);
}

namespace {

constexpr std::size_t kLongest = 4096;  // of a changed input, as with libFuzzer

Stream& stream() {
  static Stream made(1);
  return made;
}
Bytes current;  // the input that runs

// Called when the program is about to die: the input that it dies of is kept.
void keep_input(int signal) {
  const int file = ::open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (::write(file, current.data(), current.size()) == static_cast<ssize_t>(current.size())) {
    constexpr char kSaid[] = "the input is in ./crash-input\n";
    if (::write(STDERR_FILENO, kSaid, sizeof(kSaid) - 1) < 0) ::_exit(1);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const Bytes& input) {
  current = input;
  current.shrink_to_fit();  // a sanitizer notices whoever looks behind it
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

Bytes read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) tapegrad::fuzz::found("cannot read " + path.string());
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::vector<Bytes> corpus_of(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths)
    if (fs::is_directory(path))
      std::ranges::copy(fs::directory_iterator(path), std::back_inserter(files));
    else
      files.push_back(path);
  std::ranges::sort(files);  // the same order, and so the same random inputs, everywhere
  std::vector<Bytes> corpus;
  for (const fs::path& file : files) corpus.push_back(read(file));
  return corpus;
}

std::size_t changed(std::uint8_t* data, std::size_t size) {
  return LLVMFuzzerCustomMutator != nullptr
             ? LLVMFuzzerCustomMutator(data, size, kLongest, static_cast<unsigned>(stream().bits()))
             : LLVMFuzzerMutate(data, size, kLongest);
}

// `count` random inputs, and then more until `seconds` have passed; returns how many these were.
std::uint64_t run_random(const std::vector<Bytes>& corpus, std::uint64_t count, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  Bytes input;
  std::uint64_t i = 0;
  for (; i < count || (seconds > 0 && std::chrono::steady_clock::now() < end); ++i) {
    // Mostly a change of a change: what is far from the corpus is reached too.
    if (i % 8 == 0 || input.empty()) input = corpus.empty() ? Bytes{} : corpus[stream().below(corpus.size())];
    std::size_t size = std::min(input.size(), kLongest);
    input.resize(kLongest);
    size = changed(input.data(), size);
    if (!corpus.empty() && stream().below(16) == 0) {  // another one's end
      const Bytes& other = corpus[stream().below(corpus.size())];
      const std::size_t from = stream().below(other.size() + 1), at = stream().below(size + 1);
      const std::size_t taken = std::min(other.size() - from, kLongest - at);
      std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), taken,
                  input.begin() + static_cast<std::ptrdiff_t>(at));
      size = at + taken;
    }
    input.resize(size);
    run(input);
  }
  return i;
}

int usage(const char* program) {
  std::printf(
      "usage: %s [--random COUNT] [--seconds S] [--seed N] [--write-seeds FOLDER] [FILE or FOLDER]...\n"
      "Runs the target on these files, then on COUNT random changes of them, and on more until S seconds have passed.\n",
      program);
  return 2;
}

}  // namespace

// A few small edits, of the kinds that libFuzzer makes.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size) {
  Stream& draw = stream();
  for (std::size_t edits = 1 + draw.below(4); edits > 0; --edits) {
    const std::size_t at = draw.below(size + 1), span = 1 + draw.below(8);
    const auto kind = draw.below(6);
    if (kind == 0 && size + span <= max_size) {  // new bytes
      std::memmove(data + at + span, data + at, size - at);
      for (std::size_t i = 0; i < span; ++i) data[at + i] = static_cast<std::uint8_t>(draw.bits() >> 20);
      size += span;
    } else if (kind == 1 && at + span <= size) {  // fewer
      std::memmove(data + at, data + at + span, size - at - span);
      size -= span;
    } else if (kind == 2 && at < size) {
      data[at] = static_cast<std::uint8_t>(data[at] ^ 1u << draw.below(8));
    } else if (kind == 3 && at < size) {
      constexpr std::uint8_t kHard[] = {0, 1, 0x7f, 0x80, 0xff, '0', '"', '\n'};
      data[at] = kHard[draw.below(sizeof(kHard))];
    } else if (kind == 4 && at + span <= size) {  // what stands elsewhere
      std::memmove(data + at, data + draw.below(size - span + 1), span);
    } else if (at < size) {
      data[at] = static_cast<std::uint8_t>(draw.bits() >> 20);
    }
  }
  return size;
}

int main(int argc, char** argv) {
  std::vector<fs::path> paths;
  std::uint64_t count = 0;
  double seconds = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = argument == "--random" || argument == "--seconds" || argument == "--seed" ||
                           argument == "--write-seeds";
    if (!has_value && argument.starts_with("--")) return usage(argv[0]);
    if (!has_value) {
      paths.emplace_back(argument);
      continue;
    }
    if (++i == argc) return usage(argv[0]);
    if (argument == "--random") count = std::strtoull(argv[i], nullptr, 10);
    if (argument == "--seconds") seconds = std::strtod(argv[i], nullptr);
    if (argument == "--seed") stream() = Stream(std::strtoull(argv[i], nullptr, 10));
    if (argument == "--write-seeds")
      for (const auto& [name, bytes] : tapegrad::fuzz::seeds()) {
        fs::create_directories(argv[i]);
        std::ofstream(fs::path(argv[i]) / name, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      }
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) std::signal(signal, keep_input);
  const std::vector<Bytes> corpus = corpus_of(paths);
  if (corpus.empty() && !paths.empty()) tapegrad::fuzz::found("there is nothing to run");
  const auto begin = std::chrono::steady_clock::now();
  for (const Bytes& input : corpus) run(input);
  count = run_random(corpus, count, seconds);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  std::printf("%zu files and %llu random inputs in %.1f s", corpus.size(),
              static_cast<unsigned long long>(count), taken.count());
  if (tapegrad::fuzz::judged > 0)
    std::printf(", %llu of them judged", static_cast<unsigned long long>(tapegrad::fuzz::judged));
  std::printf(": nothing found\n");
  return 0;
}
