"""mpopt and mpopt-run as functions over files and numpy arrays."""
import json
import os
import pathlib
import re
import subprocess
import tempfile

import numpy as np

BIN = pathlib.Path(os.environ.get("MPOPT_BIN", pathlib.Path(__file__).resolve().parents[2] / "build/bin"))


class ToolError(RuntimeError):
    """A tool refused its input: `message` is what it wrote, `code` its exit status."""

    def __init__(self, command, code, message):
        super().__init__(f"{' '.join(map(str, command))}\nexit code {code}: {message}")
        self.code = code
        self.message = message


def call(tool, *args, timeout=600):
    """Runs a tool; returns its standard output. Raises ToolError when it fails."""
    command = [BIN / tool, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise ToolError(command, done.returncode, done.stderr.strip())
    return done.stdout


def plan(model, out, devices, *, dims=(), machine=None, strategy=None, options=()):
    """Writes the plan of `model` over `devices` to file `out` (weights beside it); returns the account that --json gives.
    `dims` are texts for --dim, such as "batch=8" or "input_ids=2x128"."""
    out = pathlib.Path(out)
    account = out.with_suffix(".json")
    args = [model, "--devices", devices, "-o", out, "--json", account]
    for dim in dims:
        args += ["--dim", dim]
    if machine:
        args += ["--machine", machine]
    if strategy:
        args += ["--strategy", strategy]
    call("mpopt", *args, *options)
    return json.loads(account.read_text())


def file_name(tensor):
    """The name, without .npy, of the file that mpopt-run gives an output of this name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", tensor)


def execute(plan_file, inputs, *, ranks=None, repeat=None, options=()):
    """Runs a plan on a dict of input arrays; returns the outputs by file name and the report that --json gives."""
    with tempfile.TemporaryDirectory(prefix="mpopt-run-") as folder:
        folder = pathlib.Path(folder)
        args = [plan_file, "--output-dir", folder / "out", "--json", folder / "report.json"]
        for number, (name, value) in enumerate(inputs.items()):
            np.save(folder / f"{number}.npy", value)
            args += ["--input", f"{name}={folder / f'{number}.npy'}"]
        if ranks:
            args += ["--ranks", ranks]
        if repeat:
            args += ["--repeat", repeat]
        call("mpopt-run", *args, *options)
        outputs = {path.stem: np.load(path) for path in sorted((folder / "out").glob("*.npy"))}
        return outputs, json.loads((folder / "report.json").read_text())


def relative_difference(outputs, reference):
    """The largest of norm(out - ref) / norm(ref) over the reference's outputs; infinite where a reference of zeros is not met exactly."""
    worst = 0.0
    for name, expected in reference.items():
        found = outputs[file_name(name)]
        if found.shape != expected.shape:
            raise ValueError(f"output {name} has shape {found.shape}, the reference {expected.shape}")
        error, norm = np.linalg.norm(np.asarray(found, np.float64) - expected), np.linalg.norm(np.float64(expected))
        difference = error / norm if norm > 0 else 0.0 if error == 0 else float("inf")
        worst = max(worst, difference) if np.isfinite(difference) else float("inf")
    return worst
