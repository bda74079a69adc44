#!/usr/bin/env python3
"""Steps allocate no memory: in a run of many steps ranks call the allocator as often as in a run of few.

usage: allocations.py --counter LIBRARY [--cache DIR] MODEL...      MODEL as in models.py; LIBRARY made of count_allocations.c
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import models

from mpopt import plan
from mpopt.tools import BIN

FEW, MANY = 3, 23


def allocations(counter, plan_file, steps):
    """Calls of the allocator by the ranks in a run of mpopt-run with ranks as threads."""
    report = plan_file.with_suffix(".allocations")
    subprocess.run([BIN / "mpopt-run", plan_file, "--repeat", str(steps), "--ranks", "threads"], check=True, capture_output=True,
                   timeout=300, env={**os.environ, "LD_PRELOAD": str(counter), "MPOPT_ALLOCATIONS": str(report)})
    return int(report.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counter", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e")
    parser.add_argument("models", nargs="+", choices=models.MODELS, metavar="MODEL")
    args = parser.parse_args()
    failed = 0
    for model in map(models.MODELS.get, args.models):
        path = models.prepare(model, args.cache)
        dims = models.dims(models.make_inputs(model, path, 2))
        for devices in (1, 2):
            with tempfile.TemporaryDirectory(dir=args.cache) as folder:
                plan_file = pathlib.Path(folder) / "model.mpplan"
                plan(path, plan_file, devices, dims=dims, strategy=f"tp={devices}", machine=models.TOP / "machines/test-host.toml")
                few, many = (allocations(args.counter, plan_file, steps) for steps in (FEW, MANY))
            wrong = few == 0 or many != few
            print(f"{'FAIL' if wrong else 'ok  '} {model.name} x{devices}: {few} allocations with {FEW} steps, {many} with {MANY}", flush=True)
            failed += wrong
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
