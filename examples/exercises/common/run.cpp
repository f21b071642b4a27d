// What the program of an exercise does.

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "common/exercise.h"
#include "common/exercise_system.h"

namespace exercises {
namespace {

/// Ends with words where an answer wrote outside of a tensor. Only functions that are safe in a handler are called.
void say_crash(int) {
  constexpr std::string_view text =
      "FAILED: the program read or wrote memory that is not its own, or called itself without an end. at(), set() "
      "and add_to() say which index is wrong; data() and values() do not.\n";
  system::end_saying(text);
}

}  // namespace

int run(const Exercise& exercise, void (*judge)(Check&), int argc, char** argv) {
  const char* json = nullptr;
  for (int k = 1; k < argc; ++k) {
    if (std::strcmp(argv[k], "--json") == 0 && k + 1 < argc) {
      json = argv[++k];
    } else {
      fmt::print(stderr,
                 "usage: exercise_{:02} [--json FILE]: checks {}; tools/exercise.sh builds and calls it\n",
                 exercise.number, exercise.file);
      return std::strcmp(argv[k], "--help") == 0 ? 0 : 2;
    }
  }
  std::signal(SIGSEGV, say_crash);
  std::signal(SIGFPE, say_crash);
  std::signal(SIGABRT, say_crash);
  Check check;
  judge(check);
  fmt::print("{}", text_of(exercise, check, system::is_terminal()));
  if (json != nullptr) {
    std::FILE* file = std::fopen(json, "w");
    if (file == nullptr) {
      fmt::print(stderr, "exercise_{:02}: {} cannot be written: {}\n", exercise.number, json,
                 std::strerror(errno));
      return 2;
    }
    const std::string text = json_of(exercise, check);
    const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if ((std::fclose(file) != 0) || !written) {
      fmt::print(stderr, "exercise_{:02}: {} cannot be written: {}\n", exercise.number, json,
                 std::strerror(errno));
      return 2;
    }
  }
  return check.passed() ? 0 : 1;
}

}  // namespace exercises
