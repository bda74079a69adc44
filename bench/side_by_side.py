"""mpopt and ONNX Runtime side by side: 1 device against 1 thread, 2 devices of one thread each against 2 threads.

Rounds of both alternate, so that a change of the machine's speed meets both; a figure is the median over rounds of the
median of a round's runs. The ratio is ONNX Runtime's time over mpopt's: above 1, mpopt is faster.
"""
import argparse
import dataclasses
import pathlib
import platform
import shutil
import statistics
import sys
import time

import onnxruntime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test/e2e"))

import models

from mpopt import execute, plan, reference
from mpopt.tools import relative_difference

INSTRUCTION_SETS = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
TOLERANCE = 1e-4


def show_machine():
    """Prints what the figures depend on."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(map(str.strip, line.split(":", 1)) for line in cpuinfo.split("\n\n")[0].splitlines() if ":" in line)
    flags = set(fields.get("flags", "").split())
    print(f"{fields.get('model name', platform.machine())}, {cpuinfo.count('processor	')} logical cores, "
          f"{fields.get('cache size', 'unknown')} cache; {' '.join(f for f in INSTRUCTION_SETS if f in flags)}")
    print(f"ONNX Runtime {onnxruntime.__version__}; load average {pathlib.Path('/proc/loadavg').read_text().split()[0]}")


class Rival:
    """ONNX Runtime with some threads."""

    def __init__(self, path, inputs, threads):
        self.inputs = inputs
        self.session = reference.session(path, threads)

    def round(self, runs):
        """Median seconds of `runs` runs."""
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self.session.run(None, self.inputs)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


@dataclasses.dataclass
class Ours:
    """A plan of mpopt, one thread per device."""

    plan_file: pathlib.Path
    inputs: dict

    def round(self, runs):
        return execute(self.plan_file, self.inputs, ranks="threads", repeat=runs)[1]["step_seconds"]["median"]


def measure(model, path, batch, threads, options):
    """Prints one row: both times and their ratio; returns the ratio."""
    inputs = models.make_inputs(model, path, batch)
    folder = options.cache / "plans" / f"bench-{model.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        plan_file = folder / "model.mpplan"
        plan(path, plan_file, threads, dims=models.dims(inputs), machine=options.machine)
        rival, ours = Rival(path, inputs, threads), Ours(plan_file, inputs)
        difference = relative_difference(execute(plan_file, inputs)[0], reference.run(path, inputs))
        rival.round(1)
        runs = max(3, min(200, int(options.seconds / rival.round(2))))
        rounds = [(rival.round(runs), ours.round(runs)) for _ in range(options.rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    theirs, mine = (statistics.median(column) for column in zip(*rounds))
    wrong = "" if difference <= TOLERANCE else f"  WRONG by {difference:.1e}"
    print(f"{model.name:<22}{batch:>6}{threads:>9}{theirs * 1e3:>13.2f}{mine * 1e3:>11.2f}{theirs / mine:>8.2f}{wrong}", flush=True)
    return theirs / mine


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=[*models.MODELS, "all"], metavar="MODEL", help=f"all, or of {', '.join(models.MODELS)}")
    parser.add_argument("--batch", default="1,8", help="rows of the inputs (default 1,8)")
    parser.add_argument("--threads", default="1,2", help="threads, and devices (default 1,2)")
    parser.add_argument("--sequence", type=int, default=128, help="tokens per row of text (default 128)")
    parser.add_argument("--past", type=int, default=0,
                        help="tokens in the cache of decoders that have one, which then make one more token (default: empty cache)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long one round takes (default 1)")
    parser.add_argument("--machine", default="host", help="machine file or name to plan for (default host)")
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e", help="folder for models")
    options = parser.parse_args()
    show_machine()
    print(f"\n{'model':<22}{'batch':>6}{'threads':>9}{'ORT, ms':>13}{'mpopt, ms':>11}{'ratio':>8}")
    ratios = []
    for name in models.MODELS if "all" in options.models else options.models:
        model = models.MODELS[name]
        path = models.prepare(model, options.cache)
        if model.past and options.past:
            model = dataclasses.replace(model, sequence=1, past=options.past)
        elif model.sequence:
            model = dataclasses.replace(model, sequence=options.sequence, past=0)
        for batch in map(int, options.batch.split(",")):
            if batch > 1 and model.rowwise:
                print(f"{model.name:<22}{batch:>6}  skipped: ONNX Runtime takes one row at a time")
                continue
            for threads in map(int, options.threads.split(",")):
                ratios.append(measure(model, path, batch, threads, options))
    print(f"\nratios from {min(ratios):.2f} to {max(ratios):.2f}, geometric mean {statistics.geometric_mean(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
