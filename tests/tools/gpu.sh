#!/usr/bin/env bash
# script/gpu at its smallest size on the CPU: every part leaves its results, a second call has nothing left to do unless
# sources, card or LibTorch are others, a program that fails is told and tried again, one that takes too long ends with
# all that it started, and the page is what the results say. gpu.sh BUILD WORK
set -euo pipefail
build=$1 work=$2
cd "$(dirname "$0")/../.."
rm -rf "$work"
fail() { printf 'gpu.sh: %s\n' "$*" >&2; exit 1; }
dry() { script/gpu --dry-run --programs "$build" --out "$work/results" --minutes 20 "$@" >"$work/log" 2>&1; }
mkdir -p "$work"
cat >"$work/python" <<'LOOP'
#!/bin/sh
[ "$1" != -c ] || exit 0
case "$*" in *"eager_update.py "*" --memory checkpoint "*" --side 64 --steps 2 "*) ;; *) echo "got $*" && exit 1 ;; esac
echo loading >&2
echo '{"updates": [{"wall": 1000.0}]}'
LOOP
chmod +x "$work/python"

dry --python "$work/python" || fail "the dry run failed: $(tail -n 5 "$work/log")"
grep -q 'nothing is left' "$work/log" || fail "the dry run left something"
for part in tests race rollout peer sdxl; do
  [ -s "$work/results/$part.json" ] || fail "no $part.json"
  ! grep -q '"failed"' "$work/results/$part.json" || fail "$part.json has a case that failed"
done
[ "$(grep -c '"took"' "$work/results/race.json")" -eq 18 ] || fail "expected 18 races"

dry --python "$work/python" || fail "the second call failed"
[ "$(grep -c ': done' "$work/log")" -eq 0 ] || fail "the second call measured again"

# a machine without diffusers says so, which is no failure
script/gpu --dry-run --programs "$build" --out "$work/no_peer" --part peer --python "$work/none" >"$work/log" 2>&1 ||
  fail "a machine without diffusers failed: $(cat "$work/log")"
script/gpu --out "$work/no_peer" --tables "$work/no_peer.md"
grep -q "| eager Python | this machine's Python has no torch and no diffusers" "$work/no_peer.md" ||
  fail "the page does not say that there is no diffusers"

# a case that failed is tried again, and only that; with no program it fails again, by name
sed -i '0,/"took"/s//"failed": "on purpose", "took"/' "$work/results/race.json"
dry --part race || fail "the third call failed"
[ "$(grep -c ': done' "$work/log")" -eq 1 ] || fail "expected one case again: $(cat "$work/log")"
sed -i '0,/"took"/s//"failed": "on purpose", "took"/' "$work/results/sdxl.json"
mkdir -p "$work/broken/benchmarks"
cp "$build/CMakeCache.txt" "$work/broken"
broken() { # broken WORDS: a call with a program that fails with these words
  printf '#!/bin/sh\necho "%s" >&2\nexit 7\n' "$1" >"$work/broken/benchmarks/bench_race"
  chmod +x "$work/broken/benchmarks/bench_race"
  script/gpu --dry-run --programs "$work/broken" --out "$work/results" --part sdxl >"$work/log" 2>&1
}
! broken 'no luck' || fail "a program that fails passed"
grep -q 'exit code 7: no luck' "$work/log" || fail "expected its exit code and words: $(cat "$work/log")"
! broken 'CUDA out of memory' || fail "a program without memory passed"
broken 'CUDA out of memory' || fail "what had no memory was tried again"

