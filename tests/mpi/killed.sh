#!/bin/bash
# Kills one process of a distributed training at a random moment, again and again, each time continuing the run with another
# number of processes: the others end at once with a message, and the run ends with the bits of one that nobody disturbed.
#   killed.sh MNIST_AUTOENCODER DATA SCRATCH [TIMES] [SEED]
set -euo pipefail
program=$1 data=$2 scratch=$3 times=${4:-5}
RANDOM=${5:-1}
mpirun=$(dirname "$0")/mpirun.sh
fail() { echo "killed.sh: $*" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
options=(--data "$data" --epochs 2 --max-steps 40 --batch 64 --threads 1 --checkpoint-every 3)
"$program" "${options[@]}" --out "$scratch/right" > "$scratch/right.log"

run() { # processes, options: in the background, its processes' ids in $started
  timeout -k 10 120 "$mpirun" "$1" "$program" "${options[@]}" --out "$scratch/run" "${@:2}" > "$scratch/run.log" 2>&1 &
}
processes_of_run() { pgrep -f -- "$program .*--out $scratch/run" | while read -r pid; do
  [ "$(readlink "/proc/$pid/exe")" != "$(realpath "$program")" ] || echo "$pid"; done; }

killed=0 finished=0
while [ "$killed" -lt "$times" ]; do
  processes=$((2 + RANDOM % 3))
  resume=()
  if compgen -G "$scratch/run/checkpoints/step-*" > /dev/null; then resume=(--resume); fi
  begin=$(date +%s%N)
  run "$processes" "${resume[@]}"
  launcher=$!
  sleep "0.$((200 + RANDOM % 750))"
  mapfile -t pids < <(processes_of_run)
  if [ "${#pids[@]}" -eq 0 ]; then # it had not begun, or was done
    wait "$launcher" || fail "a run that nobody killed failed: $(cat "$scratch/run.log")"
    finished=$((finished + 1))
  else
    kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2> /dev/null || true
    if wait "$launcher"; then finished=$((finished + 1)); else
      killed=$((killed + 1))
      seconds=$((($(date +%s%N) - begin) / 1000000000))
      [ "$seconds" -lt 30 ] || fail "the others went on for $seconds seconds after one was killed"
      grep -qiE 'signal 9|killed|KILLED BY SIGNAL|BAD TERMINATION|failed:|has left|has waited' "$scratch/run.log" ||
        fail "nothing tells that a process was killed: $(cat "$scratch/run.log")"
      [ -z "$(processes_of_run)" ] || { sleep 2; [ -z "$(processes_of_run)" ] || fail "processes are left"; }
    fi
  fi
  if grep -q "test loss" "$scratch/run.log"; then # from the beginning again
    cmp "$scratch/run/weights.safetensors" "$scratch/right/weights.safetensors" || fail "other weights, after $killed kills"
    rm -rf "$scratch/run"
  fi
done
if compgen -G "$scratch/run/checkpoints/step-*" > /dev/null; then run 3 --resume; else run 3; fi
wait $! || fail "the last run failed: $(cat "$scratch/run.log")"
cmp "$scratch/run/weights.safetensors" "$scratch/right/weights.safetensors" || fail "other weights at the end"
echo "$killed processes killed, $finished runs ended in between, the same bits at the end"
