"""Solves instances of the ASPLOS 2025 contest on intra-operator parallelism with mpopt-solve and compares cost, lower bound and
peak memory with the best known answers. Every answer is evaluated once more here, from the raw JSON, apart from the solver's own
code: a wrong cost, a forbidden choice or memory over the limit ends the run with exit code 1.
"""
import argparse
import csv
import gzip
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

FORBIDDEN = 10**18
ROOT = pathlib.Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/search", description=__doc__)
    parser.add_argument("instances", nargs="*", metavar="INSTANCE", help="names of instances [all in the folder's anchors.csv]")
    parser.add_argument("--data", required=True, type=pathlib.Path,
                        help="folder with INSTANCE.json.gz and anchors.csv (columns instance, timeout_s, best_known_ub, lower_bound)")
    parser.add_argument("--time-limit", default="10", metavar="S", help="seconds per run, or `contest`: the time that the contest gave [10]")
    parser.add_argument("--seeds", default="1", help="seeds, separated by commas [1]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--solver", type=pathlib.Path, default=ROOT / "build/bin/mpopt-solve")
    return parser.parse_args()


def evaluate(problem, choice):
    """Cost and peak memory of a choice; raises ValueError where the choice is not allowed."""
    nodes, edges = problem["nodes"], problem["edges"]
    costs = nodes["costs"]
    if len(choice) != len(costs):
        raise ValueError(f"{len(choice)} strategies for {len(costs)} nodes")
    total = 0
    for node, strategy in enumerate(choice):
        if not 0 <= strategy < len(costs[node]):
            raise ValueError(f"node {node} has no strategy {strategy}")
        if costs[node][strategy] >= FORBIDDEN:
            raise ValueError(f"strategy {strategy} of node {node} is forbidden")
        total += costs[node][strategy]
    for (a, b), matrix in zip(edges["nodes"], edges["costs"]):
        cost = matrix[choice[a] * len(costs[b]) + choice[b]]
        if cost >= FORBIDDEN:
            raise ValueError(f"the strategies of nodes {a} and {b} do not go together")
        total += cost
    return total, peak_usage(nodes, choice)


def peak_usage(nodes, choice):
    """Intervals are half-open; memory changes only where one starts or ends."""
    change = {}
    for (first, last), usages, strategy in zip(nodes["intervals"], nodes["usages"], choice):
        if first < last:
            change[first] = change.get(first, 0) + usages[strategy]
            change[last] = change.get(last, 0) - usages[strategy]
    now = peak = 0
    for time_point in sorted(change):
        now += change[time_point]
        peak = max(peak, now)
    return peak


def solve(arguments, path, seconds, seed):
    """Runs the solver; returns its answer and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        answer = pathlib.Path(folder) / "answer.json"
        start = time.monotonic()
        done = subprocess.run([arguments.solver, path, "--time-limit", str(seconds), "--seed", seed, "--threads",
                               str(arguments.threads), "--solution", answer], capture_output=True, text=True)
        taken = time.monotonic() - start
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        return json.loads(answer.read_text()), taken


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def run(arguments, anchor, problem, path, seed):
    """One line of the table; returns cost over best known, or None where the answer is wrong."""
    seconds = anchor["timeout_s"] if arguments.time_limit == "contest" else arguments.time_limit
    best = float(anchor["best_known_ub"])
    name = anchor["instance"]
    try:
        answer, taken = solve(arguments, path, float(seconds), seed)
        cost, peak = evaluate(problem, answer["solution"])
        limit = problem.get("usage_limit")
        if cost != answer["cost"]:
            raise ValueError(f"the answer claims a cost of {answer['cost']:.0f}, but it is {cost}")
        if limit is not None and peak > limit:
            raise ValueError(f"the peak of {peak} is above the limit of {limit}")
        if answer["lower_bound"] > cost:
            raise ValueError(f"the lower bound of {answer['lower_bound']:.0f} is above the cost of {cost}")
    except ValueError as wrong:
        print(f"{name:8} {seed:>4}  {wrong}", flush=True)
        return None
    share = f"{peak / limit:9.4f}" if limit else "      -  "
    print(f"{name:8} {seed:>4} {cost:>16} {cost / best:9.5f} {answer['lower_bound'] / best:9.5f} {share} {taken:8.1f}", flush=True)
    return cost / best, answer["lower_bound"] / best


def main():
    arguments = parse_arguments()
    with open(arguments.data / "anchors.csv") as file:
        anchors = {row["instance"]: row for row in csv.DictReader(file)}
    names = arguments.instances or sorted(anchors)
    if unknown := [name for name in names if name not in anchors]:
        sys.exit(f"bench/search: error: no instance {unknown[0]} in {arguments.data / 'anchors.csv'}")
    print(f"{'instance':8} {'seed':>4} {'cost':>16} {'cost/best':>9} {'bound/best':>9} {'peak/limit':>9} {'seconds':>8}")
    results, wrong = {}, False
    for name in names:
        path = arguments.data / f"{name}.json.gz"
        with gzip.open(path) as file:
            problem = json.load(file)["problem"]
        for seed in arguments.seeds.split(","):
            result = run(arguments, anchors[name], problem, path, seed)
            wrong |= result is None
            if result:
                results.setdefault(seed, []).append(result)
    for seed, ratios in results.items():
        near = sum(bound >= 0.97 for _, bound in ratios)
        print(f"seed {seed}: geometric mean of cost/best {geometric_mean([cost for cost, _ in ratios]):.5f} over {len(ratios)}, "
              f"bounds within 3 % of the best cost {near}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
