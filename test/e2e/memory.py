#!/usr/bin/env python3
"""What a rank occupies is what its plan says: the most resident memory of each rank's process, against the account of the plan.

Ranks read each other's arenas in place. A page of an arena counts once, in equal parts for those that have it in their tables. What a rank of a
plan of next to nothing occupies, code and stacks, is not the plan's. And on devices with less memory than a free choice takes, plans take
no more than these have.

usage: memory.py [--cache DIR] MODEL...      MODEL as in models.py
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from onnx import TensorProto, helper

import models

from mpopt import ToolError, plan
from mpopt.tools import BIN

MACHINE = models.TOP / "machines/test-host.toml"
MOST = 1.1  # of what the plan says
STEPS = 50
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")  # begins the lines about one in smaps


def resident(process):
    """Resident bytes of a process, its part of what lies in memory that ranks share; 0 when it is gone."""
    total, arena = 0, False
    try:
        for line in pathlib.Path(f"/proc/{process}/smaps").read_text().splitlines():
            if MAPPING.match(line):
                arena = line.endswith("/dev/zero (deleted)")
            elif line.startswith("Pss:" if arena else "Rss:"):
                total += int(line.split()[1]) * 1024
    except OSError:
        return 0
    return total


def is_alive(process):
    try:
        return pathlib.Path(f"/proc/{process}/statm").read_text().split()[0] != "0"
    except OSError:
        return False


def children(process):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def peaks(plan_file, steps):
    """Peak per process of the ranks, in the order of their start."""
    command = [BIN / "mpopt-run", plan_file, "--repeat", str(steps), "--ranks", "processes"]
    most = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            seen = {child: resident(child) for child in children(process.pid)}
            if len(seen) >= len(most) and all(map(is_alive, seen)):  # a rank that ends leaves what it shared to the others
                most = {child: max(most.get(child, 0), now) for child, now in seen.items()}
            time.sleep(0.005)
        if process.returncode:
            raise RuntimeError(process.stderr.read())
    return [most[child] for child in sorted(most)]


def own_code(cache):
    """Resident bytes of a rank whose plan needs next to none."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        path, plan_file = pathlib.Path(folder) / "model.onnx", pathlib.Path(folder) / "model.mpplan"
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [8]) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node("Exp", ["x"], ["y"])], "small", value[:1], value[1:])
        path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())
        plan(path, plan_file, 1, machine=MACHINE)
        return peaks(plan_file, 100_000)[0]


def check(model, cache, strategy, devices, base):
    path = models.prepare(model, cache)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        plan_file = pathlib.Path(folder) / "model.mpplan"
        account = plan(path, plan_file, devices, dims=models.dims(models.make_inputs(model, path, 8)), strategy=strategy,
                       machine=MACHINE)
        seen = [most - base for most in peaks(plan_file, STEPS)]
    said = account["memory_bytes"]
    good = len(seen) == devices and all(real <= MOST * planned for real, planned in zip(seen, said))
    texts = ", ".join(f"{real / 1e6:.0f} of {planned / 1e6:.0f} MB ({real / planned:.3f})" for real, planned in zip(seen, said))
    print(f"{'ok  ' if good else 'FAIL'} {model.name} x{devices} {strategy}: {texts}", flush=True)
    return good


def check_limit(model, cache, devices=2):
    """Plans with less and less memory than a free choice takes either keep to it or are refused; some of them exist."""
    path = models.prepare(model, cache)
    dims = models.dims(models.make_inputs(model, path, 8))
    good, kept = True, []
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        machine, plan_file = pathlib.Path(folder) / "machine.toml", pathlib.Path(folder) / "model.mpplan"
        free = max(plan(path, plan_file, devices, dims=dims, machine=MACHINE, options=("--dry-run",))["memory_bytes"])
        for percent in (98, 94, 90, 85, 80, 75):
            limit = free * percent // 100
            machine.write_text(MACHINE.read_text().replace("memory_bytes = 68719476736", f"memory_bytes = {limit}", 1))
            try:
                taken = max(plan(path, plan_file, devices, dims=dims, machine=machine, options=("--dry-run",))["memory_bytes"])
            except ToolError as error:
                good &= "no plan for" in error.message
                continue
            good &= taken <= limit
            kept.append(f"{taken / limit:.3f} of {percent} %")
    good &= bool(kept)
    print(f"{'ok  ' if good else 'FAIL'} {model.name} x{devices} with less memory than {free / 1e6:.0f} MB: {', '.join(kept)}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e")
    parser.add_argument("models", nargs="+", choices=models.MODELS, metavar="MODEL")
    args = parser.parse_args()
    cases = [(model, f"{kind}={devices}", devices) for model in args.models for kind, devices in (("dp", 1), ("dp", 2), ("tp", 2))]
    base = own_code(args.cache)
    good = [check(models.MODELS[model], args.cache, strategy, devices, base) for model, strategy, devices in cases]
    good += [check_limit(models.MODELS[model], args.cache) for model in args.models]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
