#!/bin/sh
# Installs what is missing, builds everything, runs all tests. Arguments go to ctest (-R conv2d, for example).
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh python3-numpy # the tests let it read what was written here
cmake --preset release
cmake --build --preset release
exec ctest --preset release "$@"
