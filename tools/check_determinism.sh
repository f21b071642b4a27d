#!/bin/bash
# Trains five small networks (tools/determinism) in many ways, and compares hashes of their whole states.
#
# Usage: tools/check_determinism.sh [--quick] [BUILD_FOLDER [OTHER_BUILD_FOLDER]]
#
# From run to run; for 1, 2, 3 and 8 threads; with batches prepared beside the training, by 1, 2 and 5 threads, and before it;
# with all memory elsewhere; cut after each step, and continued in another process (--quick: after three of them). All must be
# the same to the bit, and the same in the other build, as of another compiler. How far the kernels of other instruction sets
# lead elsewhere is printed, and no bound is asked for: of a gradient that is nothing but rounding Adam makes a whole step.
# It takes 2 minutes (--quick: 20 seconds); of the folders, build/release is the default.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0; fi
cuts=$(seq 1 49)
if [ "${1:-}" = --quick ]; then cuts="1 24 49"; shift; fi
program=${1:-build/release}/tools/train_hash
other=${2:+$2/tools/train_hash}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$program" --save "$scratch" --weights "$scratch/weights" > "$scratch/right"
cat "$scratch/right"
runs=1
same() { # what is tried, and the command
  "${@:2}" > "$scratch/found"
  runs=$((runs + 1))
  if ! diff "$scratch/right" "$scratch/found"; then
    echo "not the same bits: $1"
    exit 1
  fi
}
for threads in 1 2 3 8; do same "$threads threads" "$program" --threads "$threads"; done
for workers in 2 5; do same "$workers workers" "$program" --threads 2 --workers "$workers"; done
same "without prefetch" "$program" --threads 2 --collected
for seed in 1 2 3; do
  same "memory elsewhere ($seed)" env FILLER="$(printf "%*s" $((seed * 1234)) "")" "$program" --threads 2 --clutter "$seed"
done
if setarch --addr-no-randomize true 2>/dev/null; then # not allowed in every container
  same "addresses that are not random" setarch --addr-no-randomize "$program"
fi
for cut in $cuts; do
  same "continued after step $cut" "$program" --threads $((cut % 3 + 1)) --workers $((cut % 2 + 1)) --resume "$scratch/$cut"
done
if [ -n "$other" ]; then
  same "the other build" "$other"
  same "the other build, 3 threads" "$other" --threads 3
  same "continued by the other build" "$other" --resume "$scratch/24"
fi
echo "$runs runs: the same bits"

# The processor's own choice is right above; others round otherwise.
for set in "SSE4 Nehalem" "AVX2 Haswell" "SSE4 Haswell"; do
  read -r target blas <<< "$set"
  OPENBLAS_CORETYPE=$blas "$program" --target "$target" --compare "$scratch/weights" | sed "s/^/kernels of $set: /"
done
