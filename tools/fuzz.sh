#!/bin/bash
# Builds the fuzz targets with libFuzzer, address and undefined-behaviour sanitizers (preset fuzz), and runs them one after the
# other, each for some seconds from its corpus. A finding ends the script, and its input is kept.
#   tools/fuzz.sh [TARGET or all] [SECONDS]     (default: all 60)
#   tools/fuzz.sh --minimize TARGET             puts what the last runs found worth keeping into tests/fuzz/corpus
# What was run is added to build/fuzz/counts.txt: target, seconds, inputs, edges.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
minimize=
if [ "${1:-}" = --minimize ]; then minimize=yes; shift; fi
wanted=${1:-all} seconds=${2:-60}
[ -n "${TAPEGRAD_FUZZ_BUILT:-}" ] || {
  tools/setup.sh clang
  cmake --preset fuzz >/dev/null
  if [ "$wanted" = all ]; then cmake --build --preset fuzz; else cmake --build --preset fuzz --target "fuzz_$wanted"; fi
}
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1

found=$PWD/build/fuzz/found
mkdir -p "$found"
if [ -n "$minimize" ]; then # small inputs only, the smallest for each feature
  rm -rf "$found/minimal" && mkdir -p "$found/minimal"
  "build/fuzz/tests/fuzz/fuzz_$wanted" -merge=1 -max_len=512 "$found/minimal" "tests/fuzz/corpus/$wanted" "$found/$wanted" >"$found/$wanted.merge.log" 2>&1
  du -sb "$found/minimal"
  exit
fi
for corpus in tests/fuzz/corpus/*; do
  target=$(basename "$corpus")
  [ "$wanted" = all ] || [ "$wanted" = "$target" ] || continue
  mkdir -p "$found/$target"
  log=$found/$target.log
  options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 -max_len=4096
    -artifact_prefix="$found/crash-$target-")
  if ! "build/fuzz/tests/fuzz/fuzz_$target" "${options[@]}" "$found/$target" "$corpus" >"$log" 2>&1; then
    grep -E '^FOUND|ERROR|runtime error|SUMMARY|Test unit' "$log" || tail -n 20 "$log"
    echo "fuzz.sh: $target found something: $log"
    exit 1
  fi
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  echo "$target: $inputs inputs in $seconds s, $edges edges: nothing found"
  printf '%s %s %s %s\n' "$target" "$seconds" "$inputs" "$edges" >>build/fuzz/counts.txt
done
