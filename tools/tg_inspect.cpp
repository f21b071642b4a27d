// Shows what is in a file of tensors, and draws one of them.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

struct Named {
  std::string name, stored;  // the type in the file, when it is another one than the tensor's
  tg::Tensor tensor{};       // not defined when it could not be read
  tg::Shape shape{};
};

struct Content {
  std::string format;
  std::vector<Named> tensors{};
  std::map<std::string, std::string> metadata{};
  std::string error{};  // why tensors could not be read, though the header could
};

// Text as a terminal may have it: what a file says must not move the cursor.
std::string printable(const std::string& text) {
  std::string made = text;
  for (char& c : made)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return made;
}

// ---- Reading

Content read_safetensors(const fs::path& path) {
  tg::SafetensorsHeader header = tg::read_safetensors_header(path);
  Content content{.format = "safetensors"};
  tg::State state;
  try {
    state = tg::read_safetensors(path);
  } catch (const tg::Error& error) {
    content.error = error.what();
    for (const auto& [name, dtype, shape] : header.tensors)
      content.tensors.push_back({.name = name, .stored = dtype, .shape = shape});
    content.metadata = std::move(header.metadata);
    return content;
  }
  if (state.integers.contains("tapegrad.checksum")) {
    const tg::Checkpoint checkpoint = tg::read_checkpoint(path);  // which looks at the checksum
    content.format = fmt::format("checkpoint of step {}", checkpoint.step);
    if (checkpoint.metric) content.format += fmt::format(", metric {}", *checkpoint.metric);
  }
  for (std::size_t i = 0; i < state.tensors.size(); ++i)
    content.tensors.push_back(
        {state.tensors[i].first, header.tensors[i].dtype, state.tensors[i].second, header.tensors[i].shape});
  content.metadata = std::move(header.metadata);
  return content;
}

Content of_array(const std::string& format, const tg::Tensor& x) {
  return {.format = format, .tensors = {{"array", "", x, x.shape()}}};
}

Content read(const fs::path& path) {
  std::array<char, 9> begin{};
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw tg::Error("read", fmt::format("'{}' is not a regular file", path.string()));
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw tg::Error(
        "read", fmt::format("cannot open '{}': {}", path.string(), std::generic_category().message(errno)));
  file.read(begin.data(), begin.size());
  const std::string_view bytes(begin.data(), static_cast<std::size_t>(file.gcount()));

  std::array<char, 8> length{};
  std::copy_n(begin.begin(), length.size(), length.begin());
  // IDX: two zeros, the type, the number of axes.
  constexpr std::string_view kGzip = "\x1f\x8b", kIdx("\0\0", 2);
  const bool is_idx = bytes.starts_with(kIdx) && begin[2] >= 8 && begin[2] <= 14 && begin[3] >= 1 &&
                      begin[3] <= 8 && path.extension() != ".safetensors";
  // A header of JSON follows its length. Whatever the length says, the reader of that format knows best what is wrong.
  if (!is_idx && bytes.size() == begin.size() && (begin[8] == '{' || path.extension() == ".safetensors"))
    return read_safetensors(path);
  if (bytes.starts_with("\x93NUMPY")) return of_array("npy", tg::read_npy(path));
  if (bytes.starts_with("PK")) {
    Content content{.format = "npz"};
    for (auto& [name, tensor] : tg::read_npz(path))
      content.tensors.push_back({name, "", tensor, tensor.shape()});
    return content;
  }
  if (bytes.starts_with(kGzip) || bytes.starts_with(kIdx)) return of_array("IDX", tg::read_idx(path));
  throw tg::Error("read",
                  fmt::format("'{}' is no file of safetensors, npy, npz or IDX, or its beginning is damaged",
                              path.string()));
}

// ---- Numbers

struct Statistics {
  double least = INFINITY, greatest = -INFINITY, sum = 0;
  tg::index_t finite = 0, nan = 0, infinite = 0;
};

Statistics statistics_of(const tg::Tensor& x) {
  Statistics s;
  tg::dispatch(x.dtype(), [&](auto type) {
    for (const auto element : x.values<typename decltype(type)::type>()) {
      const auto value = static_cast<double>(element);
      if (std::isnan(value)) {
        ++s.nan;
        continue;
      }
      s.least = std::min(s.least, value);
      s.greatest = std::max(s.greatest, value);
      if (std::isfinite(value)) {
        s.sum += value;
        ++s.finite;
      } else {
        ++s.infinite;
      }
    }
  });
  return s;
}

using Row = std::vector<std::string>;

