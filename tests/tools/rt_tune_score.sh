#!/usr/bin/env bash
# rt_tune_score.sh RT_TUNE MODEL_FOLDER PROMPTS: image files scored by rewards; runs whose held-out images are judged by
# rewards that are not trained; prompts in the field's formats.
set -euo pipefail
rt_tune=$1 model=$2 prompts=$3
. "$(dirname "$0")/common.sh"
# ---- the same prompts in every format give the same image
printf '["a red circle"]' >"$work/a.json"
printf '[{"prompt": "a red circle", "rank": [0]}]' >"$work/b.json"
printf '{"tag": "one", "include": [], "prompt": "a red circle"}\n' >"$work/a.jsonl"
printf 'Prompts,Category\r\n"a red circle",Colors\r\n' >"$work/a.csv"
printf 'Prompt\tCategory\tChallenge\tNote\na red circle\tAbstract\tBasic\n' >"$work/a.tsv"
printf 'id,words\n1,a red circle\n' >"$work/c.csv"
draw() { "$rt_tune" sample --model "$model" --steps 3 --guidance 2 --threads 1 --seed 1 "$@" >/dev/null; }
draw --prompt "a red circle" --out "$work/one/1.png"
for file in a.json b.json a.jsonl a.csv a.tsv; do
  draw --prompts "$work/$file" --out "$work/$file.png"
  cmp -s "$work/one/1.png" "$work/$file.png" || fail "$file gives another image"
done
draw --prompts "$work/c.csv" --prompt-field words --out "$work/c.png"
cmp -s "$work/one/1.png" "$work/c.png" || fail "--prompt-field gives another image"
expect 1 "expected a column 'prompt', got 'id', 'words'" sample --model "$model" --prompts "$work/c.csv" \
  --out "$work/x.png"
expect 1 'expected a file that can be read prompt by prompt' tune --model "$model" --prompts "$work/a.json" \
  --stream-prompts --out "$work/x"

# ---- scores: of images, of a folder, with the CLIP of the model folder or one of the reward's own
draw --prompt "a blue square" --out "$work/one/2.png"
printf 'a red circle\na blue square\n' >"$work/two.txt"
expect 0 'clip_score' score --images "$work/one" --prompts "$work/two.txt" --reward clip_score --reward jpeg_error \
  --model "$model" --json "$work/scores.json"
cp "$work/out.txt" "$work/first.txt"
expect 0 'clip_score' score --images "$work/one/1.png" --images "$work/one/2.png" --prompts "$work/two.txt" \
  --reward clip_score,jpeg_error --reward-model "clip_score=$model/clip" --batch 1 --json "$work/again.json"
cmp -s "$work/first.txt" "$work/out.txt" || fail "the scores depend on the batch, or on who names the CLIP"
[ "$(grep -c '"file"' "$work/scores.json")" = 2 ] || fail "expected the scores of two images"
grep -q '"prompt": "a blue square"' "$work/scores.json" || fail "the scores lack the prompts"
grep -q '"means"' "$work/scores.json" || fail "the scores lack the means"
expect 0 'brightness' score --images "$work/one" --prompt "a red circle" --reward brightness
printf 'a red circle\n' >"$work/single.txt"
expect 0 'brightness' score --images "$work/one" --prompts "$work/single.txt" --images-per-prompt 2 --reward brightness
golden=$(realpath "$(dirname "$0")/../golden/image_files")
mkdir "$work/kinds"
cp "$golden"/{photo.png,full.jpg,halved.jpeg,progressive.JPG} "$work/kinds"
expect 0 'brightness' score --images "$work/kinds" --prompt x --reward brightness --json "$work/kinds.json"
[ "$(grep -c '"file": ' "$work/kinds.json")" = 4 ] || fail "expected the scores of a PNG and three JPEG files"
printf 'GIF89a' >"$work/gif.png"
expect 1 'expected a PNG or JPEG file in .*gif.png, got a GIF file' score --images "$work/gif.png" --prompt x \
  --reward brightness
expect 1 'score expected 1 images, 1 of each of the 1 prompts' score --images "$work/one" \
  --prompts "$work/single.txt" --reward brightness
expect 1 'expected one of --prompts FILE and --prompt TEXT, got neither' score --images "$work/one" --reward brightness
expect 1 'expected --reward NAME, got none' score --images "$work/one" --prompt x
expect 1 'expected a CLIP' score --images "$work/one" --prompt x --reward clip_score
expect 1 'got nothing at' score --images "$work/none" --prompt x --reward brightness
expect 1 'expected --reward of JPEG' score --images "$work/one" --prompt x --reward brightness --jpeg-quality 5

