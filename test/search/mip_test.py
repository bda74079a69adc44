"""mpopt-solve against a general MIP solver (HiGHS) on random problems that are too large to try all combinations of."""
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

import highspy

TOP = pathlib.Path(__file__).resolve().parents[2]
SOLVER = pathlib.Path(os.environ.get("MPOPT_BIN", TOP / "build/bin")) / "mpopt-solve"
spec = importlib.util.spec_from_file_location("bench_search", TOP / "bench/search.py")
bench_search = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench_search)
FORBIDDEN = bench_search.FORBIDDEN


def random_problem(seed):
    """A problem in the contest's format: a chain with extra edges, forbidden strategies and pairs, values that live for a while."""
    rng = random.Random(seed)
    count, edge_count = rng.randint(10, 40), rng.randint(0, 25)

    def costs(number, percent):
        return [FORBIDDEN if rng.randrange(100) < percent else rng.randrange(1000) for _ in range(number)]

    sizes = [rng.randint(1, 6) for _ in range(count)]
    intervals, usages = [], []
    for size in sizes:
        first = rng.randrange(2 * count)
        intervals.append([first, first + rng.randint(0, count)])
        usages.append([rng.randrange(100) for _ in range(size)])
    edges = [(a, a + 1) for a in range(count - 1)] + [tuple(sorted(rng.sample(range(count), 2))) for _ in range(edge_count)]
    problem = {"nodes": {"intervals": intervals, "costs": [costs(size, 5) for size in sizes], "usages": usages},
               "edges": {"nodes": [list(edge) for edge in edges], "costs": [costs(sizes[a] * sizes[b], 10) for a, b in edges]}}
    least = bench_search.peak_usage(problem["nodes"], [usage.index(min(usage)) for usage in usages])
    most = bench_search.peak_usage(problem["nodes"], [usage.index(max(usage)) for usage in usages])
    problem["usage_limit"] = least + rng.randint(-1, 4) * (most - least) // 8
    return {"problem": problem}


def solve_mip(problem):
    """The least cost, or None where nothing is allowed. One binary per strategy, one flow per pair of strategies of an edge, whose sums are
    the strategies of its ends; memory limited wherever a value begins to live."""
    nodes, edges = problem["nodes"], problem["edges"]
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 0.5)  # costs are integers

    def variable(cost, kind=highspy.HighsVarType.kContinuous):
        return highs.addVariable(ub=0 if cost >= FORBIDDEN else 1, obj=0 if cost >= FORBIDDEN else cost, type=kind)

    chosen = [[variable(cost, highspy.HighsVarType.kInteger) for cost in costs] for costs in nodes["costs"]]
    for variables in chosen:
        highs.addConstr(sum(variables) == 1)
    for (a, b), costs in zip(edges["nodes"], edges["costs"]):
        rows, cols = len(chosen[a]), len(chosen[b])
        pairs = [variable(cost) for cost in costs]
        for row in range(rows):
            highs.addConstr(sum(pairs[row * cols:(row + 1) * cols]) == chosen[a][row])
        for col in range(cols):
            highs.addConstr(sum(pairs[col::cols]) == chosen[b][col])
    for time in sorted({first for first, last in nodes["intervals"] if first < last}):
        highs.addConstr(sum(usage * v for (first, last), usages, variables in zip(nodes["intervals"], nodes["usages"], chosen)
                            if first <= time < last for usage, v in zip(usages, variables)) <= problem["usage_limit"])
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    assert status == highspy.HighsModelStatus.kOptimal, status
    return round(highs.getInfo().objective_function_value)


class Mip(unittest.TestCase):
    def test_costs_are_equal(self):
        solved = 0
        with tempfile.TemporaryDirectory(prefix="mpopt-mip-") as folder:
            for seed in range(150):
                with self.subTest(seed=seed):
                    contents = random_problem(seed)
                    path, answer = pathlib.Path(folder) / "problem.json", pathlib.Path(folder) / f"answer{seed}.json"
                    path.write_text(json.dumps(contents))
                    done = subprocess.run([SOLVER, path, "--time-limit", "60", "--solution", answer], capture_output=True, text=True,
                                          check=False)
                    expected = solve_mip(contents["problem"])
                    if expected is None:
                        self.assertEqual(done.returncode, 1)
                        self.assertRegex(done.stderr, "no allowed combination|no plan fits the memory limit")
                        continue
                    self.assertEqual(done.returncode, 0, done.stderr)
                    found = json.loads(answer.read_text())
                    cost, peak = bench_search.evaluate(contents["problem"], found["solution"])
                    self.assertEqual(cost, expected)
                    self.assertEqual((found["cost"], found["lower_bound"], found["optimal"]), (cost, cost, True))
                    self.assertLessEqual(peak, contents["problem"]["usage_limit"])
                    solved += 1
        self.assertGreater(solved, 60)


if __name__ == "__main__":
    unittest.main()
