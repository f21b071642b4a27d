#!/bin/bash
# The exercises of examples/exercises: builds and checks what you have written, and shows how far you are.
set -euo pipefail

usage() {
  cat <<'END'
usage: tools/exercise.sh [NN] [OPTIONS]

  (nothing)         the ladder with what is solved, and the check of the next exercise
  NN                build and check exercise NN (6 or 06): examples/exercises/NN_*.cpp, which you edit
  --watch [NN]      check again whenever the file is saved (Ctrl-C ends it)
  --all             check all exercises that you have begun
  --html [FILE]     a page with the ladder, all reports and pictures of the errors; default: out/exercises.html
  --json FILE       check all exercises and write one JSON object with all results: for a class
  --solution NN     show a solution
  --reset NN        put the exercise's file back as it came; yours is kept beside it, as NN_*.cpp.mine
  --score           the catalogue of wrong solutions: how many are found and named here, and how many weaker
                    checks would find
  --help            this text

The exit code is 0 if what was checked is solved, 1 if it is not, 2 if the file does not compile.
The first call installs the packages that are missing and builds the library in build/release; that takes a few
minutes. Later an exercise is built in seconds. TAPEGRAD_BUILD=DIR uses a build folder that you have configured, of
everything or of examples/exercises alone with an installed library.
END
}

die() {
  echo "exercise.sh: $*" >&2
  exit 2
}

for argument; do
  case $argument in
    --help | -h)
      usage
      exit 0
      ;;
  esac
done

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/examples/exercises
build=${TAPEGRAD_BUILD:-$root/build/release}
results=$build/exercises
seconds=60 # an answer that runs longer than this has a loop without an end

bold='' green='' yellow='' plain=''
if [ -t 1 ]; then
  bold=$'\033[1m' green=$'\033[32m' yellow=$'\033[33m' plain=$'\033[0m'
fi

# -- The files

file_of() { # a number
  local number files
  [[ $1 =~ ^[0-9]{1,2}$ ]] || die "$1 must be the number of an exercise (--help tells the options)"
  number=$(printf '%02d' "$((10#$1))")
  files=("$folder/$number"_*.cpp)
  [ -f "${files[0]}" ] || die "there is no exercise $1: they are $(numbers | head -n 1) to $(numbers | tail -n 1)"
  echo "${files[0]}"
}

numbers() {
  local file
  for file in "$folder"/[0-9][0-9]_*.cpp; do
    basename "$file" | cut -c 1-2
  done
}

title_of() { # a file: "conv2d, VALID (20 minutes)"
  sed -n '1s|^// Exercise [0-9]* (\(.*\)): \(.*\)$|\2 (\1)|p' "$folder/solutions/$(basename "$1")"
}

begun() { # a number: whether the learner has written something, as far as can be told without building
  local file
  file=$(file_of "$1")
  grep -q '^ *not_written();' "$file" || return 0
  git -C "$root" rev-parse HEAD >/dev/null 2>&1 || return 1
  ! git -C "$root" diff --quiet HEAD -- "$file"
}

# -- Building and checking

prepared=
prepare() { # everything but the exercise itself, once
  [ -z "$prepared" ] || return 0
  prepared=yes
  if [ -z "${TAPEGRAD_BUILD:-}" ]; then
    "$root/tools/setup.sh"
    [ -f "$build/build.ninja" ] || (cd "$root" && cmake --preset release)
  fi
  mkdir -p "$results"
}

program() { # a target: where its program is, in a build of everything or of examples/exercises alone
  if [ -x "$build/examples/exercises/$1" ]; then
    echo "$build/examples/exercises/$1"
  else
    echo "$build/$1"
  fi
}

compile() { # a target; prints only when something goes wrong
  local log=$results/$1.log
  if [ -z "${TAPEGRAD_BUILD:-}" ] && [ ! -e "$build/lib/libtapegrad.a" ] && [ ! -e "$build/lib/libtapegrad.so" ]; then
    echo "The library is built first. That takes a few minutes, once."
    cmake --build "$build" --target tapegrad
  fi
  cmake --build "$build" --target "$1" >"$log" 2>&1 && return 0
  # What the compiler says, without what the build tool says.
  grep -vE '^(\[[0-9]+/[0-9]+\]|FAILED:|ninja:|/.*/(c\+\+|g\+\+|clang\+\+|ccache) )' "$log" || cat "$log"
  return 2
}

check() { # a number: builds, checks, leaves the result as JSON; 0 solved, 1 not, 2 does not compile
  local file number status=0
  file=$(file_of "$1")
  number=$(basename "$file" | cut -c 1-2)
  prepare
  if ! compile "exercise_$number"; then
    rm -f "$results/$number.json"
    echo "${yellow}${file#"$root"/} does not compile.${plain} The compiler's first message above is the one to mend."
    return 2
  fi
  rm -f "$results/$number.json"
  timeout "$seconds" "$(program "exercise_$number")" --json "$results/$number.json" || status=$?
  if [ "$status" -eq 124 ]; then
    echo "FAILED: stopped after $seconds seconds. Is there a loop without an end?"
    status=1
  fi
  return "$status"
}

status_of() { # a number, from its last result: solved, failed, changed (since then), or untouched
  local file result=$results/$1.json
  file=$(file_of "$1")
  if [ -f "$result" ] && [ ! "$file" -nt "$result" ]; then
    if grep -q '"passed":true,"parts"' "$result"; then echo solved; else echo failed; fi
  elif begun "$1"; then
    echo changed
  else
    echo untouched
  fi
}

refresh() { # checks what has changed since its last check
  local number
  for number in $(numbers); do
    if [ "$(status_of "$number")" = changed ]; then check "$number" >/dev/null 2>&1 || true; fi
  done
}

