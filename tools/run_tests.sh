#!/bin/sh
# Installs what is missing, builds everything, runs all tests. Arguments go to ctest (-R conv2d, for example).
set -eu
case ${1:-} in
  --help | -h)
    echo "usage: tools/run_tests.sh [ARGUMENTS OF CTEST]"
    echo "Installs the packages that are missing, builds everything in build/release, and runs all tests. -R conv2d runs"
    echo "those with conv2d in their names; ctest --help tells the other arguments."
    exit 0
    ;;
esac
cd "$(dirname "$0")/.."
# What the tests need beside what is built: the script that fetches MNIST is tested against a server in Python, NumPy
# reads what was written here and the other way round, h5py makes a file as Keras does, ONNX brings its own test cases, and
# matrices are multiplied under each flavour of OpenBLAS.
tools/setup.sh python3-numpy python3-h5py libonnx-testdata curl wget libopenblas0-openmp libopenblas0-pthread libopenblas0-serial
cmake --preset release
cmake --build --preset release
exec ctest --preset release "$@"
