#!/usr/bin/env python3
"""check_interrupted_scripts.py: script/learn and script/ranks_speed, interrupted while a stand-in for rt-tune runs, end
at once with the signal's exit code, and leave no process and no temporary folder. script/learn counts the seconds."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT = 60  # seconds for anything
STAND_IN = """#!/usr/bin/env bash
[ "$1" = tune ] || exit 9
[ "${WORLD_SIZE:-}" != 1 ] || exit 0
i=0
while [ $i -lt 20000 ]; do i=$((i + 1)); done  # some CPU time
echo $$ >>"$PIDS/all"
trap 'kill $!; echo "got $(date +%s)" >>"$PIDS/told"; exit 130' INT TERM  # as rt-tune, which saves a checkpoint
sleep 300 & wait
"""


def wait_until(what, holds):
    end = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"FAILED: no {what} within {LIMIT} s")
        time.sleep(0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def interrupted(work, command, number, processes, **environment):
    """Runs the command until so many stand-ins run, sends it the signal, and returns its exit code."""
    pids = work / f"pids{number}"
    shutil.rmtree(pids, ignore_errors=True)
    pids.mkdir()
    started = []

    def all_started():
        nonlocal started
        if (pids / "all").exists():
            started = [int(line) for line in (pids / "all").read_text().split()]
        return len(started) == processes

    with open(work / "out.txt", "w") as out:
        script = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True,
                                  env={**os.environ, "PIDS": str(pids), "TMPDIR": str(work / "tmp"), **environment})
        try:
            wait_until(f"stand-in of {command[0]}", lambda: all_started() or script.poll() is not None)
            if not all_started():
                sys.exit(f"FAILED: {command[0]} ended early: {(work / 'out.txt').read_text()}")
            script.send_signal(number)
            status = script.wait(LIMIT)
            for pid in started:
                wait_until(f"end of {pid}", lambda: not alive(pid))
        finally:
            for group in [script.pid, *started]:
                try:
                    os.killpg(group, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
    if list((work / "tmp").iterdir()):
        sys.exit(f"FAILED: {command[0]} left {list((work / 'tmp').iterdir())}")
    return status, pids


def check(what, expected, got):
    if expected != got:
        sys.exit(f"FAILED: {what}: expected {expected}, got {got}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name in ("script", "examples/recipes"):
            shutil.copytree(ROOT / name, work / name)
        (work / "tmp").mkdir()
        build = work / "build"
        stand_in = build / "examples/rt-tune"
        stand_in.parent.mkdir(parents=True)
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
        for number in (signal.SIGINT, signal.SIGTERM):
            status, _ = interrupted(work, [str(work / "script/ranks_speed"), str(build)], number, 2)
            check("script/ranks_speed", 128 + number, status)
            seconds = work / "runs/learning/ddpo/tuning_seconds.txt"
            seconds.unlink(missing_ok=True)
            status, pids = interrupted(work, [str(work / "script/learn"), "ddpo", "dpok"], number, 1,
                                       RT_TUNE=str(stand_in))
            check("script/learn", 128 + number, status)
            check("signals that rt-tune got", 1, len((pids / "told").read_text().splitlines()))
            check("lines of seconds", 1, len(seconds.read_text().splitlines()))
            if sum(map(float, seconds.read_text().split())) <= 0:
                sys.exit(f"FAILED: script/learn counted no seconds: {seconds.read_text()}")
            check("a second recipe", False, (work / "runs/learning/dpok").exists())
    print("scripts: interrupted, nothing left")


main()
