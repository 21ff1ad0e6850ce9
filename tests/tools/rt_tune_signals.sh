#!/usr/bin/env bash
# rt_tune_signals.sh RT_TUNE MODEL_FOLDER PROMPTS: interrupts and kills real runs of rt-tune, resumes them, and
# compares with an uninterrupted one.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
base=(--model "$model" --prompts "$prompts" --steps 4 --early-stop 2 --guidance 2 --batch 2 --learning-rate 1e-3
      --checkpoint-every 2 --images 2 --ema 0.9 --threads 1 --quiet --no-tensorboard)
common=("${base[@]}" --trained-steps 2 --updates 8)
tune() { # tune FOLDER FLAGS...
  local out=$1
  shift
  "$rt_tune" tune "${common[@]}" --out "$out" "$@"
}
same() { cmp -s "$1/metrics.jsonl" "$2/metrics.jsonl" && cmp -s "$1/evaluations.jsonl" "$2/evaluations.jsonl" &&
         cmp -s "$1/checkpoints/update-000008/tensors.safetensors" "$2/checkpoints/update-000008/tensors.safetensors"; }
wait_for() { for _ in $(seq 600); do [ -e "$1" ] && return 0; sleep 0.1; done; fail "$1 did not appear"; }

tune "$work/whole" >/dev/null
for signal in INT TERM KILL; do
  # no function: the signal is for the program itself
  "$rt_tune" tune "${common[@]}" --out "$work/$signal" >/dev/null 2>"$work/$signal.txt" & child=$!
  wait_for "$work/$signal/checkpoints/update-000002"
  kill -s "$signal" "$child"
  status=0; wait "$child" || status=$?
  if [ "$signal" = KILL ]; then
    [ "$status" = 137 ] || fail "SIGKILL ended with $status"
  elif [ "$status" = 130 ]; then
    grep -q -- '--resume' "$work/$signal.txt" || fail "no hint how to resume"
    [ ! -e "$work/$signal/report.json" ] || fail "an interrupted run has a report"
  else
    fail "SIG$signal ended with $status: $(cat "$work/$signal.txt")"
  fi
  tune "$work/$signal" --resume >/dev/null
  same "$work/whole" "$work/$signal" || fail "resumed after SIG$signal, the run differs from an uninterrupted one"
done

expect() { # expect CODE TEXT COMMAND...
  local code=$1 text=$2 status=0
  shift 2
  "$@" >"$work/out.txt" 2>&1 || status=$?
  [ "$status" = "$code" ] || fail "expected exit code $code, got $status: $*: $(cat "$work/out.txt")"
  grep -q -- "$text" "$work/out.txt" || fail "expected '$text' in: $(cat "$work/out.txt")"
}
expect 1 'holds a run already' tune "$work/whole"
expect 1 'options/guidance was 2.0, is now 3.0' "$rt_tune" tune --model "$model" --prompts "$prompts" \
  --out "$work/whole" --steps 4 --trained-steps 2 --early-stop 2 --guidance 3 \
  --batch 2 --learning-rate 1e-3 --images 2 --ema 0.9 --resume
expect 2 'no-such-flag' tune "$work/new" --no-such-flag
expect 2 'method' tune "$work/new" --method nonsense
expect 1 'updates must be >= 1, got 0' "$rt_tune" tune "${base[@]}" --out "$work/new" --updates 0
expect 1 'eta must be in \[0, 1\], got 1.5' tune "$work/new" --eta 1.5
expect 1 'num_trained must be at most' "$rt_tune" tune "${base[@]}" --out "$work/new" --trained-steps 5
expect 1 'trained-steps cannot be combined with --method refl' tune "$work/new" --method refl
expect 1 'trained-steps cannot be combined with --method draft-lv' tune "$work/new" --method draft-lv
expect 1 'early-stop cannot be combined with --method alignprop' tune "$work/new" --method alignprop --horizon fixed
expect 1 'pretraining-data expected --regularizer pretraining, got --regularizer none' tune "$work/new" \
  --pretraining-data "$work"
expect 1 'expected --pretraining-data' tune "$work/new" --regularizer pretraining
expect 1 'holds no PNG or JPEG images' bash -c 'mkdir -p "$1" && shift && exec "$@"' - "$work/no-images" "$rt_tune" \
  tune "${common[@]}" --out "$work/new" --regularizer pretraining --pretraining-data "$work/no-images"
expect 1 'replay_batch 2 cannot be combined with Memory::kRetain' tune "$work/new" --memory retain --replay-batch 2
expect 1 'target 1 cannot be combined with the loss -r' tune "$work/new" --loss-target 1
expect 2 'rollout-dtype' tune "$work/new" --rollout-dtype int8
for method in draft-lv refl alignprop; do # each method's own steps, without the flags that are drtune's
  "$rt_tune" tune --model "$model" --prompts "$prompts" --steps 10 --guidance 2 --batch 2 --updates 1 --images 2 \
    --threads 1 --quiet --no-tensorboard --method $method --gradient-stop stop --out "$work/$method" >/dev/null ||
    fail "--method $method"
  grep -q "\"method\": \"$method\"" "$work/$method/report.json" || fail "the report of $method"
done
cp -r "$model" "$work/broken"
truncate -s 100000 "$work/broken/unet/diffusion_pytorch_model.safetensors"
expect 1 'safetensors' "$rt_tune" info --model "$work/broken"
rm "$work/broken/unet/diffusion_pytorch_model.safetensors"
expect 1 'diffusion_pytorch_model.safetensors' "$rt_tune" info --model "$work/broken"
: >"$work/empty.txt"
expect 1 'at least one prompt' "$rt_tune" tune --model "$model" --prompts "$work/empty.txt" --out "$work/new"
expect 1 'black box' tune "$work/new" --reward shapes
expect 1 'black box' tune "$work/new" --reward jpeg_size
expect 1 'quality must be in \[1, 100\], got 0' tune "$work/new" --reward jpeg_error --jpeg-quality 0
expect 1 'give --aesthetic-head FILE' tune "$work/new" --reward aesthetic
expect 1 'nowhere.safetensors' tune "$work/new" --reward aesthetic --aesthetic-head "$work/nowhere.safetensors"
expect 1 'got nothing at' "$rt_tune" info --model "$work/nowhere"
expect 0 'Exit codes' "$rt_tune" --help
expect 0 'drtune' "$rt_tune" tune --help
[ ! -e "$work/new" ] || fail "a refused run left a folder"
echo "rt-tune: signals, resume and exit codes are as promised"
