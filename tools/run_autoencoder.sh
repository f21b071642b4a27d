#!/bin/sh
# Installs what is missing, builds the main example, runs it. Arguments go to the example (--help tells them).
set -eu
start=$(pwd)
cd "$(dirname "$0")/.."
root=$(pwd)
tools/setup.sh
cmake --preset release
cmake --build --preset release --target mnist_autoencoder
cd "$start" # paths among the arguments are the caller's
exec "$root/build/release/examples/mnist_autoencoder" "$@"
