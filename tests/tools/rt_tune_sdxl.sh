#!/usr/bin/env bash
# rt_tune_sdxl.sh RT_TUNE SDXL_FOLDER SD_FOLDER PROMPTS: an SDXL model is tuned, resumed, sampled, evaluated and
# described; both text encoders train; what belongs to SDXL alone is refused for another model.
set -euo pipefail
rt_tune=$1 model=$2 other=$3 prompts=$4
. "$(dirname "$0")/common.sh"
differ() { ! cmp -s "$1" "$2" || fail "$1 and $2 are equal: $3"; }
head -n 2 <(grep -v '^#' "$prompts") >"$work/held_out.txt"
few=(--steps 4 --guidance 2 --threads 1)
tune=("${few[@]}" --prompts "$prompts" --eval-prompts "$work/held_out.txt" --batch 2 --images 2 --reward brightness
      --quiet --no-tensorboard)

lora=lora/pytorch_lora_weights.safetensors
# ---- tuning: a gradient and samples, either text encoder, words weighed; stopped after two updates and resumed
for run in "drtune both --trained-steps 2 --early-stop 1 --regularizer kl" \
  "ddpo second --samples-per-prompt 2 --explore prompt --planned-updates 3" "drtune first --trained-steps 1"; do
  read -r method which more <<<"$run"
  name="$method-$which"
  # shellcheck disable=SC2086
  flags=(tune --model "$model" "${tune[@]}" --method "$method" --train-text-encoder "$which" $more --rank 2 \
    --checkpoint-every 1)
  "$rt_tune" "${flags[@]}" --updates 3 --out "$work/$name-whole" >/dev/null || fail "$name"
  "$rt_tune" "${flags[@]}" --updates 2 --out "$work/$name" >/dev/null || fail "$name, 2 updates"
  "$rt_tune" "${flags[@]}" --updates 3 --out "$work/$name" --resume >/dev/null || fail "$name, resumed"
  cmp -s "$work/$name-whole/$lora" "$work/$name/$lora" ||
    fail "$name: a resumed run and an uninterrupted one differ"
  grep -q "\"train_text_encoder\": \"$which\"" "$work/$name/config.json" || fail "config.json of $name"
done
layer=text_model.encoder.layers.0.self_attn.q_proj.lora_B.weight
holds() { grep -aq "\"$2.$layer\"" "$work/$1/$lora"; }
holds drtune-both text_encoder && holds drtune-both text_encoder_2 || fail "the LoRA of both text encoders lacks one"
holds ddpo-second text_encoder_2 && ! holds ddpo-second text_encoder || fail "the LoRA of the second text encoder"
holds drtune-first text_encoder && ! holds drtune-first text_encoder_2 || fail "the LoRA of the first text encoder"
expect 0 'text_encoder_2.* parameters' info --model "$model"

# ---- sampling: the LoRA, what the model is told of sizes, and a negative prompt that is empty or none
shown=(sample --model "$model" "${few[@]}" --prompt "a red circle")
"$rt_tune" "${shown[@]}" --out "$work/plain.png" --save-latents "$work/plain" >/dev/null || fail "sample"
latents() { # latents NAME FLAGS...: they differ from those of no flags
  local name=$1
  shift
  "$rt_tune" "${shown[@]}" "$@" --out "$work/$name.png" --save-latents "$work/$name" >/dev/null || fail "sample $*"
  differ "$work/plain" "$work/$name" "sample $*"
}
latents lora --lora "$work/drtune-both/lora:5"
latents empty --negative ""
latents negative --negative "a blue square"
differ "$work/empty" "$work/negative" "--negative"
latents original --original-size 64x48
latents crop --crop 3x5
latents target --target-size 8x24
latents wide --height 24 --width 16
"$rt_tune" evaluate --model "$model" "${few[@]}" --prompts "$work/held_out.txt" --crop 3x5 \
  --json "$work/report.json" >/dev/null || fail "evaluate"
grep -q '"crop": "3x5"' "$work/report.json" || fail "evaluate --json lacks the crop"
"$rt_tune" tune --model "$model" "${tune[@]}" --updates 1 --crop 3x5 --full --out "$work/full" >/dev/null ||
  fail "tune --full"
grep -q '"crop": "3x5"' "$work/full/config.json" || fail "config.json lacks the crop"
expect 0 '' sample --model "$work/full/model" "${few[@]}" --prompt x --out "$work/full.png"

# ---- what another model does not have
expect 1 'told to SDXL models alone' sample --model "$other" --prompt x --crop 3x5 --out "$work/new.png"
expect 1 'train-text-encoder expected first, for .* has one text encoder, got both' tune --model "$other" "${tune[@]}" \
  --train-text-encoder both --out "$work/new"
expect 1 'the part text_encoder_2, which was not given' sample --model "$other" --prompt x \
  --lora "$work/ddpo-second/lora" --out "$work/new.png"