ladder() { # shows it
  local number solved=0 all=0 mark
  for number in $(numbers); do
    all=$((all + 1))
    case $(status_of "$number") in
      solved)
        mark="${green}solved${plain}"
        solved=$((solved + 1))
        ;;
      untouched) mark="      " ;;
      *) mark="${yellow}begun ${plain}" ;;
    esac
    printf '  %s  %s  %s\n' "$mark" "$number" "$(title_of "$(file_of "$number")")"
  done
  printf '\n%s of %s are solved.\n\n' "$solved" "$all"
}

next() { # the first that is not solved; nothing if all are
  local number
  for number in $(numbers); do
    if [ "$(status_of "$number")" != solved ]; then
      echo "$number"
      return 0
    fi
  done
}

# -- What the options do

show_next() {
  local number
  refresh
  ladder
  number=$(next)
  if [ -z "$number" ]; then
    echo "All exercises are solved."
    return 0
  fi
  echo "${bold}Next: $(file_of "$number" | sed "s|^$root/||")${plain}: edit it, then run tools/exercise.sh $number"
  echo
  check "$number"
}

watch() { # a number, or nothing: the next one, and then the one after it
  local number=${1:-} fixed=${1:-} file seen now status
  while :; do
    if [ -z "$fixed" ]; then
      number=$(next)
      [ -n "$number" ] || { echo "All exercises are solved."; return 0; }
    fi
    file=$(file_of "$number")
    seen=$(stat -c '%Y %s %i' "$file")
    if [ -t 1 ]; then clear; fi
    status=0
    check "$number" || status=$?
    if [ -z "$fixed" ] && [ "$status" -eq 0 ]; then
      echo "On to the next."
      sleep 2
      continue
    fi
    echo
    echo "Waiting for ${file#"$root"/} to be saved (Ctrl-C ends this)."
    while :; do
      sleep 0.5
      now=$(stat -c '%Y %s %i' "$file" 2>/dev/null || echo "$seen") # an editor may replace the file
      [ "$now" = "$seen" ] || break
    done
  done
}

check_all() {
  local number failed=0
  for number in $(numbers); do
    if [ "$(status_of "$number")" = untouched ]; then continue; fi
    check "$number" || failed=1
  done
  ladder
  return "$failed"
}

check_output() { # an option and its file, before minutes are spent on what is written there; a missing file stays missing
  local exists='' said
  [ ! -e "$2" ] || exists=yes
  said=$({ : >>"$2"; } 2>&1) || die "$1 must be a file that can be written, and '$2' cannot: ${said##*: }"
  [ -n "$exists" ] || rm -f "$2"
}

page() { # a file
  local number arguments=() output=${1:-$root/out/exercises.html}
  mkdir -p "$(dirname "$output")"
  check_output --html "$output"
  refresh
  prepare
  compile exercise_page || return 2
  for number in $(numbers); do
    if [ -f "$results/$number.json" ]; then
      arguments+=("$results/$number.json")
    else
      arguments+=("$number $(title_of "$(file_of "$number")")")
    fi
  done
  "$(program exercise_page)" "$output" "${arguments[@]}"
  echo "$output"
}

class_json() { # a file: everything is checked, and the results become one object
  local number first=yes temporary=$1.part
  check_output --json "$1"
  prepare
  {
    printf '{"who":"%s","when":"%s","results":[' "$(id -un | tr -cd 'A-Za-z0-9._-')" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    for number in $(numbers); do
      check "$number" >&2 || true
      [ "$first" = yes ] || printf ','
      first=no
      if [ -f "$results/$number.json" ]; then
        tr -d '\n' <"$results/$number.json"
      else
        printf '{"exercise":%d,"passed":false,"parts":[],"error":"does not compile, or did not end"}' "$((10#$number))"
      fi
    done
    printf ']}\n'
  } >"$temporary"
  mv "$temporary" "$1"
  echo "$1"
}

reset() { # a number
  local file name commit
  file=$(file_of "$1")
  name=examples/exercises/$(basename "$file")
  git -C "$root" rev-parse HEAD >/dev/null 2>&1 || die "--reset takes the file from git, and this is no clone"
  # The newest version without anything written: a learner may have committed solutions.
  for commit in $(git -C "$root" rev-list HEAD -- "$name"); do
    if git -C "$root" show "$commit:$name" 2>/dev/null | grep -q '^ *not_written();'; then
      cp "$file" "$file.mine"
      git -C "$root" show "$commit:$name" >"$file"
      echo "$name is as it came; yours is in $name.mine"
      return 0
    fi
  done
  die "no untouched version of $name is in git"
}

score() {
  prepare
  echo "The catalogue is built: every exercise with its solution and all its mistakes." >&2
  compile exercises || return 2
  "$(program exercises)" --score
}

case ${1:-} in
  '') show_next ;;
  --watch) watch "${2:-}" ;;
  --all) check_all ;;
  --html) page "${2:-}" ;;
  --json)
    [ $# -eq 2 ] || die "--json needs a file"
    class_json "$2"
    ;;
  --solution)
    [ $# -eq 2 ] || die "--solution needs the number of an exercise"
    cat "$folder/solutions/$(basename "$(file_of "$2")")"
    ;;
  --reset)
    [ $# -eq 2 ] || die "--reset needs the number of an exercise"
    reset "$2"
    ;;
  --score) score ;;
  -*) die "there is no option $1 (--help tells the options)" ;;
  *)
    [ $# -eq 1 ] || die "one exercise at a time (--help tells the options)"
    check "$1"
    number=$(next)
    [ -z "$number" ] || echo "Next: tools/exercise.sh $number, $(title_of "$(file_of "$number")")"
    ;;
esac
