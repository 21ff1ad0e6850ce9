#!/usr/bin/env bash
# rt_tune_inputs.sh RT_TUNE MODEL_FOLDER PROMPTS: what users bring: text files of other systems, prompts of every form,
# long prompts, LoRAs, sizes, negative prompts, flags given twice, and outputs that cannot be written.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
. "$(dirname "$0")/common.sh"
silent() { # silent COMMAND...: nothing on stderr
  "$rt_tune" "$@" >/dev/null 2>"$work/out.txt" || fail "$*: $(cat "$work/out.txt")"
  [ ! -s "$work/out.txt" ] || fail "$* expected no word, got: $(cat "$work/out.txt")"
}
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ: $3"; }
differ() { ! cmp -s "$1" "$2" || fail "$1 and $2 are equal: $3"; }
few=(--model "$model" --steps 4 --guidance 2 --threads 1)
tune=("${few[@]}" --batch 2 --updates 2 --images 2 --checkpoint-every 0 --reward brightness --quiet --no-tensorboard)

# ---- prompt files: every system's lines, every form, the same in evaluate, sample and tune
printf 'a red circle\na blue square\n' >"$work/plain.txt"
printf '\xef\xbb\xbfa red circle\r\n# a comment\r\n\r\na blue square' >"$work/windows.txt"
printf 'a red circle\ra blue square\r' >"$work/mac.txt"
printf '{"prompt": "a red circle"}\n{"prompt": "a blue square"}\n' >"$work/plain.jsonl"
printf '\xef\xbb\xbf{"prompt": "a red circle"}\r\n\r\n{"prompt": "a blue square"}\r\n' >"$work/windows.JSONL"
for file in plain.txt windows.txt mac.txt plain.jsonl windows.JSONL; do
  silent evaluate "${few[@]}" --prompts "$work/$file" --json "$work/$file.json" --images "$work/$file.png"
  silent sample "${few[@]}" --prompts "$work/$file" --out "$work/$file.sample.png"
  same "$work/plain.txt.png" "$work/$file.png" "evaluate --prompts $file"
  same "$work/plain.txt.sample.png" "$work/$file.sample.png" "sample --prompts $file"
  grep -v seconds "$work/$file.json" >"$work/$file.numbers"
  same "$work/plain.txt.numbers" "$work/$file.numbers" "evaluate --prompts $file"
done
silent sample "${few[@]}" --prompt "a red circle" --prompt "a blue square" --out "$work/flags.png"
same "$work/plain.txt.sample.png" "$work/flags.png" "sample --prompt and --prompts"
for kind in txt jsonl; do
  windows=windows.txt
  [ "$kind" = txt ] || windows=windows.JSONL
  for file in "plain.$kind" "$windows"; do
    "$rt_tune" tune "${tune[@]}" --method ddpo --prompts "$work/$file" --eval-prompts "$work/$file" \
      --out "$work/run-$file" >/dev/null || fail "tune --prompts $file"
  done
  same "$work/run-plain.$kind/metrics.jsonl" "$work/run-$windows/metrics.jsonl" "tune --prompts $windows"
  same "$work/run-plain.$kind/evaluations.jsonl" "$work/run-$windows/evaluations.jsonl" "tune --eval-prompts $windows"
done
# held-out prompts are in the file's order, whatever their form
for kind in txt jsonl; do head -n 1 "$work/run-plain.$kind/evaluations.jsonl" >"$work/first.$kind"; done
same "$work/first.txt" "$work/first.jsonl" "the first evaluation of txt and jsonl"
printf 'a red circle\ngr\xfcn\n' >"$work/latin.txt"
expect 1 'latin.txt:2: expected UTF-8' evaluate "${few[@]}" --prompts "$work/latin.txt"
cp "$work/plain.jsonl" "$work/named.txt"
expect 1 'named.txt:1: expected a prompt, got a JSON object' evaluate "${few[@]}" --prompts "$work/named.txt"
expect 1 'named.txt:1: expected a prompt, got a JSON object' tune "${tune[@]}" --prompts "$work/named.txt" \
  --out "$work/new"
expect 1 'expected a text file, got a folder' evaluate "${few[@]}" --prompts "$work"
expect 1 'sample expected --prompt TEXT or --prompts FILE' sample "${few[@]}" --out "$work/new.png"

