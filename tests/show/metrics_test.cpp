#include "tapegrad/show/metrics.h"

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <csignal>
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

// As after a crash: more lines than the state knows of, the last of them cut off.
TEST(Metrics, GoOnFromTheirState) {
  const TemporaryFolder folder;
  const auto path = folder / "m.jsonl";
  for (const int cut : {0, 1, 3}) {
    State state;
    {
      Metrics metrics(path);
      for (int i = 0; i < 5; ++i) {
        if (i == cut) state = metrics.state();
        metrics.write(
            {{"step", i}, {"loss", i == 2 ? std::numeric_limits<double>::quiet_NaN() : 1.0 / (i + 3)}});
      }
    }
    const std::string whole = text_of(path);
    std::ofstream(path, std::ios::app) << "{\"step\":5,\"lo";
    Metrics metrics(path, {.keep = true});
    metrics.load_state(state);
    EXPECT_TRUE(text_of(path).starts_with(whole)) << "nothing is lost before something new is written";
    EXPECT_EQ(metrics.state().integers, state.integers);
    for (int i = cut; i < 5; ++i)
      metrics.write(
          {{"step", i}, {"loss", i == 2 ? std::numeric_limits<double>::quiet_NaN() : 1.0 / (i + 3)}});
    EXPECT_EQ(text_of(path), whole);
    const Series loss = metrics.series("step", "loss", "");
    EXPECT_EQ(loss.x, (std::vector<double>{0, 1, 2, 3, 4}));
    for (const std::size_t i : {0u, 1u, 3u, 4u}) EXPECT_EQ(loss.y[i], 1.0 / static_cast<double>(i + 3));
    EXPECT_TRUE(std::isnan(loss.y[2]));
    metrics.load_state(state);  // it may go back as well
    metrics.write({{"a", 1}});
    EXPECT_EQ(std::ranges::count(text_of(path), '\n'), cut + 1);
  }
  { Metrics metrics(path, {.keep = true}); }
  EXPECT_NE(text_of(path), "");
  Metrics(path, {.keep = true}).write({{"a", 1}});
  EXPECT_EQ(text_of(path), "{\"a\":1}\n") << "what was kept for a state that was not loaded";
  { Metrics metrics(path); }
  EXPECT_EQ(text_of(path), "");
}

// The file has no infinities: a run that is continued must not see other numbers than one that was not interrupted.
TEST(Metrics, WhatIsNotFiniteIsTheSameInMemoryAndInTheFile) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "m.jsonl");
  const double infinity = std::numeric_limits<double>::infinity();
  metrics.write({{"step", 1}, {"up", infinity}, {"down", -infinity}});
  Metrics continued(folder / "m.jsonl", {.keep = true});
  continued.load_state(metrics.state());
  for (const Metrics* m : {&metrics, &continued})
    for (const char* name : {"up", "down"}) EXPECT_TRUE(std::isnan(m->series("step", name, "").y.at(0)));
}

TEST(Metrics, StatesThatDoNotFitTheFile) {
  const TemporaryFolder folder;
  const auto path = folder / "m.jsonl";
  const auto refusal = [&](std::uint64_t lines, const std::string& text) {
    std::ofstream(path) << text;
    Metrics metrics(path, {.keep = true});
    const std::string error = error_of("metrics", [&] {
      metrics.load_state({.integers = {{"lines", lines}}});
    });
    EXPECT_EQ(text_of(path), text);
    EXPECT_EQ(metrics.state().integers.at("lines"), 0u);
    return error;
  };
  expect_contains(refusal(2, "{\"a\":1}\n"), "has 1 lines, but 2");
  expect_contains(refusal(~std::uint64_t{0}, "{\"a\":1}\n{}\n"), "has 2 lines");
  expect_contains(refusal(1, "{\"a\":1}"), "has 0 lines");
  for (const char* bad : {"", "[1]", "3", "{\"a\":\"b\"}", "{\"a\":[1]}", "{\"a\":1", "{\"a\":1} x", "\xff"})
    expect_contains(refusal(2, std::string("{}\n") + bad + "\n{}\n"), "in line 2");
  Metrics metrics(path);
  expect_contains(error_of("metrics", [&] { metrics.load_state({}); }), "'lines'");
}

// A disk that is full after so many bytes: the file keeps the lines that memory has, and the run can go on.
TEST(Metrics, AFailedWriteLeavesFileAndMemoryAsTheyWere) {
  const TemporaryFolder folder;
  const auto path = folder / "m.jsonl";
  for (const rlim_t room : std::initializer_list<rlim_t>{0, 1, 12, 30}) {
    Metrics metrics(path);
    for (int i = 0; i < 3; ++i) metrics.write({{"step", i}});
    const std::string before = text_of(path);
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlim_t most = limit.rlim_cur;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    limit.rlim_cur = before.size() + room;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    const std::string error = error_of("metrics", [&] {
      metrics.write({{"a name that does not fit there", 3}});
    });
    limit.rlim_cur = most;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, handler);
    expect_contains(error, "File too large");
    EXPECT_EQ(text_of(path), before);
    EXPECT_EQ(metrics.state().integers.at("lines"), 3u);
    EXPECT_EQ(metrics.series("step", "step", "").x.size(), 3u);
    metrics.write({{"step", 3}});
    EXPECT_EQ(text_of(path), before + "{\"step\":3}\n");
    Metrics resumed(path, {.keep = true});
    resumed.load_state(metrics.state());
    EXPECT_EQ(resumed.series("step", "step", "").x, (std::vector<double>{0, 1, 2, 3}));
  }
}

TEST(Metrics, NamesThatCannotBeWritten) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "m.jsonl");
  metrics.write({{"a", 1}});
  expect_contains(error_of("metrics", [&] { metrics.write({{"loss\xff", 1}}); }), "UTF-8");
  expect_contains(error_of("metrics", [&] { metrics.write({{"a", 1}, {"a", 2}}); }), "'a' twice");
  EXPECT_EQ(text_of(folder / "m.jsonl"), "{\"a\":1}\n");
  EXPECT_EQ(metrics.state().integers.at("lines"), 1u);
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
