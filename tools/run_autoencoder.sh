#!/bin/sh
# Installs what is missing, builds the main example, runs it. Arguments go to the example (--help tells them).
set -eu
for argument; do
  case $argument in
    --help | -h)
      program=$(dirname "$0")/../build/release/examples/mnist_autoencoder
      [ ! -x "$program" ] || exec "$program" --help
      echo "usage: tools/run_autoencoder.sh [OPTIONS OF THE EXAMPLE]"
      echo "Installs the packages that are missing, builds the example in build/release, and runs it: it trains an"
      echo "autoencoder on handwritten digits, and leaves its pictures and weights in out/mnist_autoencoder."
      echo "The most important options: --data DIR, --epochs N, --resume, --report, --out DIR."
      echo "Once the example is built, --help tells them all."
      exit 0
      ;;
  esac
done
start=$(pwd)
cd "$(dirname "$0")/.."
root=$(pwd)
tools/setup.sh
cmake --preset release
cmake --build --preset release --target mnist_autoencoder
cd "$start" # paths among the arguments are the caller's
exec "$root/build/release/examples/mnist_autoencoder" "$@"
