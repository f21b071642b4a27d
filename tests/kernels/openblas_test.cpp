// What products of matrices do to the program around them when OpenBLAS computes them. CTest runs all this once for each
// flavour of OpenBLAS that is installed (tests/under_openblas.cmake).

#include <cblas.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "gemm_operands.h"
#include "listed_threads.h"
#include "sanitizers.h"

namespace tapegrad::kernels {
namespace {

using testing::kSizes, testing::Operands, testing::multiplied;

std::string loaded_flavour() {
  const int parallel = openblas_get_parallel();
  return parallel == OPENBLAS_OPENMP ? "openmp" : parallel == OPENBLAS_THREAD ? "pthread" : "serial";
}

TEST(OpenBlas, IsTheFlavourThatTheTestsAreRunUnder) {
  const char* expected = std::getenv("TAPEGRAD_TEST_OPENBLAS");
  if (expected == nullptr) GTEST_SKIP() << "whichever: it is " << loaded_flavour();
  EXPECT_EQ(loaded_flavour(), expected);
}

template <class T>
class GemmOfOpenBlas : public ::testing::Test {};
using BlasTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GemmOfOpenBlas, BlasTypes);

// What each other thread of this process has computed so far, in nanoseconds. Waits until all of them sleep.
std::map<std::string, std::uint64_t> work_of_others() {
  namespace fs = std::filesystem;
  const std::string own = fs::read_symlink("/proc/thread-self").filename();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::chrono::steady_clock::now() < deadline) {
    std::map<std::string, std::uint64_t> work;
    bool asleep = true;
    for (const auto& thread : fs::directory_iterator("/proc/self/task")) {
      const std::string id = thread.path().filename();
      if (id == own) continue;
      std::ifstream stat(thread.path() / "stat");
      const std::string line{std::istreambuf_iterator<char>(stat), {}};
      asleep = asleep && line.find(") S ") != std::string::npos;
      std::ifstream(thread.path() / "schedstat") >> work[id];
    }
    if (asleep) return work;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ADD_FAILURE() << "other threads did not go to sleep";
  return {};
}

// A program that told OpenBLAS to use three threads, whatever it told OpenBLAS before.
class HostThatUsesThreads {
 public:
  HostThatUsesThreads() { set(3); }
  ~HostThatUsesThreads() { set(before_); }
  HostThatUsesThreads(const HostThatUsesThreads&) = delete;
  HostThatUsesThreads& operator=(const HostThatUsesThreads&) = delete;

  // What OpenBLAS and OpenMP would use for a call of the program.
  static std::vector<int> settings() {
    const auto openmp = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    return {openblas_get_num_threads(), openmp == nullptr ? 0 : openmp()};
  }

 private:
  static void set(int threads) { openblas_set_num_threads(threads); }
  const int before_ = openblas_get_num_threads();
};

TYPED_TEST(GemmOfOpenBlas, KeepsOpenBlasOnTheCallersThread) {
  if (TAPEGRAD_THREAD_SANITIZER) GTEST_SKIP() << "it has a thread of its own that works";
  using T = TypeParam;
  const HostThatUsesThreads host;
  const auto settings = HostThatUsesThreads::settings();
  ASSERT_EQ(settings[0], loaded_flavour() == "serial" ? 1 : 3);
  const auto before = work_of_others();
  for (const auto [m, n, k] : kSizes) {
    const Operands<T> of(m, n, k);
    std::vector<T> c(static_cast<std::size_t>(m * n));
    gemm<T>(m, n, k, of.left(), of.right(), {c.data(), n});
    EXPECT_EQ(work_of_others(), before) << m << " x " << n << " x " << k;
  }
  EXPECT_EQ(HostThatUsesThreads::settings(), settings);

  // The program's own call does use them; and this is how that looks.
  const Operands<T> of(256, 256, 256);
  std::vector<T> c(of.a.size());
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 256, 256, 256, 1, of.a.data(), 256, of.b.data(),
                256, 0, c.data(), 256);
  else
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 256, 256, 256, 1, of.a.data(), 256, of.b.data(),
                256, 0, c.data(), 256);
  if (loaded_flavour() == "serial")
    EXPECT_EQ(work_of_others(), before);
  else
    EXPECT_NE(work_of_others(), before);
}

TYPED_TEST(GemmOfOpenBlas, KeepsOpenBlasFromStartingThreadsUnderOurs) {
  const HostThatUsesThreads host;
  const auto settings = HostThatUsesThreads::settings();
  const auto idle = work_of_others();
  std::thread([&] {
    const auto before = testing::listed_threads();
    const auto own_settings = HostThatUsesThreads::settings();
    multiplied(Operands<TypeParam>(900, 100, 120), 3);
    EXPECT_EQ(testing::started_since(before), 2) << "our workers, and nobody else";
    EXPECT_EQ(HostThatUsesThreads::settings(), own_settings);
  }).join();
  EXPECT_EQ(work_of_others(), idle);
  EXPECT_EQ(HostThatUsesThreads::settings(), settings);
}

}  // namespace
}  // namespace tapegrad::kernels
