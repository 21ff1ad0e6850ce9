#!/usr/bin/env bash
# processes.sh PROGRAM WORK: runs of one, two and three processes over the loopback, as torchrun starts them. Equal bits
# by every method; killed and hung ranks end the others in time and by name; a run goes on with another number of ranks.
set -euo pipefail
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work"
export OMP_NUM_THREADS=1
fail() { echo "$*" >&2; exit 1; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ranks N LOG ARGUMENTS...: N processes; the exit status of each in the array `status`
ranks() {
  local n=$1 log=$2 port i pids=()
  shift 2
  port=$(free_port)
  for ((i = 0; i < n; i++)); do
    RANK=$i WORLD_SIZE=$n LOCAL_RANK=$i MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      timeout "${LIMIT:-100}" "$program" "$@" 2>"$log.$i" & pids+=($!)
  done
  status=()
  for i in "${pids[@]}"; do
    local code=0
    wait "$i" || code=$?
    status+=("$code")
  done
}
# all N LOG ARGUMENTS...: the same, and every process must succeed
all() {
  ranks "$@"
  [[ "${status[*]}" =~ ^0(\ 0)*$ ]] || fail "of $1 ranks of ${*:3}: exit ${status[*]}: $(cat "$2".*)"
}
# same A B: what must not depend on the number of processes
same() {
  local file
  for file in metrics.jsonl evaluations.jsonl before_after.png lora/pytorch_lora_weights.safetensors; do
    cmp "$1/$file" "$2/$file" || fail "$1 and $2 differ"
  done
  local last
  last=$(ls "$1/checkpoints" | tail -n 1)
  cmp "$1/checkpoints/$last/tensors.safetensors" "$2/checkpoints/$last/tensors.safetensors" ||
    fail "checkpoints of $1 and $2 differ"
}

model=$work/model
"$program" write-model "$model"

for method in drtune budget ddpo b2-diffurl reward-weighted; do
  "$program" $method "$model" "$work/$method.1" 3 20
  for n in 2 3; do
    all $n "$work/log" $method "$model" "$work/$method.$n" 3 20
    same "$work/$method.1" "$work/$method.$n"
  done
done

# within a budget the first process measures for all, and some of the trained steps keep their graphs
[ "$(grep -o '"retained":[0-9]*' "$work/budget.3/metrics.jsonl" | tr '\n' ' ')" = \
  '"retained":0 "retained":8 "retained":8 ' ] || fail "retained: $(cat "$work/budget.3/metrics.jsonl")"

# saved on 2, resumed on 1, then on 3
all 2 "$work/log" ddpo "$model" "$work/moved" 1 20
"$program" ddpo "$model" "$work/moved" 2 20 resume
all 3 "$work/log" ddpo "$model" "$work/moved" 3 20 resume
cmp "$work/moved/metrics.jsonl" "$work/ddpo.1/metrics.jsonl"
cmp "$work/moved/lora/pytorch_lora_weights.safetensors" "$work/ddpo.1/lora/pytorch_lora_weights.safetensors"

# a budget that was measured on 2 is kept on 1 and on 3
all 2 "$work/log" budget "$model" "$work/kept" 1 20
"$program" budget "$model" "$work/kept" 2 20 resume
all 3 "$work/log" budget "$model" "$work/kept" 3 20 resume
cmp "$work/kept/metrics.jsonl" "$work/budget.1/metrics.jsonl"
cmp "$work/kept/lora/pytorch_lora_weights.safetensors" "$work/budget.1/lora/pytorch_lora_weights.safetensors"

# a rank that is killed, the first and another: the others end at once, the run goes on as if nothing had been
for victim in 0 1; do
  KILL_RANK=$victim KILL_UPDATE=2 ranks 3 "$work/log" drtune "$model" "$work/killed.$victim" 3 20
  for i in 0 1 2; do
    if [ $i = $victim ]; then
      [ "${status[$i]}" = 137 ] || fail "the killed rank ended with ${status[$i]}"
    else
      [ "${status[$i]}" = 1 ] || fail "rank $i outlived rank $victim with ${status[$i]}"
      grep -q "^\[Ranks\] rank $i of 3 lost the others while" "$work/log.$i" ||
        fail "rank $i said: $(cat "$work/log.$i")"
    fi
  done
  all 3 "$work/log" drtune "$model" "$work/killed.$victim" 3 20 resume
  same "$work/drtune.1" "$work/killed.$victim"
done

# a rank that hangs: the others end within the time limit of 5 s, long before it is stopped
LIMIT=25 HANG_RANK=1 HANG_UPDATE=1 ranks 2 "$work/log" drtune "$model" "$work/hung" 3 5
[ "${status[*]}" = "1 124" ] || fail "beside a hung rank: exit ${status[*]}"
grep -q "^\[Ranks\] rank 0 of 2 lost the others while .* within 5 s" "$work/log.0" || fail "said: $(cat "$work/log.0")"

# ranks that were started with different runs
export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT
MASTER_PORT=$(free_port)
RANK=0 LOCAL_RANK=0 "$program" drtune "$model" "$work/apart" 3 10 2>"$work/log.0" & first=$!
RANK=1 LOCAL_RANK=1 "$program" ddpo "$model" "$work/apart" 3 10 2>"$work/log.1" && fail "another method was accepted"
wait $first && fail "the first rank went on alone"
grep -q "all ranks expected the options of rank 0, got others on rank 1; method was" "$work/log.1" ||
  fail "said: $(cat "$work/log.1")"
echo "processes: all runs as one"