# ---- settings files
printf '\xef\xbb\xbfmethod = "ddpo"\r\nsamples-per-prompt = 2\r\n' >"$work/windows.toml"
printf 'targets = [\r\n  "to_q", # first\r\n  "to_k",\r\n]\r\n' >>"$work/windows.toml"
"$rt_tune" tune "${tune[@]}" --prompts "$work/plain.txt" --config "$work/windows.toml" --out "$work/toml" >/dev/null ||
  fail "--config of another system"
grep -q '"samples_per_prompt": 2' "$work/toml/config.json" || fail "--config: samples-per-prompt"
grep -q '"to_k"' "$work/toml/config.json" || fail "--config: a list in several lines"
config() { # config TEXT TOML
  printf '%b' "$2" >"$work/bad.toml"
  expect 2 "$1" tune "${tune[@]}" --prompts "$work/plain.txt" --config "$work/bad.toml" --out "$work/new"
}
config 'bad.toml:3: Error while parsing key-value pair: cannot redefine existing integer' 'rank = 4\n\nrank = 8\n'
config 'bad.toml:2: expected a setting of .*, got .rnak' '\nrnak = 4\n'
config 'bad.toml:1: rank expected a whole number, got .many' 'rank = "many"\n'
config 'bad.toml:1: Error while parsing value' 'method = ddpo\n'
config 'bad.toml:2: \[task.one\] is read by --tasks' '[task.one]\nreward = "shapes"\n'

# ---- flags given twice, and flags that no part of the run uses
expect 2 'rank expected one value, got 2: .4., .8.' tune "${tune[@]}" --prompts "$work/plain.txt" --rank 4 --rank 8 \
  --out "$work/new"
expect 2 'steps expected one value, got 2' sample "${few[@]}" --steps 5 --prompt x --out "$work/new.png"
expect 2 'out' sample "${few[@]}" --prompt x --out "$work/new.png" --out "$work/new2.png"
expect 1 'kl-weight expected --regularizer kl' tune "${tune[@]}" --prompts "$work/plain.txt" --kl-weight 1 \
  --out "$work/new"
expect 1 'jpeg-quality expected --reward of JPEG' tune "${tune[@]}" --prompts "$work/plain.txt" --jpeg-quality 50 \
  --out "$work/new"

# ---- numbers out of range, before a model is loaded: there is none
while read -r flag value text; do
  expect 1 "$text" tune --model "$work/none" --prompts "$work/plain.txt" --reward brightness "$flag" "$value" \
    --out "$work/new"
done <<'END'
--rank-seconds 0 rank-seconds expected a finite number above 0, got 0
--peak-tflops -1 peak-tflops expected a finite number >= 0 (0: unknown), got -1
--learning-rate 0 learning-rate expected a finite number above 0, got 0
--lr-warmup -2 lr-warmup expected a number >= 0, got -2
--images 0 \[Trainer\] images must be >= 1, got 0
--guidance -1 \[Ddim\] guidance must be finite and >= 0, got -1
--rank 0 \[LoRA\] rank must be at least 1, got 0
--weight-decay -1 \[AdamW\] weight_decay must be >= 0, got -1
--minutes -1 \[Trainer\] minutes must be >= 0 (0: no limit), got -1
--ema 1 \[Trainer\] ema_decay must be in \[0, 1), got 1
END
for flag in guidance learning-rate clip-gradient; do
  for value in nan inf -inf; do
    expect 2 "$flag expected a finite number, got '$value'" tune --model "$work/none" --prompts "$work/plain.txt" \
      --reward brightness "--$flag=$value" --out "$work/new"
  done
done
config 'bad.toml:1: kl-weight expected a finite number, got .nan' 'kl-weight = nan\n'
expect 1 'lr-floor expected a number from 0 to 1, got 2' tune --model "$work/none" --prompts "$work/plain.txt" \
  --lr-schedule linear --lr-floor 2 --out "$work/new"

# ---- settings that can teach nothing; every scale up to 1 is the prompt alone
printf 'a red circle\na blue square\na white ring\n' >"$work/three.txt"
expect 1 'can learn nothing from such rounds, whatever the rewards' tune "${tune[@]}" \
  --prompts "$work/three.txt" --method grpo --samples-per-prompt 1 --out "$work/new"
expect 1 'can learn nothing from such rounds, whatever the rewards' tune "${tune[@]}" \
  --prompts "$work/three.txt" --method raft --samples-per-prompt 1 --out "$work/new"
for scale in 0 0.5 1; do
  silent sample --model "$model" --steps 4 --threads 1 --guidance "$scale" --prompt "a red circle" \
    --out "$work/scale-$scale.png"
