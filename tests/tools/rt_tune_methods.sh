#!/usr/bin/env bash
# rt_tune_methods.sh RT_TUNE MODEL_FOLDER PROMPTS: every method that learns from samples, explored rollouts and several
# tasks: a run that was stopped and resumed equals an uninterrupted one byte for byte; flags without meaning are
# refused.
set -euo pipefail
rt_tune=$1 shapes=$2 prompts=$3
model=$(dirname "$0")/../golden/parity/folder_sd2/model  # random weights: equal bits and refusals need no pictures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
head -n 2 <(grep -v '^#' "$prompts") >"$work/held_out.txt"
start=(--model "$model" --eval-prompts "$work/held_out.txt" --steps 4 --guidance 2 --batch 2
       --checkpoint-every 1 --keep-checkpoints 3 --images 2 --threads 1 --quiet --no-tensorboard)
bare=("${start[@]}" --learning-rate 1e-3)
common=("${bare[@]}" --prompts "$prompts" --reward brightness)
of_shapes=("${common[@]/#$model/$shapes}")  # for rewards that look for what a prompt names
same() { # same A B: metrics, and the whole state after two updates
  cmp -s "$1/metrics.jsonl" "$2/metrics.jsonl" ||
    fail "$2: metrics.jsonl differs from an uninterrupted run: $(diff "$1/metrics.jsonl" "$2/metrics.jsonl")"
  cmp -s "$1/checkpoints/update-000002/tensors.safetensors" "$2/checkpoints/update-000002/tensors.safetensors" ||
    fail "$2: weights, moments or the random stream differ from an uninterrupted run"
}
resumes() { # resumes NAME FLAGS...: two updates in one go, and one and one
  local name=$1
  shift
  "$rt_tune" tune "$@" --updates 2 --out "$work/$name" >/dev/null || fail "$name"
  "$rt_tune" tune "$@" --updates 1 --out "$work/$name.parts" >/dev/null || fail "$name stopped after one update"
  "$rt_tune" tune "$@" --updates 2 --out "$work/$name.parts" --resume >/dev/null || fail "$name resumed"
  same "$work/$name" "$work/$name.parts"
  grep -q '"kept":[1-9]' "$work/$name/metrics.jsonl" ||
    fail "$name trained on nothing: $(cat "$work/$name/metrics.jsonl")"
}

resumes ddpo "${common[@]}" --method ddpo
resumes ddpo-passes "${common[@]}" --method ddpo --samples-per-prompt 2 --epochs 2 --updates-per-epoch 2 --rows 3 \
  --log-prob sum --reward jpeg_size --micro-batch 2
resumes grpo "${common[@]}" --method grpo --samples-per-prompt 3 --step-per-timestep
resumes pg "${common[@]}" --method pg --advantage per-batch --sampler ddpm
resumes dpok "${common[@]}" --method dpok
resumes dpo "${common[@]}" --method dpo --beta 0.5 --preference-reference untuned
for objective in ddpo pg dpok dpo; do
  resumes "b2-$objective" "${common[@]}" --method "b2-$objective" --planned-updates 2 --window-start 2 \
    --branch-threshold 0.1
done
resumes raft "${common[@]}" --method raft --samples-per-prompt 2
resumes reward-weighted "${common[@]}" --method reward-weighted --weighting exponential --temperature 0.1 --noisings 2
# its images are the untuned model's, however far training has come
for rate in 1e-12 1e-2; do
  "$rt_tune" tune "${start[@]}" --prompts "$prompts" --reward brightness --method reward-weighted --updates 2 \
    --learning-rate "$rate" \
    --out "$work/frozen-$rate" >/dev/null || fail "reward-weighted with learning rate $rate"
  grep -o '"reward":[^,]*' "$work/frozen-$rate/metrics.jsonl" >"$work/rewards-$rate"
done
[ "$(wc -l <"$work/rewards-1e-2")" = 2 ] && cmp -s "$work"/rewards-1e-12 "$work"/rewards-1e-2 ||
  fail "reward-weighted sampled a tuned model: $(paste "$work"/rewards-*)"
resumes half "${common[@]}" --method drtune --trained-steps 2 --early-stop 1 --dtype float16 --gradient-scale 1024 \
  --gradient-scale-growth 1
resumes explored "${common[@]}" --method ddpo --explore diffexp --planned-updates 2 --explore-share 0.5 \
  --ratio-target plain
resumes explored-gradient "${common[@]}" --method drtune --trained-steps 2 --early-stop 1 --explore prompt \
  --planned-updates 2
