#!/usr/bin/env python3
"""mpopt-price and bench/fidelity.py from outside.

usage: price_test.py [unittest options]        MPOPT_BIN: the folder of the tools
"""
import copy
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ["MPOPT_BIN"]) / "mpopt-price"
CASE = {"id": 7, "machine": "a100-80", "stack": "megatron-2021",
        "shape": {"layers": 24, "hidden": 2048, "heads": 16, "sequence": 1024, "vocabulary": 51200},
        "plan": {"tp": 2, "pp": 2, "dp": 2, "microbatch": 2, "global_batch": 64, "recompute": "full", "type": "f16"}}


def run(lines, *options):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return subprocess.run([TOOL, "-", *options], input=text, capture_output=True, text=True, timeout=120)


def price(*cases):
    result = run(cases)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def changed(part, key, value, base=None):
    case = copy.deepcopy(base or CASE)
    (case[part] if part else case)[key] = value
    return case


class Price(unittest.TestCase):
    def test_prices_a_step(self):
        answer, = price(CASE)
        self.assertEqual(answer["id"], 7)
        self.assertEqual(answer["memory"], "fits")
        parts = answer["compute"] + answer["bubble"] + answer["sync"] + answer["optimizer"]
        self.assertLess(abs(answer["seconds"] - parts), 0.05 * answer["seconds"])
        # 8 flops per parameter and token with full recomputation, on 8 devices at 25 to 75 % of 312 Tflop/s.
        flops = 8 * (24 * 12 * 2048**2) * 64 * 1024
        self.assertTrue(0.25 < flops / (8 * 312e12 * answer["seconds"]) < 0.75, answer)

    def test_a_plan_that_does_not_fit_the_shape_is_an_answer(self):
        bad, good = price(changed("plan", "tp", 3), CASE)
        self.assertIn("heads is 16, which tp = 3 does not divide", bad["error"])
        self.assertIn("seconds", good)

    def test_unstated_recomputation_is_the_least_that_fits(self):
        unstated = changed("plan", "recompute", "unstated")
        roomy, tight = price(unstated, changed("", "machine", "v100-16", changed("plan", "microbatch", 16, unstated)))
        self.assertEqual((roomy["recompute"], roomy["memory"]), ("none", "fits"))
        self.assertEqual((tight["recompute"], tight["memory"]), ("full", "unsure"))

    def test_calibration_moves_the_price_of_its_group_only(self):
        alone, = price(CASE)
        slow = changed("", "calibrate", True, changed("", "group", "slow"))
        measured = changed("", "seconds", 1.3 * alone["seconds"], slow)
        unmeasured = changed("", "group", "slow", changed("plan", "microbatch", 4))
        other = price(measured, unmeasured, CASE)
        before, = price(changed("plan", "microbatch", 4))
        self.assertGreater(other[1]["seconds"], 1.03 * before["seconds"])
        self.assertEqual(other[2]["seconds"], alone["seconds"])

    def test_same_bytes_twice(self):
        self.assertEqual(run([CASE] * 3).stdout, run([CASE] * 3).stdout)

    def refused(self, line, *parts):
        result = run([line])
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for part in ("mpopt-price: error: <stdin>:1: ", *parts):
            self.assertIn(part, result.stderr)

    def test_bad_input(self):
        self.refused("{not json", "not valid JSON", "one object per line")
        self.refused("[]", "write an object")
        self.refused(changed("plan", "tpp", 2), "plan.tpp", "unknown")
        self.refused(changed("plan", "tp", 0), "plan.tp", "whole number")
        self.refused(changed("plan", "zero", "4"), "plan.zero", "0, 1, 2, 3")
        self.refused(changed("shape", "layers", "many"), "shape.layers", "whole number")
        self.refused(changed("", "machine", "a200"), "unknown machine 'a200'", "a100-80")
        self.refused(changed("", "stack", "none"), "unknown stack 'none'", "llm-foundry")
        self.refused(changed("", "calibrate", True), "seconds", "missing")


