// Draws the small data set in data/: digits in MNIST's file format. Running it again gives the same bytes.
#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "command_line/command_line.h"
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
  std::filesystem::path directory;
  std::uint64_t seed = 28;
  cli::Program program(
      "draw_digits",
      "Draws 8,000 handwritten digits for training and 1,000 for testing, as MNIST's four files.");
  program.add_path("directory", directory, "FOLDER", "where the files go; it is made if it does not exist");
  program.require("directory");
  program.add_whole("--seed", seed, 0, "seed of the random numbers: another seed draws other digits");
  return program.run(argc, argv, [&] {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (!std::filesystem::is_directory(directory))
      throw std::runtime_error(
          fmt::format("the folder '{}' cannot be made: {}", directory.string(), error.message()));
    const tg::Generator generator(seed);
    draw_set(directory, "train", 8000, generator.child(0));
    draw_set(directory, "t10k", 1000, generator.child(1));
    return 0;
  });
}