# beside brightness: these captions name their color, parity alone is the same for all
resumes parity "${of_shapes[@]}" --method ddpo --reward parity --advantage per-batch --eval-seeds 2
grep -q '"images":16' "$work/parity/metrics.jsonl" ||
  fail "parity without --samples-per-prompt expected 8 images of each of 2 prompts"
resumes composition "${of_shapes[@]}" --method ddpo --reward composition
grep -v '^#' "$prompts" | sed 's/.*/{"prompt": "&"}/' >"$work/prompts.jsonl"
resumes streamed "${bare[@]}" --reward brightness --prompts "$work/prompts.jsonl" --method ddpo
resumes streamed-lines "${common[@]}" --stream-prompts --method drtune --trained-steps 2 --early-stop 1
grep -q '"eta": 1.0' "$work/ddpo/config.json" || fail "config.json of ddpo lacks the eta in force"
grep -q '"eta": 0.0' "$work/explored-gradient/config.json" || fail "config.json of drtune lacks the eta in force"
grep -q '"reward_queries": 8' "$work/ddpo-passes/report.json" ||
  fail "reward queries of ddpo with 2 images of 2 prompts in 2 updates"

# the text encoder together with the UNet: one file holds both parts, and sampling takes both from it
resumes text-encoder "${common[@]}" --method drtune --trained-steps 2 --early-stop 1 --train-text-encoder
resumes text-encoder-rounds "${common[@]}" --method ddpo --regularizer kl --epochs 2 --micro-batch 1 \
  --explore prompt --planned-updates 2 --train-text-encoder first
resumes text-encoder-denoising "${common[@]}" --method raft --samples-per-prompt 2 --train-text-encoder
tuned="$work/text-encoder/lora/pytorch_lora_weights.safetensors"
for name in unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k \
  text_encoder.text_model.encoder.layers.0.self_attn.{q_proj,k_proj,v_proj,out_proj}; do
  grep -aq "\"$name.lora_B.weight\"" "$tuned" || fail "the saved LoRA lacks $name"
done
grep -q '"train_text_encoder": "first"' "$work/text-encoder/config.json" || fail "config.json lacks train_text_encoder"
resumes text-encoder-further "${common[@]}" --method ddpo --init-lora "$tuned" --reference init --regularizer kl \
  --train-text-encoder
shown=(--model "$model" --prompt "a red circle" --steps 4 --guidance 2 --threads 1)
"$rt_tune" sample "${shown[@]}" --save-latents "$work/base.safetensors" --out "$work/base.png" >/dev/null
"$rt_tune" sample "${shown[@]}" --lora "$tuned" --save-latents "$work/tuned.safetensors" --out "$work/tuned.png" \
  >/dev/null || fail "sample with a LoRA of both parts"
! cmp -s "$work/base.safetensors" "$work/tuned.safetensors" || fail "a tuned LoRA of both parts changed no sample"

# pre-training beside the reward, and several tasks
mkdir "$work/images"
"$rt_tune" sample --model "$model" --prompt "a red circle" --steps 4 --threads 1 --out "$work/images/one.png" >/dev/null
echo "a red circle" >"$work/images/one.txt"
pretraining=(--regularizer pretraining --pretraining-data "$work/images" --pretraining-batch 2)
resumes lsrl "${common[@]}" --method lsrl --trained-steps 2 "${pretraining[@]}"
cat >"$work/tasks.toml" <<END
[task.light]
reward = "brightness"
prompts = "$prompts"

[task.small]
reward = ["jpeg_size", "colorfulness:0.5"]
prompts = "$work/held_out.txt"
batch = 1
samples-per-prompt = 3
advantage = "per-group"
END
resumes tasks "${bare[@]}" --method lsrl --trained-steps 2 --tasks "$work/tasks.toml" "${pretraining[@]}"
grep -q '"small.reward"' "$work/tasks/metrics.jsonl" || fail "metrics of the tasks lack a task's reward"

# killed in the middle; and the planned updates of a run outlive other --updates
"$rt_tune" tune "${common[@]}" --method b2-dpok --updates 40 --out "$work/killed" >/dev/null 2>&1 & child=$!
for _ in $(seq 600); do [ -e "$work/killed/checkpoints/update-000001" ] && break; sleep 0.1; done
kill -s KILL "$child" && wait "$child" 2>/dev/null || true
rm -rf "$work"/killed/checkpoints/update-00000[2-9] "$work"/killed/checkpoints/update-0000[1-9]?
"$rt_tune" tune "${common[@]}" --method b2-dpok --updates 2 --out "$work/killed" --resume >/dev/null ||
  fail "b2-dpok resumed with other --updates"
