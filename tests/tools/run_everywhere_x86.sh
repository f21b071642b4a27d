#!/bin/bash
# At each level of x86-64 tools/run_everywhere.sh runs all parts of all rooms once, under the instruction set that is forced, and the
# tests that start programs with it preloaded; and one that fails fails the script, as programs do on which nothing is forced. Test
# programs and a ctest that leave a trace stand for the real ones.   run_everywhere_x86.sh SOURCE SCRATCH
set -euo pipefail
source=$1
scratch=$2
fail() { echo "run_everywhere_x86.sh: $*" >&2; cat "$scratch/log" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"/{bin,tools,build/release/tests,tests}
cp "$source/tools/"{run_everywhere,run_test_programs}.sh "$scratch/tools"
# shellcheck disable=SC2016  # the program expands
for program in bin/cmake bin/git tools/setup.sh; do
  printf '#!/bin/sh\n[ "$1" != rev-parse ] || echo abc1234\n' >"$scratch/$program"
  chmod +x "$scratch/$program"
done
cat >"$scratch/bin/ctest" <<END
#!/bin/bash
echo "\$TAPEGRAD_TEST_TARGET \$LD_PRELOAD \$*" >>"$scratch/ctested"
echo "1/3 Test #7: example.mnist_vae ................   Passed    1.25 sec"
echo "2/3 Test #8: example.poisson ..................***Skipped   0.02 sec"
[ "\${FAILING:-}" = forced ] || echo "3/3 Test #9: tools.forced_target ..............   Passed    0.25 sec"
[ "\${FAILING:-}" != programs ]
END
chmod +x "$scratch/bin/ctest"
rooms=$(printf '%s\n' "$source"/tests/*/*_test.cpp | sed 's|/[^/]*$||; s|.*/||' | sort -u)
needed='DTypes/OpOracle.ForwardAndGradients DTypes/OpOracle.SecondOrder DTypes/TrainingTrace.TwentyFiveStepsOfAdam DTypes/FiftySteps.GoAsOnX86'
for room in $rooms; do
  mkdir "$scratch/tests/$room"
  touch "$scratch/tests/$room/some_test.cpp"
  cat >"$scratch/build/release/tests/test_$room" <<END
#!/bin/bash
echo "\$TAPEGRAD_TEST_TARGET $room \${GTEST_SHARD_INDEX:-0} \${GTEST_TOTAL_SHARDS:-1} \$*" >>"$scratch/ran"
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
run() { # x86, x86-lower, or with rooms
  : >"$scratch/ran"
  : >"$scratch/ctested"
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
      examples | mpi | tools) [ -z "$parts" ] || fail "ran the program of $room, whose tests are ctest's" ;;
      *)
        awk '{ total = $4; n += !seen[$3]++ } END { exit !(NR > 0 && NR == total && n == total) }' <<<"$parts" ||
          fail "not each part of $room ran once with $name: $parts"
        ;;
    esac
  done
  ctested=$(grep "^$name $scratch/build/release/tests/libforced_target.so " "$scratch/ctested") || fail "nothing is preloaded with $name"
  [ "$(wc -l <<<"$ctested")" -eq 1 ] || fail "ctest must run once with $name: $ctested"
  for tests in 'examples?|exercises' 'tools\[[.]\]|' 'process' 'tapegrad_c' 'tools\[[.]\]forced_target'; do
    grep -q "$tests" <<<"$ctested" || fail "ctest with $name leaves out $tests"
  done
  if grep -- '-Targets/\*$' <<<"$ran" || ! grep -q 'Targets/' <<<"$ran"; then fail "$name must not be left out with $name"; fi
  if grep -q Survival <<<"$ctested"; then fail "x86 must not leave out how programs end"; fi
  if grep -q 'mpi\[' <<<"$ctested"; then fail "ctest runs tests of mpi, which was not built"; fi
  count=$((3 * $(wc -l <<<"$ran") + 2))
  grep -Eq "\($name\) .*\| $count \| 1 \| passed \|" "$scratch/log" || fail "must tell $count tests of $name"
done
[ "$levels" -gt 0 ] || fail "this CPU has none of the levels"

last=$(awk '$2 == "io" { print $3 }' "$scratch/ran" | sort -n | tail -n 1)
if FAILING="io $last" run x86; then fail "the last part of a room failed, and the script did not"; fi
[ "$(grep -c '| FAILED |' "$scratch/log")" -ge "$levels" ] || fail "does not tell what failed"
for failing in programs forced; do
  if FAILING=$failing run x86=tools; then fail "$failing: failed, and the script did not"; fi
done
echo 'TAPEGRAD_MPI:BOOL=ON' >"$scratch/build/release/CMakeCache.txt"
run x86 || fail "failed with mpi"
[ "$(grep -c 'mpi\[[.]\]' "$scratch/ctested")" -eq "$levels" ] || fail "must run the tests of mpi, which was built"
run x86=mpi || fail "failed with mpi alone"
[ ! -s "$scratch/ran" ] || fail "must run the tests of mpi alone"

run x86-lower || fail "x86-lower failed"
[ "$(cut -d' ' -f1 "$scratch/ran" | sort -u | wc -l)" -eq $((levels - 1)) ] || fail "x86-lower must run all levels but one"
if grep -v -- '-Targets/\*$' "$scratch/ran"; then fail "x86-lower must leave out what chooses an instruction set itself"; fi
grep -q Survival "$scratch/ctested" || fail "x86-lower must leave out how programs end"
if grep -q "^$best " "$scratch/ran" "$scratch/ctested"; then fail "x86-lower must not run the best"; fi
echo "$levels levels"
