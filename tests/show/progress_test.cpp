#include "tapegrad/show/progress.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "io/temporary.h"
#include "refuses.h"

namespace tapegrad {
namespace {

// A stream whose text can be taken out, and a clock that is set by hand.
class Screen {
 public:
  std::FILE* out() { return file_.get(); }
  std::string take() {
    std::rewind(out());
    std::string text;
    for (int c; (c = std::fgetc(out())) != EOF;) text += static_cast<char>(c);
    std::rewind(out());
    EXPECT_EQ(::ftruncate(::fileno(out()), 0), 0);
    return text;
  }
  ProgressOptions options(bool terminal, int columns = 100) {
    return {.epochs = 2,
            .samples = 1000,
            .unit = "images",
            .plain_interval = 30,
            .terminal = terminal,
            .columns = columns,
            .clock = [this] { return now; }};
  }
  double now = 1000;

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{std::tmpfile(), std::fclose};
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

TEST(Progress, DrawsInPlaceOnATerminal) {
  Screen screen;
  Progress progress(screen.out(), screen.options(true));
  progress.advance(0);
  screen.now += 2;
  progress.advance(610, {{"loss", 0.01234}});
  screen.now += 3;
  progress.advance(390);
  progress.end_epoch({{"loss", 0.0121}, {"test", 0.5}});
  progress.advance(0);
  const auto parts = split(screen.take(), '\r');
  ASSERT_EQ(parts.size(), 6u);
  EXPECT_EQ(parts[0], "");
  EXPECT_EQ(parts[1], "epoch 1/2 [>                             ] 0%\x1b[K");
  EXPECT_EQ(
      parts[2],
      "epoch 1/2 [==================>           ] 61% loss 0.01234 305 images/s left: epoch 0:02, run 0:05\x1b[K");
  EXPECT_EQ(parts[3],
            "epoch 1/2 [==============================] 100% 200 images/s left: epoch 0:00, run 0:05\x1b[K");
  EXPECT_EQ(parts[4], "epoch 1/2 loss 0.0121 test 0.5 1000 images in 5.0 s at 200 images/s\x1b[K\n");
  EXPECT_EQ(parts[5], "epoch 2/2 [>                             ] 0%\x1b[K");
}

TEST(Progress, WhatIsSlowHasNoRateOfZero) {
  Screen screen;
  ProgressOptions options = screen.options(false);
  options.samples = 10;
  options.unit = "epochs";
  Progress progress(screen.out(), options);
  progress.advance(0);
  screen.now += 400;
  progress.advance(10);
  progress.end_epoch();
  EXPECT_EQ(screen.take(),
            "epoch 1/2 100% 0.025 epochs/s left: epoch 0:00, run 6:40\n"
            "epoch 1/2 10 epochs in 6:40 at 0.025 epochs/s\n");
}

TEST(Progress, GoesOnWhereAnotherRunEnded) {
  Screen screen;
  ProgressOptions options = screen.options(false);
  options.epochs = 3;
  options.epochs_done = 1;
  options.samples_done = 500;
  Progress progress(screen.out(), options);
  progress.advance(0);
  screen.now += 40;
  progress.advance(400);
  screen.now += 10;
  progress.advance(100);
  progress.end_epoch();
  progress.advance(0);
  screen.now += 100;
  progress.advance(1000);
  progress.end_epoch();
  EXPECT_EQ(screen.take(),
            "epoch 2/3 90% 10 images/s left: epoch 0:10, run 1:50\n"
            "epoch 2/3 500 images in 0:50 at 10 images/s\n"
            "epoch 3/3 100% 10 images/s left: run 0:00\n"
            "epoch 3/3 1000 images in 1:40 at 10 images/s\n");
  options.samples_done = -1;
  EXPECT_TRUE(testing::refuses("progress", {"-1 samples"}, [&] { Progress(screen.out(), options); }));
}

TEST(Progress, DrawsAtMostTenTimesASecond) {
  Screen screen;
  Progress progress(screen.out(), screen.options(true));
  for (int i = 0; i < 1000; ++i) {
    progress.advance(1);
    screen.now += 0.001;
  }
  const std::string text = screen.take();
  EXPECT_NEAR(static_cast<double>(std::ranges::count(text, '\r')), 10, 1);
}

TEST(Progress, FitsTheTerminal) {
  for (int columns = 1; columns < 120; ++columns) {
    Screen screen;
    {
      Progress progress(screen.out(), screen.options(true, columns));
      progress.advance(10, {{"loss", 0.5}});
      screen.now += 60;
      progress.advance(490, {{"loss", 0.25}, {"error", 1e-7}});
      progress.end_epoch({{"loss", 0.25}});
    }
    for (const std::string& line : split(screen.take(), '\r')) {
      const auto end = line.find('\x1b');
      EXPECT_LE(end == std::string::npos ? line.size() : end,
                static_cast<std::size_t>(std::max(columns - 1, 1)));
    }
  }
}

// What does not fit is left out as a whole: at every width the line is made of parts of the widest one.
TEST(Progress, NarrowTerminalsCutNothingInTheMiddle) {
  const auto lines_at = [](int columns) {
    Screen screen;
    Progress progress(screen.out(), screen.options(true, columns));
    progress.advance(0);
    screen.now += 7;
    progress.advance(437, {{"loss", 0.01234}, {"error", 1.5e-7}});
    progress.end_epoch({{"loss", 0.25}});
    return split(screen.take(), '\r');
  };
  for (int columns = 1; columns < 110; ++columns) {
    const auto lines = lines_at(columns);
    for (const std::size_t line : {2u, 3u}) {
      const std::string text = lines[line].substr(0, lines[line].find('\x1b'));
      std::string rest = text;
      const std::vector<std::string> parts =
          line == 2
              ? std::vector<std::string>{"epoch 1/2",     "43%",         "loss 0.01234",
                                         "error 1.5e-07", "62 images/s", "left: epoch 0:10, run 0:26"}
              : std::vector<std::string>{"epoch 1/2", "loss 0.25", "437 images in 7.0 s", "at 62 images/s"};
      if (const auto bar = rest.find('['); bar != std::string::npos)
        rest.erase(bar, rest.find(']') + 2 - bar);
      for (const std::string& part : parts)
        if (rest.starts_with(part)) rest.erase(0, part.size() + 1);
      EXPECT_EQ(rest, "") << columns << ": " << text;
    }
  }
  const auto forty = lines_at(40);
  testing::expect_contains(forty[2], "] 43% loss 0.01234");
  EXPECT_EQ(forty[3], "epoch 1/2 loss 0.25 437 images in 7.0 s\x1b[K\n");
}

TEST(Progress, SecondsAreShownAsTheyAre) {
  const auto shown = [](double seconds) {
    Screen screen;
    Progress progress(screen.out(), screen.options(false));
    progress.advance(0);
    screen.now += seconds;
    progress.end_epoch();
    const std::string text = screen.take();
    const auto begin = text.find("in ") + 3;
    return text.substr(begin, text.find(" at") - begin);
  };
  EXPECT_EQ(shown(0.55), "0.55 s");
  EXPECT_EQ(shown(0.004), "0.004 s");
  EXPECT_EQ(shown(1.26), "1.3 s");
  EXPECT_EQ(shown(9.96), "0:10");
  EXPECT_EQ(shown(75.2), "1:15");
  EXPECT_EQ(shown(3725), "1:02:05");
}

TEST(Progress, PlainLinesElsewhere) {
  Screen screen;
  Progress progress(screen.out(), screen.options(false));
  for (int i = 0; i < 100; ++i) {
    progress.advance(10, {{"loss", 2}});
    screen.now += 1;
  }
  progress.end_epoch({{"loss", 1.5}});
  screen.now += 7200;
  progress.advance(500);
  screen.now += 7200;
  progress.advance(100);
  EXPECT_EQ(screen.take(),
            "epoch 1/2 31% loss 2 10 images/s left: epoch 1:07, run 2:44\n"
            "epoch 1/2 61% loss 2 10 images/s left: epoch 0:39, run 2:17\n"
            "epoch 1/2 91% loss 2 10 images/s left: epoch 0:09, run 1:48\n"
            "epoch 1/2 loss 1.5 1000 images in 1:40 at 10 images/s\n"
            "epoch 2/2 60% 0.1 images/s left: run 1:20:00\n");
}

TEST(Progress, AStreamThatIsNoTerminalIsRecognized) {
  Screen screen;
  ProgressOptions options = screen.options(false);
  options.terminal.reset();
  Progress progress(screen.out(), options);
  progress.advance(10);
  EXPECT_EQ(screen.take(), "");
}

TEST(Progress, AnUnfinishedLineIsEnded) {
  Screen screen;
  { Progress progress(screen.out(), screen.options(true)); }
  EXPECT_EQ(screen.take(), "");
  {
    Progress progress(screen.out(), screen.options(true));
    progress.advance(1);
  }
  EXPECT_TRUE(screen.take().ends_with("\x1b[K\n"));
  {
    Progress progress(screen.out(), screen.options(true));
    progress.advance(1);
    progress.end_epoch();
  }
  EXPECT_FALSE(screen.take().ends_with("\n\n"));
}

TEST(Progress, MoreSamplesThanAnnounced) {
  Screen screen;
  Progress progress(screen.out(), screen.options(true));
  progress.advance(1);
  screen.now += 1;
  progress.advance(5000);
  testing::expect_contains(screen.take(), "100% 5001 images/s left: epoch 0:00, run 0:01");
}

TEST(Progress, MistakesAreNamed) {
  testing::error_of("progress", [] { Progress(stdout, {.epochs = 0, .samples = 1}); });
  testing::error_of("progress", [] { Progress(stdout, {.epochs = 1, .samples = 0}); });
}

}  // namespace
}  // namespace tapegrad
