// A program that embeds the library finds its process as it was: whatever the library did in between.

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "io/temporary.h"
#include "listed_threads.h"
#include "process/work.h"

namespace tapegrad::testing {
namespace {

// A function of OpenBLAS or of its OpenMP, if there is one of that name.
template <class F>
F* loaded(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
}

int call_or_zero(const char* name) {
  const auto function = loaded<int()>(name);
  return function == nullptr ? 0 : function();
}

std::string in_hex(const void* data, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i)
    text += fmt::format("{:02x}", static_cast<const unsigned char*>(data)[i]);
  return text;
}

// Everything of a process and of the calling thread that a library could change behind its host's back.
std::map<std::string, std::string> settings() {
  std::map<std::string, std::string> all;
  all["threads of OpenBLAS"] = std::to_string(call_or_zero("openblas_get_num_threads"));
  all["threads of OpenMP"] = std::to_string(call_or_zero("omp_get_max_threads"));
  all["rounding"] = std::to_string(std::fegetround());
  all["floating-point traps"] = std::to_string(fegetexcept());
#if defined(__SSE__)
  all["MXCSR but for its flags"] = std::to_string(_mm_getcsr() & ~0x3fu);
#endif
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) != 0) continue;
    all[fmt::format("signal {}", signal)] =
        fmt::format("{} {} {}", sigismember(&mask, signal),
                    in_hex(&action.sa_sigaction, sizeof action.sa_sigaction), action.sa_flags);
  }
  all["locale"] = std::setlocale(LC_ALL, nullptr);
  all["locale of streams"] = std::locale().name();
  all["std::cout"] = fmt::format("{} {}", static_cast<unsigned>(std::cout.flags()), std::cout.precision());
  all["folder"] = std::filesystem::current_path().string();
  const mode_t creation = umask(0);
  umask(creation);
  all["umask"] = std::to_string(creation);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  sched_getaffinity(0, sizeof cpus, &cpus);
  all["CPUs"] = in_hex(&cpus, sizeof cpus);
  all["priority"] = std::to_string(sched_getscheduler(0));
  for (char** variable = environ; *variable != nullptr; ++variable)
    all[fmt::format("environment {}", *variable)];
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++files;
  }
  all["open files"] = std::to_string(files);
  return all;
}

// A host with wishes of its own, until the end of the scope.
class Host {
 public:
  Host() {
    std::fegetenv(&environment_);
    std::fesetround(FE_UPWARD);
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : {SIGUSR1, SIGCHLD, SIGTERM}) sigaddset(&blocked, signal);
    pthread_sigmask(SIG_BLOCK, &blocked, &mask_);
    creation_ = umask(027);
    if (const auto set = loaded<void(int)>("openblas_set_num_threads")) set(3);
    std::cout.precision(11);
  }
  ~Host() {
    std::cout.precision(precision_);
    if (const auto set = loaded<void(int)>("openblas_set_num_threads")) set(threads_);
    umask(creation_);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    std::fesetenv(&environment_);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

 private:
  std::fenv_t environment_{};
  sigset_t mask_{};
  mode_t creation_ = 0;
  const int threads_ = call_or_zero("openblas_get_num_threads");
  const std::streamsize precision_ = std::cout.precision();
};

void read_and_write(const std::filesystem::path& folder) {
  State state;
  state.tensors = {{"x", arange(12)}};
  write_safetensors(folder / "x.safetensors", state);
  EXPECT_TRUE(same(read_safetensors(folder / "x.safetensors"), state));
  write_npy(folder / "x.npy", state.tensors[0].second);
  EXPECT_TRUE(equal(read_npy(folder / "x.npy"), state.tensors[0].second));
  Checkpoints checkpoints(folder / "checkpoints");
  checkpoints.save({.state = state, .step = 1, .metric = 0.5});
  EXPECT_EQ(checkpoints.newest()->checkpoint.step, 1);
  write_png(folder / "x.png", to_image(zeros({4, 5, 3})));
  (void)read_image(folder / "x.png", 3);
  (void)read_image(std::filesystem::path(TAPEGRAD_FIXTURES) / "gradient.jpg", 1);
  const std::filesystem::path damaged =
      std::filesystem::path(TAPEGRAD_FIXTURES) / "crashes/stb_huffman_ubsan.jpg";
  EXPECT_THROW((void)read_image(damaged, 3), Error);
  Report report("title");
  report.section("machine").facts(machine_facts());
  report.write(folder / "report.html");
}

void fail_in_a_loop() {
  const ThreadCountScope threads(3);
  EXPECT_THROW(parallel_for(100, 1, [](index_t, index_t) { throw Error("host", "stop"); }), Error);
  Tape tape;
  const Tensor x = tape.watch(ones({2}));
  EXPECT_THROW((void)matmul(x, ones({3})), Error);
  EXPECT_THROW((void)tape.gradient(x, ones({2})), Error);
}

TEST(HostProcess, FindsItsSettingsAsTheyWere) {
  const TemporaryFolder folder;
  const auto at_first = settings();
  {
    const Host host;
    const auto before = settings();
    EXPECT_NE(before, at_first);
    (void)trained(1);
    EXPECT_EQ(settings(), before) << "after training";
    read_and_write(folder.path());
    EXPECT_EQ(settings(), before) << "after reading and writing";
    fail_in_a_loop();
    EXPECT_EQ(settings(), before) << "after errors";
    std::thread([&] {
      const auto of_thread = settings();
      (void)trained(2);
      EXPECT_EQ(settings(), of_thread);
    }).join();
    release_memory();
    EXPECT_EQ(settings(), before) << "after another thread";
  }
  EXPECT_EQ(settings(), at_first);
}

// A host that waits for its signals in one place blocks them everywhere else, before it starts anything.
TEST(HostProcess, WorkersHaveTheSignalMaskOfWhoStartedThem) {
  std::thread([] {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    const ThreadCountScope threads(4);
    std::atomic<int> open{0};
    std::atomic<int> arrived{0};
    parallel_for(4, 1, [&](index_t, index_t) {
      for (++arrived; arrived < 4;) std::this_thread::yield();
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      open += 1 - sigismember(&mask, SIGUSR1);
    });
    EXPECT_EQ(open, 0);
  }).join();
}

// Threads that come and go leave nothing behind: no thread, no file.
TEST(HostProcess, AThousandThreadsComeAndGo) {
  const auto before = settings();
  const auto threads = listed_threads();
  for (int i = 0; i < 1000; ++i)
    std::thread([] {
      const ThreadCountScope three(3);
      const Tensor p = parameter(ones({64, 64}));
      Tape tape;
      (void)tape.gradient(sum(matmul(p, p)), p);
      parallel_for(3, 1, [](index_t, index_t) {});
    }).join();
  for (int i = 0; i < 500 && started_since(threads) != 0; ++i)  // that were joined
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(started_since(threads), 0);
  EXPECT_EQ(settings(), before);
}

}  // namespace
}  // namespace tapegrad::testing
