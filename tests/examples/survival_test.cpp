// The main example, ended in every way a process can be: whatever happens, it continues to the same bits.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/temporary.h"
#include "tapegrad/base/random.h"
#include "tapegrad/data/dataset.h"
#include "tapegrad/data/files.h"
#include "tapegrad/io/checkpoint.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::testing {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

constexpr std::int64_t kSteps = 64;
constexpr int kImages = 96, kBatch = 16;  // six steps an epoch

void write_text(const fs::path& path, const std::string& text) {
  write_bytes(path, Bytes(text.begin(), text.end()));
}

std::string text_of(const fs::path& path) {
  const Bytes bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

// A run of the program. Everything it says goes to a file.
class Process {
 public:
  Process(
      const fs::path& said, const Arguments& arguments, const std::function<void()>& prepare = [] {})
      : said_(said) {
    Arguments all = {TAPEGRAD_AUTOENCODER};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& argument : all) argv.push_back(argument.data());
    argv.push_back(nullptr);
    id_ = ::fork();
    if (id_ != 0) return;
    const int out = ::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::signal(SIGINT, SIG_DFL);  // a shell that starts tests in the background ignores it
    prepare();
    ::execv(argv[0], argv.data());
    ::_exit(99);
  }
  ~Process() {
    if (!running()) return;
    ::kill(id_, SIGKILL);
    wait();
  }

  bool running() {
    if (!status_) {
      int status = 0;
      if (::waitpid(id_, &status, WNOHANG) == id_) status_ = status;
    }
    return !status_;
  }
  /// How it ended: its exit code, or less than 0 for a signal.
  int wait() {
    if (!status_) {
      int status = 0;
      ::waitpid(id_, &status, 0);
      status_ = status;
    }
    return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -WTERMSIG(*status_);
  }
  void signal(int which) {
    if (!status_) ::kill(id_, which);
  }
  /// Returns when it stands still, or has ended.
  void stop() {
    signal(SIGSTOP);
    int status = 0;
    if (!status_ && ::waitpid(id_, &status, WUNTRACED) == id_ && !WIFSTOPPED(status)) status_ = status;
  }
  std::string said() const { return text_of(said_); }

 private:
  fs::path said_;
  pid_t id_ = 0;
  std::optional<int> status_;
};

// The step of the newest checkpoint by the names of the files, -1 without any; `leftovers`: files that were
// not finished.
std::int64_t newest_step(const fs::path& folder, int* leftovers = nullptr) {
  std::int64_t newest = -1;
  std::error_code none;
  for (fs::directory_iterator at(folder, none), end; !none && at != end; at.increment(none)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".tmp")) {
      if (leftovers != nullptr) ++*leftovers;
    } else if (name.starts_with("step-")) {
      newest = std::max<std::int64_t>(newest, std::stoll(name.substr(5)));
    }
  }
  return newest;
}

// The metrics but for the speed.
std::vector<nlohmann::json> metrics_of(const fs::path& out) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(out / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    lines.push_back(nlohmann::json::parse(line));
    lines.back().erase("images_per_s");
  }
  return lines;
}

