// Draws the small data set in data/: digits in MNIST's file format. Running it again gives the same bytes.
#include <fmt/format.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tapegrad/base/random.h"
#include "tapegrad/data/digits.h"

namespace tg = tapegrad;

namespace {

using Bytes = std::vector<std::uint8_t>;

// An IDX file of bytes: a magic number that tells type and rank, the sizes (big-endian), the values.
Bytes idx_header(std::initializer_list<std::size_t> sizes) {
  Bytes bytes{0, 0, 8, static_cast<std::uint8_t>(sizes.size())};
  for (const std::size_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
  return bytes;
}

// zlib's own gzip header has no name and time 0; only its byte for the operating system has to be fixed.
Bytes gzip(Bytes data) {
  z_stream stream{};
  gz_header header{};
  header.os = 255;  // unknown
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
      deflateSetHeader(&stream, &header) != Z_OK)
    throw std::runtime_error("zlib could not be set up");
  const auto size = static_cast<uLong>(data.size());
  Bytes packed(deflateBound(&stream, size));
  stream.next_in = data.data();
  stream.avail_in = static_cast<uInt>(size);
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("zlib could not compress the data");
  return packed;
}

void write_gzip(const std::filesystem::path& path, Bytes data) {
  const Bytes packed = gzip(std::move(data));
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(packed.data()), static_cast<std::streamsize>(packed.size()));
  file.close();
  if (!file) throw std::runtime_error(fmt::format("{} could not be written", path.string()));
  fmt::print("{}: {} bytes\n", path.string(), packed.size());
}

// As many of each digit, in random order. Sample i is drawn by child i, so that none depends on the others.
void draw_set(const std::filesystem::path& directory, const std::string& name, std::size_t count,
              const tg::Generator& generator) {
  Bytes labels;
  for (std::size_t i = 0; i < count; ++i) labels.push_back(static_cast<std::uint8_t>(i % 10));
  tg::Generator(generator).shuffle(std::span(labels));

  Bytes images = idx_header({count, tg::kDigitSide, tg::kDigitSide});
  std::array<std::uint8_t, tg::kDigitPixels> pixels;
  for (std::size_t i = 0; i < count; ++i) {
    tg::Generator hand = generator.child(i);
    tg::draw_digit(labels[i], hand, pixels);
    images.insert(images.end(), pixels.begin(), pixels.end());
  }
  Bytes label_file = idx_header({count});
  label_file.insert(label_file.end(), labels.begin(), labels.end());
  write_gzip(directory / (name + "-images-idx3-ubyte.gz"), std::move(images));
  write_gzip(directory / (name + "-labels-idx1-ubyte.gz"), std::move(label_file));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Draws 8,000 handwritten digits for training and 1,000 for testing, as MNIST's four files."};
  std::string directory;
  std::uint64_t seed = 28;
  app.add_option("directory", directory, "where the files go; it is made if it does not exist")->required();
  app.add_option("--seed", seed, "another seed draws other digits")->capture_default_str();
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
