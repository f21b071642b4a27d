#!/bin/bash
# Checks beside the README's test command: the library and its tests with Clang and warnings as errors, and these tests, with a shared
# library, under the address and undefined-behaviour sanitizers; the tests under the thread sanitizer; a build that is optimized
# at link time; clang-tidy.
#   tools/check_more.sh [asan] [tsan] [lto] [tidy]   (default: all of them; tidy needs what asan has built)
#   tools/check_more.sh tsan=base,data               (of these rooms alone; asan and lto take such a list as well)
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
[ $# -gt 0 ] || set -- asan tsan lto tidy
tools/setup.sh clang clang-tidy
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# All but the tests of the examples, which kill and continue programs for minutes, of memory, which replace operator new as
# sanitizers do, and of mpi, which mpirun starts.
all="gradcheck kernels ops refusals autograd base io data process tapegrad_c exchange transforms tensor optim nn show"
for folder in tests/*/; do # which must not be forgotten when there is one more
  room=$(basename "$folder")
  case " $all examples memory mpi tools " in
    *" $room "*) ;;
    *) if compgen -G "tests/$room/*_test.cpp" >/dev/null; then echo "check_more.sh: $room is not in the list" >&2; exit 1; fi ;;
  esac
done

for check; do
  list=$all
  case $check in
    *=*) list=${check#*=} check=${check%%=*} ;;
    lto) list="kernels ops autograd tensor" ;;
  esac
  read -ra rooms <<<"${list//,/ }"
  case $check in
    asan)
      step "Clang: addresses and undefined behaviour, with a shared library"
      cmake --preset asan -DBUILD_SHARED_LIBS=ON -DTAPEGRAD_WARNINGS_AS_ERRORS=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
      cmake --build --preset asan --target tapegrad tapegrad_c tapegrad_exchange "${rooms[@]/#/test_}" plugin plugin_host c_program fuzz_targets
      step "Its tests"
      ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=0:allocator_may_return_null=1
      export ASAN_OPTIONS UBSAN_OPTIONS=print_stacktrace=1
      tools/run_test_programs.sh build/asan/tests build/asan/tests/logs '*' "${rooms[@]}"
      build/asan/tests/plugin_host build/asan/tests/libplugin.so
      build/asan/tests/c_program build/asan/tests/c_program.safetensors
      ;;
    tsan)
      step "Threads"
      cmake --preset tsan -DTAPEGRAD_BUILD_TOOLS=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF
      cmake --build --preset tsan --target plugin plugin_host "${rooms[@]/#/test_}"
      step "Their tests"
      export TSAN_OPTIONS=suppressions=$PWD/tests/tsan.supp:die_after_fork=0:allocator_may_return_null=1
      tools/run_test_programs.sh build/tsan/tests build/tsan/tests/logs '*' "${rooms[@]}"
      TSAN_OPTIONS=die_after_fork=0 build/tsan/tests/plugin_host build/tsan/tests/libplugin.so # suppressions know no second load
      ;;
    lto)
      step "Optimized at link time"
      cmake --preset lto -DTAPEGRAD_BUILD_TOOLS=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF
      cmake --build --preset lto --target "${rooms[@]/#/test_}"
      tools/run_test_programs.sh build/lto/tests build/lto/tests/logs '*' "${rooms[@]}"
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
step "Done"