# ---- images of an evaluation: files in the order in which score takes them, the same images as the grid's numbers
printf 'a red circle\na blue square\na green ring\n' >"$work/three.txt"
drawn=(--model "$model" --steps 3 --guidance 2 --threads 1 --prompts "$work/three.txt" --seeds 4 --seed 9)
expect 0 'clip_score' evaluate "${drawn[@]}" --image-files "$work/files" --json "$work/evaluated.json"
[ "$(find "$work/files" -name '*.png' | wc -l)" = 12 ] || fail "expected 12 files, got $(ls "$work/files")"
"$rt_tune" sample --model "$model" --steps 3 --guidance 2 --threads 1 --prompt "a green ring" --seed 12 \
  --out "$work/ring.png" >/dev/null
cmp -s "$work/ring.png" "$work/files/3-12.png" || fail "--image-files has another image of prompt 3 and seed 12"
expect 0 'clip_score' score --images "$work/files" --prompts "$work/three.txt" --images-per-prompt 4 \
  --reward clip_score --model "$model" --json "$work/files.json"
python3 - "$work/evaluated.json" "$work/files.json" <<'END' || fail "score and evaluate disagree about the same images"
import json, sys
evaluated, scored = (json.load(open(path)) for path in sys.argv[1:])
assert abs(evaluated["metrics"]["clip_score"] - scored["means"]["clip_score"]) < 2e-3  # 8 bits a channel
END
expect 1 'image-files expected a folder that is new or empty' evaluate "${drawn[@]}" --image-files "$work/files"

# ---- a server's scores
cat >"$work/judge.py" <<'END'
def length(png, prompt):
    return len(prompt)
END
serve=$(realpath "$(dirname "$0")/../../examples/reward_server/reward_server.py")
: >"$work/server.txt"  # it is read before the server has begun
(cd "$work" && exec python3 "$serve" judge:length --port 0) >"$work/server.txt" 2>&1 &
server=$!
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
port=
for ((tried = 0; tried < 600; tried++)); do  # it says where it listens, which it then does
  port=$(sed -n 's|^http://127.0.0.1:\([0-9]*\)/score$|\1|p' "$work/server.txt")
  [ -z "$port" ] || break
  kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/server.txt")"
  sleep 0.1
done
[ -n "$port" ] || fail "the server said no address in a minute: $(cat "$work/server.txt")"
remote=(--reward remote --reward-model "remote=http://127.0.0.1:$port/score")
expect 0 '12.5' score --images "$work/one" --prompts "$work/two.txt" "${remote[@]}"  # 12 and 13 letters
printf '{"url": "http://127.0.0.1:%s/score", "batch": 1, "retries": 0}' "$port" >"$work/judge.json"
expect 0 '^remote.length  *12.5' score --images "$work/one" --prompts "$work/two.txt" --reward remote.length \
  --reward-model "remote.length=$work/judge.json"
kill -KILL "$server"
wait "$server" 2>/dev/null || true
server=
expect 1 'remote expected a model of its own, got none' score --images "$work/one" --prompt x --reward remote
expect 1 "127.0.0.1:$port" score --images "$work/one" --prompt x "${remote[@]}"

# ---- judges: beside the trained reward in records, report and curve
updates=2
run() { # run NAME FLAGS...: a short run
  local name=$1
  shift
  "$rt_tune" tune --model "$model" --prompts "$prompts" --steps 4 --batch 2 --updates "$updates" --images 2 \
    --threads 1 --quiet --no-tensorboard --reward brightness "$@" --out "$work/$name" >"$work/out.txt" 2>&1 ||
    fail "tune $*: $(cat "$work/out.txt")"
}
run judged --judge symmetry,clip_score --evaluate-every 1 --learning-rate 1e-3
grep -q 'judge.clip_score' "$work/out.txt" || fail "the outcome lacks the judge"
[ "$(grep -c '"judge.symmetry"' "$work/judged/evaluations.jsonl")" = 3 ] || fail "evaluations lack the judge"
grep -q '"held_out"' "$work/judged/report.json" || fail "the report lacks the judges"
grep -q 'Judge (symmetry), not trained' "$work/judged/reward.svg" || fail "the curve lacks the judge"
run fall --judge symmetry --evaluate-every 1 --stop-when-judges-fall
grep -q '"judges_fall_evaluations": 2' "$work/fall/config.json" || fail "--stop-when-judges-fall did not reach the run"
updates=3 run fall --judge clip_score --evaluate-every 1 --stop-when-judges-fall --resume
grep -q 'judge.clip_score  *- ->' "$work/out.txt" || fail "a resumed run with another judge shows its first score"
# ---- the best weights are kept
run best --evaluate-every 1 --keep-best
grep -q 'kept the weights after update [012], whose held-out reward is the best: ' "$work/out.txt" ||
  fail "the outcome lacks the kept weights"
