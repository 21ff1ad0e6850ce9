#!/usr/bin/env bash
# rt_tune_plan.sh RT_TUNE MODEL_FOLDER PROMPTS: what `plan` says of an update, against the update.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
. "$(dirname "$0")/common.sh"
number() { grep -o "\"$1\": *[0-9]*" "$2" | head -n 1 | grep -o '[0-9]*$'; }
few=(--model "$model" --steps 6 --threads 1)
run=("${few[@]}" --prompts "$prompts" --updates 2 --images 1 --eval-batch 1 --checkpoint-every 0 --quiet
  --no-tensorboard)

near() { # near NAME FLAGS...: the planned peak is that of every update, to 10%; a budget's first update measures
  local name=$1
  shift
  "$rt_tune" plan "${few[@]}" "$@" --json "$work/$name.json" >/dev/null || fail "plan $*"
  "$rt_tune" tune "${run[@]}" "$@" --out "$work/$name" >/dev/null || fail "tune $*"
  local planned measured update=0
  planned=$(number peak_tensor_bytes "$work/$name.json")
  for measured in $(grep -o '"peak_tensor_bytes":[0-9]*' "$work/$name/timings.jsonl" | grep -o '[0-9]*$'); do
    update=$((update + 1))
    printf '%s, update %s: planned %s, measured %s\n' "$name" "$update" "$planned" "$measured"
    [ "$name.$update" = budget.1 ] || ((planned * 10 > measured * 9 && planned * 10 < measured * 11)) ||
      fail "$name: expected the measured $measured of update $update to 10%, got $planned"
  done
  [ "$update" = 2 ] || fail "$name: expected the peaks of 2 updates, got $update"
}
direct=(--reward symmetry --trained-steps 3 --batch 4)
near drtune --method drtune "${direct[@]}" --early-stop 0
near retained --method drtune "${direct[@]}" --early-stop 0 --memory retain
near budget --method drtune "${direct[@]}" --early-stop 0 --memory 100MB
near checkpoints --method drtune "${direct[@]}" --early-stop 0 --activation-checkpointing --micro-batch 2
near draft --method draft "${direct[@]}" --guidance 1
near full --method drtune "${direct[@]}" --early-stop 0 --full --ema 0.9
near full-ddpo --method ddpo --reward brightness --batch 2 --samples-per-prompt 2 --rows 1 --full
near clip --method refl --reward clip_score --batch 4 --early-stop 2
near ddpo --method ddpo --reward brightness --batch 4 --samples-per-prompt 2
near raft --method raft --reward brightness --batch 2 --samples-per-prompt 3 --targets all-linear

# nothing of a reward's own model is read either
mkdir "$work/no-model"
expect 0 'plan leaves out the model of the reward clip_score' plan "${few[@]}" --reward clip_score \
  --reward-model "clip_score=$work/no-model"
expect 0 'plan leaves out the model of the reward remote' plan "${few[@]}" --method ddpo --reward remote \
  --reward-model remote=http://127.0.0.1:9/nobody

expect 0 'plan leaves out the model of the reward clip_score' plan "${few[@]}" --reward symmetry --judge clip_score \
  --reward-model "clip_score=$work/no-model"
expect 1 'a reward that is not trained, got symmetry' plan "${few[@]}" --reward symmetry --judge symmetry

# nothing of the weights is read: a folder with their headers alone is planned
for part in unet vae text_encoder; do
  mkdir -p "$work/bare/$part"
  cp "$model/$part/config.json" "$work/bare/$part/"
  for file in "$model/$part"/*.safetensors; do
    size=$(stat -c %s "$file") header=$(od -An -t u8 -N 8 "$file" | tr -d ' ')
    head -c $((header + 8)) "$file" >"$work/bare/$part/$(basename "$file")"
    truncate -s "$size" "$work/bare/$part/$(basename "$file")"
  done
done
cp "$model/model_index.json" "$work/bare/"
"$rt_tune" plan --model "$work/bare" --method drtune --steps 6 --threads 1 "${direct[@]}" --json "$work/bare.json" \
  >/dev/null || fail "plan of headers alone"
[ "$(number peak_tensor_bytes "$work/bare.json")" = "$(number peak_tensor_bytes "$work/drtune.json")" ] ||
  fail "headers alone give another plan"

# what fits into a size, and what does not
"$rt_tune" plan "${few[@]}" --method drtune "${direct[@]}" --memory 24GB --device cuda >"$work/large.txt"
grep -q '^24GB: as given' "$work/large.txt" || fail "expected 24GB to be enough: $(cat "$work/large.txt")"
"$rt_tune" plan "${few[@]}" --method drtune "${direct[@]}" --memory 1MB --json "$work/small.json" >"$work/small.txt"
grep -q '^1MB: none of these fits' "$work/small.txt" || fail "expected 1MB to be too little: $(cat "$work/small.txt")"
grep -q '"fits": true' "$work/small.json" && fail "something fits into 1MB"
expect 2 "--memory expected replay, retain or a size with its unit (4GB, 512MiB), got '4'" plan "${few[@]}" --memory 4
expect 2 "expected cpu, cuda or cuda:N, got 'tpu'" plan "${few[@]}" --device tpu
expect 1 'or a .safetensors file in the original layout, got nothing at /nowhere' plan --model /nowhere
expect 1 "the image's height must be a positive multiple of" plan "${few[@]}" --height 63
expect 1 '--memory cannot be combined with --method ddpo' plan "${few[@]}" --method ddpo --memory 4GB
echo "rt_tune_plan: all good"
