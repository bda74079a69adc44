"""same-strategy.py ONE.json OTHER.json: two accounts spread every operator, input and output in the same way, over the same stages."""
import json
import sys

one, other = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
for key in ("mesh", "input_shardings", "output_shardings"):
    assert one[key] == other[key], (key, one[key], other[key])
stages = [[(stage["first_node"], stage["last_node"], stage["devices"]) for stage in plan.get("pipeline", {}).get("stages", [])]
          for plan in (one, other)]
assert stages[0] == stages[1], stages
for left, right in zip(one["strategy"], other["strategy"], strict=True):
    assert left == right, (left, right)
