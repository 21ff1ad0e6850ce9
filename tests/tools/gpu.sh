#!/usr/bin/env bash
# script/gpu at its smallest size on the CPU: every part leaves its results, a second call has nothing left to do, a
# program that fails is told and tried again, and the page is what the results say. gpu.sh BUILD WORK
set -euo pipefail
build=$1 work=$2
cd "$(dirname "$0")/../.."
rm -rf "$work"
fail() { printf 'gpu.sh: %s\n' "$*" >&2; exit 1; }
dry() { script/gpu --dry-run --programs "$build" --out "$work/results" --minutes 20 "$@" >"$work/log" 2>&1; }
mkdir -p "$work/peer"
cat >"$work/peer/eager_direct.py" <<'LOOP'
import json, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if flags["--method"] != "drtune" or flags["--memory"] != "checkpoint" or flags["--train-steps"] != "1":
    sys.exit(f"unexpected flags {flags}")
print("loading", file=sys.stderr)
print(json.dumps({"updates": [{"wall": 1000.0}]}))
LOOP

dry --peer "$work/peer" || fail "the dry run failed: $(tail -n 5 "$work/log")"
grep -q 'nothing is left' "$work/log" || fail "the dry run left something"
for part in tests race peer sdxl; do
  [ -s "$work/results/$part.json" ] || fail "no $part.json"
  ! grep -q '"failed"' "$work/results/$part.json" || fail "$part.json has a case that failed"
done
[ "$(grep -c '"took"' "$work/results/race.json")" -eq 17 ] || fail "expected 17 races"

dry --peer "$work/peer" || fail "the second call failed"
[ "$(grep -c ': done' "$work/log")" -eq 0 ] || fail "the second call measured again"

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

script/gpu --out "$work/results" --tables "$work/page.md"
for words in '## Every method' '| reward-weighted | replay | 2 |' '## Tests on the device' 'out of memory' \
  '## Against a Python loop' 'a dry run, whose numbers say nothing' '| eager Python | 1e+03 |'; do
  grep -q -- "$words" "$work/page.md" || fail "the page has no '$words'"
done
script/gpu --tables "$work/own.md"
diff docs/gpu.md "$work/own.md" || fail "docs/gpu.md is not what script/gpu --tables writes"