grep -q '"by": "reward"' "$work/best/report.json" || fail "the report lacks the kept weights"
run best-judge --evaluate-every 1 --judge symmetry --keep-best symmetry
grep -q 'whose judge symmetry is the best: ' "$work/out.txt" || fail "the outcome lacks the judge of the kept weights"
# the judge that decides which weights are saved stays as it was on a resume, by its options and by its model; others
# may change
judged=(--evaluate-every 1 --judge jpeg_error,clip_score --reward-model "clip_score=$work/clip")
again=(tune --model "$model" --prompts "$prompts" --steps 4 --batch 2 --updates 3 --images 2 --threads 1 --quiet
       --no-tensorboard --reward brightness "${judged[@]}" --resume)
for best in jpeg_error clip_score; do
  rm -rf "$work/clip" && cp -r "$model/clip" "$work/clip"
  run "by-$best" "${judged[@]}" --keep-best "$best" --jpeg-quality 20
  printf ' ' >>"$work/clip/config.json"
  case $best in
    jpeg_error) expect 1 'options/jpeg_quality was 20, is now 90' "${again[@]}" --keep-best jpeg_error \
                  --jpeg-quality 90 --out "$work/by-jpeg_error"
                expect 0 'completed' "${again[@]}" --keep-best jpeg_error --jpeg-quality 20 \
                  --out "$work/by-jpeg_error" ;;
    clip_score) expect 1 'options/reward_model_digests/clip_score was' "${again[@]}" --keep-best clip_score \
                  --jpeg-quality 20 --out "$work/by-clip_score"
                cp "$model/clip/config.json" "$work/clip/config.json"
                expect 0 'completed' "${again[@]}" --keep-best clip_score --jpeg-quality 90 \
                  --out "$work/by-clip_score" ;;
  esac
done
# the demonstration of docs/rewards.md, cut short
"$rt_tune" tune --model "$model" --prompts "$prompts" --eval-prompts "$work/two.txt" --steps 4 --trained-steps 2 \
  --early-stop 1 --batch 2 --updates 1 --evaluate-every 1 --images 1 --threads 1 --quiet --no-tensorboard \
  --config "$(dirname "$0")/../../examples/tune/judged.toml" --out "$work/demo" >"$work/out.txt" 2>&1 ||
  fail "judged.toml: $(cat "$work/out.txt")"
[ "$(grep -c '"judge.composition"' "$work/demo/evaluations.jsonl")" = 2 ] || fail "judged.toml: no judges"
tune=(tune --model "$model" --prompts "$prompts" --reward brightness --out "$work/x")
expect 1 '--keep-best expected --evaluate-every of 1 or more, got 0' "${tune[@]}" --keep-best
expect 1 'reward or the NAME of a --judge, got symmetry' "${tune[@]}" --evaluate-every 1 --keep-best symmetry
expect 1 'a reward that is not trained, got brightness' "${tune[@]}" --judge brightness
expect 1 'expected --judge NAME' "${tune[@]}" --stop-when-judges-fall
expect 1 'expected --evaluate-every of 1 or more, got 0' "${tune[@]}" --judge symmetry --stop-when-judges-fall
[ ! -e "$work/x" ] || fail "a refused run left a folder"
# ---- each reward standardized in its group before the sum
run gdpo --method grpo --advantage per-reward --reward jpeg_error:0.5 --samples-per-prompt 2
grep -q '"zero_std_ratio":0' "$work/gdpo/metrics.jsonl" || fail "the records lack zero_std_ratio"
run grpo --method grpo --advantage per-group --reward jpeg_error:0.5 --samples-per-prompt 2
lora=lora/pytorch_lora_weights.safetensors
! cmp -s "$work/gdpo/$lora" "$work/grpo/$lora" || fail "--advantage per-reward is per-group"
