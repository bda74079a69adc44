#!/usr/bin/env python3
"""ONNX's own operator tests (onnx.backend.test, kind "node"), each through mpopt and mpopt-run on one device.

usage: run.py [-k PATTERN] [--part K/N] [--jobs N] [--report FILE]

What is not expected to work is listed in exclusions.txt with the reason; an entry that no longer holds, or that names no test,
fails. Tests named *_expanded, the bodies of ONNX's functions written out, are left out: their operators have tests of
their own. Values that these tests feed but that models hold as constants (shapes, axes, ..) become constants: see CONSTANT.
"""
import argparse
import concurrent.futures
import dataclasses
import fnmatch
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "python"))

from mpopt.tools import BIN, file_name

MACHINE = TOP / "machines/test-host.toml"
CRASHES = ("Stack dump", "LLVM ERROR", "Assertion", "PLEASE submit", "terminate called", "Sanitizer")
# Operator -> inputs whose values decide the result's shape or place, which a plan must know.
CONSTANT = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Clip": (), "Col2Im": (1, 2), "Compress": (1,),
    "ConstantOfShape": (0,), "CumProd": (1,), "CumSum": (1,), "DFT": (1, 2), "Dropout": (1, 2), "Expand": (1,),
    "HammingWindow": (0,), "HannWindow": (0,), "If": (0,), "Loop": (0, 1), "MaxUnpool": (2,), "MelWeightMatrix": (0, 1, 2, 3, 4),
    "NonZero": (0,), "OneHot": (1,), "Pad": (1, 2, 3), "Range": (0, 1, 2), "Reshape": (1,), "Resize": (1, 2, 3),
    "STFT": (1, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Tile": (1,), "TopK": (1,), "Trilu": (1,),
    "Unsqueeze": (1,), "Upsample": (1,), "Unique": (0,),
    **{f"Reduce{kind}": (1,) for kind in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()},
}


@dataclasses.dataclass
class Outcome:
    name: str
    error: str | None  # None: the outputs are right
    crashed: bool = False


def read_exclusions(file):
    """Patterns with their reasons. A line: pattern, blanks, reason. The reason may not be missing."""
    exclusions = {}
    for line in file.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = line.partition(" ")
        if not reason.strip():
            raise ValueError(f"{file}: '{pattern}' lacks a reason")
        exclusions[pattern] = reason.strip()
    return exclusions


def frozen(model, inputs):
    """The model with the inputs that must be constant turned into initializers, and the inputs that are left."""
    constant = {name for node in model.graph.node for place, name in enumerate(node.input)
                if name and place in CONSTANT.get(node.op_type, ())}
    model = onnx.ModelProto.FromString(model.SerializeToString())
    left = {}
    for value in list(model.graph.input):
        if value.name in constant and value.name in inputs:
            model.graph.initializer.append(numpy_helper.from_array(inputs[value.name], value.name))
            model.graph.input.remove(value)
        elif value.name in inputs:
            left[value.name] = inputs[value.name]
    return model, left


def as_stored(array):
    """An array as numpy files hold it: bfloat16 as two opaque bytes."""
    array = np.asarray(array)
    return array.view("V2") if array.dtype == ml_dtypes.bfloat16 else array


def same(found, expected, case):
    """Why outputs differ, or None."""
    expected = np.asarray(expected)
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    if expected.dtype == ml_dtypes.bfloat16:
        found = found.view(ml_dtypes.bfloat16)
    if found.dtype != expected.dtype:
        return f"type {found.dtype}, expected {expected.dtype}"
    if expected.dtype.kind in "biu":
        return None if np.array_equal(found, expected) else f"{np.count_nonzero(found != expected)} elements differ"
    wide = np.float64
    close = np.isclose(found.astype(wide), expected.astype(wide), case.rtol, case.atol, equal_nan=True)
    return None if close.all() else f"{np.count_nonzero(~close)} of {close.size} elements differ"


