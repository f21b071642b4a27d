#include "common/training_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "io/temporary.h"

namespace tapegrad::testing {
namespace {

TEST(Speed, FastStepsCountByTheirTime) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "metrics.jsonl");
  metrics.write({{"step", 1}, {"images", 100}, {"images_per_s", 100.0}});     // 1 s
  metrics.write({{"step", 2}, {"images", 300}, {"images_per_s", 10'000.0}});  // 0.03 s
  metrics.write({{"epoch", 1}, {"test_loss", 0.5}});
  const common::Speed speed = common::speed_of(metrics);
  EXPECT_EQ(speed.steps, 2);
  EXPECT_DOUBLE_EQ(speed.images, 400);
  EXPECT_DOUBLE_EQ(speed.seconds, 1.03);
  EXPECT_DOUBLE_EQ(speed.images_per_second(), 400 / 1.03);  // the mean of the rates is 5050
}

TEST(Speed, NoStepsHaveNoSpeed) {
  const TemporaryFolder folder;
  const common::Speed speed = common::speed_of(Metrics(folder / "metrics.jsonl"));
  EXPECT_EQ(speed.steps, 0);
  EXPECT_EQ(speed.images_per_second(), 0);
}

TEST(ReadDigits, LettersAreNoDigits) {
  const TemporaryFolder folder;
  const auto read = [&](int largest) {
    for (const char* part : {"train", "t10k"}) {
      write_idx(folder / (std::string(part) + "-images-idx3-ubyte"), zeros({2, 28, 28}, DType::UInt8));
      write_idx(folder / (std::string(part) + "-labels-idx1-ubyte"), tensor({0, largest}, DType::UInt8));
    }
    return common::read_digits(folder.path(), Split::Test);
  };
  EXPECT_EQ(read(9).inputs.size(), 2);
  try {
    read(26);
    FAIL() << "the label 26 is taken for a digit";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("holds the label 26"), std::string::npos) << error.what();
  }
}

// What a report says of options tells nothing of the machine's folders.
TEST(OptionFacts, OfPathsOutsideTheWorkingDirectoryTheLastName) {
  const std::string here = std::filesystem::current_path().string();
  const std::vector<std::pair<std::string, std::string>> shown = {
      {"out/run", "out/run"},           {"./out/run", "out/run"},         {here + "/out/run", "out/run"},
      {"../secret/run", "run"},         {"../../../secret/run/", "run"},  {"out/../../secret/run", "run"},
      {"/somebody/secret/run", "run"},  {"/somebody/secret/run/", "run"}, {"inside/../run", "run"},
      {here + "/../secret/run", "run"}, {"..run/a..b", "..run/a..b"}};
  for (const auto& [given, expected] : shown) {
    common::TrainingOptions options;
    cli::Program program("example", "What an example says of itself.");
    common::add_options(program, options);
    std::vector<std::string> arguments = {"example", "--data", given, "--out", given, "--metrics", given};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ASSERT_EQ(program.run(static_cast<int>(argv.size()), argv.data(), [] { return 0; }), 0);
    int paths = 0;
    for (const auto& [name, value] : common::option_facts(program))
      if (name == "--data" || name == "--out" || name == "--metrics") {
        EXPECT_EQ(value, expected) << name << " " << given;
        ++paths;
      }
    EXPECT_EQ(paths, 3);
  }
}

// The digits that are found without --data.
TEST(OptionFacts, DefaultPathsAreForOthersToo) {
  common::TrainingOptions options;
  options.data = "../../../somebody/data";
  cli::Program program("example", "What an example says of itself.");
  common::add_options(program, options);
  std::string name = "example";
  char* argv[] = {name.data()};
  ASSERT_EQ(program.run(1, argv, [] { return 0; }), 0);
  const auto facts = common::option_facts(program);
  EXPECT_EQ(std::ranges::find(facts, "--data", &std::pair<std::string, std::string>::first)->second, "data");
}

}  // namespace
}  // namespace tapegrad::testing
