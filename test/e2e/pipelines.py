#!/usr/bin/env python3
"""Pipelines against ONNX Runtime: stages and microbatches, alone and with other layouts, ranks as threads and as processes, steps one by one
and streaming; what cannot be split is refused. With --faults, too: the trace shows sends and receives, and faults at them are reported.

usage: pipelines.py [--cache DIR] [--faults] MODEL...      MODEL as in models.py
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import models

from mpopt import ToolError, execute, plan
from mpopt.tools import BIN, relative_difference

TOLERANCE = 1e-4
MACHINE = models.TOP / "machines/test-host.toml"
BATCH = 4
# devices, strategy, objective, ranks
CASES = [
    (2, "pp=2", "latency", "threads"),
    (2, "pp=2,mb=4", "latency", "processes"),
    (3, "pp=3,mb=2", "latency", "threads"),
    (4, "pp=2,tp=2,mb=4", "latency", "threads"),
    (4, "pp=2,tp=2,mb=2", "latency", "threads"),
    (4, "pp=4,mb=4", "latency", "threads"),
    (4, "pp=2,dp=2,mb=2", "latency", "processes"),
    (4, "pp=2,mb=2", "throughput", "threads"),
    (2, "pp=2", "throughput", "processes"),
    (6, "pp=3,tp=2,mb=2", "throughput", "threads"),
    (3, "pp=3", "memory", "threads"),
    (3, "pp=2+1", "latency", "threads"),
    (3, "pp=1+2,mb=2", "latency", "processes"),
    (5, "pp=2,mb=2", "throughput", "threads"),
    (5, "pp=1+3+1", "latency", "threads"),
    (6, "pp=4+2,mb=4", "throughput", "processes"),
    (6, "pp=4", "memory", "threads"),
    (3, "pp=2+1,tp=2+1", "latency", "threads"),
    (4, "pp=3+1,tp=3+1,mb=2", "latency", "threads"),
    (3, "pp=1+2,sp=1+2", "latency", "processes"),
    (6, "pp=2+4,dp=1+2,tp=2,mb=2", "throughput", "threads"),
    (1, "mb=4", "latency", "threads"),
]


def applies(case, model):
    return "sp=" not in case[1] or model.sequence


def check(model, path, inputs, expected, case, folder):
    """What is wrong with a case, or None, and a line about it."""
    devices, strategy, objective, ranks = case
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "model.mpplan"
    account = plan(path, file, devices, dims=models.dims(inputs), machine=MACHINE, strategy=strategy,
                   options=("--objective", objective))
    outputs, _ = execute(file, inputs, ranks=ranks, repeat=5)
    difference = relative_difference(outputs, expected)
    ways = dict(part.split("=") for part in strategy.split(","))
    stages = account["pipeline"]["stages"]
    sizes = [int(size) for size in ways.get("pp", "1").split("+")]  # of each stage, or how many there are
    held = [len(stage["devices"]) for stage in stages]
    line = f"{difference:.1e}  stages {[round(stage['seconds'] * 1e3, 2) for stage in stages]} ms, memory {account['memory_bytes']}"
    if not difference <= TOLERANCE:
        return f"differs from ONNX Runtime by {difference:.2e}", line
    if (held != sizes if len(sizes) > 1 else max(1, len(held)) != sizes[0]) or account["pipeline"]["microbatches"] != int(ways.get("mb", 1)):
        return f"the account has {account['pipeline']}", line
    if held and sum(held) != devices:
        return f"the stages have {held} devices", line
    if "pp" in ways and account["pipeline"]["messages"] == 0:
        return "nothing is sent", line
    if len(account["memory_bytes"]) != devices:
        return "the account misses devices", line
    return None, line


def run(arguments, **environment):
    return subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, **environment})


def check_faults(file, inputs, folder):
    """Kills and stalls at the first send and receive."""
    trace = folder / "trace.json"
    result = run([BIN / "mpopt-run", file, "--trace", trace])
    if result.returncode != 0:
        return result.stderr
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    for kind in ("send", "recv"):
        found = [event for event in events if event.get("args", {}).get("kind") == kind]
        if not found or found[0]["args"]["bytes"] <= 0 or not found[0]["args"]["to" if kind == "send" else "from"].startswith("rank "):
            return f"the trace shows no {kind}"
        rank, number = found[0]["tid"], found[0]["args"]["instruction"]
        for fault, timeout in (("kill", 60), ("stall", 5)):  # no kernel takes so long, even on a busy machine
            for ranks in ("threads", "processes"):
                result = run([BIN / "mpopt-run", file, "--ranks", ranks, "--repeat", 3, "--timeout", timeout],
                             MPOPT_FAULT=f"{fault}:{rank}:1:{number}")
                if result.returncode != 1 or f"rank {rank} " not in result.stderr or f"at step 1 in {kind}#{number}" not in result.stderr:
                    return f"{fault} at {kind}, {ranks}: exit code {result.returncode}, {result.stderr!r}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e", help="folder for models and references")
    parser.add_argument("--faults", action="store_true", help="kill and stall ranks at sends and receives, too")
    parser.add_argument("models", nargs="+", metavar="MODEL", choices=list(models.MODELS))
    args = parser.parse_args()
    failed = 0

    def report(name, wrong, line=""):
        nonlocal failed
        print(f"{'FAIL' if wrong else 'ok  '} {name:<50} {line}" + (f"\n     {wrong}" if wrong else ""), flush=True)
        failed += wrong is not None

    for name in args.models:
        model = models.MODELS[name]
        path = models.prepare(model, args.cache)
        inputs = models.make_inputs(model, path, BATCH)
        expected = models.reference_outputs(model, path, inputs, args.cache)
        folder = args.cache / "plans" / f"{name}.pipelines"
        for case in (case for case in CASES if applies(case, model)):
            try:
                report(f"{name} x{case[0]} {case[1]} {case[2]} {case[3]}", *check(model, path, inputs, expected, case, folder))
            except (ToolError, KeyError, ValueError, OSError) as error:
                report(f"{name} x{case[0]} {case[1]} {case[2]}", f"{type(error).__name__}: {error}")
        if args.faults:
            plan(path, folder / "model.mpplan", 2, dims=models.dims(inputs), machine=MACHINE, strategy="pp=2,mb=2")
            report(f"{name} faults", check_faults(folder / "model.mpplan", inputs, folder))
        try:
            plan(path, folder / "model.mpplan", 2, dims=models.dims(inputs), machine=MACHINE, strategy="pp=2,mb=3")
            report(f"{name} mb=3 of {BATCH} rows", "must be refused")
        except ToolError as error:
            report(f"{name} mb=3 of {BATCH} rows", None if "choose a divisor of that for mb" in str(error) else str(error))
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
