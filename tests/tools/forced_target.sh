#!/bin/bash
# What is preloaded (tests/forced_target.cpp) makes a program compute with an instruction set as the program does that is told to
# use it: with each that this CPU has; or, where one is preloaded already (tools/run_everywhere.sh), with that one. The lowest does
# not compute as the best does, so that nothing forced would be noticed.   forced_target.sh PRELOADED TRAIN_HASH
set -euo pipefail
preloaded=$1
program=$2
arguments=(--net tutorial --steps 5 --threads 1)
told() { env -u LD_PRELOAD -u TAPEGRAD_TEST_TARGET "$program" "${arguments[@]}" "$@"; }
fail() { echo "forced_target.sh: $*" >&2; exit 1; }
grep -qw avx2 /proc/cpuinfo || { echo "this CPU has one of the instruction sets alone"; exit 77; }
[ "$(told --target SSE4)" != "$(told)" ] || fail "SSE4 computes what the best instruction set computes"
for level in SSE4:SSE4:sse4_2 AVX2:AVX2:avx2 AVX512:AVX3:avx512f; do
  IFS=: read -r name target flag <<<"$level"
  grep -qw "$flag" /proc/cpuinfo || continue
  if [ -z "${TAPEGRAD_TEST_TARGET:-}" ]; then
    forced=$(LD_PRELOAD=$preloaded TAPEGRAD_TEST_TARGET=$name "$program" "${arguments[@]}")
  elif [ "$TAPEGRAD_TEST_TARGET" = "$name" ]; then
    forced=$("$program" "${arguments[@]}")
  else
    continue
  fi
  [ "$forced" = "$(told --target "$target")" ] || fail "$name is not forced: $forced"
  echo "$name: $forced"
done
if LD_PRELOAD=$preloaded TAPEGRAD_TEST_TARGET=MMX "$program" --help >/dev/null 2>&1; then fail "an unknown name is not refused"; fi
