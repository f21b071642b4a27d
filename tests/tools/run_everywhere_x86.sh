#!/bin/bash
# At each level of x86-64 tools/run_everywhere.sh runs all parts of all rooms once, under the instruction set that is forced; and one
# that fails fails the script. Test programs that leave a trace stand for the real ones.   run_everywhere_x86.sh SOURCE SCRATCH
set -euo pipefail
source=$1
scratch=$2
fail() { echo "run_everywhere_x86.sh: $*" >&2; cat "$scratch/log" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"/{bin,tools,build/release/tests,tests}
cp "$source/tools/run_everywhere.sh" "$scratch/tools"
# shellcheck disable=SC2016  # the program expands
for program in bin/cmake bin/git tools/setup.sh; do
  printf '#!/bin/sh\n[ "$1" != rev-parse ] || echo abc1234\n' >"$scratch/$program"
  chmod +x "$scratch/$program"
done
rooms=$(printf '%s\n' "$source"/tests/*/*_test.cpp | sed 's|/[^/]*$||; s|.*/||' | sort -u)
needed='DTypes/OpOracle.ForwardAndGradients DTypes/OpOracle.SecondOrder DTypes/TrainingTrace.TwentyFiveStepsOfAdam DTypes/FiftySteps.GoAsOnX86'
for room in $rooms; do
  mkdir "$scratch/tests/$room"
  touch "$scratch/tests/$room/some_test.cpp"
  cat >"$scratch/build/release/tests/test_$room" <<END
#!/bin/bash
echo "\$TAPEGRAD_TEST_TARGET $room \${GTEST_SHARD_INDEX:-0} \${GTEST_TOTAL_SHARDS:-1}" >>"$scratch/ran"
for type in Float32 Float64; do
  for name in $needed; do echo "[       OK ] \$name/\$type (1 ms)"; done
  printf '[       OK ] %s (1 ms)\n' Conv2DOracle.{PyTorch,TensorFlowJs}\$type
done
printf '[       OK ] Row/OpTable.%s/abs (1 ms)\n' FirstOrderGradcheck SecondOrderGradcheck Float32GivesTheSame{,Second}GradientsUpToRounding
echo "[  PASSED  ] 3 tests."
[ "\${FAILING:-}" != "$room \${GTEST_SHARD_INDEX:-0}" ]
END
  chmod +x "$scratch/build/release/tests/test_$room"
done
run() { # x86 or x86-lower
  : >"$scratch/ran"
  PATH=$scratch/bin:$PATH "$scratch/tools/run_everywhere.sh" "$1" >"$scratch/log" 2>&1
}

run x86 || fail "failed"
levels=0
for level in SSE4:sse4_2 AVX2:avx2 AVX512:avx512f; do
  name=${level%:*}
  ran=$(awk -v name="$name" '$1 == name' "$scratch/ran")
  if ! grep -qw "${level#*:}" /proc/cpuinfo; then
    [ -z "$ran" ] || fail "ran with $name, which this CPU has not"
    continue
  fi
  levels=$((levels + 1)) best=$name
  for room in $rooms; do
    parts=$(awk -v room="$room" '$2 == room' <<<"$ran")
    case $room in
      examples | mpi | tools) [ -z "$parts" ] || fail "ran $room, whose tests start other programs" ;;
      *)
        awk '{ total = $4; n += !seen[$3]++ } END { exit !(NR > 0 && NR == total && n == total) }' <<<"$parts" ||
          fail "not each part of $room ran once with $name: $parts"
        ;;
    esac
  done
  count=$((3 * $(wc -l <<<"$ran")))
  grep -Eq "\($name\) .*\| $count \| 0 \| passed \|" "$scratch/log" || fail "must tell $count tests of $name"
done
[ "$levels" -gt 0 ] || fail "this CPU has none of the levels"

last=$(awk '$2 == "io" { print $3 }' "$scratch/ran" | sort -n | tail -n 1)
if FAILING="io $last" run x86; then fail "the last part of a room failed, and the script did not"; fi
[ "$(grep -c '| FAILED |' "$scratch/log")" -ge "$levels" ] || fail "does not tell what failed"

run x86-lower || fail "x86-lower failed"
[ "$(cut -d' ' -f1 "$scratch/ran" | sort -u | wc -l)" -eq $((levels - 1)) ] || fail "x86-lower must run all levels but one"
if grep -q "^$best " "$scratch/ran"; then fail "x86-lower must not run the best"; fi
echo "$levels levels"
