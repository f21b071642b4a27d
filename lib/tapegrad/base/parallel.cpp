#include "tapegrad/base/parallel.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <thread>
#include <vector>

#include "tapegrad/base/compiler_internal.h"  // refuses fast math: all sources are compiled alike
#include "tapegrad/base/context.h"
#include "tapegrad/base/cpu_quota_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/system_internal.h"
#include "tapegrad/base/thread_memory.h"

namespace tapegrad::inline v0 {
namespace {

int available_cpus() {
  static const int quota = detail::cpu_quota();
  return std::clamp(std::min(detail::cpus_of_process(), quota), 1, 64);
}

// One loop, as the threads that work on it see it. Each thread has a share of the pieces, neighbours in memory, and takes those
// of the others when its own are done: loops over the same elements, one after the other, find them in the caches of the
// same threads.
class Job {
 public:
  Job(index_t count, index_t piece, detail::RangeFunction function, int threads)
      : count_(count),
        piece_(piece),
        pieces_((count - 1) / piece + 1),
        shares_(std::min<index_t>({threads, pieces_, kMostShares})),
        function_(function) {
    for (index_t s = 0; s < shares_; ++s) share(s).next.store(begin_of(s), std::memory_order_relaxed);
  }

  detail::FloatingPoint environment;
  detail::Context context;

  /// The work of thread number `own`.
  void work(index_t own) {
    for (index_t s = 0; s < shares_; ++s) {
      const index_t from = (own + s) % shares_;
      std::atomic<index_t>& next = share(from).next;
      // Without a sign: behind the largest number of pieces, `next` goes on below 0.
      const auto end = static_cast<std::uint64_t>(begin_of(from + 1));
      if (static_cast<std::uint64_t>(next.load(std::memory_order_relaxed)) >= end) continue;
      for (index_t i; static_cast<std::uint64_t>(i = next.fetch_add(1, std::memory_order_relaxed)) < end;)
        if (!run(i)) break;
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr index_t kMostShares = 16;
  struct alignas(64) Share {  // of a cache line: threads do not wait for each other's
    std::atomic<index_t> next;
  };

  // Cut so that no product leaves the range.
  index_t begin_of(index_t s) const { return pieces_ / shares_ * s + std::min(s, pieces_ % shares_); }
  Share& share(index_t s) { return all_[static_cast<std::size_t>(s)]; }

  // Pieces behind one that has thrown are left out (then the result is false), those in front of it are not: the error is that of
  // the first piece that throws, whichever thread takes which.
  bool run(index_t i) {
    if (i > error_piece_.load(std::memory_order_relaxed)) return false;
    try {
      function_(i * piece_, std::min(count_ - i * piece_, piece_) + i * piece_);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (i > error_piece_.load(std::memory_order_relaxed)) return false;
      error_piece_.store(i, std::memory_order_relaxed);
      error_ = std::current_exception();
    }
    return true;
  }

  const index_t count_, piece_, pieces_, shares_;
  const detail::RangeFunction function_;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::atomic<index_t> error_piece_{std::numeric_limits<index_t>::max()};
  std::array<Share, kMostShares> all_;
};

// All threads of a process together make at most this many workers, or as many as a single one asks for.
constexpr int kMostWorkers = 256;

// How many there are, behind the number of the process: what fork() copies has none.
constinit std::atomic<std::uint64_t> worker_count{0};

// Counts one more, unless there are `most`.
bool count_worker(int most) {
  const std::uint64_t process = std::uint64_t{detail::process_number()} << 32;
  std::uint64_t seen = worker_count.load(std::memory_order_relaxed), now = 0;
  do {
    now = seen >> 32 == process >> 32 ? seen + 1 : process + 1;
    if ((now & 0xffffffff) > static_cast<std::uint64_t>(most)) return false;
  } while (!worker_count.compare_exchange_weak(seen, now, std::memory_order_relaxed));
  return true;
}

constexpr int kSpins = 2000;  // some 50 microseconds: loops follow each other closely in a training step

// A thread that sleeps until it is offered a job. An offer that it has not taken can be withdrawn: nobody waits for
// a thread to wake up only to find nothing left to do.
class Worker : public std::enable_shared_from_this<Worker> {
 public:
  // Ends the thread.
  void end() {
    if (!thread_.joinable()) return;
    change(State::Ending);
    if (detail::kEndingThreadsMayWait)
      thread_.join();
    else
      thread_.detach();  // the thread holds the worker
    worker_count.fetch_sub(1, std::memory_order_relaxed);
  }

  // Returns false when there are `most` workers, and where no thread can be started; throws when the system has no more threads to give.
  bool start(int most) {
    if (!detail::kThreads || !count_worker(most)) return false;
    try {
      auto holds = detail::kEndingThreadsMayWait ? nullptr : shared_from_this();
      thread_ = std::thread([this, holds = std::move(holds)] { loop(); });
    } catch (...) {
      worker_count.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
    return true;
  }

  void offer(Job& job, index_t number) {
    job_ = &job;
    number_ = number;
    each_ = nullptr;
    change(State::Offered);
  }
  // A function that is not withdrawn.
  void offer(void (*function)()) {
    each_ = function;
    change(State::Offered);
  }

  bool withdraw() {
    State offered = State::Offered;
    return state_.compare_exchange_strong(offered, State::Idle, std::memory_order_acq_rel);
  }
  void wait() const {
    for (int spins = 0; state_.load(std::memory_order_acquire) != State::Idle; ++spins)
      if (spins > kSpins) std::this_thread::yield();
  }

 private:
  enum class State { Idle, Offered, Taken, Ending };

  void change(State state) {
    {
      const std::lock_guard lock(mutex_);
      state_.store(state, std::memory_order_release);
    }
    wake_.notify_one();
  }

  bool called() const {
    const State state = state_.load(std::memory_order_acquire);
    return state == State::Offered || state == State::Ending;
  }

  void loop() {
    for (;;) {
      for (int spins = 0; !called() && spins < kSpins; ++spins) detail::relax();
      if (!called()) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return called(); });
      }
      State state = State::Offered;
      if (!state_.compare_exchange_strong(state, State::Taken, std::memory_order_acq_rel)) {
        if (state == State::Ending) return;
        continue;  // withdrawn
      }
      if (each_ != nullptr) {
        each_();
      } else {
        job_->environment.use_on_this_thread();
        detail::context() = job_->context;
        job_->work(number_);
        detail::context() = {};  // which may hold a tape's memory
      }
      state_.store(State::Idle, std::memory_order_release);
    }
  }

  std::atomic<State> state_{State::Idle};
  Job* job_ = nullptr;
  index_t number_ = 0;  // among the threads that work on it; the caller's is 0
  void (*each_)() = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

// The workers of one calling thread. They belong to that thread and end with it: nothing is shared between
// threads that both run loops, and a program that never runs a large loop never starts one.
class Workers {
 public:
  ~Workers() {
    for (const auto& worker : workers_) worker->end();
  }
  bool in_this_process() const { return owner_ == detail::process_number(); }

  void run(Job& job, int helpers) {
    try {
      workers_.reserve(static_cast<std::size_t>(helpers));  // before there is a thread to end
      while (static_cast<int>(workers_.size()) < helpers) {
        auto added = std::make_shared<Worker>();
        if (!added->start(std::max(helpers, kMostWorkers))) break;
        workers_.push_back(std::move(added));
      }
    } catch (const std::exception&) {
      // The system has no more threads to give: those that there are do the work.
    }
    const std::span asked(workers_.begin(), std::min(workers_.size(), static_cast<std::size_t>(helpers)));
    for (std::size_t i = 0; i < asked.size(); ++i) asked[i]->offer(job, static_cast<index_t>(i) + 1);
    job.work(0);
    for (const auto& worker : asked)
      if (!worker->withdraw()) worker->wait();
  }

  void run_on_each(void (*function)()) {
    for (const auto& worker : workers_) worker->offer(function);
    for (const auto& worker : workers_) worker->wait();
  }

 private:
  std::vector<std::shared_ptr<Worker>> workers_;
  const std::uint32_t owner_ = detail::process_number();
};

// The calling thread's workers. A child process that fork() made has none, and finds their mutex and their
// condition as they happened to be: it leaves all that alone, undestroyed, and makes workers of its own.
struct OwnWorkers {
  struct End {
    void operator()(Workers* ended) const {
      if (ended->in_this_process()) delete ended;
    }
  };
  std::unique_ptr<Workers, End> workers;
};

// nullptr where there is no memory for them, and at the end of the thread.
Workers* workers() {
  auto* own = detail::own_of_thread<OwnWorkers>();
  if (own == nullptr) return nullptr;
  if (!own->workers || !own->workers->in_this_process()) own->workers.reset(new (std::nothrow) Workers);
  return own->workers.get();
}

}  // namespace

int thread_count() {
  int& count = detail::context().thread_count;
  if (count == 0) count = available_cpus();
  return count;
}

ThreadCountScope::ThreadCountScope(int count)
    : previous_(detail::context().thread_count), context_(&detail::context()) {
  if (count < 1 || count > 1024)
    fail("ThreadCountScope", "the number of threads must be 1 to 1024, got {}", count);
  detail::context().thread_count = count;
}

ThreadCountScope::~ThreadCountScope() {
  if (context_ == &detail::context()) detail::context().thread_count = previous_;
}

void release_memory() {
  detail::ThreadMemory::release_all();
  if (detail::loop_depth() > 0) return;  // the workers are busy
  const auto* own = detail::own_of_thread<OwnWorkers>();
  if (own != nullptr && own->workers && own->workers->in_this_process())
    own->workers->run_on_each(&detail::ThreadMemory::release_all);
}

namespace detail {

int& loop_depth() {
  return context().loop_depth;
}

void run_pieces(index_t count, index_t piece, RangeFunction f) {
  if (piece < 1) fail("parallel_for", "piece must be at least 1, got {} (count: {})", piece, count);
  const index_t pieces = (count - 1) / piece + 1;
  const int helpers = static_cast<int>(std::min<index_t>(thread_count(), pieces)) - 1;

  Context& own = context();
  Context outside = own;
  ++own.loop_depth;
  own.call_observer = nullptr;  // it hears of this thread's calls only
  const bool alone = outside.loop_depth > 0 || helpers == 0;
  Job job(count, piece, f, alone ? 1 : helpers + 1);
  Workers* const all = alone ? nullptr : workers();
  if (all != nullptr) {
    job.context = own;
    job.environment.take_from_this_thread();
    all->run(job, helpers);
  } else {
    job.work(0);
  }
  own = std::move(outside);
  drop_closed(own);  // by a piece
  job.rethrow();
}

// The calling thread's, in a list. Most threads have a handful.
static ThreadMemory*& first_memory() {
  constinit thread_local ThreadMemory* first = nullptr;
  return first;
}

ThreadMemory::ThreadMemory() : after_(first_memory()) {
  if (after_ != nullptr) after_->before_ = this;
  first_memory() = this;
}

ThreadMemory::~ThreadMemory() {
  if (after_ != nullptr) after_->before_ = before_;
  (before_ != nullptr ? before_->after_ : first_memory()) = after_;
}

void ThreadMemory::release_all() {
  for (ThreadMemory* at = first_memory(); at != nullptr; at = at->after_) at->release();
}

}  // namespace detail
}  // namespace tapegrad::inline v0