done
same "$work/scale-0.png" "$work/scale-1.png" "--guidance 0"
same "$work/scale-0.5.png" "$work/scale-1.png" "--guidance 0.5"

for rewards in "symmetry:0" "brightness,colorfulness:0"; do
  expect 1 'a reward of weight 0 trains nothing' tune "${few[@]}" --prompts "$work/three.txt" --reward "$rewards" \
    --out "$work/new"
done

# ---- long prompts: the words that are lost
long="a red circle and a blue square and a green triangle and a white ring and a yellow star beside it"
expect 0 'does not read its end: .*a yellow star beside it' sample "${few[@]}" --prompt "$long" \
  --out "$work/long.png"
printf '%s\na red circle\n%s too\n' "$long" "$long" >"$work/long.txt"
expect 0 'does not read its end: .*beside it too' evaluate "${few[@]}" --prompts "$work/long.txt"
expect 0 '2 of 3 prompts in .*long.txt are longer .* not read their ends, .*a yellow star beside it' tune "${tune[@]}" \
  --prompts "$work/long.txt" --method ddpo --out "$work/long"
[ "$(grep -c 'does not read' "$work/out.txt")" = 1 ] || fail "long prompts of a run expected one line"
expect 0 'does not read its end' sample "${few[@]}" --prompt "a red circle" --negative "$long" \
  --out "$work/long.png"

# ---- pre-training folders: what is not read is counted
mkdir "$work/images"
silent sample "${few[@]}" --prompt "a red circle" --out "$work/images/one.png"
printf '\xef\xbb\xbf{"file_name": "one.png", "text": "a red circle"}\r\n' >"$work/images/metadata.jsonl"
cp "$work/images/one.png" "$work/images/two.png"
expect 0 '1 of its files are not in metadata.jsonl and are not read, .two.png' tune "${tune[@]}" --method ddpo \
  --prompts "$work/plain.txt" --regularizer pretraining --pretraining-data "$work/images" --pretraining-batch 1 \
  --out "$work/pretraining"

# ---- outputs: made or refused before the work, and one bad one does not cost the other
silent sample "${few[@]}" --prompt x --out "$work/not/yet/there/star.png"
[ -s "$work/not/yet/there/star.png" ] || fail "sample --out into a new folder"
silent evaluate "${few[@]}" --prompts "$work/plain.txt" --json "$work/deep/a/e.json" --images "$work/deep/b/e.png"
[ -s "$work/deep/a/e.json" ] && [ -s "$work/deep/b/e.png" ] || fail "evaluate --json and --images into new folders"
: >"$work/file"
# the model is not even looked for
for out in "$work/file/star.png" "$work"; do
  expect 1 'File' sample --model "$work/no-model" --prompt x --out "$out"
  expect 1 'File' sample --model "$work/no-model" --prompt x --out "$work/fine.png" --save-latents "$out"
  expect 1 'File' evaluate --model "$work/no-model" --prompts "$work/plain.txt" --json "$out"
  expect 1 'File' evaluate --model "$work/no-model" --prompts "$work/plain.txt" --images "$out"
done
expect 1 'File' tune --model "$work/no-model" --prompts "$work/plain.txt" --out "$work/file/run"
expect 1 'holds a run already' tune --model "$work/no-model" --prompts "$work/plain.txt" --out "$work/toml"
expect 1 'out expected a file of its own, got that of --save-latents' sample --model "$work/no-model" --prompt x \
  --out "$work/x" --save-latents "$work/x"

# ---- negative prompts and sizes: in sample, evaluate, tune, config.json and the fingerprint
silent sample "${few[@]}" --prompt "a red circle" --seed 3 --out "$work/none.png"
silent sample "${few[@]}" --prompt "a red circle" --seed 3 --negative "a blue square" --out "$work/negative.png"
differ "$work/none.png" "$work/negative.png" "--negative"
with() { # with NAME FLAGS...: a run and an evaluation
  local name=$1
  shift
  "$rt_tune" tune "${tune[@]}" --method ddpo --prompts "$work/plain.txt" "$@" --out "$work/$name" >/dev/null ||
    fail "tune $*"
  silent evaluate "${few[@]}" --prompts "$work/plain.txt" "$@" --json "$work/$name.json"
}
with plain-run
with negative-run --negative "a blue square"
with size-run --height 48 --width 32
grep -q '"negative": "a blue square"' "$work/negative-run/config.json" || fail "--negative: config.json"
grep -q '"height": 48' "$work/size-run/config.json" || fail "--height: config.json"
differ "$work/plain-run/metrics.jsonl" "$work/negative-run/metrics.jsonl" "tune --negative"
differ "$work/plain-run/evaluations.jsonl" "$work/negative-run/evaluations.jsonl" "tune --negative"
expect 1 'options/negative was "a blue square", is now null' tune "${tune[@]}" --method ddpo --prompts \
  "$work/plain.txt" --resume --out "$work/negative-run"
