#!/usr/bin/env python3
"""Prices published training runs and scores the prices; see --help."""
import argparse
import csv
import json
import math
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = pathlib.Path(os.environ.get("MPOPT_BIN", ROOT / "build" / "bin")) / "mpopt-price"
COLUMNS = ("source model layers hidden heads seq vocab gpu_type tp pp dp cp microbatch global_batch interleave recompute seq_parallel "
           "iter_time_s sharding precision peak_mem_gib status plan_group quality").split()

# Machines by what the gpu_type column says, first match wins.
MACHINES = [(r"gb300", "gb300"), (r"gb200", "gb200"), (r"b300", "b300"), (r"b200", "b200"), (r"h200", "h200"),
            (r"h100", "h100"), (r"a100.*40", "a100-40"), (r"a100", "a100-80"), (r"v100.*16", "v100-16"),
            (r"v100", "v100"), (r"t4", "t4")]
# Training programs by what the source column says: the stack that calibration starts from.
STACKS = [(r"amp@", "deepspeed-pipeline"), (r"vtrain|deepspeed", "megatron-deepspeed"), (r"foundry", "llm-foundry"),
          (r"bridge|nemo", "megatron-bridge"),
          (r"megatron-lm@head", "megatron-core"), (r"megatron|calculon", "megatron-2021"), (r"alpa", "alpa")]
# Megatron Core's recipes use sequence parallelism and the distributed optimizer where they do not say otherwise.
MODERN = ("megatron-core", "megatron-bridge")
# What a model's name says beyond layers, hidden size and heads, from the models' public configurations.
LLAMA3 = {4096: 14336, 8192: 28672, 16384: 53248}
RECOMPUTE = {"full": "full", "none": "none", "": "unstated"}


class Unpriced(Exception):
    """A row that does not state what a price needs."""


def first(table, text):
    return next((value for pattern, value in table if re.search(pattern, text.lower())), None)


def number(row, key, fallback=None):
    text = row.get(key, "")
    if not text:
        if fallback is None:
            raise Unpriced(f"{key} is not stated")
        return fallback
    value = float(text)
    if value < 1 or value != int(value):
        raise Unpriced(f"{key} is no whole number from 1 on")
    return int(value)


