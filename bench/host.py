"""Predicted against measured step times on this host: each model on 1 device, and on 2 by the planner's choice, by dp=2 and by tp=2.

The host is calibrated before each model, into a machine file of this run's own, and again after it: where the rates of its arithmetic differ by more
than 5 % the model is measured again, up to three times, and then left out of the verdict. Rounds go through a model's cases in turn, so that a
change of the machine's speed meets all; a figure is the least of all runs. Two different plans of a model for 2 devices count for the order
where their measured times differ by more than 10 %.
"""
import argparse
import dataclasses
import itertools
import pathlib
import shutil
import statistics
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test/e2e"))

import models
import side_by_side

from mpopt import ToolError, execute, plan
from mpopt.tools import call

CASES = ((1, None), (2, None), (2, "dp=2"), (2, "tp=2"))
WITHIN = 0.2
STEADY = 1.05  # how much the host's speed may change while a model is measured
TRIES = 3
TELLING = 1.1  # times nearer to each other than this say nothing of an order


@dataclasses.dataclass
class Case:
    """A plan of a model, and its times in seconds."""

    devices: int
    strategy: str | None
    plan_file: pathlib.Path
    predicted: float
    layout: list  # how each operator is spread
    measured: float = float("inf")

    @property
    def error(self):
        return self.predicted / self.measured - 1

    def round(self, inputs, seconds):
        runs = max(3, min(200, int(seconds / self.predicted)))
        step = execute(self.plan_file, inputs, ranks="threads", repeat=runs)[1]["step_seconds"]["min"]
        self.measured = min(self.measured, step)

    def line(self, name):
        return (f"{name:<28}{self.devices:>7}  {self.strategy or 'planned':<8}{self.predicted * 1e3:>15.2f}{self.measured * 1e3:>14.2f}"
                f"{self.error * 100:>+8.0f} %")


def make_cases(path, inputs, folder, machine):
    """Plans all cases; one that a model does not allow is left out, with a line that says why."""
    for devices, strategy in CASES:
        plan_file = folder / f"{devices}-{strategy or 'planned'}.mpplan"
        try:
            account = plan(path, plan_file, devices, dims=models.dims(inputs), machine=machine, strategy=strategy)
            yield Case(devices, strategy, plan_file, account["predicted_seconds"], account["strategy"])
        except ToolError as error:
            print(f"{path.stem:<28}{devices:>7}  {strategy:<8} left out: {error.message.splitlines()[0]}")


def orders(cases):
    """How many pairs of plans for 2 devices are told apart by their measured times, and how many of these by the predicted ones."""
    told = right = 0
    for a, b in itertools.combinations([case for case in cases if case.devices == 2], 2):
        slow, fast = (a, b) if a.measured > b.measured else (b, a)
        if a.layout != b.layout and slow.measured > TELLING * fast.measured:
            told += 1
            right += slow.predicted > fast.predicted
    return told, right


def measure(model, options, machine):
    """The cases of a model, measured."""
    path = models.prepare(model, options.cache)
    if model.sequence:
        model = dataclasses.replace(model, sequence=options.sequence, past=0)
    inputs = models.make_inputs(model, path, options.batch)
    folder = options.cache / "plans" / f"host-{model.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        cases = list(make_cases(path, inputs, folder, machine))
        for _ in range(options.rounds):
            for case in cases:
                case.round(inputs, options.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return cases


def measure_steadily(model, options):
    """Prints a line per case; returns the cases, and whether the host's speed held meanwhile."""
    for _ in range(TRIES):
        machine = options.machine or calibrated(options.cache / "plans")
        before = None if options.machine else rate(machine)
        cases = measure(model, options, machine)
        after = before and rate(calibrated(options.cache / "plans"))
        steady = not before or max(before, after) <= STEADY * min(before, after)
        if steady:
            break
    for case in cases:
        print(case.line(model.name) + ("" if steady else "  the host's speed changed"), flush=True)
    return cases, steady


def rate(machine):
    """Flop/s in f32 of a machine file's first device."""
    return tomllib.loads(machine.read_text())["device"][0]["peak"]["f32"]


def calibrated(folder):
    """The path of a machine file of this host as it is now."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "host.toml"
    call("mpopt", "calibrate", "--output", path)
    return path


def main():
    parser = argparse.ArgumentParser(prog="bench/host", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    graphs = [name for name, model in models.MODELS.items() if not model.light]
    parser.add_argument("models", nargs="*", default=[], metavar="MODEL", help="default: all graphs of test/models")
    parser.add_argument("--batch", type=int, default=2, help="rows of the inputs (default 2)")
    parser.add_argument("--sequence", type=int, default=128, help="tokens per row of text (default 128)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long one case takes in a round (default 0.5)")
    parser.add_argument("--machine", help="machine file or name to plan for (default: this host, calibrated now)")
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e", help="folder for models")
    options = parser.parse_args()
    for name in options.models:
        if name not in models.MODELS:
            parser.error(f"no model '{name}'; there are {', '.join(models.MODELS)}")
    side_by_side.show_machine()
    print(f"\n{'model':<28}{'devices':>7}  {'strategy':<8}{'predicted, ms':>15}{'measured, ms':>14}{'error':>9}")
    measured = [measure_steadily(models.MODELS[name], options) for name in options.models or graphs]
    by_model = [cases for cases, steady in measured if steady]
    left_out = len(measured) - len(by_model)
    errors = [abs(case.error) for cases in by_model for case in cases]
    if not errors:
        print("\nthe host's speed changed too much throughout; run it again with less other work, or under chrt -f 20")
        return 1
    told, right = (sum(column) for column in zip(*map(orders, by_model)))
    print(f"\n{sum(error <= WITHIN for error in errors)} of {len(errors)} within {WITHIN:.0%}, mean error {statistics.mean(errors):.1%}; "
          f"{right} of {told} orders of strategies right" + (f"; {left_out} models left out" if left_out else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