class Plan(unittest.TestCase):
    def test_plans_over_devices(self):
        case = changed("", "devices", 16)
        answer, = price(case)
        self.assertEqual(answer["id"], 7)
        self.assertEqual(sum(stage["devices"] for stage in answer["plan"]["stages"]), 16)
        self.assertEqual(sum(count for stage in answer["plan"]["stages"] for _, count in stage["layers"]), 24)
        self.assertLessEqual(answer["lower_bound_seconds"], answer["seconds"])
        times = [answer["seconds"]] + [plan["seconds"] for plan in answer["runners_up"]]
        self.assertEqual(times, sorted(times))
        self.assertLess(answer["seconds"], price(CASE | {"plan": CASE["plan"] | {"dp": 4}})[0]["seconds"])
        self.assertEqual(price(case), [answer])

    def test_says_why_there_is_no_plan(self):
        answer, = price(changed("shape", "layers", 4000, changed("", "devices", 1)))
        self.assertIn("nothing fits the memory", answer["error"])

    def test_bench_compares_with_the_best_plan_of_each_group(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "runs.csv"
            row = {"source": "someone/megatron@1:runs.csv", "gpu_type": "A100-80GB", "model": "GPT", "layers": 24, "hidden": 1024,
                   "heads": 16, "seq": 1024, "vocab": 51200, "tp": 8, "pp": 1, "dp": 1, "microbatch": 1, "global_batch": 64,
                   "recompute": "full", "precision": "fp16", "status": "ok", "plan_group": "one", "iter_time_s": 1}
            with open(path, "w", newline="") as file:
                out = csv.DictWriter(file, list(row))
                out.writeheader()
                out.writerows([row, row | {"tp": 4, "dp": 2}])
            result = subprocess.run([sys.executable, ROOT / "bench" / "plan.py", "--data", path], capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"1 groups: the planner's choice is priced [0-9.]+ % below the best published plan on average, and above it in 0")


class Fidelity(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def score(self, *arguments, env=None):
        command = [sys.executable, ROOT / "bench" / "fidelity.py", *arguments, "--rows", self.folder / "rows.csv"]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})})

    def write(self, slower):
        """Twenty-four plans whose times are the tool's own prices, `slower` times over; one without a time, one failed."""
        rows = []
        for hidden in (1024, 2048):
            for tp in (1, 2, 4, 8):
                for microbatch in (1, 2, 4):
                    rows.append({"source": "someone/megatron@1:runs.csv", "gpu_type": "A100-80GB", "model": "GPT", "layers": 24,
                                 "hidden": hidden, "heads": 16, "seq": 1024, "vocab": 51200, "tp": tp, "pp": 1, "dp": 8 // tp,
                                 "microbatch": microbatch, "global_batch": 64, "recompute": "full", "precision": "fp16",
                                 "status": "ok", "plan_group": f"h{hidden}"})
        plans = [CASE["plan"] | {key: row[key] for key in ("tp", "pp", "dp", "microbatch")} for row in rows]
        cases = [changed("shape", "hidden", row["hidden"]) | {"plan": plan} for row, plan in zip(rows, plans)]
        for row, answer in zip(rows, price(*cases)):
            row["iter_time_s"] = slower * answer["seconds"]
        rows.append(rows[0] | {"iter_time_s": ""})
        rows.append(rows[0] | {"iter_time_s": "", "status": "failed(out of memory)", "microbatch": 8192, "global_batch": 65536})
        path = self.folder / "runs.csv"
        with open(path, "w", newline="") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)
        return path

    def test_scores_what_it_did_not_calibrate_by(self):
        result = self.score(self.write(1.1))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("24 timed rows priced, 2 of them for calibration", result.stdout)
        self.assertRegex(result.stdout, r"n   22  MAE   [0-9]\.[0-9] %")
        self.assertIn("2 plan groups of 8 or more", result.stdout)
        self.assertIn("1 where iter_time_s is not stated", result.stdout)
        self.assertIn("fit on hidden 1024", result.stdout)
        with open(self.folder / "rows.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 26)
        self.assertEqual(sum(row["calibration"] == "1" for row in rows), 2)
        self.assertEqual(rows[-1]["memory"], "does not")

    def test_nothing_to_score(self):
        for path, env, part in ((["/no/such.csv"], {}, "cannot read '/no/such.csv'"),
                                ([], {"MPOPT_PUBLISHED_RUNS": ""}, "MPOPT_PUBLISHED_RUNS is not set")):
            result = self.score(*path, env=env)
            self.assertEqual(result.returncode, 2)
            self.assertIn(part, result.stderr)
        empty = self.folder / "empty.csv"
        empty.write_text("source,model\na,b\n")
        result = self.score(empty)
        self.assertEqual(result.returncode, 2)
        self.assertIn("no row that states its plan", result.stderr)


if __name__ == "__main__":
    unittest.main()
