#!/usr/bin/env bash
# rt_tune_recipes.sh RT_TUNE MODEL_FOLDER PROMPTS: two updates of every recipe on the shipped model. Overridden is only
# what is too large for it: the sampler's steps with the windows, trained steps and early stops that count them, prompts
# and images of an update, and the rank. Then one update of every recipe of recipes/tiny, which names its own model,
# prompts and reward, with few images.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
recipes=$(cd "$(dirname "$0")/../../examples/recipes" && pwd)
. "$(dirname "$0")/common.sh"
head -n 1 <(grep -v '^#' "$prompts") >"$work/held_out.txt"
mkdir "$work/images"
"$rt_tune" sample --model "$model" --prompt "a red circle" --steps 2 --threads 1 --out "$work/images/one.png" >/dev/null
echo "a red circle" >"$work/images/one.txt"

for file in "$recipes"/*.toml; do
  name=$(basename "$file" .toml)
  flags=(--steps 4 --batch 2 --micro-batch 2)
  says() { grep -q "^$1 = " "$file"; }
  says rank && flags+=(--rank 4)
  says trained-steps && flags+=(--trained-steps 2)
  says early-stop && flags+=(--early-stop 2)
  says window-start && flags+=(--window-start 2)
  says pretraining-batch && flags+=(--pretraining-batch 2 --pretraining-data "$work/images")
  # two of a prompt, so that they can be compared; branches are a comparison already
  says samples-per-prompt && ! says branches && flags+=(--samples-per-prompt 2)
  "$rt_tune" tune --config "$file" --model "$model" --prompts "$prompts" --eval-prompts "$work/held_out.txt" \
    --reward brightness "${flags[@]}" --updates 2 --images 1 --threads 1 --quiet --no-tensorboard \
    --checkpoint-every 0 --out "$work/$name" >"$work/out.txt" 2>&1 || fail "$name: $(cat "$work/out.txt")"
  [ "$(wc -l <"$work/$name/metrics.jsonl")" = 2 ] || fail "$name expected two updates: $(cat "$work/out.txt")"
  grep -q '"kept":[1-9]' "$work/$name/metrics.jsonl" ||
    fail "$name trained on nothing: $(cat "$work/$name/metrics.jsonl")"
  rm -rf "${work:?}/$name"
done

cd "$recipes/../.."  # from where their paths count
for file in "$recipes"/tiny/*.toml; do
  name=$(basename "$file" .toml)
  sed -E 's/^(batch|samples-per-prompt) = .*/\1 = 2/' "$file" >"$work/few.toml"
  how=--config
  ! grep -q '^\[task\.' "$file" || how=--tasks
  head -n 1 <(grep -v '^#' "$(sed -n 's/^eval-prompts = "\(.*\)"$/\1/p' "$file")") >"$work/its_own.txt"
  "$rt_tune" tune $how "$work/few.toml" --updates 1 --eval-prompts "$work/its_own.txt" --images 1 --threads 1 --quiet \
    --no-tensorboard --out "$work/$name" >"$work/out.txt" 2>&1 || fail "tiny/$name: $(cat "$work/out.txt")"
  for prompts_file in $(sed -n 's/^\(eval-\)\{0,1\}prompts = "\(.*\)"$/\2/p' "$file"); do
    [ -s "$prompts_file" ] || fail "tiny/$name names $prompts_file, which is not there"
  done
  rm -rf "${work:?}/$name"
done
echo "rt-tune: every recipe runs"
