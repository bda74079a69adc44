"""bert-base under a tensor split over two devices: mpopt (ranks as threads and as processes) and PyTorch's DTensor over Gloo
(two processes of one thread each), side by side.

Rounds of all alternate; a figure is the median over rounds of the median of a round's runs. The ratio is PyTorch's time over
mpopt's: above 1, mpopt is faster. mpopt's outputs are compared with ONNX Runtime's. PyTorch runs the same architecture with
weights of its own, column-wise split in queries, keys, values and the first dense layer, row-wise in the others.
"""
import argparse
import dataclasses
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test/e2e"))

import models

from mpopt import execute, plan, reference
from mpopt.tools import relative_difference

TOLERANCE = 1e-4
WORKER = pathlib.Path(__file__).with_name("dtensor_bert.py")


def torch_python():
    """The interpreter that MPOPT_TORCH_PYTHON names; ends the program where it has no PyTorch."""
    python = os.environ.get("MPOPT_TORCH_PYTHON", sys.executable)
    check = subprocess.run([python, "-c", "import torch.distributed.tensor.parallel as p; print(p)"], capture_output=True, text=True,
                           check=False)
    if check.returncode:
        sys.exit(f"error: {python} cannot import torch.distributed.tensor.parallel: make a virtual environment, install torch (2.5 or "
                 f"newer) there, and name its interpreter in MPOPT_TORCH_PYTHON\n{check.stderr.strip().splitlines()[-1:]}")
    return python


def torch_round(python, options, batch, ranks):
    """Median seconds of one forward run over `ranks` processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
                       WORLD_SIZE=str(ranks))
    command = [python, WORKER, "--batch", str(batch), "--sequence", str(options.sequence), "--seconds", str(options.seconds)]
    workers = [subprocess.Popen(command, env=dict(environment, RANK=str(rank)), stdout=subprocess.PIPE, text=True)
               for rank in range(ranks)]
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        sys.exit("error: PyTorch's run failed")
    return float(outputs[0])


def measure(model, path, batch, python, options):
    inputs = models.make_inputs(model, path, batch)
    folder = options.cache / "plans" / f"dtensor-{model.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    times = {"single": [], "torch": [], "threads": [], "processes": []}
    try:
        file = folder / "model.mpplan"
        plan(path, file, 2, dims=models.dims(inputs), strategy="tp=2", machine=options.machine)
        difference = relative_difference(execute(file, inputs)[0], reference.run(path, inputs))
        for _ in range(options.rounds):
            times["single"].append(torch_round(python, options, batch, 1))
            times["torch"].append(torch_round(python, options, batch, 2))
            runs = max(3, int(options.seconds / times["torch"][-1]))
            for ranks in ("threads", "processes"):
                times[ranks].append(execute(file, inputs, ranks=ranks, repeat=runs)[1]["step_seconds"]["median"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    single, rival, threads, processes = (statistics.median(column) * 1e3 for column in times.values())
    wrong = "" if difference <= TOLERANCE else f"  WRONG by {difference:.1e}"
    print(f"{model.name:<20}{batch:>6}{single:>20.1f}{rival:>17.1f}{threads:>13.1f}{rival / threads:>7.2f}{processes:>11.1f}"
          f"{rival / processes:>7.2f}{wrong}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="bench/dtensor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="The environment variable MPOPT_TORCH_PYTHON names a Python interpreter with PyTorch.")
    parser.add_argument("--model", default="bert-base.dynamo18", choices=[name for name in models.MODELS if name.startswith("bert-base")],
                        help="export of bert-base (default bert-base.dynamo18)")
    parser.add_argument("--batch", default="1,8", help="rows of the inputs (default 1,8)")
    parser.add_argument("--sequence", type=int, default=128, help="tokens per row (default 128)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long one round takes (default 2)")
    parser.add_argument("--machine", default="host", help="machine file or name to plan for (default host)")
    parser.add_argument("--cache", type=pathlib.Path, default=models.TOP / "build/e2e", help="folder for models")
    options = parser.parse_args()
    python = torch_python()
    model = models.MODELS[options.model]
    path = models.prepare(model, options.cache)
    model = dataclasses.replace(model, sequence=options.sequence)
    print(f"{'model':<20}{'batch':>6}{'PyTorch alone, ms':>20}{'DTensor x2, ms':>17}{'threads, ms':>13}{'ratio':>7}{'processes':>11}{'ratio':>7}")
    for batch in map(int, options.batch.split(",")):
        measure(model, path, batch, python, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
