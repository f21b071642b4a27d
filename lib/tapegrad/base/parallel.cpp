#include "tapegrad/base/parallel.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <condition_variable>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tapegrad/base/fail_internal.h"

// Results are the same bits for any number of threads, NaN stays NaN, and sums keep their order. All sources
// are compiled alike, so it is enough to look here.
#if defined(__FAST_MATH__)
#error "tapegrad cannot be compiled with -ffast-math or -Ofast"
#endif

namespace tapegrad::inline v0 {
namespace {

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::clamp(count, 1, 64);
}

// Tells the processor that this thread is waiting in a loop.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// One loop, as the threads that work on it see it.
struct Job {
  Job(index_t total, index_t piece_size, detail::RangeFunction f)
      : count(total), piece(piece_size), function(f) {}

  index_t count, piece;
  detail::RangeFunction function;
  std::fenv_t environment{};
  detail::LoopContext context;
  std::atomic<index_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;
  index_t error_piece = std::numeric_limits<index_t>::max();

  void work() {
    const index_t pieces = (count - 1) / piece + 1;
    for (index_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
      try {
        function(i * piece, std::min(count - i * piece, piece) + i * piece);
      } catch (...) {
        next.store(pieces, std::memory_order_relaxed);  // the others stop taking pieces
        const std::lock_guard lock(error_mutex);
        if (i < error_piece) {
          error_piece = i;
          error = std::current_exception();
        }
      }
    }
  }
};

// The workers of one calling thread. They belong to that thread and end with it: nothing is shared between
// threads that both run loops, and a program that never runs a large loop never starts one.
class Workers {
 public:
  ~Workers() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  bool in_this_process() const { return owner_ == getpid(); }

  void run(Job& job, int helpers) {
    try {
      while (static_cast<int>(threads_.size()) < helpers) {
        const auto number = threads_.size();
        const std::uint64_t seen = generation_.load(std::memory_order_relaxed);
        threads_.emplace_back([this, number, seen] { loop(static_cast<int>(number), seen); });
      }
    } catch (const std::exception&) {
      // The system has no more threads to give: those that there are do the work.
    }
    job_ = &job;
    helpers_ = helpers;
    busy_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job.work();
    for (int spins = 0; busy_.load(std::memory_order_acquire) != 0; ++spins)
      if (spins > kSpins) std::this_thread::yield();
  }

 private:
  static constexpr int kSpins =
      2000;  // some microseconds: loops follow each other closely in a training step

  void loop(int number, std::uint64_t seen) {
    for (;;) {
      for (int spins = 0; generation_.load(std::memory_order_acquire) == seen && spins < kSpins; ++spins)
        relax();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
      }
      ++seen;
      if (stopping_) return;
      if (number < helpers_) {
        std::fesetenv(&job_->environment);
        detail::loop_context() = job_->context;
        job_->work();
      }
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> threads_;
  const pid_t owner_ = getpid();
  Job* job_ = nullptr;
  int helpers_ = 0;
  bool stopping_ = false;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

// The calling thread's workers. A child process that fork() made has none, and finds their mutex and their
// condition as they happened to be: it leaves all that alone, undestroyed, and makes workers of its own.
Workers& workers() {
  struct End {
    void operator()(Workers* ended) const {
      if (ended->in_this_process()) delete ended;
    }
  };
  thread_local std::unique_ptr<Workers, End> own;
  if (!own || !own->in_this_process()) own.reset(new Workers);
  return *own;
}

thread_local int threads_wanted = 0;  // 0: not set, take what the process may use

}  // namespace

int thread_count() {
  if (threads_wanted == 0) threads_wanted = available_cpus();
  return threads_wanted;
}

ThreadCountScope::ThreadCountScope(int count) : previous_(thread_count()) {
  if (count < 1 || count > 1024) fail("threads", "{} threads were asked for; 1 to 1024 are possible", count);
  threads_wanted = count;
}

ThreadCountScope::~ThreadCountScope() {
  threads_wanted = previous_;
}

namespace detail {

void run_pieces(index_t count, index_t piece, RangeFunction f) {
  if (piece < 1) fail("parallel_for", "{} elements cannot be cut into pieces of {}", count, piece);
  LoopContext& context = loop_context();
  const index_t pieces = (count - 1) / piece + 1;
  const int helpers = static_cast<int>(std::min<index_t>(thread_count(), pieces)) - 1;

  Job job(count, piece, f);
  job.context = context;
  ++job.context.depth;
  job.context.recording_outside =
      context.recording_outside || (context.is_recording != nullptr && context.is_recording());
  const LoopContext outside = context;
  context = job.context;
  if (outside.depth > 0 || helpers == 0) {
    job.work();
  } else {
    std::fegetenv(&job.environment);
    workers().run(job, helpers);
  }
  context = outside;
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace detail
}  // namespace tapegrad::inline v0