# ---- with programs of a line, in a copy of the sources
stubs=$work/stubs copy=$work/copy
mkdir -p "$stubs/benchmarks" "$stubs/tests" "$copy/script" "$copy/src"
cp "$build/CMakeCache.txt" "$stubs"
cp script/gpu "$copy/script"
echo one >"$copy/src/a.cpp"
cat >"$stubs/benchmarks/bench_race" <<'STUB'
#!/bin/sh
echo '{"updates": [{"wall": 1, "flops": 1e12}], "settings": {"method": "drtune", "memory": "replay", "steps": 2},'
echo '"peak_tensor_bytes": 1}'
STUB
printf '#!/bin/sh\necho "test cases:  1 |  1 passed"\n' >"$stubs/tests/devices_test"
chmod +x "$stubs"/*/*
small() { # small COUNT FLAGS...: a call that measures so many cases
  local count=$1
  shift
  "$copy/script/gpu" --dry-run --programs "$stubs" --out "$work/small" --minutes 20 --part race --part sdxl "$@" \
    >"$work/log" 2>&1 || fail "the stubs failed: $(cat "$work/log")"
  [ "$(grep -c ': done' "$work/log")" -eq "$count" ] || fail "expected $count cases, got $(cat "$work/log")"
}
small 20
small 0
# results of other sources, programs, cards or LibTorches do not count
echo two >"$copy/src/a.cpp"
small 20
grep -q 'race begins anew: other sources' "$work/log" || fail "expected to be told of other sources"
echo '# another build' >>"$stubs/tests/devices_test"
small 20
for name in card torch; do
  sed -i -E "s/\"$name\": \"[^\"]*\"/\"$name\": \"another\"/" "$work/small/sdxl.json"
  small 2
  grep -q "sdxl begins anew: other $name" "$work/log" || fail "expected to be told of another $name"
done
# nor does one of another command
sed -i -E '0,/--steps 2/s//--steps 3/' "$work/small/sdxl.json"
small 1
# what was never tried comes before what failed
sed -i '0,/"took"/s//"failed": "on purpose", "took"/' "$work/small/race.json"
sed -i 's/"drtune, 60GB"/"another case"/' "$work/small/sdxl.json"
small 2
[[ $(grep -o 'sdxl: .*: done\|race: .*: done' "$work/log" | tr '\n' ' ') == "sdxl: "*"race: "* ]] ||
  fail "expected the new case first: $(cat "$work/log")"

# a program that takes too long ends with all that it started; so does one whose script is ended
printf '#!/bin/sh\nsleep 1000 &\necho $! >"%s/pid.new" && mv "%s/pid.new" "%s/pid"\nwait\n' "$work" "$work" "$work" \
  >"$stubs/benchmarks/bench_race"
ended() { # ended PID: it is gone within ten seconds, or dead and not yet collected
  for _ in $(seq 100); do
    [[ $(ps -o stat= -p "$1" || true) == [A-Y]* ]] || return 0
    sleep 0.1
  done
  return 1
}
! "$copy/script/gpu" --dry-run --programs "$stubs" --out "$work/late" --minutes 0.2 --part tests >"$work/log" 2>&1 ||
  fail "a program that takes too long passed"
grep -q 'no answer within' "$work/log" || fail "expected to be told of it: $(cat "$work/log")"
ended "$(cat "$work/pid")" || fail "what a late program started still runs"
rm "$work/pid"
"$copy/script/gpu" --dry-run --programs "$stubs" --out "$work/ended" --part sdxl >"$work/log" 2>&1 &
script=$!
for _ in $(seq 300); do [ -e "$work/pid" ] || sleep 0.1; done
kill "$script"
! wait "$script" || fail "a script that is ended passed"
ended "$(cat "$work/pid")" || fail "what the script started still runs"

script/gpu --out "$work/results" --tables "$work/page.md"
for words in '## Every method' '| reward-weighted | replay | 2 |' '## Tests on the device' 'out of memory' \
  '## Captured rollouts' '| 4 images | .* | not captured' 'expected a CUDA card' \
  '## Against a Python loop' 'a dry run, whose numbers say nothing' '| eager Python | 1e+03 |'; do
  grep -q -- "$words" "$work/page.md" || fail "the page has no '$words'"
done
script/gpu --tables "$work/own.md"
diff docs/gpu.md "$work/own.md" || fail "docs/gpu.md is not what script/gpu --tables writes"
