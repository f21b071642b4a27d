#!/bin/bash
# Measures which lines and branches of lib/ the tests run: builds them with Clang's coverage in build/coverage, runs the test
# program of each room, and prints a table with a line for each room of the library. Takes a quarter of an hour on two cores.
#   tools/coverage.sh            builds, runs, prints
#   tools/coverage.sh ROOM...    builds and runs these rooms' tests alone; what other tests ran before counts as well
#   tools/coverage.sh --lines    prints, of the last run, each line and each side of a branch that nothing has run
# A branch is a side (true or false) of a condition in the source; of a template that instance counts which has most of them.
# What the tests of examples and tools run is not counted, nor what ends by a signal: a killed process writes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
build=build/coverage profiles=build/coverage/profiles lines=
if [ "${1:-}" = --lines ]; then lines=yes; shift; fi
if [ -z "$lines" ]; then
  rooms=("$@")
  if [ $# -eq 0 ]; then
    rm -rf "$profiles"
    for folder in tests/*/; do # the examples' and tools' tests run other programs
      room=$(basename "$folder")
      case $room in examples | tools) continue ;; esac
      if compgen -G "tests/$room/*_test.cpp" >/dev/null; then rooms+=("$room"); fi
    done
  fi
  tools/setup.sh clang llvm
  cmake -G Ninja -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++ -DTAPEGRAD_MARCH=x86-64-v3 \
    -DCMAKE_CXX_FLAGS="-fprofile-instr-generate -fcoverage-mapping -DHWY_COMPILE_ONLY_STATIC" -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
    -DTAPEGRAD_BUILD_EXAMPLES=OFF -DTAPEGRAD_BUILD_TOOLS=OFF >/dev/null
  cmake --build "$build" --target "${rooms[@]/#/test_}"
  mkdir -p "$profiles"
  for room in "${rooms[@]}"; do
    # Processes that tests start write into the same file, one after the other.
    LLVM_PROFILE_FILE=$PWD/$profiles/$room-%1m.profraw "$build/tests/test_$room" --gtest_brief=1 >"$profiles/$room.log" 2>&1 ||
      echo "test_$room: $(grep -c '^\[  FAILED  \]' "$profiles/$room.log" || true) failures, see $profiles/$room.log"
    echo "$room: $(grep PASSED "$profiles/$room.log" || true)"
  done
  llvm-profdata merge -sparse "$profiles"/*.profraw -o "$profiles/all.profdata"
fi

programs=()
for program in "$build"/tests/test_*; do
  if [ -x "$program" ] && compgen -G "$profiles/${program##*/test_}-*.profraw" >/dev/null; then programs+=(-object "$program"); fi
done
cov=("${programs[@]:1}" -instr-profile "$profiles/all.profdata" lib)
if [ -n "$lines" ]; then
  llvm-cov show "${cov[@]}" -show-branches=count -show-instantiations=false >"$profiles/lines.txt"
  awk '/^\/.*:$/ { file = $0 }
       /^ +[0-9]+\| +0\|/ { print file $0 }
       /Branch \(/ && (/True: 0[,\]]/ || /False: 0[,\]]/) { print file $0 }' "$profiles/lines.txt"
  exit
fi
llvm-cov export "${cov[@]}" -summary-only >"$profiles/summary.json"
python3 - "$profiles/summary.json" <<'END'
import json, sys
rooms = {}
for file in json.load(open(sys.argv[1]))["data"][0]["files"]:
    name = file["filename"].split("/lib/tapegrad", 1)[1]
    room = "tapegrad_c" if name.startswith("_c/") else name.split("/")[1]
    for key in (room, "all") if "." not in room else ("all",):
        sums = rooms.setdefault(key, [0, 0, 0, 0])
        for at, what in ((0, "lines"), (2, "branches")):
            sums[at] += file["summary"][what]["covered"]
            sums[at + 1] += file["summary"][what]["count"]
share = lambda covered, count: f"{covered:>8} of {count:>6} {100 * covered / count:>5.1f} %" if count else ""
print(f"{'room':14}{'lines':>24}{'branches':>26}")
for room in sorted(set(rooms) - {"all"}) + ["all"]:
    covered, count, sides, of = rooms[room]
    print(f"{room:14}{share(covered, count)}  {share(sides, of)}")
END
