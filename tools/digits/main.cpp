// Draws the small data set in data/: digits in MNIST's file format. Running it again gives the same bytes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "digits/digits.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

void write(const std::filesystem::path& path, const tg::Tensor& x) {
  tg::write_idx(path, x);
  fmt::print("{}: {} bytes\n", path.string(), std::filesystem::file_size(path));
}

void draw_set(const std::filesystem::path& directory, const std::string& name, tg::index_t count,
              const tg::Generator& generator) {
  const tg::Dataset data = digits::drawn_digits(count, generator);
  write(directory / (name + "-images-idx3-ubyte.gz"), tg::squeeze(tg::read_all(data.inputs), {-1}));
  write(directory / (name + "-labels-idx1-ubyte.gz"), tg::cast(tg::read_all(data.targets), tg::DType::UInt8));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Draws 8,000 handwritten digits for training and 1,000 for testing, as MNIST's four files."};
  std::string directory;
  std::uint64_t seed = 28;
  app.add_option("directory", directory, "where the files go; it is made if it does not exist")->required();
  app.add_option("--seed", seed, "seed of the random numbers: another seed draws other digits")
      ->capture_default_str()
      ->check([](const std::string& text) {
        // CLI11 takes -1 for 2^64 - 1.
        const bool whole = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return whole ? std::string() : fmt::format("must be a whole number of at least 0, got {}", text);
      });
  CLI11_PARSE(app, argc, argv);
  try {
    std::filesystem::create_directories(directory);
    const tg::Generator generator(seed);
    draw_set(directory, "train", 8000, generator.child(0));
    draw_set(directory, "t10k", 1000, generator.child(1));
  } catch (const std::exception& error) {
    fmt::print(stderr, "draw_digits: {}\n", error.what());
    return 1;
  }
}
