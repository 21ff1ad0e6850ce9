#!/usr/bin/env bash
# rt_tune_ranks.sh RT_TUNE MODEL PROMPTS: rt-tune in two processes, as torchrun starts them: the run of one process, one
# that torchrun starts again, and an environment that makes no sense.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1
fail() { echo "$*" >&2; exit 1; }
common=(--model "$model" --prompts "$prompts" --steps 3 --guidance 2 --threads 1 --batch 4 --images 1 --eval-batch 2
        --checkpoint-every 1 --no-tensorboard --learning-rate 0.01)
reward=(--reward brightness)

# two OUT ARGUMENTS...: both processes must succeed; what they print is in $work/0 and $work/1
two() {
  local out=$1 port first=0 second=0 pid
  shift
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
    timeout 100 "$rt_tune" tune "${common[@]}" "${reward[@]}" "$@" --out "$out" >"$work/1" 2>&1 & pid=$!
  RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
    timeout 100 "$rt_tune" tune "${common[@]}" "${reward[@]}" "$@" --out "$out" >"$work/0" 2>&1 || first=$?
  wait $pid || second=$?
  [ "$first $second" = "0 0" ] || fail "two ranks ended with $first and $second: $(cat "$work/0" "$work/1")"
}
same() {
  local file
  for file in metrics.jsonl evaluations.jsonl lora/pytorch_lora_weights.safetensors; do
    cmp "$1/$file" "$2/$file" || fail "$1 and $2 differ"
  done
}

one() { # one OUT ARGUMENTS...: the same in one process
  local out=$1
  shift
  "$rt_tune" tune "${common[@]}" "${reward[@]}" --quiet "$@" --out "$out" >/dev/null
}

one "$work/one" --updates 2 --micro-batch 2
two "$work/two" --updates 2  # an equal share of the batch is 2
same "$work/one" "$work/two"
grep -q "note: --micro-batch 2, an equal share for each of 2 ranks" "$work/0" || fail "said: $(cat "$work/0")"
[ ! -s "$work/1" ] || fail "the second rank printed: $(cat "$work/1")"

# a share of the images that the method draws, 8 of each of 4 prompts; of several tasks one that suits all, here of the
# second one's 4 images
one "$work/grpo-one" --updates 1 --method grpo --micro-batch 16
two "$work/grpo" --updates 1 --method grpo
same "$work/grpo-one" "$work/grpo"
grep -q "note: --micro-batch 16, an equal share for each of 2 ranks" "$work/0" || fail "said: $(cat "$work/0")"
cat >"$work/tasks.toml" <<'END'
[task.wide]
reward = ["brightness"]
[task.narrow]
reward = ["jpeg_error"]
batch = 2
samples-per-prompt = 2
advantage = "per-group"
END
reward=(--tasks "$work/tasks.toml" --method lsrl)
one "$work/tasks-one" --updates 1 --micro-batch 2
two "$work/tasks" --updates 1
reward=(--reward brightness)
same "$work/tasks-one" "$work/tasks"
grep -q "note: --micro-batch 2, an equal share for each of 2 ranks" "$work/0" || fail "said: $(cat "$work/0")"

# moments divided between the ranks: the bits, checkpoints included, of one process, which goes on from them
two "$work/sharded" --updates 2 --micro-batch 2 --shard-optimizer
same "$work/one" "$work/sharded"
cmp "$work"/{one,sharded}/checkpoints/update-000002/tensors.safetensors
one "$work/one" --updates 3 --micro-batch 2 --resume
two "$work/sharded" --updates 3 --micro-batch 2 --resume
same "$work/one" "$work/sharded"
one "$work/one" --updates 4 --micro-batch 2 --resume
two "$work/sharded" --updates 4 --micro-batch 2 --resume --shard-optimizer
same "$work/one" "$work/sharded"

# torchrun starts the processes of a run that has a checkpoint again
two "$work/again" --updates 1 --micro-batch 2
TORCHELASTIC_RESTART_COUNT=1 two "$work/again" --updates 2 --micro-batch 2
cmp "$work/two/lora/pytorch_lora_weights.safetensors" "$work/again/lora/pytorch_lora_weights.safetensors"

RANK=0 "$rt_tune" tune "${common[@]}" "${reward[@]}" --out "$work/none" >"$work/0" 2>&1 &&
  fail "a missing WORLD_SIZE was accepted"
grep -q "\[Ranks\] the environment variable WORLD_SIZE is missing" "$work/0" || fail "said: $(cat "$work/0")"
[ ! -e "$work/none" ] || fail "a folder was made"
echo "rt-tune: two ranks as one"
