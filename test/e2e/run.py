#!/usr/bin/env python3
"""Plans and runs models over several devices and strategies, and compares their outputs with ONNX Runtime's.

usage: run.py [--cache DIR] [--devices N,...] [--batch N,...] [--past N] MODEL...      MODEL as in models.py, or "all"
"""
import argparse
import pathlib
import shutil
import sys
import time

import models

from mpopt import ToolError, execute, plan
from mpopt.tools import relative_difference

TOLERANCE = 1e-4  # f32, of norm(out - ref) / norm(ref)
MACHINE = models.TOP / "machines/test-host.toml"
# devices: the strategies to force; None is the planner's choice
STRATEGIES = {
    1: [None],
    2: [None, "dp=2", "tp=2"],
    3: [None, "dp=3", "tp=3"],
    4: [None, "dp=4", "tp=4", "dp=2,tp=2"],
    6: [None, "dp=2,tp=3"],
    8: [None, "dp=8", "tp=8", "dp=2,tp=4"],
}
# What transformers can do beside, and mixtures of experts.
SEQUENCE = {2: ["sp=2"], 3: ["sp=3"], 4: ["sp=2,tp=2"], 8: ["sp=4,tp=2"]}
EXPERTS = {2: ["ep=2"], 4: ["ep=4", "ep=2,tp=2"], 8: ["dp=2,ep=4"]}


def strategies(model, devices):
    """The strategies to force on a model over so many devices."""
    more = (SEQUENCE.get(devices, []) if model.sequence else []) + (EXPERTS.get(devices, []) if model.experts else [])
    return STRATEGIES.get(devices, [None]) + more


def exceeds_batch(inputs, strategy):
    """Whether the strategy splits the batch in more parts than it has rows; graphs with a fixed batch have what they have."""
    ways = dict(part.split("=") for part in strategy.split(",")) if strategy else {}
    return int(ways.get("dp", 1)) > min(len(array) for array in inputs.values())


def check(path, inputs, expected, devices, strategy, folder):
    """Plans and runs one case; returns what is wrong with it, or None, and a line about it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    impossible = exceeds_batch(inputs, strategy)
    try:
        start = time.monotonic()
        plan_file = folder / "model.mpplan"
        account = plan(path, plan_file, devices, dims=models.dims(inputs), machine=MACHINE, strategy=strategy)
        planned = time.monotonic()
        if impossible:
            return "must be refused: there are fewer rows than the strategy's batch splits", "planned"
        # One case goes through processes and shared memory; the others through threads.
        outputs, _ = execute(plan_file, inputs, ranks="processes" if (devices, strategy) == (2, None) else "threads")
        difference = relative_difference(outputs, expected)
        moved = sum(entry["count"] for entry in account["collectives"])
        line = f"{difference:.1e}  {moved:4d} collectives  plan {planned - start:.1f} s, run {time.monotonic() - planned:.1f} s"
        if not difference <= TOLERANCE:
            return f"differs from ONNX Runtime by {difference:.2e}, more than {TOLERANCE:.0e}", line
        if strategy and strategy.startswith("dp=") and "," not in strategy and moved:
            return f"a batch split needs no collectives, the plan has {account['collectives']}", line
        return None, line
    except (ToolError, KeyError, ValueError, OSError) as error:
        if impossible and "can be split over dp=" in str(error):
            return None, "refused, as it must be"
        return f"{type(error).__name__}: {error}", "error"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_model(model, cache, devices, batch, past):
    """Runs all cases of one model; returns the number of those that failed."""
    path = models.prepare(model, cache)
    inputs = models.make_inputs(model, path, batch, past)
    expected = models.reference_outputs(model, path, inputs, cache)
    failed = 0
    for count in devices:
        for strategy in strategies(model, count):
            name = f"{model.name} b{batch} x{count} {strategy or 'planned'}"
            wrong, line = check(path, inputs, expected, count, strategy, cache / "plans" / model.name)
            print(f"{'FAIL' if wrong else 'ok  '} {name:<41} {line}" + (f"\n     {wrong}" if wrong else ""), flush=True)
            failed += wrong is not None
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e", help="folder for models and references")
    parser.add_argument("--devices", default="1,2,3,4,8", help="device counts")
    parser.add_argument("--batch", default="8", help="rows of each input; several counts are tried one by one")
    parser.add_argument("--past", type=int, help="tokens in a decoder's cache, 0 too [as each model has it]")
    parser.add_argument("models", nargs="+", choices=[*models.MODELS, "all"], metavar="MODEL", help=", ".join(models.MODELS))
    args = parser.parse_args()
    chosen = models.MODELS.values() if "all" in args.models else [models.MODELS[name] for name in args.models]
    devices = [int(count) for count in args.devices.split(",")]
    batches = [int(batch) for batch in args.batch.split(",")]
    failed = sum(run_model(model, args.cache, devices, batch, args.past) for model in chosen for batch in batches)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
