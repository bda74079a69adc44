"""Collectives of the local communicator, with ranks as threads and as processes, beside Open MPI's on this host.

Rounds of all three alternate, so that a change of the machine's speed meets all; a figure is the median over rounds of the
median of a round's runs. A size is the larger one of a rank's operand and result. A ratio is Open MPI's time over ours:
above 1, ours is faster.
"""
import argparse
import collections
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "permute", "halo")
WAYS = ("mpi", "threads", "processes")
UNITS = {"K": 1 << 10, "M": 1 << 20}


def size(text):
    """Bytes of a text such as 64K or 1M."""
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def shown(count):
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count / 1024:g} KB"


def build_rival():
    """Compiles the program for Open MPI; returns its path."""
    if not shutil.which("mpicc") or not shutil.which("mpirun"):
        sys.exit("error: bench/collectives needs Open MPI: run it with --install, or install Debian's openmpi-bin and libopenmpi-dev")
    program = TOP / "build/bin/bench-collectives-mpi"
    subprocess.run(["mpicc", "-O2", "-march=native", TOP / "bench/collectives_mpi.c", "-o", program], check=True)
    return program


def command(way, ranks, seconds, kind, sizes, rival):
    arguments = [str(seconds), kind, *map(str, sizes)]
    if way != "mpi":
        return [str(TOP / "build/bin/bench-collectives"), str(ranks), way, *arguments]
    root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    bind = ["--bind-to", "none"] if ranks > os.cpu_count() else ["--bind-to", "core"]
    return ["mpirun", *root, "--oversubscribe", *bind, "-np", str(ranks), str(rival), *arguments]


def measure(ranks, kind, options, rival):
    """Seconds by way and size."""
    times = collections.defaultdict(list)
    for _ in range(options.rounds):
        for way in WAYS:
            done = subprocess.run(command(way, ranks, options.seconds, kind, options.sizes, rival), stdout=subprocess.PIPE,
                                  text=True, check=True, timeout=600)
            for line in done.stdout.splitlines():
                _, count, seconds = line.split()
                times[way, int(count)].append(float(seconds))
    return {key: statistics.median(values) for key, values in times.items()}


def main():
    parser = argparse.ArgumentParser(prog="bench/collectives", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="install Open MPI from Debian first")
    parser.add_argument("--ranks", default="2,4", help="rank counts (default 2,4)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="collectives (default all)")
    parser.add_argument("--sizes", default="1K,4K,16K,64K,256K,1M,4M,16M,64M", help="bytes (default 1K to 64M)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--seconds", type=float, default=0.05, help="about how long one measurement takes (default 0.05)")
    options = parser.parse_args()
    options.sizes = [size(text) for text in options.sizes.split(",")]
    rival = build_rival()
    print(f"{'collective':<16}{'ranks':>6}{'size':>9}{'Open MPI, us':>14}{'threads':>10}{'ratio':>7}{'processes':>11}{'ratio':>7}")
    ratios = []
    for ranks in map(int, options.ranks.split(",")):
        for kind in options.kinds.split(","):
            times = measure(ranks, kind, options, rival)
            for count in options.sizes:
                mpi, threads, processes = (times[way, count] * 1e6 for way in WAYS)
                ratios += [mpi / threads, mpi / processes]
                print(f"{kind:<16}{ranks:>6}{shown(count):>9}{mpi:>14.1f}{threads:>10.1f}{mpi / threads:>7.2f}"
                      f"{processes:>11.1f}{mpi / processes:>7.2f}", flush=True)
    print(f"\nratios from {min(ratios):.2f} to {max(ratios):.2f}, geometric mean {statistics.geometric_mean(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