void print_table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  constexpr std::size_t kTexts = 3;  // columns that are aligned at the left
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i < kTexts ? fmt::format("{:<{}}  ", row[i], widths[i])
                         : fmt::format("{:>{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print(const fs::path& path, const Content& content) {
  tg::index_t elements = 0;
  std::vector<Row> rows = {{"name", "type", "shape", "min", "mean", "max", "NaN", "infinite"}};
  for (const Named& named : content.tensors) {
    const tg::Tensor& x = named.tensor;
    elements += named.shape.size();
    if (!x.defined()) {
      rows.push_back({printable(named.name), printable(named.stored), named.shape.str(), "", "", "", "", ""});
      continue;
    }
    const Statistics s = statistics_of(x);
    const auto number = [&](double value) { return x.size() == s.nan ? "-" : fmt::format("{:.5g}", value); };
    rows.push_back({printable(named.name), named.stored.empty() ? tg::to_string(x.dtype()) : named.stored,
                    x.shape().str(), number(s.least),
                    s.finite == 0 ? "-" : number(s.sum / static_cast<double>(s.finite)), number(s.greatest),
                    fmt::format("{}", s.nan), fmt::format("{}", s.infinite)});
  }
  fmt::print("{}: {}, {} bytes, {} tensor{}, {} elements\n", path.string(), content.format,
             fs::file_size(path), content.tensors.size(), content.tensors.size() == 1 ? "" : "s", elements);
  if (!content.tensors.empty()) {
    fmt::print("\n");
    print_table(rows);
  }
  if (!content.metadata.empty()) fmt::print("\nmetadata\n");
  for (const auto& [key, value] : content.metadata)
    fmt::print("  {}: {}\n", printable(key), printable(value));
}

// ---- Pictures

constexpr tg::index_t kMostImages = 100;
constexpr double kPixels = 800;  // about as large as a picture gets

int scale_for(tg::index_t height, tg::index_t width) {
  return std::clamp(static_cast<int>(kPixels / static_cast<double>(std::max(height, width))), 1, 16);
}

// From 0 to 1, so that the least is black and the greatest white; what lies there already is left alone.
tg::Tensor normalized(const tg::Tensor& x) {
  if (x.dtype() == tg::DType::UInt8) return x;
  const Statistics s = statistics_of(x);
  const tg::Tensor values = tg::cast(x, tg::DType::Float64);
  if (s.least >= 0 && s.greatest <= 1) return values;
  if (!std::isfinite(s.least) || !std::isfinite(s.greatest) || s.least == s.greatest) return values;
  return (values - s.least) / (s.greatest - s.least);
}

// [h, w], [h, w, 3], [n, h, w] and [n, h, w, 1 or 3] as images, [kh, kw, in, out] as filters.
tg::Image picture_of(const std::string& name, const tg::Tensor& x) {
  if (x.size() == 0)
    throw tg::Error("png", fmt::format("'{}' is empty: its shape is {}", name, x.shape().str()));
  const tg::Shape& shape = x.shape();
  const auto images = [&](tg::index_t n, tg::index_t h, tg::index_t w, tg::index_t c) {
    const tg::Tensor shown = tg::slice(tg::reshape(x, {n, h, w, c}), {{0, std::min(n, kMostImages)}});
    const auto columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(shown.shape()[0]))));
    return tg::grid(normalized(shown), {.columns = columns,
                                        .scale = scale_for(h * columns, w * columns),
                                        .gap = n > 1 ? 1 : 0,
                                        .background = {96, 96, 96}});
  };
  if (x.rank() == 1) return images(1, 1, shape[0], 1);
  if (x.rank() == 2) return images(1, shape[0], shape[1], 1);
  if (x.rank() == 3 && shape[2] == 3) return images(1, shape[0], shape[1], 3);
  if (x.rank() == 3) return images(shape[0], shape[1], shape[2], 1);
  if (x.rank() == 4) {
    const bool filters = name.ends_with("kernel") || (shape[3] != 1 && shape[3] != 3);
    if (!filters) return images(shape[0], shape[1], shape[2], shape[3]);
    return tg::filters_image(tg::is_floating(x.dtype()) ? x : tg::cast(x, tg::DType::Float64),
                             scale_for(shape[0] * shape[2], shape[1] * shape[3]), 1);
  }
  throw tg::Error("png",
                  fmt::format("'{}' has {} axes (shape {}); pictures are made of tensors with 1 to 4 of them",
                              name, x.rank(), shape.str()));
}

void draw(const Content& content, const std::string& name, const fs::path& path) {
  if (!content.error.empty()) throw std::runtime_error(content.error);
  const auto found = std::ranges::find(content.tensors, name, &Named::name);
  if (found == content.tensors.end())
    throw tg::Error("png", fmt::format("there is no tensor '{}' in the file", printable(name)));
  tg::write_png(path, picture_of(name, found->tensor));
}

}  // namespace

int main(int argc, char** argv) {
  fs::path file;
  std::vector<std::string> png;
  cli::Program program(
      "tg-inspect",
      "Shows what is in a file of tensors: safetensors, checkpoints, npy, npz, IDX (gzipped, too).");
  program.add_path("FILE", file, "PATH", "the file");
  program.require("FILE");
  program.add_texts(
      "--png", png, 2, "NAME OUT",
      "draw the tensor NAME (\"array\" in npy and IDX) into OUT, as images [n, h, w, c] or as the filters "
      "of a convolution [kh, kw, in, out]");
  return program.run(argc, argv, [&] {
    try {
      const Content content = read(file);
      if (png.empty()) {
        print(file, content);
        if (content.error.empty()) return 0;
        std::fflush(stdout);
        throw std::runtime_error(content.error);
      }
      draw(content, png[0], png[1]);
      fmt::print("{}\n", png[1]);
      return 0;
    } catch (const std::exception& error) {
      throw std::runtime_error(printable(error.what()));
    }
  });
}
