#include "common/training_run.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tapegrad::testing
