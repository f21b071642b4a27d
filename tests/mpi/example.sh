#!/bin/bash
# An example leaves the same weights with one process and with several, and process 0 alone shows and writes.
#   example.sh PROGRAM DATA SCRATCH
set -euo pipefail
program=$1 data=$2 scratch=$3
fail() { echo "example.sh: $*" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
options=(--data "$data" --epochs 1 --max-steps 20 --batch 96 --threads 1)
"$program" "${options[@]}" --out "$scratch/alone" > "$scratch/alone.log"
for processes in 1 2 3 4; do
  "$(dirname "$0")/mpirun.sh" "$processes" "$program" "${options[@]}" --out "$scratch/$processes" > "$scratch/$processes.log"
  cmp "$scratch/alone/weights.safetensors" "$scratch/$processes/weights.safetensors" || fail "other weights of $processes processes"
  diff <(cd "$scratch/alone" && find . | sort) <(cd "$scratch/$processes" && find . | sort) || fail "other files of $processes processes"
  [ "$(grep -c 'results are in' "$scratch/$processes.log")" -eq 1 ] || fail "not one process tells where the results are"
  [ "$(grep -c 'of the time in communication' "$scratch/$processes.log")" -eq "$processes" ] || fail "no speeds of $processes processes"
done
