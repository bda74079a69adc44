#!/usr/bin/env python3
"""Builds small models of each architecture of mpopt.models, and compares plans of them with ONNX Runtime; plans a large one.

usage: built_models.py [--cache DIR]
"""
import argparse
import pathlib
import sys

import numpy as np
import onnx

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "utils"), str(TOP / "python")]

import make_weights
import run
from mpopt import models, reference
from mpopt.models.graph import save
from mpopt.tools import call

TEXT = {"input_ids": (2, 7)}
# architecture, sizes, inputs' shapes; heads and widths divide by few device counts
CASES = {
    "gpt": (dict(hidden=48, layers=2, heads=6, vocabulary=101, sequence=16), TEXT),
    "bert": (dict(hidden=48, layers=2, heads=6, vocabulary=101, sequence=16), {**TEXT, "attention_mask": (2, 7), "token_type_ids": (2, 7)}),
    "llama": (dict(hidden=96, layers=2, heads=6, kv_heads=2, inner=80, vocabulary=101), TEXT),
    "mixtral": (dict(hidden=96, layers=2, heads=6, kv_heads=3, inner=40, vocabulary=101, experts=4, chosen=2), TEXT),
    "vit": (dict(hidden=48, layers=2, heads=6, patch=16, image=64, classes=11), {"pixel_values": (2, 3, 64, 64)}),
}


def make_input(name, shape):
    random = np.random.default_rng(7)
    if name == "pixel_values":
        return random.standard_normal(shape).astype(np.float32)
    if name == "attention_mask":
        mask = np.ones(shape, np.int64)
        mask[1:, -2:] = 0
        return mask
    return random.integers(0, 2 if name == "token_type_ids" else 101, shape)


def prepare(name, sizes, folder):
    """Writes the model and random weights for it."""
    graph = folder / "graph" / f"{name}.onnx"
    graph.parent.mkdir(parents=True, exist_ok=True)
    save(models.build("llama" if name == "mixtral" else name, weights_file=f"{name}.bin", **sizes), graph)
    make_weights.make(str(graph), str(folder))
    path = folder / f"{name}.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    return path


def check_large(folder):
    """The parameters of a model too large for this host, planned from its graph alone. Returns what is wrong, or None."""
    path = folder / "graph" / "llama2-13b.onnx"
    model = models.build("llama2-13b", dtype="float16", layers=4)
    save(model, path)
    parameters = sum(int(np.prod(weight.dims)) for weight in model.graph.initializer if weight.data_location)
    if parameters != 2 * 32000 * 5120 + 5120 + 4 * (4 * 5120**2 + 3 * 5120 * 13824 + 2 * 5120):
        return f"{parameters} parameters"
    call("mpopt", path, "--devices", 4, "--machine", "a100-80", "--dim", "input_ids=1x2048", "--emit=planned")
    return None


def check_refusals():
    """Sizes that do not go together are errors that name them. Returns what is wrong, or None."""
    for name, sizes, text in (("llama", {"hidden": 8, "heads": 2}, "needs the sizes layers, vocabulary, inner"),
                              ("gpt2", {"experts": 4}, "has no size experts"), ("gpt2", {"heads": 7}, "no multiple of 7 heads"),
                              ("llama3-8b", {"kv_heads": 5}, "cannot share 5"), ("gpt2", {"layers": 0}, "layers must be positive"),
                              ("mixtral-8x7b", {"chosen": 9}, "9 of 8 experts"), ("gpt5", {}, "unknown model gpt5")):
        try:
            models.build(name, **sizes)
            return f"{name} {sizes} is not refused"
        except ValueError as error:
            if text not in str(error):
                return f"{name} {sizes}: {error}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=TOP / "build/e2e", help="folder for models")
    folder = parser.parse_args().cache / "built"
    failed = 0
    for name, (sizes, shapes) in CASES.items():
        path = prepare(name, sizes, folder)
        inputs = {key: make_input(key, shape) for key, shape in shapes.items()}
        expected = reference.run(path, inputs)
        for devices, strategy in ((1, None), (2, "tp=2"), (4, "dp=2,tp=2"), (6, None)):
            wrong, line = run.check(path, inputs, expected, devices, strategy, folder / "plan")
            print(f"{'FAIL' if wrong else 'ok  '} {name} x{devices} {strategy or 'planned'}  {line}" + (f"\n     {wrong}" if wrong else ""), flush=True)
            failed += wrong is not None
    for wrong in filter(None, (check_large(folder), check_refusals())):
        print(f"FAIL {wrong}")
        failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
