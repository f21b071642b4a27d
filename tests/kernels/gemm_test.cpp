// Products of matrices, and what they do to the program around them. CTest runs all this once for each
// flavour of OpenBLAS that is installed (tests/under_openblas.cmake).

#include "tapegrad/kernels/gemm.h"

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

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"

namespace tapegrad::kernels {
namespace {

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
struct Operands {
  index_t m, n, k;
  std::vector<T> a, b;
  Operands(index_t rows, index_t columns, index_t inner, bool whole = false)
      : m(rows),
        n(columns),
        k(inner),
        a(static_cast<std::size_t>(rows * inner)),
        b(static_cast<std::size_t>(inner * columns)) {
    Generator generator(1);
    // Whole numbers, where wanted: their products add up exactly in any order.
    const auto draw = [&] {
      return whole ? static_cast<T>(generator.below(9)) - 4 : static_cast<T>(generator.uniform() - 0.5);
    };
    for (T& v : a) v = draw();
    for (T& v : b) v = draw();
  }
  Matrix<const T> left(bool transposed = false) const { return {a.data(), transposed ? m : k, transposed}; }
  Matrix<const T> right(bool transposed = false) const { return {b.data(), transposed ? k : n, transposed}; }
};

// a b as matmul() computes it on this many threads.
template <class T>
std::vector<T> product(const Operands<T>& of, int threads) {
  const ThreadCountScope scope(threads);
  std::vector<T> c(static_cast<std::size_t>(of.m * of.n));
  const Product<T> one{of.left(), of.right(), {c.data(), of.n}};
  matmul<T>(of.m, of.n, of.k, {&one, 1});
  return c;
}

template <class T>
class Gemm : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Gemm, Types);

struct Sizes {
  index_t m, n, k;
};
// Some above what one call may take in the pthread flavour, along each axis and by little.
constexpr Sizes kSizes[] = {{1, 1, 1},    {3, 5, 0},    {7, 1, 13},    {64, 64, 64},  {65, 64, 64},
                            {64, 65, 63}, {64, 63, 67}, {300, 70, 90}, {3, 2000, 70}, {5, 6, 20000}};

TYPED_TEST(Gemm, IsTheSumOfProducts) {
  using T = TypeParam;
  for (const auto [m, n, k] : kSizes)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const bool accumulate : {false, true}) {
          const Operands<T> of(m, n, k, true);
          const index_t step = n + 3;  // what lies between the rows is not ours
          std::vector<T> c(static_cast<std::size_t>(m * step), T{5}), expected = c;
          for (index_t i = 0; i < m; ++i)
            for (index_t j = 0; j < n; ++j) {
              T& sum = expected[static_cast<std::size_t>(i * step + j)];
              if (!accumulate) sum = 0;
              for (index_t r = 0; r < k; ++r)
                sum += of.a[static_cast<std::size_t>(ta ? r * m + i : i * k + r)] *
                       of.b[static_cast<std::size_t>(tb ? j * k + r : r * n + j)];
            }
          gemm<T>(m, n, k, of.left(ta), of.right(tb), {c.data(), step}, accumulate);
          EXPECT_EQ(c, expected) << m << " x " << n << " x " << k << ", transposed: " << ta << tb
                                 << ", accumulate: " << accumulate;
        }
}

TYPED_TEST(Gemm, MatmulIsTheSameBitsForAnyNumberOfThreads) {
  for (const auto [m, n, k] : {Sizes{700, 90, 130}, Sizes{2000, 33, 17}, Sizes{64, 300, 500}}) {
    const Operands<TypeParam> of(m, n, k);
    const auto alone = product(of, 1);
    for (const int threads : {1, 2, 3, 8})
      for (int again = 0; again < 3; ++again)
        EXPECT_EQ(product(of, threads), alone)
            << m << " x " << n << " x " << k << ", " << threads << " threads";
  }
}

TYPED_TEST(Gemm, SeveralThreadsOfAProgramMultiplyAtOnce) {
  using T = TypeParam;
  const Operands<T> of(200, 96, 160);
  const auto expected = product(of, 1);
  std::vector<int> wrong(6);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (int again = 0; again < 1000; ++again) count += product(of, 2) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(6));
}

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

std::ptrdiff_t count_threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
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

TYPED_TEST(Gemm, KeepsOpenBlasOnTheCallersThread) {
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

TYPED_TEST(Gemm, KeepsOpenBlasFromStartingThreadsUnderOurs) {
  const HostThatUsesThreads host;
  const auto settings = HostThatUsesThreads::settings();
  const auto idle = work_of_others();
  std::thread([&] {
    const auto before = count_threads();
    const auto own_settings = HostThatUsesThreads::settings();
    product(Operands<TypeParam>(900, 100, 120), 3);
    EXPECT_EQ(count_threads(), before + 2) << "our workers, and nobody else";
    EXPECT_EQ(HostThatUsesThreads::settings(), own_settings);
  }).join();
  EXPECT_EQ(work_of_others(), idle);
  EXPECT_EQ(HostThatUsesThreads::settings(), settings);
}

}  // namespace
}  // namespace tapegrad::kernels