"$rt_tune" tune "${common[@]}" --method b2-dpok --updates 2 --planned-updates 40 --out "$work/whole" >/dev/null
same "$work/whole" "$work/killed"

expect() { # expect CODE TEXT FLAGS...
  local code=$1 text=$2 status=0
  shift 2
  "$rt_tune" tune "$@" --out "$work/new" >"$work/out.txt" 2>&1 || status=$?
  [ "$status" = "$code" ] || fail "expected exit code $code, got $status: $*: $(cat "$work/out.txt")"
  grep -q -- "$text" "$work/out.txt" || fail "expected '$text' in: $(cat "$work/out.txt")"
}
refused() { # refused FLAG VALUE METHODS...: the flag has no meaning with these methods
  local flag=$1 value=$2 method
  shift 2
  for method in "$@"; do expect 1 "$flag cannot be combined with --method $method; it belongs to" "${common[@]}" \
  --method "$method" "$flag=$value"; done
}
refused --memory retain ddpo raft
refused --replay-batch 2 b2-dpo
refused --gradient-stop stop grpo
refused --loss hinge pg
refused --horizon fixed lsrl
refused --noises 2 dpok drtune
refused --clip-range 0.1 drtune pg dpo raft
refused --advantage per-batch drtune reward-weighted
refused --window-start 2 ddpo lsrl
refused --branches 3 raft
refused --beta 0.1 ddpo
refused --dpok-kl-weight 0.1 ddpo
refused --samples-per-prompt 2 drtune
refused --weighting best raft ddpo
refused --tasks "$work/tasks.toml" ddpo
refused --trained-steps 2 ddpo
expect 1 'temperature expected --weighting exponential, got --weighting min-max' "${common[@]}" --method \
  reward-weighted --temperature 1
expect 1 'guidance-low expected --explore guidance or diffexp, got --explore prompt' "${common[@]}" --method ddpo \
  --explore prompt --guidance-low 1
expect 1 'ratio-target expected --explore guidance, prompt or diffexp, got --explore none' "${common[@]}" --method \
  ddpo --ratio-target plain
expect 1 'branch-threshold expected --branches of 2 or more, got that of --method ddpo' "${common[@]}" --method ddpo \
  --branch-threshold 1
# rounds that can teach nothing are refused before the first image
expect 1 'can learn nothing from such rounds, whatever the rewards' "${common[@]}" --method grpo --samples-per-prompt 1
expect 1 'can learn nothing from such rounds, whatever the rewards' "${common[@]}" --method b2-ddpo \
  --branch-threshold 1000
expect 1 'planned-updates expected --explore' "${common[@]}" --method ddpo --planned-updates 3
expect 1 'branches expected a number >= 2 with --method dpo, got 1' "${common[@]}" --method dpo --branches 1
expect 1 'learns from the noise of the sampler.s steps, got --eta 0: leave --eta away' "${common[@]}" --method ddpo \
  --eta 0
expect 1 'eta must be in \[0, 1\], got -1' "${common[@]}" --method ddpo --eta -1
expect 1 'train-text-encoder expected --full false, got --full true' "${common[@]}" --full --train-text-encoder
expect 2 'full: expected true or false, got .banana' "${common[@]}" --full=banana
expect 1 'samples_per_prompt must be >= 0' "${common[@]}" --method ddpo --samples-per-prompt -1
expect 1 'epochs must be >= 1' "${common[@]}" --method raft --epochs 0
expect 1 'updates_per_epoch must be >= 0' "${common[@]}" --method ddpo --updates-per-epoch -2
expect 1 'rows must be >= 0' "${common[@]}" --method ddpo --rows -1
expect 1 'clip must be > 0, got -0.1' "${common[@]}" --method ddpo --clip-range -0.1
expect 1 'beta must be > 0' "${common[@]}" --method dpo --beta -1
expect 1 'initial must be at most' "${common[@]}" --method b2-pg --window-start 5
expect 1 'best must be >= 1' "${common[@]}" --method raft --best 0
expect 1 'share must be in \[0, 1\]' "${common[@]}" --method ddpo --explore guidance --explore-share 2
expect 1 'low must be finite and >= 0' "${common[@]}" --method ddpo --explore guidance --guidance-low -1
expect 1 'needs differentiable rewards, but .parity. is a black box' "${common[@]}" --reward parity
expect 1 'advantage per-group of --method grpo learns nothing' "${bare[@]}" --prompts "$prompts" --method grpo \
  --reward parity
