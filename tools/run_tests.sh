#!/bin/sh
# Installs what is missing, builds everything, runs all tests. Arguments go to ctest (-R conv2d, for example).
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh
cmake --preset release
cmake --build --preset release
exec ctest --preset release "$@"
