# What tests of rt-tune share; a script sources it after it has set rt_tune.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { # expect CODE TEXT COMMAND...: exit code, and a line of stdout or stderr
  local code=$1 text=$2 status=0
  shift 2
  "$rt_tune" "$@" >"$work/out.txt" 2>&1 || status=$?
  [ "$status" = "$code" ] || fail "expected exit code $code, got $status: $*: $(cat "$work/out.txt")"
  grep -q -- "$text" "$work/out.txt" || fail "expected '$text' of $*, got: $(cat "$work/out.txt")"
}
