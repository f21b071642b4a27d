#!/bin/sh
# Starts N processes of a program with the MPI that it is linked to, on however few cores, by whoever.   mpirun.sh N PROGRAM ...
set -eu
processes=$1
shift
case $(ldd "$1") in
  *libmpich*) exec "$(command -v mpiexec.mpich || command -v mpiexec)" -n "$processes" "$@" ;;
esac
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
exec "$(command -v mpiexec.openmpi || command -v mpiexec)" -n "$processes" --oversubscribe --bind-to none "$@"
