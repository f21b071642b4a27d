#!/bin/sh
# Runs clang-tidy, with the checks of .clang-tidy, on what lib/ is compiled of.
#   tools/run_clang_tidy.sh BUILD     BUILD was built by Clang, configured with -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
set -eu
case ${1:-} in
  '' | -*) sed -n '2,3s/^# \{0,1\}//p' "$0"; [ "${1:-}" = --help ] && exit 0; exit 2 ;;
esac
build=$(realpath "$1")
cd "$(dirname "$0")/.."
[ -f "$build/compile_commands.json" ] || { echo "run_clang_tidy.sh: $build has no compile_commands.json" >&2; exit 1; }
# Files that are compiled as one are looked at as one.
files=$(sed -n 's|^ *"file": "\(.*\)",\{0,1\}$|\1|p' "$build/compile_commands.json" | grep -E "^($PWD|$build)/lib/.*[.]c(xx|pp)$")
[ -n "$files" ] || { echo "run_clang_tidy.sh: nothing of lib/ is in $build/compile_commands.json" >&2; exit 1; }
echo "$files" | xargs -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet
