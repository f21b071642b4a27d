#pragma once

// All memory that the library takes comes from operator new, which this program replaces: allocations are counted, and one of
// them, or all from one on, may be refused. zlib, libpng and libjpeg take theirs from malloc, which is replaced as well.

#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <thread>

#include "tapegrad/base/error.h"

namespace tapegrad::testing {

/// Allocations of the whole process that were not given back, and their bytes; the most bytes since most_bytes was reset.
struct Live {
  std::int64_t blocks = 0, bytes = 0, most_bytes = 0;
};
Live live();
/// The most bytes count anew, from what is live now.
void begin_peak();

enum class Refuse {
  One,         ///< one allocation
  AllFromOne,  ///< one allocation and those after it, whoever asks: also what cleans up finds no memory
};

/// Refuses allocation number `first` (from 0) that any thread makes from now on, until stop_refusing().
void begin_refusing(std::int64_t first, Refuse how);
/// How many allocations were asked for since begin_refusing().
std::int64_t stop_refusing();

/// Blocks of malloc and its like that were not given back, without those of operator new.
std::int64_t live_in_c();
/// As begin_refusing() of one allocation, but of malloc, calloc and realloc, and on this thread alone.
void begin_refusing_in_c(std::int64_t first);
std::int64_t stop_refusing_in_c();

/// What became of a piece of code while an allocation was refused.
struct Attempt {
  std::int64_t first = 0;  ///< the number of the allocation that is refused
  Refuse how = Refuse::One;
  bool refused = false;    ///< the code asked for that allocation
  bool threw = false;      ///< std::bad_alloc or Error
  std::string wrong = {};  ///< something else was thrown

  /// Runs f while the allocation is refused; whether it returned.
  bool operator()(const std::function<void()>& f) {
    refused = threw = false;
    begin_refusing(first, how);
    try {
      f();
    } catch (const std::bad_alloc&) {
      threw = true;
    } catch (const Error&) {
      threw = true;
    } catch (const std::exception& error) {
      stop_refusing();
      threw = true;
      wrong = error.what();
      return false;
    }
    refused = stop_refusing() > first;
    return !threw;
  }
};

/// What refusing each allocation in turn has shown.
struct Refusals {
  int tried = 0;   ///< allocations that were refused
  int thrown = 0;  ///< of these, how many reached the caller as an exception
  std::string wrong = {};
};

/// Calls scenario(attempt) on a thread of its own for each allocation that attempt(f) makes in it. scenario returns what is
/// wrong, nothing if all is right. What a scenario takes it must have given back when its thread has ended.
inline Refusals refuse_each(const std::function<std::string(Attempt&)>& scenario, Refuse how) {
  Refusals all;
  const auto run = [&](Attempt& attempt) {
    std::string wrong;
    std::thread([&] {
      try {
        wrong = scenario(attempt);
      } catch (const std::exception& error) {
        wrong = std::string("the scenario threw: ") + error.what();
      }
    }).join();
    return wrong;
  };
  constexpr std::int64_t kNone = std::int64_t{1} << 60;
  for (int warm_up = 0; warm_up < 2; ++warm_up) {
    Attempt undisturbed{.first = kNone, .how = how};
    all.wrong = run(undisturbed);
    if (!all.wrong.empty()) return all;
  }
  const std::int64_t before = live().blocks;
  for (std::int64_t first = 0;; ++first) {
    Attempt attempt{.first = first, .how = how};
    std::string wrong = run(attempt);
    if (wrong.empty()) wrong = attempt.wrong;
    if (wrong.empty())
      if (const std::int64_t left = live().blocks - before; left != 0)
        wrong = std::to_string(left) + " blocks of memory were not given back";
    if (!wrong.empty()) {
      all.wrong = "allocation " + std::to_string(first) + ": " + wrong;
      return all;
    }
    if (!attempt.refused) return all;
    ++all.tried;
    all.thrown += attempt.threw;
  }
}

}  // namespace tapegrad::testing