silent sample "${few[@]}" --prompt "a red circle" --height 48 --width 32 --out "$work/size.png"
[ "$(od -An -tu1 -j16 -N8 "$work/size.png" | tr -s ' ')" = " 0 0 0 32 0 0 0 48" ] || fail "sample --height --width"

# ---- devices and types of the weights
for dtype in float32 bfloat16 float16; do
  silent sample "${few[@]}" --prompt "a red circle" --seed 3 --device cpu --dtype "$dtype" --out "$work/$dtype.png"
done
same "$work/none.png" "$work/float32.png" "--device cpu --dtype float32"
differ "$work/none.png" "$work/bfloat16.png" "--dtype bfloat16"
differ "$work/none.png" "$work/float16.png" "--dtype float16"
with half-run --dtype float16
grep -q '"dtype": "float16"' "$work/half-run/config.json" || fail "--dtype: config.json"
grep -q '"device": "cpu"' "$work/half-run/config.json" || fail "--device: config.json"
grep -q '"dtype": "float16"' "$work/half-run.json" || fail "evaluate --json expected its --dtype"
grep -q '"gradient_scale":[1-9][0-9][0-9]' "$work/half-run/metrics.jsonl" ||
  fail "metrics.jsonl expected the scale of float16"
grep -q '"gradient_scale":1.0' "$work/plain-run/metrics.jsonl" || fail "metrics.jsonl expected no scale of float32"
expect 1 'options/dtype was "float16", is now "float32"' tune "${tune[@]}" --method ddpo --prompts "$work/plain.txt" \
  --resume --out "$work/half-run"
for device in "" gpu cpu:0 cuda: cuda:x cuda:-1 cuda:128; do
  expect 2 "device expected cpu, cuda or cuda:N, got '$device'" sample "${few[@]}" --prompt "a" --device "$device" \
    --out "$work/new"
done
expect 1 'expected a device that is here (cpu.*), got cuda:99' sample "${few[@]}" --prompt "a" --device cuda:99 \
  --out "$work/new"
expect 2 'dtype expected float32, bfloat16 or float16' sample "${few[@]}" --prompt "a" --dtype half --out "$work/new"
half=("${tune[@]}" --prompts "$work/plain.txt" --dtype bfloat16 --out "$work/new")
expect 1 'full expected --dtype float32, got --dtype bfloat16' tune "${half[@]}" --full
expect 1 'autocast expected --dtype float32, got --dtype bfloat16' tune "${half[@]}" --autocast bfloat16
expect 1 'gradient-scale expected --dtype float16, got --dtype bfloat16' tune "${half[@]}" --gradient-scale 2

# ---- LoRAs: parts of the model, and one to train on
"$rt_tune" tune "${tune[@]}" --method ddpo --prompts "$work/plain.txt" --learning-rate 0.02 --out "$work/strong" \
  >/dev/null || fail "tune --learning-rate 0.02"
lora="$work/strong/lora"
silent sample "${few[@]}" --prompt "a red circle" --seed 3 --lora "$lora:2" --out "$work/one.png"
silent sample "${few[@]}" --prompt "a red circle" --seed 3 --lora "$lora:0.5" --lora "$lora:1.5" --out "$work/two.png"
differ "$work/none.png" "$work/one.png" "--lora"
expect 0 'has the strength 0 and changes nothing' sample "${few[@]}" --prompt "a red circle" --seed 3 --lora "$lora:0" \
  --out "$work/zero.png"
same "$work/none.png" "$work/zero.png" "--lora of strength 0"
silent evaluate "${few[@]}" --prompts "$work/plain.txt" --lora "$lora:2" --json "$work/lora.json"
grep -q "strong/lora:2" "$work/lora.json" || fail "evaluate --json expected its --lora"
again=("${tune[@]}" --method ddpo --prompts "$work/plain.txt" --regularizer kl --kl-weight 0.5)
"$rt_tune" tune "${again[@]}" --lora "$lora:2" --out "$work/on-lora" >/dev/null || fail "tune --lora"
"$rt_tune" tune "${again[@]}" --init-lora "$lora" --out "$work/init-base" >/dev/null || fail "tune --init-lora"
"$rt_tune" tune "${again[@]}" --init-lora "$lora" --reference init --out "$work/init-init" >/dev/null ||
  fail "tune --init-lora --reference init"
