#!/bin/bash
# Runs the test programs of rooms: a program runs all tests of its room, or a part of them, as a process for each of some thousand tests
# would take longer than the tests. What takes longest comes first, and in parts, so that all cores are busy to the end.
#   tools/run_test_programs.sh PROGRAMS LOGS FILTER ROOM...
# PROGRAMS is the folder with test_ROOM; LOGS gets ROOM.PART.log of each process; FILTER is GoogleTest's. Tells the tests and seconds of
# each process, and the whole log of one that failed or ended before its tests did, and fails then; so where no test is left by FILTER.
set -euo pipefail
case ${1:-} in
  '' | -*) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; [ "${1:-}" = --help ] && exit 0; exit 2 ;;
esac
programs=$1 logs=$2 filter=$3
shift 3
processes() { # "room, how many run a part of it, which part" a line
  local long=(kernels gradcheck ops memory io data exchange autograd base) room parts part
  for room in $(printf '%s\n' "${long[@]}" | grep -xF "$1") $(grep -vxF "$(printf '%s\n' "${long[@]}")" <<<"$1"); do
    case $room in kernels | gradcheck | ops | autograd) parts=4 ;; memory | io | data | base) parts=2 ;; *) parts=1 ;; esac
    for ((part = 0; part < parts; ++part)); do echo "$room $parts $part"; done
  done
}
rm -rf "$logs"
mkdir -p "$logs"
# shellcheck disable=SC2016  # the inner shell expands
processes "$(printf '%s\n' "$@")" | xargs -P "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" -L 1 bash -c '
  export GTEST_TOTAL_SHARDS=$5 GTEST_SHARD_INDEX=$6
  log=$2/$4.$6.log TIMEFORMAT="%R s, %U s of CPU time"
  { time "$1/test_$4" --gtest_filter="$3" >"$log" 2>&1; } 2>"$log.time" && grep -qF "[  PASSED  ]" "$log" || { cat "$log"; echo "test_$4: FAILED" | tee -a "$log"; exit 1; }
  echo "$4: $(grep -F "[  PASSED  ]" "$log") $(cat "$log.time")"' sh "$programs" "$logs" "$filter"
grep -hE '^\[  PASSED  \] [1-9]' "$logs"/*.log >/dev/null || { echo "run_test_programs.sh: no test of $* is named $filter" >&2; exit 1; }
