"""same-strategy.py ONE.json OTHER.json: two accounts spread every operator, input and output in the same way."""
import json
import sys

one, other = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
for key in ("mesh", "input_shardings", "output_shardings"):
    assert one[key] == other[key], (key, one[key], other[key])
for left, right in zip(one["strategy"], other["strategy"], strict=True):
    assert left == right, (left, right)
