"""Prints, per file of nn IR, how often operators occur that tell whether decomposed forms were recognised."""
import pathlib
import re
import sys

for name in sys.argv[1:]:
    operators = re.findall(r"= nn\.(\w+)", pathlib.Path(name).read_text())
    print(*(f"{op} {operators.count(op)}" for op in
            ("attention", "gelu", "layer_norm", "matmul", "softmax", "erf", "pow", "gather_nd", "is_nan")))