class Survival : public ::testing::Test {
 protected:
  // What a run does that is never interrupted, with a checkpoint after each step.
  void SetUp() override {
    fs::create_directories(folder_ / "data");
    for (const auto& [split, count, images, labels] :
         {std::tuple(Split::Train, kImages, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
          std::tuple(Split::Test, 20, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}) {
      const Dataset data = read_mnist(TAPEGRAD_SOURCE "/data", split);
      write_idx(folder_ / "data" / images,
                reshape(slice(read_all(data.inputs), {{0, count}}), {count, 28, 28}));
      write_idx(folder_ / "data" / labels, cast(slice(read_all(data.targets), {{0, count}}), DType::UInt8));
    }
    ASSERT_EQ(run(reference_, {"--checkpoint-every", "1", "--keep", "1000"}), 0) << said_;
    ASSERT_EQ(newest_step(reference_ / "checkpoints"), kSteps);
  }

  // With what the test has to say instead, or besides; without --resume, if nothing was saved that it could continue.
  Arguments arguments(const fs::path& out, const Arguments& more) const {
    Arguments all = more;
    if (newest_step(out / "checkpoints") < 0) std::erase(all, "--resume");
    for (const Arguments& usual : std::vector<Arguments>{{"--data", (folder_ / "data").string()},
                                                         {"--out", out.string()},
                                                         {"--batch", std::to_string(kBatch)},
                                                         {"--max-steps", std::to_string(kSteps)},
                                                         {"--threads", "1"},
                                                         {"--epochs", "1000"}})
      if (std::ranges::find(more, usual[0]) == more.end()) all.insert(all.end(), usual.begin(), usual.end());
    return all;
  }
  Process start(
      const fs::path& out, const Arguments& more, const std::function<void()>& prepare = [] {}) const {
    return Process(folder_ / "said", arguments(out, more), prepare);
  }
  int run(const fs::path& out, const Arguments& more) {
    Process process = start(out, more);
    const int code = process.wait();
    said_ = process.said();
    return code;
  }

  // Every checkpoint is one of the uninterrupted run.
  void expect_right_checkpoints(const fs::path& out) {
    std::error_code none;
    for (fs::directory_iterator at(out / "checkpoints", none), end; !none && at != end; at.increment(none)) {
      const fs::path path = at->path();
      if (path.extension() != ".safetensors") continue;
      Checkpoint checkpoint;
      ASSERT_NO_THROW(checkpoint = read_checkpoint(path)) << path;
      EXPECT_EQ(read_bytes(path), read_bytes(reference_ / "checkpoints" / step_name(checkpoint.step)))
          << path;
    }
  }
  static std::string step_name(std::int64_t step) {
    std::string number = std::to_string(step);
    return "step-" + std::string(8 - number.size(), '0') + number + ".safetensors";
  }

  void expect_finished_like_reference(const fs::path& out) {
    for (const char* name : {"weights.safetensors", "reconstructions.png", "filters.png", "loss.png"})
      EXPECT_EQ(read_bytes(out / name), read_bytes(reference_ / name)) << name;
    EXPECT_EQ(metrics_of(out), metrics_of(reference_));
    EXPECT_EQ(read_bytes(out / "checkpoints/best.safetensors"),
              read_bytes(reference_ / "checkpoints/best.safetensors"));
    expect_right_checkpoints(out);
  }

  TemporaryFolder folder_;
  fs::path reference_ = folder_ / "reference";
  std::string said_;
};

TEST_F(Survival, KilledAtRandomMoments) {
  Generator generator(7);
  int kills = 0, runs = 0;
  while (kills < 120) {
    const fs::path out = folder_ / ("run" + std::to_string(++runs));
    const std::string keep = std::to_string(1 + generator.integer(3));
    for (bool finished = false; !finished;) {
      const std::int64_t before = newest_step(out / "checkpoints");
      const auto wanted = before + static_cast<std::int64_t>(generator.integer(5));  // beyond kSteps: its end
      const auto microseconds = static_cast<useconds_t>(generator.integer(5000));
      Process process = start(out, {"--resume", "--checkpoint-every", "1", "--keep", keep});
      while (process.running() && newest_step(out / "checkpoints") < wanted) ::usleep(200);
      ::usleep(microseconds);
      process.signal(SIGKILL);
      const int code = process.wait();
      finished = code == 0;
      ASSERT_TRUE(finished || code == -SIGKILL) << code << ": " << process.said();
      kills += finished ? 0 : 1;
      ASSERT_NO_FATAL_FAILURE(expect_right_checkpoints(out));
      ASSERT_GE(newest_step(out / "checkpoints"), std::max(before, std::min(wanted, kSteps)))
          << "a checkpoint was lost";
    }
    expect_finished_like_reference(out);
    fs::remove_all(out);
  }
  RecordProperty("kills", kills);
  RecordProperty("runs", runs);
}

// SIGKILL may happen to miss the moments in which a checkpoint is being written; this does not: the system
// ends the process when a file is about to exceed a size, here in the middle of a checkpoint.
TEST_F(Survival, KilledWhileACheckpointIsWritten) {
  Generator generator(8);
  const fs::path out = folder_ / "run";
  const auto whole = fs::file_size(reference_ / "checkpoints" / step_name(kSteps));
  const auto metrics = fs::file_size(reference_ / "metrics.jsonl");
  ASSERT_LT(2 * metrics, whole) << "the limit would meet the metrics";
  for (std::int64_t step = 0; step < kSteps; step += 10) {
    // To this step, and then not to the next one.
    ASSERT_EQ(run(out, {"--resume", "--keep", "1", "--max-steps", std::to_string(step + 1)}), 0) << said_;
    const rlim_t most = 2 * metrics + generator.integer(whole - 2 * metrics);
    for (int round = 0; round < 2; ++round) {
      Process process = start(out, {"--resume", "--checkpoint-every", "1", "--keep", "1"}, [most] {
        const rlimit limit{most, most}, no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::setrlimit(RLIMIT_FSIZE, &limit);
      });
      ASSERT_EQ(process.wait(), -SIGXFSZ) << process.said();
      int leftovers = 0;
      EXPECT_EQ(newest_step(out / "checkpoints", &leftovers), step + 1);
      EXPECT_EQ(leftovers, 1);
      expect_right_checkpoints(out);
    }
  }
  ASSERT_EQ(run(out, {"--resume"}), 0) << said_;
  expect_finished_like_reference(out);
}

// A file system of so many bytes, which only this process sees; false where that is not allowed.
bool mount_small_disk(const fs::path& where, int bytes) {
  const int user = static_cast<int>(::getuid()), group = static_cast<int>(::getgid());
  if (user != 0) {
    if (::unshare(CLONE_NEWUSER) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
    std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
  }
  fs::create_directories(where);
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("small", where.c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) == 0;
}

TEST_F(Survival, FullDisk) {
  const fs::path disk = folder_ / "disk";
  if (!mount_small_disk(disk, 640 * 1024)) GTEST_SKIP() << "no file system can be mounted here";
  // More and more of it is taken, a page at a time, so that it is full at another place of another file.
  for (int taken = 300; taken < 344; taken += 4) {
    const fs::path out = disk / "run";
    write_bytes(disk / "taken", Bytes(static_cast<std::size_t>(taken) * 1024));
    ASSERT_EQ(run(out, {"--checkpoint-every", "1", "--keep", "100"}), 1);
    EXPECT_NE(said_.find("No space left on device"), std::string::npos) << said_;
    const std::int64_t saved = newest_step(out / "checkpoints");
    EXPECT_GE(saved, 2);
    expect_right_checkpoints(out);
    ASSERT_EQ(run(out, {"--resume", "--checkpoint-every", "1", "--keep", "100"}), 1)
        << "there is no more room";
    EXPECT_GE(newest_step(out / "checkpoints"), saved) << "a checkpoint was lost";
    expect_right_checkpoints(out);

    fs::remove(disk / "taken");
    ASSERT_EQ(run(out, {"--resume", "--checkpoint-every", "1", "--keep", "1"}), 0) << said_;
    expect_finished_like_reference(out);
    fs::remove_all(out);
  }
  ::umount(disk.c_str());
}

std::int64_t steps_in(const fs::path& metrics) {
  std::ifstream file(metrics);
  std::int64_t steps = 0;
  for (std::string line; std::getline(file, line);)
    steps += line.starts_with("{\"step\"") && !file.eof() ? 1 : 0;
  return steps;
}

TEST_F(Survival, CtrlCFinishesTheStepSavesAndExits) {
  Generator generator(9);
  for (int interruptions = 0, runs = 0; interruptions < 5;) {
    const fs::path out = folder_ / ("run" + std::to_string(++runs));
    for (std::int64_t saved = 0;;) {
      Process process = start(out, {"--resume"});
      const auto wanted = saved + 1 + static_cast<std::int64_t>(generator.integer(15));
      while (process.running() && steps_in(out / "metrics.jsonl") < wanted) ::usleep(200);
      // Standing still, so that nothing is done between looking and the signal.
      process.stop();
      const std::int64_t seen = steps_in(out / "metrics.jsonl");
      if (seen < kSteps) process.signal(SIGINT);
      process.signal(SIGCONT);
      const int code = process.wait();
      expect_right_checkpoints(out);
      if (code == 0) break;
      ++interruptions;
      ASSERT_EQ(code, 130) << process.said();
      EXPECT_NE(process.said().find("--resume continues it"), std::string::npos) << process.said();
      saved = newest_step(out / "checkpoints");
      EXPECT_GE(saved, seen);
      EXPECT_LE(saved, seen + 1) << "it did more than the step in which it was";
      EXPECT_EQ(steps_in(out / "metrics.jsonl"), saved);
    }
    expect_finished_like_reference(out);
  }
}

TEST_F(Survival, LongerRunsGoOnFromShorterOnes) {
  const fs::path out = folder_ / "run";
  for (const std::int64_t steps : {1, 5, 6, 7, 12, 12, 40}) {
    ASSERT_EQ(run(out, {"--resume", "--max-steps", std::to_string(steps)}), 0) << said_;
    EXPECT_EQ(newest_step(out / "checkpoints"), steps);
    expect_right_checkpoints(out);
  }
  ASSERT_EQ(run(out, {"--resume"}), 0) << said_;
  expect_finished_like_reference(out);
  const auto written = read_bytes(out / "metrics.jsonl");
  ASSERT_EQ(run(out, {"--resume"}), 0) << said_;  // there is nothing left to do
  expect_finished_like_reference(out);
}

TEST_F(Survival, DamagedCheckpointsAreToldAndPassedOver) {
  const fs::path out = folder_ / "run";
  ASSERT_EQ(run(out, {"--max-steps", "50", "--checkpoint-every", "1", "--keep", "4"}), 0) << said_;
  Bytes flipped = read_bytes(out / "checkpoints" / step_name(50));
  flipped[flipped.size() / 2] ^= 16;
  write_bytes(out / "checkpoints" / step_name(50), flipped);
  Bytes cut = read_bytes(out / "checkpoints" / step_name(49));
  cut.resize(cut.size() / 2);
  write_bytes(out / "checkpoints" / step_name(49), cut);
  ASSERT_EQ(run(out, {"--resume", "--keep", "4"}), 0);
  for (const auto& part : {step_name(50), step_name(49), std::string("continues after step 48")})
    expect_contains(said_, part);
  expect_finished_like_reference(out);

  for (const auto& entry : fs::directory_iterator(out / "checkpoints")) write_text(entry.path(), "nonsense");
  EXPECT_EQ(run(out, {"--resume"}), 1);
  expect_contains(said_, "none of the");
}

TEST_F(Survival, OtherRunsAreNotContinued) {
  const fs::path out = folder_ / "run";
  ASSERT_EQ(run(out, {"--max-steps", "10"}), 0);
  const Bytes metrics = read_bytes(out / "metrics.jsonl");
  const auto refused = [&](const Arguments& more, const std::string& part) {
    Arguments all = {"--resume"};
    all.insert(all.end(), more.begin(), more.end());
    EXPECT_EQ(run(out, all), 1);
    EXPECT_EQ(std::ranges::count(said_, '\n'), 1) << said_;
    expect_contains(said_, part);
    EXPECT_EQ(read_bytes(out / "metrics.jsonl"), metrics);
  };
  refused({"--batch", "8"}, "'--batch' cannot be restored: the value must be 16");
  refused({"--seed", "18446744073709551615"}, "'--seed'");
  refused({"--learning-rate", "0.5"}, "'--learning-rate'");
  refused({"--net", "wide"}, "'net'");
  refused({"--data", TAPEGRAD_SOURCE "/data"}, "'images'");
  fs::remove(out / "metrics.jsonl");
  EXPECT_EQ(run(out, {"--resume"}), 1);
  expect_contains(said_, "has 0 lines");
}

TEST_F(Survival, ANewRunSetsAnEarlierOneAside) {
  const fs::path out = folder_ / "run";
  ASSERT_EQ(run(out, {"--max-steps", "10"}), 0);
  EXPECT_EQ(said_.find(".old"), std::string::npos);
  ASSERT_EQ(run(out, {}), 0);
  expect_contains(said_, "checkpoints.old");
  expect_finished_like_reference(out);
  EXPECT_EQ(Checkpoints(out / "checkpoints.old").newest()->checkpoint.step, 10);
}

}  // namespace
}  // namespace tapegrad::testing