def shape_of(row):
    shape = {key: number(row, column) for key, column in
             (("layers", "layers"), ("hidden", "hidden"), ("sequence", "seq"), ("vocabulary", "vocab"))}
    hidden, name = shape["hidden"], row["model"].lower()
    shape["heads"] = number(row, "heads", hidden // (64 if hidden <= 1024 else 128))
    if "llama" in name:
        shape.update(gated=True, tied=False, kv_heads=8, feed_forward=LLAMA3.get(hidden, hidden * 7 // 2))
    if match := re.search(r"gqa(\d+)", name):
        shape["kv_heads"] = int(match[1])
    return shape


def precision_of(row):
    text = row["precision"].lower()
    if not text:
        raise Unpriced("precision is not stated")
    if "fp4" in text:
        return "mixed4"
    if "fp8" in text:
        return "mixed8"
    return "f32" if text == "fp32" else "pure16" if "pure" in text else "mixed16"


def zero_of(row, stack):
    text = row["sharding"].lower()
    if "shard_grad_op" in text:
        return "2"
    if "full_shard" in text or re.search(r"fsdp=[1-9]", text):
        return "3"
    return "1" if "zero-1" in text or stack in MODERN else "0"


def plan_of(row, stack):
    plan = {key: number(row, key) for key in ("tp", "pp", "dp", "microbatch")}
    unstated = "unstated" if stack in MODERN and plan["pp"] > 1 else 1
    plan |= {"cp": number(row, "cp", 1), "interleave": number(row, "interleave", 0) or unstated,
             "global_batch": number(row, "global_batch")}
    recompute = row["recompute"]
    plan["recompute"] = RECOMPUTE.get(recompute, "selective" if recompute.startswith("selective") else "full")
    sequence_parallel = row["seq_parallel"] or ("1" if stack in MODERN and plan["tp"] > 1 else "0")
    plan["sequence_parallel"] = sequence_parallel == "1"
    plan["zero"] = zero_of(row, stack)
    plan["precision"] = precision_of(row)
    plan["type"] = "f16" if row["precision"] == "fp16" else "bf16"
    return plan


def case_of(row):
    source = re.split(r"[ ;]", row["source"])[0]
    machine, stack = first(MACHINES, row["gpu_type"]), first(STACKS, source) or "default"
    if machine is None:
        raise Unpriced(f"no machine file for gpu_type '{row['gpu_type']}'")
    plan, shape = plan_of(row, stack), shape_of(row)
    if row["status"] == "ok" and not row["iter_time_s"]:
        raise Unpriced("iter_time_s is not stated")
    group = f"{source} {machine} {plan['precision']}" + (" composed" if row["quality"] == "composed" else "")
    return {"machine": machine, "stack": stack, "family": source, "group": group, "shape": shape, "plan": plan}


def read_rows(path):
    rows, unpriced = [], []
    with open(path, newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            row = dict.fromkeys(COLUMNS, "") | {key: value or "" for key, value in row.items() if key}
            row["status"] = row["status"] or "ok"
            row["line"], row["source_file"] = line, re.split(r"[ ;]", row["source"])[0]
            try:
                row["case"] = case_of(row)
                row["seconds"] = float(row["iter_time_s"]) if row["iter_time_s"] else None
                if row["seconds"] is not None and not 0 < row["seconds"] < math.inf:
                    raise Unpriced("iter_time_s is no positive number")
                rows.append(row)
            except (Unpriced, ValueError) as reason:
                unpriced.append(row | {"reason": str(reason)})
    return rows, unpriced


# Calibration rows.

def cell_of(row):
    """What one layer's cost depends on."""
    shape, plan = row["case"]["shape"], row["case"]["plan"]
    return (shape["hidden"], shape["sequence"], plan["tp"], plan["microbatch"], plan["recompute"])


def coordinates(row):
    hidden, sequence, tp, microbatch, recompute = cell_of(row)
    plan = row["case"]["plan"]
    stages = ("none", "unstated", "selective", "full").index(recompute)
    return [math.log2(x) for x in (hidden, sequence, tp, microbatch, plan["pp"], plan["dp"])] + [2 * stages / 3]


def layer_share(row):
    """Layers times microbatches per stage: where it is large, layers dominate the step."""
    plan = row["case"]["plan"]
    return row["case"]["shape"]["layers"] * plan["global_batch"] / plan["dp"] / plan["pp"]


def calibration_rows(group, budget):
    """At most `budget` rows that spread over the group's plans: the row nearest to the middle, then always the row
    farthest from those chosen (maximin over the logarithms of sizes). Where the budget covers all layer cells, first one row
    of each: that with most layers and microbatches."""
    rows = sorted(group, key=lambda row: (-layer_share(row), row["line"]))
    seen, leaders = set(), []
    for row in rows:
        if cell_of(row) not in seen:
            seen.add(cell_of(row))
            leaders.append(row)
    points = {row["line"]: coordinates(row) for row in rows}
    middle = [sorted(values)[len(values) // 2] for values in zip(*points.values())]
    chosen = []

    def distance(row):
        return min(math.dist(points[row["line"]], points[other["line"]]) for other in chosen)

    pools = (leaders, [row for row in rows if row not in leaders]) if len(leaders) <= budget else (rows,)
    for pool in pools:
        left = list(pool)
        while left and len(chosen) < budget:
            if not chosen:
                best = min(left, key=lambda row: (math.dist(points[row["line"]], middle), row["line"]))
            else:
                best = max(left, key=lambda row: (distance(row), -row["line"]))
            chosen.append(best)
            left.remove(best)
    return chosen


def by(rows, key):
    groups = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def usable(row):
    return row["seconds"] is not None and row["quality"] in ("", "composed")


def choose(rows, share):
    """In all `share` of the rows. Of each program on each machine one and a half times its share, at least one row, since
    constants are per program and not per row; composed rows, which repeat few layers, get what is left."""
    groups = list(by(filter(usable, rows), lambda row: row["case"]["group"]).values())
    total = int(sum(map(len, groups)) * share)
    plain = [group for group in groups if group[0]["quality"] != "composed"]
    composed = [group for group in groups if group[0]["quality"] == "composed"]
    factor = 1.5 if composed else 1
    budgets = [max(1, int(factor * len(group) * share)) for group in plain]
    left = total - sum(budgets)
    budgets += [max(1, left * len(group) // sum(map(len, composed))) for group in composed]
    return {row["line"] for group, budget in zip(plain + composed, budgets) for row in calibration_rows(group, budget)}


def cases_of(rows, lines):
    cases = []
    for row in rows:
        case = dict(row["case"], id=row["line"], calibrate=row["line"] in lines)
        if case["calibrate"]:
            case["seconds"] = row["seconds"]
        cases.append(case)
    return cases


def run_tool(cases, options=()):
    run = subprocess.run([TOOL, "-", *options], input="\n".join(map(json.dumps, cases)), capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr.strip())
    return [json.loads(line) for line in run.stdout.splitlines()]


def price(rows, lines, options=()):
    """Prices rows after calibration by those whose line is in `lines`."""
    return {answer["id"]: answer for answer in run_tool(cases_of(rows, lines), options)}


def plan_groups(rows, lines, leaders):
    """Plans a step like that of each leader, on as many devices, after the same calibration."""
    cases = [case for case in cases_of(rows, lines) if case["calibrate"]]
    keys = list(leaders)
    for number, key in enumerate(keys):
        plan = leaders[key]["case"]["plan"]
        devices = plan["tp"] * plan["pp"] * plan["dp"] * plan["cp"]
        cases.append(dict(leaders[key]["case"], id=f"planned {number}", devices=devices))
    answers = {answer["id"]: answer for answer in run_tool(cases)}
    return {key: answers[f"planned {number}"] for number, key in enumerate(keys)}


# Scores.

def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    result, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in order[i:j + 1]:
            result[k] = (i + j) / 2
        i = j + 1
    return result


def spearman(a, b):
    a, b = ranks(a), ranks(b)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    over = math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))
    return sum((x - ma) * (y - mb) for x, y in zip(a, b)) / over if over else 1.0


def errors(rows):
    return [row["predicted"] / row["seconds"] - 1 for row in rows]


def summary(rows):
    values = errors(rows)
    size = sorted(map(abs, values))
    return dict(n=len(values), mae=100 * sum(size) / len(size), median=100 * size[len(size) // 2],
                bias=100 * sum(values) / len(values), max=100 * size[-1])


def line_of(name, rows):
    if not rows:
        return f"{name:66} n    0"
    s = summary(rows)
    return f"{name:66} n {s['n']:4}  MAE {s['mae']:5.1f} %  median {s['median']:5.1f}  bias {s['bias']:+5.1f}  max {s['max']:5.1f}"


def ranking(rows):
    """Spearman and regret per plan group of 8 or more."""
    result = {}
    for name, group in by((row for row in rows if row["plan_group"]), lambda row: row["plan_group"]).items():
        if len(group) < 8:
            continue
        times = [row["seconds"] for row in group]
        choice = min(group, key=lambda row: row["predicted"])
        result[name] = (spearman(times, [row["predicted"] for row in group]), 100 * (choice["seconds"] / min(times) - 1))
    return result


def transfer(rows):
    """Per stack with two or more hidden sizes of 8 rows or more: calibrated on each, tested on the others."""
    result = {}
    for name, group in by(filter(usable, rows), lambda row: row["case"]["group"]).items():
        sizes = {h: part for h, part in by(group, lambda row: row["case"]["shape"]["hidden"]).items() if len(part) >= 8}
        if len(sizes) < 2:
            continue
        for hidden, part in sorted(sizes.items()):
            lines = {row["line"] for row in calibration_rows(part, min(40, len(part)))}
            answers = price(group, lines)
            others = [row for row in group if row["case"]["shape"]["hidden"] != hidden]
            result[f"{name} fit on hidden {hidden}"] = [dict(row, predicted=answers[row["line"]]["seconds"]) for row in others]
    return result


def print_times(timed, test, lines):
    print(f"{len(timed)} timed rows priced, {len(lines)} of them for calibration\n\nper source, rows without a quality mark:")
    for source, group in by((row for row in test if row["quality"] == ""), lambda row: row["source_file"]).items():
        print(" ", line_of(source, group))
    print()
    for quality in ("", "composed", "suspect", "other_task"):
        print(" ", line_of(quality or "all rows without a quality mark", [row for row in test if row["quality"] == quality]))


def print_ranking(test):
    groups = ranking(test)
    if not groups:
        return
    ranks_, regrets = zip(*groups.values())
    share = 100 * sum(rank >= 0.95 for rank in ranks_) / len(groups)
    print(f"\nranking: {len(groups)} plan groups of 8 or more; Spearman mean {sum(ranks_) / len(groups):.3f}, >= 0.95 in {share:.0f} %; "
          f"regret mean {sum(regrets) / len(groups):.2f} %, max {max(regrets):.1f} %")
    for name, (rank, regret) in groups.items():
        if rank < 0.95 or regret > 2:
            print(f"  {name:40} Spearman {rank:.3f}  regret {regret:.1f} %")


def print_transfer(rows):
    print("\nunseen shapes:")
    tested = transfer(rows)
    for name, group in tested.items():
        print(" ", line_of(name, group))
    for kind in ("composed", "all but composed"):
        part = [row for group in tested.values() for row in group]
        print(" ", line_of(kind, [row for row in part if (row["quality"] == "composed") == (kind == "composed")]))


def score(rows, lines, arguments):
    timed = [row for row in rows if row["seconds"] is not None and row["predicted"] is not None]
    test = [row for row in timed if row["line"] not in lines]
    print_times(timed, test, lines)
    print_ranking(test)
    print_memory(rows)
    if not arguments.no_transfer:
        print_transfer(rows)


def print_memory(rows):
    print("\nmemory:        fits  unsure  does not")
    for name, group in by(rows, lambda row: "ran" if row["status"] == "ok" else "failed").items():
        counts = [sum(row["memory"] == answer for row in group) for answer in ("fits", "unsure", "does not")]
        share = 100 * counts[2] / len(group)
        print(f"  {name:10} {counts[0]:6} {counts[1]:7} {counts[2]:9}   refused {share:.1f} %")
    for row in rows:
        if row["peak_mem_gib"]:
            print(f"  line {row['line']}: peak {float(row['peak_mem_gib']):.1f} GiB, priced {row['memory_gib']:.1f}")


HEADER = ("line source model quality plan_group calibration measured_s predicted_s error_percent memory memory_gib recompute "
          "interleave reason").split()


def entry_of(row, lines):
    entry = {key: row[key] for key in ("line", "model", "quality", "plan_group")}
    entry |= {"source": row["source_file"], "calibration": int(row["line"] in lines), "measured_s": row["iter_time_s"]}
    answer = row.get("answer", {})
    entry |= {key: answer.get(key, "") for key in ("memory", "recompute", "interleave")}
    entry["reason"] = row.get("reason", "") or answer.get("error", "")
    if "seconds" in answer:
        entry |= {"predicted_s": f"{answer['seconds']:.6g}", "memory_gib": f"{row['memory_gib']:.2f}"}
        if row["seconds"]:
            entry["error_percent"] = f"{100 * (answer['seconds'] / row['seconds'] - 1):.2f}"
    return entry


def write_rows(path, rows, lines):
    with open(path, "w", newline="") as file:
        out = csv.DictWriter(file, HEADER, restval="", lineterminator="\n")
        out.writeheader()
        out.writerows(entry_of(row, lines) for row in sorted(rows, key=lambda row: row["line"]))


def main():
    parser = argparse.ArgumentParser(
        prog="bench/fidelity",
        description="Prices every published training run that states its plan, after calibrating each training program's "
        "constants on at most a tenth of the rows, and scores the prices.")
    parser.add_argument("file", nargs="?", default=os.environ.get("MPOPT_PUBLISHED_RUNS"), metavar="FILE.csv",
                        help="published runs, one a row (default: the environment variable MPOPT_PUBLISHED_RUNS)")
    parser.add_argument("--rows", default="fidelity_rows.csv", metavar="OUT.csv",
                        help="where one line per row goes (default: %(default)s)")
    parser.add_argument("--no-profile", action="store_true", help="constants only, no layer profiles")
    parser.add_argument("--no-transfer", action="store_true", help="leave out the test on unseen shapes")
    parser.add_argument("--stacks", metavar="FILE", help="write the calibrated stacks to FILE")
    parser.add_argument("--share", type=float, default=0.1, help="share of the rows to calibrate by (default: %(default)s)")
    arguments = parser.parse_args()
    if not arguments.file:
        parser.error("no FILE.csv given and MPOPT_PUBLISHED_RUNS is not set; name the file of published runs")
    if not pathlib.Path(arguments.file).is_file():
        parser.error(f"cannot read '{arguments.file}'; check the path")
    rows, unpriced = read_rows(arguments.file)
    if not TOOL.is_file():
        parser.error(f"'{TOOL}' is not built; run utils/setup")
    if not rows:
        parser.error(f"'{arguments.file}' has no row that states its plan; see bench/fidelity.py for the columns")
    lines = choose(rows, arguments.share)
    options = ["--no-profile"] if arguments.no_profile else []
    options += ["--stacks", arguments.stacks] if arguments.stacks else []
    answers = price(rows, lines, options)
    for row in rows:
        row["answer"] = answer = answers[row["line"]]
        row["predicted"], row["memory"] = answer.get("seconds"), answer.get("memory", "")
        row["memory_gib"] = answer.get("memory_bytes", 0) / 2**30
    write_rows(arguments.rows, rows + unpriced, lines)
    score(rows, lines, arguments)
    if unpriced:
        reasons = by(unpriced, lambda row: row["reason"])
        print("\nnot priced: " + "; ".join(f"{len(group)} where {reason}" for reason, group in reasons.items()))
    print(f"\none line per row: {arguments.rows}")


if __name__ == "__main__":
    main()
