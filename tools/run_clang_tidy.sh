#!/bin/sh
# Runs clang-tidy, with the checks of .clang-tidy, on the sources of lib/, or on those alone that differ from a commit.
#   tools/run_clang_tidy.sh BUILD [--changed COMMIT]     BUILD was configured with -DCMAKE_EXPORT_COMPILE_COMMANDS=ON and Clang
set -eu
case ${1:-} in
  '' | -*) sed -n '2,3s/^# \{0,1\}//p' "$0"; [ "${1:-}" = --help ] && exit 0; exit 2 ;;
esac
build=$(realpath "$1")
cd "$(dirname "$0")/.."
[ -f "$build/compile_commands.json" ] || { echo "run_clang_tidy.sh: $build has no compile_commands.json" >&2; exit 1; }
if [ "${2:-}" = --changed ]; then
  files=$(git diff --name-only --diff-filter=d "${3:?--changed needs a commit}" -- 'lib/*.cpp')
else
  files=$(git ls-files 'lib/*.cpp')
fi
[ -n "$files" ] || { echo "no source of lib/ has changed"; exit 0; }
echo "$files" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet
