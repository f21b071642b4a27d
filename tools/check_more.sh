#!/bin/bash
# Checks beside the README's test command: everything with Clang and warnings as errors, and the tests of its shared library
# under the address and undefined-behaviour sanitizers; rooms that know threads under the thread sanitizer; a build that is
# optimized at link time; clang-tidy.
#   tools/check_more.sh [asan] [tsan] [lto] [tidy]   (default: all of them; tidy needs what asan has built)
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
[ $# -gt 0 ] || set -- asan tsan lto tidy
tools/setup.sh clang clang-tidy
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# A program runs all tests of a room: a process for each of some thousand tests would take longer than the tests.
run_tests() { # a preset, and rooms
  local preset=$1 failed=0
  shift
  # shellcheck disable=SC2016  # the inner shell expands
  printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} sh -c '
    program=$1/tests/test_$2
    "$program" --gtest_brief=1 >"$program.log" 2>&1 || { cat "$program.log"; echo "test_$2 failed"; exit 1; }
    tail -n 1 "$program.log" | sed "s/^/$2: /"' sh "build/$preset" {} || failed=1
  return $failed
}

for check; do
  case $check in
    asan)
      step "Clang: addresses and undefined behaviour, with a shared library"
      cmake --preset asan -DBUILD_SHARED_LIBS=ON -DTAPEGRAD_WARNINGS_AS_ERRORS=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
      cmake --build --preset asan
      export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1
      run_tests asan ops gradcheck kernels io nn autograd transforms tensor base optim show data
      ;;
    tsan)
      step "Threads"
      cmake --preset tsan -DTAPEGRAD_BUILD_TOOLS=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF
      cmake --build --preset tsan --target test_base test_autograd test_transforms test_data
      export TSAN_OPTIONS=suppressions=$PWD/tests/tsan.supp:die_after_fork=0
      run_tests tsan base autograd transforms data
      ;;
    lto)
      step "Optimized at link time"
      cmake --preset lto -DTAPEGRAD_BUILD_TOOLS=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF
      cmake --build --preset lto --target test_ops test_kernels
      run_tests lto ops kernels
      ;;
    tidy)
      step "clang-tidy, a short list of checks"
      tools/run_clang_tidy.sh build/asan
      ;;
    *)
      echo "check_more.sh: there is no check $check: asan, tsan, lto or tidy" >&2
      exit 2
      ;;
  esac
done
