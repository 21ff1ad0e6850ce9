#!/usr/bin/env bash
# rt_reproduce.sh RT_REPRODUCE MODEL_FOLDER PROMPTS: a few cells on a tiny budget, interrupted, killed and resumed;
# then the page.
set -euo pipefail
program=$1 prompts=$3 tune=$(realpath "$2/../../tune")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
# random weights and small images for what does not look at a level; the studies need a CLIP, and that of lsrl the size
# of the images that it makes
model=$work/model
cp -r "$(dirname "$0")/../golden/parity/folder_sd2/model" "$model"
cp -r "$2/clip" "$model/clip"
study=(--quick --out "$work/study" --model "$2" --prompts "$prompts" --eval-prompts "$prompts" --cpu-seconds 2
       --only table1/symmetry-drtune --only table1/symmetry-refl --only table1/jpeg_error-drtune
       --only fig6/draft-T-stop-0)
wait_for() { # wait_for FILE LOG: of the background program, which has not ended before
  for _ in $(seq 6000); do
    [ ! -e "$1" ] || return 0
    kill -0 "$child" 2>/dev/null || break
    sleep 0.05
  done
  fail "$1 did not appear: $(cat "$2")"
}
cells=(table1/symmetry-drtune-0 table1/symmetry-refl-10-0 table1/jpeg_error-drtune-0 fig6/draft-T-stop-0)

[ "$("$program" list "${study[@]}" | wc -l)" = 4 ] || fail "list names other cells than --only asks for"
number=0
for signal in TERM KILL; do
  "$program" drtune "${study[@]}" --jobs 1 2>"$work/$signal.txt" & child=$!
  cell=$work/study/${cells[$number]}
  wait_for "$cell/checkpoints/update-000000" "$work/$signal.txt"
  kill -s "$signal" "$child"
  status=0; wait "$child" || status=$?
  [ "$status" = $([ "$signal" = TERM ] && echo 130 || echo 137) ] ||
    fail "SIG$signal ended with $status: $(cat "$work/$signal.txt")"
  [ ! -e "$cell/report.json" ] || fail "the interrupted cell has a report"
  number=$((number + 1))
  [ "$signal" = KILL ] || "$program" run-cell "${cells[0]}" "${study[@]}"  # resumes
done
grep -q '"resumed": true' "$work/study/${cells[0]}/config.json" || fail "the first cell was not resumed"

# partial results give a page that says what is missing
"$program" report "${study[@]}" >/dev/null
missing='1 of 4 cells are done. Missing: `table1/symmetry-refl-10-0` `table1/jpeg_error-drtune-0` `fig6/draft-T-stop-0`'
grep -q "$missing" "$work/study/reproduction.md" || fail "the page does not name the missing cells"

"$program" drtune "${study[@]}" --jobs 2 2>"$work/rest.txt" || fail "$(cat "$work/rest.txt")"
grep -q '4/4' "$work/rest.txt" || fail "no progress is shown: $(cat "$work/rest.txt")"
for cell in "${cells[@]}"; do [ -e "$work/study/$cell/report.json" ] || fail "$cell has no report"; done
"$program" drtune "${study[@]}" 2>"$work/again.txt"
grep -q '4 of 4 cells are done' "$work/again.txt" || fail "finished cells were run again"

page=$work/study/reproduction.md
"$program" report "${study[@]}" >/dev/null
for text in '4 of 4 cells are done.' '### Symmetry (lower is better)' '| DRTune | 0' '| 0.0551 |' '| ReFL-10 | 0' \
  '### Compression error' '| Symmetry: DRTune better than ReFL-10 | 0.0551 to 0.7512 | [+-]0' \
  '| Fig. 6: DRaFT-T does not fail with the stop | works | [+-]0' '## Fig. 6' '## Fig. 7' '## Fig. 8' '## Fig. 9' \
            'samples-symmetry.png' 'fig6-updates.svg'; do
  grep -q -- "$text" "$page" || fail "the page lacks '$text'"
done
[ -s "$work/study/reproduction/samples-symmetry.png" ] || fail "no grid of samples"

status=0; "$program" drtune "${study[@]}" --kl-weight 1 2>"$work/other.txt" || status=$?
[ "$status" = 1 ] && grep -q 'cells of other settings' "$work/other.txt" ||
  fail "other settings were let into the folder"

