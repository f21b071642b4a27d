#!/bin/bash
# tools/exercise.sh in a copy of the exercises, with the library that was built, installed: exercise_script.sh BUILD SCRATCH
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
library=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch/examples" "$scratch/tools"
cp -r "$here/examples/exercises" "$scratch/examples/"
cp "$here/tools/exercise.sh" "$scratch/tools/"
cd "$scratch/examples/exercises"
# Two exercises are enough for the script.
find . -name '[0-9][0-9]_*' ! -name '03_*' ! -name '05_*' -delete
cd "$scratch"
cp examples/exercises/03_matmul_bias.cpp untouched_03
cp examples/exercises/05_conv1d_matrix.cpp untouched_05
# The learner may have written in the files that were copied.
for file in untouched_03 untouched_05; do
  grep -q '^ *not_written();' "$file" || { echo "skipped: the exercises have been edited"; exit 77; }
done
if command -v git >/dev/null; then
  git init -q .
  git -c user.name=a -c user.email=a@b add examples
  git -c user.name=a -c user.email=a@b commit -q -m "As it came"
fi

cmake --install "$library" --prefix "$scratch/installed" >log || { cat log; exit 1; }
cmake -S examples/exercises -B build -G Ninja -DCMAKE_PREFIX_PATH="$scratch/installed" >log || { cat log; exit 1; }
export TAPEGRAD_BUILD=$scratch/build

fail() {
  echo "FAILED: $*"
  echo "the script said:"
  cat said
  exit 1
}
# expect CODE WORDS COMMAND...: the exit code, and words that must be in what is printed (an extended regular expression).
expect() {
  local code=0 wanted=$1 words=$2
  shift 2
  "$@" >said 2>&1 || code=$?
  [ "$code" -eq "$wanted" ] || fail "$* exits with $code, not $wanted"
  grep -qE "$words" said || fail "$* does not say \"$words\""
}
script=tools/exercise.sh

expect 0 'usage: tools/exercise.sh' $script --help
expect 2 'no option --bogus' $script --bogus
expect 2 'no exercise 99' $script 99
expect 2 'must be the number' $script five
expect 0 'Tensor conv_matrix' $script --solution 5

# Untouched: not written, and where to begin.
expect 1 'open examples/exercises/05_conv1d_matrix.cpp' $script 5
expect 1 'to begin: ' $script 05
expect 1 '0 of 2 are solved' $script

# Solved; and the ladder goes on with the other one.
cp examples/exercises/solutions/05_conv1d_matrix.cpp examples/exercises/05_conv1d_matrix.cpp
start=$(date +%s%N)
expect 0 'Next: tools/exercise.sh 03, matmul and bias' $script 5
grep -q 'Exercise 5 is solved' said || fail "it does not say that exercise 5 is solved"
echo "an exercise is built and checked in $((($(date +%s%N) - start) / 1000000)) ms"
expect 1 '1 of 2 are solved' $script
expect 1 'Next: examples/exercises/03_matmul_bias.cpp' $script

# Wrong: the report names the mistake and says where to look. What does not compile: the compiler's words, and another code.
sed -i 's/dy.at({p}) \* w.at({i})/dy.at({p}) * w.at({w.size() - 1 - i})/' examples/exercises/05_conv1d_matrix.cpp
expect 1 'hint: the filter is turned' $script 5
expect 1 'look next at:' $script 5
echo 'int broken(' >>examples/exercises/05_conv1d_matrix.cpp
expect 2 '05_conv1d_matrix.cpp does not compile' $script 5
grep -q 'error: ' said || fail "the compiler's message is missing"

# Reset, from git, keeps what was written.
if command -v git >/dev/null; then
  expect 0 '05_conv1d_matrix.cpp is as it came' $script --reset 5
  cmp examples/exercises/05_conv1d_matrix.cpp untouched_05 || fail "--reset gave another file"
  grep -q broken examples/exercises/05_conv1d_matrix.cpp.mine || fail "--reset lost what was written"
else
  expect 2 '--reset takes the file from git' $script --reset 5
fi

# A crash is a report, too.
sed 's/Tensor dx = new_tensor({n});/Tensor dx = new_tensor({n}); *static_cast<volatile int*>(nullptr) = 1;/' \
  examples/exercises/solutions/05_conv1d_matrix.cpp >examples/exercises/05_conv1d_matrix.cpp
expect 1 'memory that is not its own' $script 5

# For a class, and as a page.
cp examples/exercises/solutions/05_conv1d_matrix.cpp examples/exercises/05_conv1d_matrix.cpp
sed 's/add_to(db, {o}, dy.at({n, o}));/db.set({o}, dy.at({n, o}));/' \
  examples/exercises/solutions/03_matmul_bias.cpp >examples/exercises/03_matmul_bias.cpp
# An output that cannot be written is told before anything is built.
expect 2 "^exercise.sh: --json must be a file that can be written, and 'nowhere/x' cannot: No such" $script --json nowhere/x
expect 2 "^exercise.sh: --html must be a file that can be written, and '.' cannot: Is a directory" $script --html .
expect 0 'results.json' $script --json results.json
cat >read.cmake <<'END'
file(READ results.json results)
string(JSON count LENGTH "${results}" results)
string(JSON first GET "${results}" results 0 passed)
string(JSON hint GET "${results}" results 0 parts 1 hints 0)
string(JSON verdict GET "${results}" results 0 parts 1 gradcheck verdict)
string(JSON second GET "${results}" results 1 passed)
if(NOT count EQUAL 2 OR first OR NOT second OR NOT hint MATCHES "overwritten" OR NOT verdict STREQUAL "fail")
  message(FATAL_ERROR "results.json says ${count}, ${first}, ${hint}, ${verdict}, ${second}")
endif()
END
cmake -P read.cmake || fail "results.json"
expect 0 'page.html' $script --html page.html
for words in '1 of 2 are solved' 'overwritten instead of accumulated' 'data:image/png' 'The error of db'; do
  grep -q "$words" page.html || fail "the page does not say \"$words\""
done

# --watch checks again when the file is saved.
$script --watch 3 >watched 2>&1 &
watcher=$!
trap 'kill "$watcher" 2>/dev/null || true' EXIT
wait_for() { # words
  local k
  for k in $(seq 240); do
    if grep -q "$1" watched; then return 0; fi
    sleep 0.25
  done
  cp watched said
  fail "--watch did not say \"$1\" ($k)"
}
wait_for 'Waiting for examples/exercises/03_matmul_bias.cpp'
cp examples/exercises/solutions/03_matmul_bias.cpp examples/exercises/03_matmul_bias.cpp
wait_for 'Exercise 3 is solved'
kill "$watcher"
expect 0 'All exercises are solved' $script
echo "passed"
