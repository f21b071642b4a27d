// Files are the same, and are read the same, whatever the host's language.
#include <gtest/gtest.h>

#include <clocale>
#include <cstdio>
#include <fstream>
#include <functional>
#include <locale>
#include <sstream>

#include "io/temporary.h"
#include "tapegrad/io/checkpoint.h"
#include "tapegrad/io/csv.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/io/npy.h"
#include "tapegrad/io/npz.h"
#include "tapegrad/io/safetensors.h"
#include "tapegrad/show/metrics.h"
#include "tapegrad/show/plot.h"
#include "tapegrad/show/progress.h"
#include "tapegrad/show/report.h"

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
  write_checkpoint(folder / "6", {.state = state, .step = 1234567, .metric = 0.25});
  Report report("t");
  report.lines(series).dots(series).matrix(full({2, 2}, 1234.5)).image(Image(2, 1500, 1)).write(folder / "7");
  Metrics(folder / "8").write({{"step", 1234567}, {"loss", 0.125}, {"speed", 1234567.5}});
  {
    std::FILE* file = std::fopen((folder / "9").c_str(), "w");
    double now = 0;
    Progress progress(file,
                      {.epochs = 1, .samples = 100000, .terminal = false, .clock = [&] { return now; }});
    progress.advance(0);
    now = 1234.5;
    progress.advance(54321, {{"loss", 0.0125}});
    progress.end_epoch({{"loss", 1234567.0}});
    std::fclose(file);
  }
  std::vector<Bytes> files;
  for (int i = 0; i < 10; ++i) files.push_back(read_bytes(folder / std::to_string(i)));
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
  write_checkpoint(folder / "checkpoint", {.state = state, .metric = 0.25});
  EXPECT_EQ(read_checkpoint(folder / "checkpoint").metric, 0.25);
  Metrics metrics(folder / "metrics");
  metrics.write({{"step", 1}, {"loss", 1234.5}});
  Metrics continued(folder / "metrics", {.keep = true});
  continued.load_state(metrics.state());
  EXPECT_EQ(continued.series("step", "loss", "").y, (std::vector<double>{1234.5}));
}

}  // namespace
}  // namespace tapegrad
