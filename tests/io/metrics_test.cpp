#include "tapegrad/io/metrics.h"

#include <gtest/gtest.h>

#include <clocale>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/temporary.h"

namespace tapegrad {
namespace {

using testing::error_of, testing::expect_contains, testing::read_bytes, testing::TemporaryFolder;

std::string text_of(const std::filesystem::path& path) {
  const testing::Bytes bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

TEST(Metrics, EachCallIsALineAtOnce) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "m.jsonl");
  metrics.write({{"step", 3}, {"loss", 0.1}, {"rate", 1e-7}});
  EXPECT_EQ(text_of(folder / "m.jsonl"), "{\"step\":3,\"loss\":0.1,\"rate\":1e-07}\n");
  metrics.write({});
  metrics.write({{"a \"b\"\n", std::numeric_limits<double>::quiet_NaN()}, {"big", index_t{1} << 62}});
  EXPECT_EQ(text_of(folder / "m.jsonl"),
            "{\"step\":3,\"loss\":0.1,\"rate\":1e-07}\n{}\n{\"a "
            "\\\"b\\\"\\n\":null,\"big\":4611686018427387904}\n");
}

TEST(Metrics, LinesAreJsonWithTheSameNumbers) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "m.jsonl");
  const std::vector<double> values{0, -0.0, 5e-324, 1.0 / 3, 1e300, -2.5, 123456789.125, 1e21};
  for (const double value : values) metrics.write({{"x", value}});
  std::ifstream file(folder / "m.jsonl");
  std::string line;
  for (const double value : values) {
    ASSERT_TRUE(std::getline(file, line));
    EXPECT_EQ(nlohmann::json::parse(line)["x"].get<double>(), value) << line;
  }
}

TEST(Metrics, SeriesAreOfTheLinesThatHaveBoth) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "m.jsonl");
  metrics.write({{"step", 1}, {"loss", 0.5}});
  metrics.write({{"epoch", 1}, {"test", 7}});
  metrics.write({{"step", 2}, {"loss", 0.25}, {"test", 8}});
  const Series loss = metrics.series("step", "loss", "train");
  EXPECT_EQ(loss.name, "train");
  EXPECT_EQ(loss.x, (std::vector<double>{1, 2}));
  EXPECT_EQ(loss.y, (std::vector<double>{0.5, 0.25}));
  EXPECT_EQ(metrics.series("step", "test", "").x, (std::vector<double>{2}));
  EXPECT_TRUE(metrics.series("step", "none", "").x.empty());
}

TEST(Metrics, WhatCannotBeWrittenIsAnError) {
  const TemporaryFolder folder;
  expect_contains(error_of("metrics", [&] { Metrics(folder / "no/m.jsonl"); }), "No such file");
  if (std::filesystem::exists("/dev/full")) {
    Metrics metrics("/dev/full");
    expect_contains(error_of("metrics", [&] { metrics.write({{"a", 1}}); }), "No space");
  }
}

}  // namespace
}  // namespace tapegrad