differ "$work/init-base/metrics.jsonl" "$work/init-init/metrics.jsonl" "--reference"
grep -q '"init_lora": \[' "$work/init-base/config.json" || fail "config.json expected the digest of --init-lora"
expect 1 'options/lora' tune "${again[@]}" --lora "$lora:0.5" --resume --out "$work/on-lora"
expect 1 'rank cannot be combined with --init-lora' tune "${again[@]}" --init-lora "$lora" --rank 4 --out "$work/new"
expect 1 'reference expected --init-lora PATH' tune "${again[@]}" --reference init --out "$work/new"

# ---- steps of samples: weighed, left out
for method in ddpo b2-ddpo lsrl; do
  steps=(tune "${tune[@]}" --method $method --prompts "$work/plain.txt" --samples-per-prompt 2 --learning-rate 1e-3)
  [ $method != lsrl ] || steps+=(--trained-steps 2)
  "$rt_tune" "${steps[@]}" --out "$work/$method-all" >/dev/null || fail "$method"
  for flag in skip-last=2 step-weights=equal; do
    "$rt_tune" "${steps[@]}" --$flag --out "$work/$method-$flag" >/dev/null || fail "$method --$flag"
    differ "$work/$method-all/lora/pytorch_lora_weights.safetensors" \
      "$work/$method-$flag/lora/pytorch_lora_weights.safetensors" "$method --$flag"
  done
done

# ---- a LoRA is saved at a strength of its own; rewards of shifted images
"$rt_tune" tune "${again[@]}" --out "$work/whole" >/dev/null || fail "tune"
"$rt_tune" tune "${again[@]}" --saved-strength 0.5 --out "$work/half" >/dev/null || fail "tune --saved-strength"
same "$work/whole/metrics.jsonl" "$work/half/metrics.jsonl" "--saved-strength"
for run in whole:1 half:2 half:1; do
  silent sample "${few[@]}" --prompt "a red circle" --lora "$work/${run%:*}/lora:${run#*:}" --out "$work/$run.png" \
    --save-latents "$work/$run"
done
same "$work/whole:1" "$work/half:2" "a LoRA saved at half of its strength"
differ "$work/whole:1" "$work/half:1" "--saved-strength 0.5"
expect 1 'saved-strength expected a finite number other than 0' tune "${again[@]}" --saved-strength 0 --out "$work/new"
"$rt_tune" tune "${again[@]}" --random-shift 5 --out "$work/shifted" >/dev/null || fail "tune --random-shift"
differ "$work/whole/metrics.jsonl" "$work/shifted/metrics.jsonl" "--random-shift"
grep -q 'shifted by up to 5 pixels' "$work/shifted/config.json" || fail "config.json lacks the shift of the reward"
expect 1 'random-shift expected a number >= 0, got -1' tune "${again[@]}" --random-shift -1 --out "$work/new"
expect 1 'random-shift expected less than the images. 64 pixels, got 64' tune "${again[@]}" --random-shift 64 \
  --out "$work/new"

# ---- a resume tells models of one name apart by each of their parts
cp -r "$model" "$work/model"
mine=(--model "$work/model" --steps 2 --guidance 2 --threads 1 --batch 2 --images 2 --reward brightness --quiet
  --no-tensorboard --prompts "$work/plain.txt" --method drtune --trained-steps 1 --out "$work/parts")
"$rt_tune" tune "${mine[@]}" --updates 1 >/dev/null || fail "tune on a copy of the model"
for part in unet/diffusion_pytorch_model text_encoder/model vae/diffusion_pytorch_model; do
  file="$work/model/$part.safetensors"
  cp "$file" "$work/kept"
  first=$((8 + $(od -An -t u8 -N8 "$file")))  # of the weights, behind the header
  printf '\xa5\x5a' | dd of="$file" bs=1 seek="$first" conv=notrunc status=none
  expect 1 'options/model_digest was' tune "${mine[@]}" --updates 2 --resume
  cp "$work/kept" "$file"
done
"$rt_tune" tune "${mine[@]}" --updates 2 --resume >/dev/null || fail "resume with the model as it was"
[ ! -e "$work/new" ] || fail "a refused run left a folder"
echo "rt-tune: inputs as users have them"
