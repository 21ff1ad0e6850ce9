#!/usr/bin/env bash
# rt_tune_files.sh RT_TUNE MODEL_FOLDER PROMPTS: models and LoRAs in the forms of other programs: one file in the
# original layout, merged models, LoRAs of Kohya's scripts and of diffusers.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
. "$(dirname "$0")/common.sh"
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ: $3"; }
differ() { ! cmp -s "$1" "$2" || fail "$1 and $2 are equal: $3"; }
draw() { # draw NAME FLAGS...: one image
  local name=$1
  shift
  "$rt_tune" sample "$@" --steps 4 --guidance 2 --threads 1 --prompt "a red circle" --seed 3 --out "$work/$name.png" \
    >/dev/null 2>"$work/out.txt" || fail "sample $*: $(cat "$work/out.txt")"
}

# ---- a LoRA of UNet and text encoder
"$rt_tune" tune --model "$model" --prompts "$prompts" --method ddpo --reward brightness --steps 4 --batch 2 \
  --updates 2 --images 2 --rank 3 --alpha 2 --train-text-encoder --learning-rate 0.02 --checkpoint-every 0 \
  --threads 1 --quiet --no-tensorboard --out "$work/run" >/dev/null 2>"$work/out.txt" ||
  fail "tune: $(cat "$work/out.txt")"
lora="$work/run/lora"
draw base --model "$model"
draw lora --model "$model" --lora "$lora:0.7"
differ "$work/base.png" "$work/lora.png" "--lora"

# ---- merged: a folder and one file hold the same bits, and load without the LoRA
expect 0 "$work/folder" merge --model "$model" --lora "$lora:0.4" --lora "$lora:0.3" --out "$work/folder"
expect 0 'config is written too' merge --model "$model" --lora "$lora:0.4" --lora "$lora:0.3" \
  --out "$work/file/merged.safetensors"
[ -s "$work/file/config/unet/config.json" ] || fail "merge expected config/ beside a file of an unknown configuration"
draw folder --model "$work/folder"
draw file --model "$work/file/merged.safetensors"
same "$work/folder.png" "$work/file.png" "a merged folder and a merged file"
differ "$work/base.png" "$work/folder.png" "merge --lora"
expect 0 "$work/without" merge --model "$work/file/merged.safetensors" --lora "$lora:-0.7" --out "$work/without"
draw without --model "$work/without"
differ "$work/folder.png" "$work/without.png" "merge --lora :-0.7"
expect 0 'levels' info --model "$work/file/merged.safetensors"
for part in unet/diffusion_pytorch_model text_encoder/model; do
  differ "$model/$part.safetensors" "$work/folder/$part.safetensors" "merge: $part"
done
vae=vae/diffusion_pytorch_model.safetensors
same "$model/$vae" "$work/folder/$vae" "merge: vae"

# ---- outputs are checked before the model is looked at in full, and nothing is half written
expect 1 'expected a new or empty folder' merge --model "$model" --lora "$lora" --out "$work/folder"
expect 1 'another file than the model' merge --model "$work/file/merged.safetensors" --lora "$lora" \
  --out "$work/file/merged.safetensors"
expect 1 'is the configuration of another file' merge --model "$model" --lora "$lora" --out "$work/file/x.safetensors"
: >"$work/plain"
expect 1 'File' merge --model "$model" --lora "$lora" --out "$work/plain/new"
expect 1 'File' merge --model "$model" --lora "$lora" --out "$work/plain/new.safetensors"
expect 1 'expected a LoRA file or a folder with one' merge --model "$model" --lora "$work/none" --out "$work/new"
expect 1 'a scale other than 0' merge --model "$model" --lora "$lora:0" --out "$work/new"
expect 1 'got nothing at' merge --model "$work/none" --lora "$lora" --out "$work/new"
expect 2 'lora is required' merge --model "$model" --out "$work/new"
expect 2 'prediction' merge --model "$model" --lora "$lora" --prediction noise --out "$work/new"
expect 1 'says the network predicts "epsilon", expected v_prediction' merge --model "$model" --lora "$lora" \
  --prediction v_prediction --out "$work/new"
[ ! -e "$work/new" ] || fail "a refused merge left a folder"

# ---- LoRAs converted: there and back they are the same files, and draw the same image
expect 0 'k.safetensors: [0-9]* layers' convert --lora "$lora" --to kohya --model "$model" --out "$work/k.safetensors"
expect 0 'layers' convert --lora "$work/k.safetensors" --to diffusers --model "$model" --out "$work/back"
expect 0 'layers' convert --lora "$work/back" --to kohya --model "$model" --out "$work/again.safetensors"
same "$work/k.safetensors" "$work/again.safetensors" "kohya to diffusers to kohya"
expect 0 'layers' convert --lora "$work/back" --to diffusers --model "$work/file/merged.safetensors" \
  --out "$work/b.safetensors"
same "$work/back/pytorch_lora_weights.safetensors" "$work/b.safetensors" "diffusers to diffusers"
expect 0 'are taken for those of Stable Diffusion XL' convert --lora "$lora" --to kohya \
  --out "$work/known.safetensors"
for form in k.safetensors back; do
  draw converted --model "$model" --lora "$work/$form:0.7"
  same "$work/lora.png" "$work/converted.png" "convert: $form"
done
expect 1 'out expected a .safetensors file for --to kohya' convert --lora "$lora" --to kohya --model "$model" \
  --out "$work/new"
expect 1 'out expected another file than that of --lora' convert --lora "$work/back" --to diffusers --model "$model" \
  --out "$work/back"
expect 2 'to' convert --lora "$lora" --to peft --model "$model" --out "$work/new"
[ ! -e "$work/new" ] && [ ! -e "$work/new.safetensors" ] || fail "a refused convert left a file"
for command in merge convert; do
  "$rt_tune" "$command" --help | grep -q -- '--out' || fail "$command --help"
done
echo "rt-tune: models and LoRAs in the forms of other programs"
