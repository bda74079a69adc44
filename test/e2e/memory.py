#!/usr/bin/env python3
"""What a rank occupies is what its plan says: the most resident memory of each rank's process, against the account of the plan.

usage: memory.py [--cache DIR] MODEL...      MODEL as in models.py; one whose memory outweighs that of the runtime's own code
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import models

from mpopt import plan
from mpopt.tools import BIN

MOST = 1.1  # of what the plan says
STEPS = 20


def peak(process):
    """Most resident bytes of a process so far; 0 when it is gone."""
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def children(process):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def peaks(plan_file):
    """Peak per process of the ranks, in the order of their start."""
    command = [BIN / "mpopt-run", plan_file, "--repeat", str(STEPS), "--ranks", "processes"]
    most = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            for child in children(process.pid):
                most[child] = max(most.get(child, 0), peak(child))
            time.sleep(0.002)
        if process.returncode:
            raise RuntimeError(process.stderr.read())
    return [most[child] for child in sorted(most)]


def check(model, cache, strategy, devices):
    path = models.prepare(model, cache)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        plan_file = pathlib.Path(folder) / "model.mpplan"
        account = plan(path, plan_file, devices, dims=models.dims(models.make_inputs(model, path, 8)), strategy=strategy,
                       machine=models.TOP / "machines/test-host.toml")
        seen = peaks(plan_file)
    said = account["memory_bytes"]
    good = len(seen) == devices and all(real <= MOST * planned for real, planned in zip(seen, said))
    texts = ", ".join(f"{real / 1e6:.0f} of {planned / 1e6:.0f} MB ({real / planned:.3f})" for real, planned in zip(seen, said))
    print(f"{'ok  ' if good else 'FAIL'} {model.name} x{devices} {strategy}: {texts}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e")
    parser.add_argument("models", nargs="+", choices=models.MODELS, metavar="MODEL")
    args = parser.parse_args()
    cases = [(model, f"{kind}={devices}", devices) for model in args.models for kind, devices in (("dp", 1), ("dp", 2), ("tp", 2))]
    return 0 if all([check(models.MODELS[model], args.cache, strategy, devices) for model, strategy, devices in cases]) else 1


if __name__ == "__main__":
    sys.exit(main())
