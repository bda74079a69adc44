#!/usr/bin/env python3
"""Planning is small and quick at 8 devices: the compiler's own memory under 500 MB beside the weights that it maps, and, with
--timed, import to instruction lists within 2 s. The tests run it without: what a shared machine's clock says is no test.

usage: bars.py [--cache DIR] [--timed] MODEL...      MODEL as in models.py, or "all"
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import time

import models

from mpopt.tools import BIN

SECONDS = 2.0
ANONYMOUS_BYTES = 500e6
TRIES = 3  # the fastest counts: other work on the machine only ever adds time


def anonymous_bytes(pid):
    """Memory of a process that no file backs, now; 0 when it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:")), 0)


def watch(command):
    """Runs a command; returns its seconds and the most anonymous memory seen."""
    start, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.005)
        if process.returncode:
            raise RuntimeError(process.stderr.read())
    return time.monotonic() - start, peak


def check(model, cache, timed):
    """Prints one model's figures; returns whether they pass."""
    path = models.prepare(model, cache)
    folder = cache / "plans" / f"bars-{model.name}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [BIN / "mpopt", path, "--devices", "8", "--machine", models.TOP / "machines/test-host.toml"]
    for dim in models.dims(models.make_inputs(model, path, 8)):
        command += ["--dim", dim]
    try:
        seconds = min(watch([*command, "--emit=rt"])[0] for _ in range(TRIES if timed else 1))
        whole, peak = watch([*command, "-o", folder / "model.mpplan"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    good = (seconds <= SECONDS or not timed) and peak <= ANONYMOUS_BYTES
    print(f"{'ok  ' if good else 'FAIL'} {model.name:<22} {seconds:.2f} s to instruction lists, {whole:.2f} s with code and weights, "
          f"{peak / 1e6:.0f} MB", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e")
    parser.add_argument("--timed", action="store_true", help="time counts, too")
    parser.add_argument("models", nargs="+", choices=[*models.MODELS, "all"], metavar="MODEL")
    args = parser.parse_args()
    chosen = models.MODELS if "all" in args.models else args.models
    return 0 if all([check(models.MODELS[name], args.cache, args.timed) for name in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())
