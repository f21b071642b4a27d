#!/bin/bash
# Stops one process (SIGSTOP), so that nothing tells the others: they end by their time limit, and name the process.
#   stopped.sh MPI_WAITS SCRATCH
set -euo pipefail
program=$1 scratch=$2
mkdir -p "$scratch"
fail() { echo "stopped.sh: $*" >&2; exit 1; }
begin=$SECONDS
timeout -k 5 60 "$(dirname "$0")/mpirun.sh" 3 "$program" "$scratch/pid" > "$scratch/log" 2>&1 && fail "it did not fail"
[ $((SECONDS - begin)) -lt 30 ] || fail "it took $((SECONDS - begin)) seconds"
kill -KILL "$(cat "$scratch/pid")" 2> /dev/null || true
grep -q 'process [02] of 3 has waited 2 seconds for process 1 of 3, which has ended, is stopped' "$scratch/log" ||
  fail "the process is not named: $(cat "$scratch/log")"