expect 1 'so that none is best of the 3 of --method b2-ddpo' "${bare[@]}" --prompts "$prompts" --method b2-ddpo \
  --reward parity
echo 3 >"$work/not.jsonl"
expect 1 'not.jsonl:1: expected an object, got number 3' "${bare[@]}" --method ddpo --prompts "$work/not.jsonl"
expect 1 'regularizer kl cannot be combined with --method raft' "${common[@]}" --method raft --regularizer kl
expect 2 'prompts is required' "${bare[@]}" --method ddpo
expect 2 'explore expected none, guidance, prompt or diffexp, got .nonsense' "${common[@]}" --explore nonsense
expect 2 'rank expected a whole number, got .many' "${common[@]}" --rank many
expect 1 'num_trained must be at most the sampler.s 4 steps, got 5' "${common[@]}" --trained-steps 5

# a default bends to few steps: no method refuses what nobody said
for method in drtune draft draft-lv refl alignprop ddpo grpo pg dpok dpo b2-ddpo b2-pg b2-dpok b2-dpo lsrl raft \
  reward-weighted; do
  for steps in 1 2 4; do
    "$rt_tune" tune --model "$model" --prompts "$prompts" --eval-prompts "$work/held_out.txt" --reward brightness \
    --method "$method" \
      --steps "$steps" --batch 2 --updates 1 --images 1 --threads 1 --quiet --no-tensorboard \
      --out "$work/bent-$method-$steps" \
      >/dev/null 2>"$work/out.txt" || fail "$method with --steps $steps: $(cat "$work/out.txt")"
  done
done
grep -q '"trained_steps": 4' "$work/bent-drtune-4/config.json" || fail "drtune with 4 steps expected 4 trained ones"
grep -q '"early_stop": 2' "$work/bent-refl-2/config.json" || fail \
  "refl with 2 steps expected jumps from up to 2 steps before the end"
grep -q '"memory": "replay"' "$work/bent-drtune-4/config.json" || fail "config.json expected the names of enumerations"

tasks() { # tasks TEXT TABLES: the message, which names file and table
  printf '%b' "$2" >"$work/bad.toml"
  expect 1 "$1" "${bare[@]}" --method lsrl --tasks "$work/bad.toml"
}
tasks 'bad.toml, \[task.one\]: reward expected one of .*, got .nonsense' \
  '[task.one]\nreward = "nonsense"\nprompts = "p"\n'
tasks 'bad.toml, \[task.one\]: reward expected a list' '[task.one]\nprompts = "p"\n'
tasks 'bad.toml, \[task.one\]: prompts expected a file' '[task.one]\nreward = "brightness"\n'
tasks 'bad.toml, \[task.one\]: .*expected a readable text file, got none at nowhere' \
  '[task.one]\nreward = "brightness"\nprompts = "nowhere"\n'
tasks 'bad.toml, \[task.one\]: batch expected a whole number >= 1, got -3' \
  '[task.one]\nreward = "brightness"\nprompts = "'"$prompts"'"\nbatch = -3\n'
tasks 'bad.toml:4, \[task.one\]: advantage expected default, .*per-group, per-reward or history, got .none' \
  '[task.one]\nreward = "brightness"\nprompts = "'"$prompts"'"\nadvantage = "none"\n'
tasks 'bad.toml:2, \[task.one\]: expected reward, .*samples-per-prompt, advantage or batch, got .steps' \
  '[task.one]\nsteps = 3\n'
printf '[task]\nbatch = 3\n' >"$work/bad.toml"
expect 2 'bad.toml:2: expected tables \[task.NAME\], got \[task\]' "${bare[@]}" --method lsrl --tasks "$work/bad.toml"
tasks 'updates must be >= 1, got -3' \
  'updates = -3\ntrained-steps = 2\n[task.one]\nreward = "brightness"\nprompts = "'"$prompts"'"\n'
tasks 'expected at least one table \[task.NAME\] in .*bad.toml' '# nothing\n'
expect 2 'nowhere.toml' "${bare[@]}" --method lsrl --tasks "$work/nowhere.toml"
expect 1 'reward cannot be combined with --tasks' "${common[@]}" --method lsrl --tasks "$work/tasks.toml"
[ ! -e "$work/new" ] || fail "a refused run left a folder"
echo "rt-tune: every method resumes as it was, and flags without meaning are refused"
