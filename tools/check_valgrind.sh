#!/bin/bash
# valgrind's memcheck on what a release build made: training steps of five nets, whose bits must be those without valgrind, and
# every reader of files on its corpus and on random changes of it (as programs of tests/fuzz, without libFuzzer); convolutions,
# layouts, conversions and programs on the tape beside them. Nothing may be read that was never written, or outside of its
# memory, and nothing may leak. Takes a few minutes; the kernels are those of AVX2, as valgrind knows no AVX-512.
#   tools/check_valgrind.sh [BUILD [CHANGES]]     (default: build/release 3000)
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
build=${1:-build/release} changes=${2:-3000}
tools/setup.sh valgrind libc6-dbg
memcheck=(valgrind -q --error-exitcode=9 --leak-check=full "--errors-for-leak-kinds=definite,indirect")
export OPENBLAS_CORETYPE=Haswell # which valgrind lets OpenBLAS find
log=$(mktemp)
trap 'rm -f "$log"' EXIT
check() { # what it is, and the command
  local what=$1
  shift
  if ! OMP_NUM_THREADS=1 "${memcheck[@]}" "$@" >"$log" 2>&1; then
    cat "$log"
    echo "check_valgrind.sh: $what: $*"
    exit 1
  fi
  echo "$what: $(tail -n 1 "$log")"
}

for net in tutorial wide classifier gan unet; do
  train=("$build/tools/train_hash" --net "$net" --steps 2 --threads 2 --workers 2)
  check "two steps of $net" "${train[@]}"
  if [ "$("${train[@]}" --target AVX2)" != "$(cat "$log")" ]; then
    echo "check_valgrind.sh: without valgrind: $("${train[@]}" --target AVX2)"
    exit 1
  fi
done
for corpus in tests/fuzz/corpus/*; do
  target=$(basename "$corpus") random=$changes
  case $target in
    command_line) continue ;;                        # it reads no file
    conv2d | layout | tape | dtypes) random=$((changes / 20)) ;;
  esac
  [ -x "$build/tests/fuzz/fuzz_$target" ] || { echo "check_valgrind.sh: there is no $build/tests/fuzz/fuzz_$target"; exit 1; }
  check "$target" "$build/tests/fuzz/fuzz_$target" "$corpus" --random "$random" --seed 1
done
