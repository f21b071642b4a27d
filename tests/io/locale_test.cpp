// Files are the same, and are read the same, whatever the host's language.
#include <gtest/gtest.h>

#include <clocale>
#include <fstream>
#include <functional>
#include <locale>
#include <sstream>

#include "io/temporary.h"
#include "tapegrad/io/csv.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/io/npy.h"
#include "tapegrad/io/plot.h"
#include "tapegrad/io/safetensors.h"

namespace tapegrad {
namespace {

using testing::Bytes, testing::read_bytes, testing::TemporaryFolder;

// 1234.5 is 1.234,5 here.
class Comma : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

// For C++'s streams always, for C's functions where the system has such a locale, until the end of the scope.
class CommaLocale {
 public:
  CommaLocale() : streams_(std::locale::global(std::locale(std::locale::classic(), new Comma))) {
    for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "fr_FR"})
      if (std::setlocale(LC_ALL, name) != nullptr) break;
  }
  ~CommaLocale() {
    std::locale::global(streams_);
    std::setlocale(LC_ALL, "C");
  }

 private:
  std::locale streams_;
};

// The bytes of each file that is written.
std::vector<Bytes> written() {
  const TemporaryFolder folder;
  const Tensor x = tensor({{1234567.5, -0.25}, {1e-300, 3}}, DType::Float64),
               large = zeros({12345, 1}, DType::UInt8);
  write_npy(folder / "0", large);
  write_npz(folder / "1", {{"x", x}, {"large", large}});
  write_npz(folder / "2", {{"x", x}, {"large", large}}, {.compressed = true});
  write_idx(folder / "3", large);
  State state;
  state.tensors = {{"x", x}, {"large", large}};
  state.numbers = {{"rate", 1234.5}, {"steps", 1234567}};
  write_safetensors(folder / "4", state);
  const std::vector<Series> series{{.name = "x", .x = {1000, 20000}, .y = {0.25, 1234.5}}};
  write_png(folder / "5", line_chart(series, {}));
  std::vector<Bytes> files;
  for (int i = 0; i < 6; ++i) files.push_back(read_bytes(folder / std::to_string(i)));
  return files;
}

TEST(Locale, FilesAreTheSameBytes) {
  const std::vector<Bytes> expected = written();
  const CommaLocale comma;
  std::ostringstream stream;
  stream << 1234.5;
  ASSERT_EQ(stream.str(), "1.234,5");  // the locale is there
  EXPECT_EQ(written(), expected);
}

TEST(Locale, FilesAreReadAlike) {
  const TemporaryFolder folder;
  std::ofstream(folder / "x.csv") << "a,b\n1.5,2e3\n";
  const Tensor large = zeros({12345, 1}, DType::Float64);
  State state;
  state.tensors = {{"x", large}};
  state.numbers = {{"rate", 1234.5}};
  const CommaLocale comma;
  EXPECT_TRUE(equal(read_csv(folder / "x.csv").values, tensor({{1.5, 2000}})));
  write_npy(folder / "x.npy", large);
  EXPECT_TRUE(equal(read_npy(folder / "x.npy"), large));
  write_npz(folder / "x.npz", {{"x", large}});
  EXPECT_TRUE(equal(read_npz(folder / "x.npz")[0].second, large));
  write_safetensors(folder / "x.safetensors", state);
  EXPECT_EQ(read_safetensors(folder / "x.safetensors").numbers, state.numbers);
}

}  // namespace
}  // namespace tapegrad