# the other studies: one cell of each kind, killed after its first checkpoint and resumed, and the page
other() {  # STUDY ROUNDS TEXT_OF_THE_PAGE CELL...
  local name=$1 text=$3 out=$work/$1 cells=("${@:4}") options=() cell status=0
  for cell in "${cells[@]}"; do options+=(--only "$cell-0"); done
  options+=(--quick --out "$out" --model "$model" --prompts "$prompts" --eval-prompts "$prompts"
            --task-prompts "$tune" --rounds "$2")
  "$program" "$name" "${options[@]}" --jobs 1 2>"$work/$name.txt" & child=$!
  wait_for "$out/${cells[0]}-0/checkpoints/update-000000" "$work/$name.txt"
  kill -s KILL "$child"
  wait "$child" || status=$?
  [ "$status" = 137 ] || fail "$name: SIGKILL ended with $status: $(cat "$work/$name.txt")"
  "$program" "$name" "${options[@]}" --jobs 2 2>"$work/$name.txt" || fail "$name: $(cat "$work/$name.txt")"
  grep -q '"resumed": true' "$out/${cells[0]}-0/config.json" || fail "$name: the killed cell was not resumed"
  [ "$("$program" list --study "$name" "${options[@]}" | grep -c '  done')" = ${#cells[@]} ] ||
    fail "$name: cells are not done"
  "$program" report --study "$name" "${options[@]}" >/dev/null
  grep -q -- "$text" "$out/reproduction_$name.md" || fail "the page of $name lacks '$text'"
  grep -q -- "${#cells[@]} of ${#cells[@]} cells are done." "$out/reproduction_$name.md" ||
    fail "the page of $name does not count its cells"
  ! grep -q 'of 1 seed' "$out/reproduction_$name.md" || fail "the page of $name votes"
  grep -q -- "## Not run" "$out/reproduction_$name.md" || fail "the page of $name does not say what was not run"
  ! grep -vE '^(\||!|#)' "$out/reproduction_$name.md" | grep -qE '.{121}' ||
    fail "the page of $name has prose over 120 columns"
  ls "$out/reproduction_$name"/*.png >/dev/null || fail "$name: no grid of samples"
}
other b2 3 '| B2-DiffuRL above DDPO in the reward | 0.3748 to 0.3698 | [+-]0' ddpo/b2 ddpo/ddpo ddpo/untuned dpo/dpo-b2
grep -q 'held_out.inception_score' "$work/b2/ddpo/untuned-0/measured.json" || fail "b2: the cells were not measured"
[ -s "$work/b2/reproduction_b2/ddpo-training.svg" ] || fail "b2: no curve of the training reward"
status=0; "$program" b2 --quick --out "$work/none" --cpu-seconds 2 2>"$work/wrong.txt" || status=$?
[ "$status" = 1 ] && grep -q 'cpu-seconds expected a study that CPU time ends, got b2' "$work/wrong.txt" ||
  fail "CPU time was let into a study of rounds: $(cat "$work/wrong.txt")"
other diffexp 3 '| DDPO: both (DiffExp) above no exploration in the mean over queries | both above none | [+-]0' \
  ddpo/both ddpo/none alignprop/both
[ "$(grep -c . "$work/diffexp/ddpo/none-0/evaluations.jsonl")" = 4 ] || fail "diffexp: not an evaluation every round"
[ -s "$work/diffexp/reproduction_diffexp/ddpo-held_out.svg" ] || fail "diffexp: no curve of held-out rewards"
model=$2 other lsrl 1 '| training on parity makes images more even | parity 0.556 to 0.453 | [+-]0' \
  tasks/parity tasks/joint tasks/untuned tasks/raft-parity tasks/draft-clip
for number in parity.statistical_parity unseen.shapes seen.composition; do
  grep -q "$number" "$work/lsrl/tasks/joint-0/measured.json" || fail "lsrl: the tasks were not measured: $number"
done

# the signal meter: a reward with a gradient and one without
meter=(profile --model "$model" --prompts "$prompts" --steps 3 --batches 3 --batch 2 --samples-per-prompt 2)
"$program" "${meter[@]}" --reward symmetry --json "$work/meter.json" --plot "$work/meter.svg" >"$work/meter.txt" \
  2>/dev/null || fail "profile"
for text in 'symmetry, T = 3, guidance 1, eta 1: 12 images in 3 batches' '% of the pathwise gradient' \
  '| noise-squared | 2 |'; do
  grep -q -- "$text" "$work/meter.txt" || fail "profile lacks '$text': $(cat "$work/meter.txt")"
done
grep -q '"pathwise_share"' "$work/meter.json" || fail "profile --json lacks the pathwise shares"
grep -q 'pathwise gradient' "$work/meter.svg" || fail "profile --plot lacks a curve"
"$program" "${meter[@]}" --reward composition 2>/dev/null >"$work/meter.txt" || fail "profile of a black box"
! grep -q 'pathwise' "$work/meter.txt" || fail "profile shows a gradient that a black box has not"
status=0; "$program" "${meter[@]}" --reward parity 2>"$work/meter.txt" >/dev/null || status=$?
[ "$status" = 1 ] && grep -q 'expected a reward of each image alone, got' "$work/meter.txt" ||
  fail "profile of a reward of groups: $(cat "$work/meter.txt")"
# what cannot be measured is refused before the model is loaded: none is there
refused() {  # TEXT ARGUMENTS...
  local text=$1 status=0
  shift
  "$program" profile --model "$work/none" --prompts "$prompts" --json "$work/refused/x.json" "$@" \
    >"$work/meter.txt" 2>&1 || status=$?
  [ "$status" = 1 ] && grep -q -- "$text" "$work/meter.txt" || fail "profile $*: $status, $(cat "$work/meter.txt")"
  [ ! -e "$work/refused" ] || fail "a refused profile made a folder"
}
refused '--eta expected a number above 0 and at most 1, got 0: steps without noise have no log-prob' --eta 0
refused '--eta expected a number above 0 and at most 1, got 2' --eta 2
refused '--reward-model expected a reward that is in use (symmetry), got clip_score' --reward symmetry \
  --reward-model "clip_score=$model/clip"
refused '--reward-model expected a reward with a model of its own, got symmetry' --reward symmetry \
  --reward-model "symmetry=$model/clip"
for value in 0 -1 nan inf; do
  status=0; "$program" list --cpu-seconds=$value >"$work/meter.txt" 2>&1 || status=$?
  [ "$status" = 1 ] && grep -q -- "--cpu-seconds expected a finite number above 0, got $value" "$work/meter.txt" ||
    fail "list --cpu-seconds $value: $status, $(cat "$work/meter.txt")"
done
status=0; "$program" list --kl-weight=-1 >"$work/meter.txt" 2>&1 || status=$?
[ "$status" = 1 ] && grep -q -- '--kl-weight expected a finite number >= 0, got -1' "$work/meter.txt" ||
  fail "list --kl-weight -1: $status, $(cat "$work/meter.txt")"
echo "rt-reproduce: killed, resumed, reported"
