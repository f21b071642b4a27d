#!/bin/sh
# Checks the page that tools/build_playground.sh builds: see check.mjs. Exits with 77 when there is no page, or one older than its
# sources, or no Node; and, once the numbers were checked, when there is no Chromium.    check_page.sh PAGE NATIVE_PROGRAM [FOLDER]
# FOLDER is where screenshots go.
set -eu
page=$1
here=$(cd "$(dirname "$0")" && pwd)
skip() { echo "check_page.sh: $*"; exit 77; }

[ -f "$page" ] || skip "there is no $page, which tools/build_playground.sh builds: nothing was checked"
newer=$(find "$here/../../examples/playground" -type f ! -name '*.png' -newer "$page")
[ -z "$newer" ] || skip "$page is older than its sources, tools/build_playground.sh builds it anew: nothing was checked"
command -v node >/dev/null || skip "Node is not installed: nothing was checked"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
node "$here/check.mjs" "$page" "$2" "$browser" ${3:+"$3"}
[ -n "$browser" ] || skip "Chromium is not installed: the numbers alone were checked"