def call(command):
    """Runs a tool; returns what is wrong, or None, and whether it crashed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 0:
        return None, False
    text = done.stderr.strip()
    return text or f"exit code {done.returncode}", done.returncode != 1 or any(word in text for word in CRASHES)


def run_data(case, inputs, outputs, folder):
    """Runs one set of inputs; returns the outcome."""
    names = [value.name for value in case.model.graph.input]
    inputs, outputs = ([numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value for value in values]
                       for values in (inputs, outputs))
    if not all(isinstance(value, np.ndarray | np.generic) for value in [*inputs, *outputs]):
        return Outcome(case.name, "has values that are no tensors")
    model, left = frozen(case.model, dict(zip(names, map(np.asarray, inputs))))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    command = [BIN / "mpopt", folder / "model.onnx", "--devices", 1, "--machine", MACHINE, "-o", folder / "model.mpplan"]
    for name, array in left.items():
        if array.ndim:
            command += ["--dim", f"{name}={'x'.join(map(str, array.shape))}"]
    error, crashed = call(command)
    if error:
        return Outcome(case.name, error, crashed)
    command = [BIN / "mpopt-run", folder / "model.mpplan", "--output-dir", folder / "out"]
    for number, (name, array) in enumerate(left.items()):
        np.save(folder / f"{number}.npy", as_stored(array))
        command += ["--input", f"{name}={folder / f'{number}.npy'}"]
    error, crashed = call(command)
    if error:
        return Outcome(case.name, error, crashed)
    for value, expected in zip(case.model.graph.output, outputs):
        wrong = same(np.load(folder / "out" / f"{file_name(value.name)}.npy"), expected, case)
        if wrong:
            return Outcome(case.name, f"output {value.name}: {wrong}")
    return Outcome(case.name, None)


def run_case(case):
    """The outcome of a test: of its first set of inputs that goes wrong, if any does."""
    outcome = Outcome(case.name, "has no data")
    for inputs, outputs in case.data_sets:
        with tempfile.TemporaryDirectory(prefix="mpopt-node-") as folder:
            try:
                outcome = run_data(case, inputs, outputs, pathlib.Path(folder))
            except Exception as error:  # whatever goes wrong is this test's failure
                outcome = Outcome(case.name, f"{type(error).__name__}: {error}")
        if outcome.error:
            return outcome
    return outcome


def collect(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases
        cases = collect_testcases(None)
    return [case for case in cases if "_expanded" not in case.name and re.search(pattern, case.name)]


def judge(outcomes, exclusions, whole):
    """Prints what is not as expected; returns how many tests or exclusions that is."""
    wrong, unused = 0, set(exclusions)
    for outcome in outcomes:
        pattern = next((p for p in exclusions if fnmatch.fnmatchcase(outcome.name, p)), None)
        unused.discard(pattern)
        if outcome.crashed:
            print(f"FAIL {outcome.name}: crashed: {outcome.error}")
        elif pattern and outcome.error is None:
            print(f"FAIL {outcome.name}: passes now; take it from exclusions.txt")
        elif outcome.error and not pattern:
            print(f"FAIL {outcome.name}: {outcome.error}")
        else:
            continue
        wrong += 1
    for pattern in sorted(unused) if whole else []:
        print(f"FAIL exclusion '{pattern}' names no test")
        wrong += 1
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", default="", metavar="PATTERN", help="only tests whose names match the regular expression")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--report", type=pathlib.Path, help="file for a line per test")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every N-th test, from the K-th on")
    args = parser.parse_args()
    exclusions = read_exclusions(pathlib.Path(__file__).with_name("exclusions.txt"))
    part, parts = map(int, args.part.split("/"))
    cases = collect(args.k)[part - 1::parts]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        outcomes = list(pool.map(run_case, cases))
    if args.report:
        lines = (f"{o.name}\t{'ok' if o.error is None else 'CRASH ' * o.crashed + o.error}" for o in outcomes)
        args.report.write_text("\n".join(lines) + "\n")
    wrong = judge(outcomes, exclusions, whole=not args.k and parts == 1)
    passed = sum(outcome.error is None for outcome in outcomes)
    print(f"{passed} of {len(outcomes)} tests of operators pass, {len(outcomes) - passed} do not; {wrong} not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
