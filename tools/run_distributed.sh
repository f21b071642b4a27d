#!/bin/sh
# Installs Open MPI and what is missing, builds an example for it, and runs it with several processes.
set -eu
usage() {
  echo "usage: tools/run_distributed.sh N [EXAMPLE] [OPTIONS OF THE EXAMPLE]"
  echo "Installs Open MPI and the packages that are missing, builds the example in build/distributed, and runs N processes of it"
  echo "with mpirun on this machine. EXAMPLE is mnist_autoencoder (if none is named), mnist_classifier or sweep."
  echo "Process 0 shows and writes everything; the results do not depend on N. --resume continues with any N."
  echo "For several machines, run the program with the mpirun of your cluster."
}
case ${1:-} in
  --help | -h) usage; exit 0 ;;
  '' | *[!0-9]* | 0*) echo "run_distributed.sh: N must be a number of processes, got '${1:-}'" >&2; usage >&2; exit 2 ;;
esac
processes=$1
shift
example=mnist_autoencoder
case ${1:-} in
  mnist_autoencoder | mnist_classifier | sweep) example=$1; shift ;;
  '' | -*) ;;
  *) echo "run_distributed.sh: the examples are mnist_autoencoder, mnist_classifier and sweep, got '$1'" >&2; exit 2 ;;
esac
start=$(pwd)
cd "$(dirname "$0")/.."
root=$(pwd)
tools/setup.sh openmpi-bin libopenmpi-dev
cmake -S . -B build/distributed -G Ninja -DCMAKE_BUILD_TYPE=Release -DTAPEGRAD_MPI=ON -DMPI_CXX_COMPILER=mpicxx.openmpi \
  -DTAPEGRAD_BUILD_TESTS=OFF
cmake --build build/distributed --target "$example"
cd "$start" # paths among the arguments are the caller's
# More processes than cores are allowed, and root is in a container.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
exec mpirun.openmpi -n "$processes" --oversubscribe --bind-to none "$root/build/distributed/examples/$example" "$@"
