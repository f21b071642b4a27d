#!/bin/bash
# A sweep has the same results however many processes it is handed out to; a run that fails is told, and takes no other
# along; one that was killed goes on with what is left.   sweep.sh SWEEP DATA SCRATCH
set -euo pipefail
program=$1 data=$2 scratch=$3
mpirun=$(dirname "$0")/mpirun.sh
fail() { echo "sweep.sh: $*" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
options=(--data "$data" "--learning-rates=1e-3,1e-2,1e30" "--filters=2,4" "--batches=32,64" --steps 40)
results() { sed 's/"seconds":[^,]*,//' "$1/runs.jsonl" | sort; }
"$program" "${options[@]}" --out "$scratch/alone" > "$scratch/alone.log"
[ "$(grep -c '"learning_rate":0.0.*"failed":0' "$scratch/alone/runs.jsonl")" -eq 8 ] || fail "not 8 runs are right"
failed=$(grep -c '"failed":1' "$scratch/alone/runs.jsonl") || fail "no run has failed with a learning rate of 1e30"
grep -q 'the loss is' "$scratch/alone.log" || fail "nothing tells why runs failed"
[ "$(grep -c failed "$scratch/alone/table.txt")" -eq "$failed" ] || fail "no table"
[ -s "$scratch/alone/sweep.png" ] || fail "no picture"
"$mpirun" 3 "$program" "${options[@]}" --out "$scratch/three" > "$scratch/three.log"
diff <(results "$scratch/alone") <(results "$scratch/three") || fail "other results of three processes"

"$mpirun" 2 "$program" "${options[@]}" --out "$scratch/killed" > "$scratch/killed.log" 2>&1 &
launcher=$!
for _ in $(seq 200); do
  if [ -e "$scratch/killed/runs.jsonl" ] && [ "$(wc -l < "$scratch/killed/runs.jsonl")" -ge 3 ]; then break; fi
  sleep 0.05
done
pkill -KILL -P "$launcher" 2> /dev/null || true
wait "$launcher" && echo "sweep.sh: it was done before it was killed"
before=$(grep -c . "$scratch/killed/runs.jsonl")
"$mpirun" 4 "$program" "${options[@]}" --out "$scratch/killed" --resume > "$scratch/resumed.log"
diff <(results "$scratch/alone") <(results "$scratch/killed") || fail "other results after it was killed"
echo "killed after $before of 12 runs"
