#!/usr/bin/env python3
"""The same command twice gives the same plan, weights and account, byte for byte.

usage: determinism.py [--cache DIR] MODEL...      MODEL as in models.py
"""
import argparse
import pathlib
import sys
import tempfile

import models

from mpopt import plan

CASES = [(4, None), (8, "dp=2,tp=4")]


def differences(first, second):
    """What is unequal between two folders' files."""
    names = [{path.name for path in folder.iterdir()} for folder in (first, second)]
    if names[0] != names[1]:
        return [f"files {sorted(names[0])} and {sorted(names[1])}"]
    return [name for name in sorted(names[0]) if (first / name).read_bytes() != (second / name).read_bytes()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e")
    parser.add_argument("models", nargs="+", choices=models.MODELS, metavar="MODEL")
    args = parser.parse_args()
    failed = 0
    for model in map(models.MODELS.get, args.models):
        path = models.prepare(model, args.cache)
        dims = models.dims(models.make_inputs(model, path, 8))
        for devices, strategy in CASES:
            with tempfile.TemporaryDirectory(dir=args.cache) as folder:
                twice = [pathlib.Path(folder) / name for name in ("first", "second")]
                for place in twice:
                    place.mkdir()
                    plan(path, place / "model.mpplan", devices, dims=dims, strategy=strategy,
                         machine=models.TOP / "machines/test-host.toml")
                wrong = differences(*twice)
            print(f"{'FAIL' if wrong else 'ok  '} {model.name} x{devices} {strategy or 'planned'}: "
                  + (f"differ: {', '.join(wrong)}" if wrong else "equal"), flush=True)
            failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
