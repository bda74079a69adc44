#!/usr/bin/env python3
"""Plans the training of very large transformers, and times the search; see --help."""
import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import fidelity

# name, layers, hidden, heads, sequence, vocabulary, devices, machine, global batch, most seconds. GPT-39B on 64 V100 is what Alpa (Zheng et
# al. 2022, table 5) took 2,393 s for; the others are of Narayanan et al. 2021, table 1, on more devices.
LARGE = [("GPT-39B", 48, 8192, 64, 1024, 51200, 64, "v100-16", 1024, 1),
         ("GPT-39B", 48, 8192, 64, 1024, 51200, 64, "v100", 1024, 1),
         ("GPT-175B", 96, 12288, 96, 2048, 51200, 1024, "a100-80", 1536, 2),
         ("GPT-1T", 128, 25600, 160, 2048, 51200, 16384, "h100", 3072, 10)]
DEEP = (24, 96, 384)


def case_of(layers, hidden, heads, sequence, vocabulary, devices, machine, batch):
    shape = {"layers": layers, "hidden": hidden, "heads": heads, "sequence": sequence, "vocabulary": vocabulary}
    return {"machine": machine, "stack": "megatron-core", "devices": devices, "shape": shape,
            "plan": {"global_batch": batch, "type": "f16" if machine.startswith("v100") else "bf16"}}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def plan(case, times=3):
    """The account of the plan, and the median of the seconds that a process computes (on one core) from its start to its end."""
    seconds = []
    for _ in range(times):
        before = cpu_seconds()
        run = subprocess.run([fidelity.TOOL, "-"], input=json.dumps(case), capture_output=True, text=True)
        seconds.append(cpu_seconds() - before)
    if run.returncode:
        sys.exit(run.stderr.strip())
    answer = json.loads(run.stdout)
    if "error" in answer:
        sys.exit(answer["error"])
    return answer, sorted(seconds)[len(seconds) // 2]


def report(name, case, answer, seconds):
    print(f"{name:12} {case['devices']:6} x {case['machine']:8} {seconds:8.3f} {answer['layouts']:8} {answer['priced']:7} "
          f"{answer['seconds']:10.3f} {100 * (answer['seconds'] / answer['lower_bound_seconds'] - 1):6.1f} % "
          f"{answer['tflops_per_device']:7.1f}  {answer['plan']['text']}")


def print_large():
    print(f"{'model':12} {'devices':17} {'search s':>8} {'layouts':>8} {'priced':>7} {'step s':>10} {'bound':>8} {'TFLOP/s':>7}  plan")
    slow = 0
    for name, *sizes, most in LARGE:
        case = case_of(*sizes)
        answer, seconds = plan(case)
        report(name, case, answer, seconds)
        slow += seconds > most
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(f"peak memory {peak:.0f} MiB; {slow} searches took longer than the goals of {', '.join(str(row[-1]) for row in LARGE)} s\n")


def print_deep():
    """One model at growing depth."""
    print("equal layers, hidden size 1024:")
    for layers in DEEP:
        case = case_of(layers, 1024, 16, 1024, 51200, 64, "a100-80", 512)
        answer, seconds = plan(case)
        report(f"{layers} layers", case, answer, seconds)
    print()


def print_graphs():
    """What a user waits for: the same from ONNX graphs. Importing takes time in proportion to the graph, whatever is planned."""
    sys.path.insert(0, str(fidelity.ROOT / "python"))
    from mpopt.models.graph import save
    from mpopt.models.presets import build
    tool = fidelity.TOOL.parent / "mpopt"

    def seconds(*arguments):
        before = cpu_seconds()
        run = subprocess.run([tool, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            sys.exit(run.stderr.strip())
        return cpu_seconds() - before

    print(f"{'ONNX graph':24} {'import s':>9} {'import and plan s':>18}")
    for name, layers, devices in (("gpt-39b", 24, 64), ("gpt-39b", 48, 64), ("gpt3-175b", 96, 1024), ("gpt-39b", 384, 1024), ("gpt-1t", 128, 16384)):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            save(build(name, layers=layers), str(path))
            imported = seconds(path, "--emit=nn", "--dim", "batch=2", "--dim", "sequence=1024")
            planned = seconds("plan", path, "--train", "--global-batch", 3072, "--devices", devices, "--machine", "a100-80", "--dim", "sequence=1024")
        print(f"{name + ', ' + str(layers) + ' layers':24} {imported:9.2f} {planned:18.2f}")
    print()


# The planner's own choice against published plans.

def task_of(row):
    """What plans must have in common to be compared."""
    case, plan = row["case"], row["case"]["plan"]
    devices = plan["tp"] * plan["pp"] * plan["dp"] * plan["cp"]
    return row["plan_group"], json.dumps([case["group"], case["shape"], devices, plan["global_batch"], plan["precision"], plan["type"]])


def print_groups(path, share):
    rows, _ = fidelity.read_rows(path)
    lines = fidelity.choose(rows, share)
    priced = fidelity.price(rows, lines)
    groups = fidelity.by((row for row in rows if row["plan_group"]), task_of)
    planned = fidelity.plan_groups(rows, lines, {key: group[0] for key, group in groups.items()})
    worse, refused, gains = 0, 0, []
    for key, group in groups.items():
        fits = [row for row in group if "seconds" in priced[row["line"]] and priced[row["line"]]["memory"] != "does not"]
        refused += not fits
        if not fits:
            continue
        best = min(fits, key=lambda row: priced[row["line"]]["seconds"])
        answer = planned[key]
        if "error" in answer:
            sys.exit(f"{key[0]}: {answer['error']}")
        ratio = answer["seconds"] / priced[best["line"]]["seconds"]
        gains.append(1 - ratio)
        worse += ratio > 1.0005
        if ratio > 1.0005 or len(group) >= 8 or "alpa" in key[0]:
            print(f"{key[0][:44]:44} {len(group):3} plans, best {priced[best['line']]['seconds']:9.4g} s; planned {answer['seconds']:9.4g} s "
                  f"({100 * (ratio - 1):+5.1f} %)  {answer['plan']['text']}")
    print(f"\n{len(gains)} groups: the planner's choice is priced {100 * sum(gains) / len(gains):.1f} % below the best published plan on average, "
          f"and above it in {worse}; {refused} groups whose published plans all do not fit by the memory model are left out")
    return worse


def main():
    parser = argparse.ArgumentParser(
        prog="bench/plan",
        description="Plans the training of very large transformers and times the search. With --data, plans each group of published runs, and "
        "compares the price of the planner's choice with that of the group's best plan, by the cost model as bench/fidelity calibrates it.")
    parser.add_argument("--data", metavar="FILE.csv", help="published runs, as for bench/fidelity")
    parser.add_argument("--share", type=float, default=0.1, help="share of the runs to calibrate by (default: %(default)s)")
    arguments = parser.parse_args()
    if not fidelity.TOOL.is_file():
        parser.error(f"'{fidelity.TOOL}' is not built; run utils/setup")
    if not arguments.data:
        print_large()
        print_deep()
        print_graphs()
        return 0
    if not pathlib.Path(arguments.data).is_file():
        parser.error(f"cannot read '{arguments.data}'; check the path")
    return 1 if print_groups(arguments.data, arguments.share) else 0


if __name__ == "__main__":
    sys.exit(main())
