#!/bin/bash
# Checks that take longer than .ci/run may: the tests under the sanitizers, a build that is optimized at link time, clang-tidy.
#   tools/check_more.sh [lto] [tidy] [asan] [tsan]   (default: all of them)
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  --help | -h) sed -n '2,3s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
[ $# -gt 0 ] || set -- lto tidy asan tsan
tools/setup.sh clang clang-tidy
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
without="-DTAPEGRAD_BUILD_TOOLS=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF"
for check; do
  case $check in
    lto)
      step "Optimized at link time"
      # shellcheck disable=SC2086  # two options
      cmake --preset lto $without
      cmake --build --preset lto --target tapegrad test_ops test_kernels
      build/lto/tests/test_ops --gtest_brief=1
      build/lto/tests/test_kernels --gtest_brief=1
      cmake --install build/lto --prefix build/installed_lto >/dev/null
      cmake -S tests/consumers/find_package -B build/consumers/lto -G Ninja -DCMAKE_PREFIX_PATH="$PWD/build/installed_lto" \
        -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON >/dev/null
      cmake --build build/consumers/lto
      ctest --test-dir build/consumers/lto --output-on-failure
      ;;
    tidy)
      step "clang-tidy, a short list of checks"
      CXX=clang++ cmake --preset release -B build/clang -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
      tools/run_clang_tidy.sh build/clang
      ;;
    asan)
      step "Addresses and undefined behaviour"
      # shellcheck disable=SC2086
      cmake --preset asan $without
      cmake --build --preset asan
      ctest --preset asan -E '^(openblas_|header\.|compile\.)'
      ;;
    tsan)
      step "Threads"
      # shellcheck disable=SC2086
      cmake --preset tsan $without
      cmake --build --preset tsan --target test_base test_autograd test_transforms test_data
      ctest --preset tsan -R '^(base|autograd|transforms|data)\.'
      ;;
    *)
      echo "check_more.sh: there is no check $check: lto, tidy, asan or tsan" >&2
      exit 2
      ;;
  esac
done
step "Done"
