#!/usr/bin/env python3
"""Bad input gets one clear error that names the thing, exit code 1, and leaves nothing half-written.

usage: bad_input.py [unittest options]
"""
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "python"))

from mpopt.tools import BIN

MACHINE = TOP / "machines/test-host.toml"
CRASHES = ("Traceback", "Stack dump", "LLVM ERROR", "Assertion", "PLEASE submit", "terminate called", "Sanitizer")
WEIGHTS = {"w1": (8, 16), "b1": (16,), "w2": (16, 4)}


def external(name, shape, location, offset, length):
    """An initializer whose bytes lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def mlp(location="weights.bin", operator="Relu"):
    """A two-layer perceptron with its weights outside."""
    initializers, offset = [], 0
    for name, shape in WEIGHTS.items():
        length = int(np.prod(shape)) * 4
        initializers.append(external(name, shape, location, offset, length))
        offset += length
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h0"], name="/in/MatMul"),
        helper.make_node("Add", ["h0", "b1"], ["h1"], name="/in/Add"),
        helper.make_node(operator, ["h1"], ["h2"], name="/act/node"),
        helper.make_node("MatMul", ["h2", "w2"], ["y"], name="/out/MatMul"),
    ]
    graph = helper.make_graph(
        nodes, "mlp", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


class BadInput(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="mpopt-bad-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.model = self.root / "model/mlp.onnx"
        self.model.parent.mkdir()
        self.out = self.root / "out"
        self.out.mkdir()
        count = sum(int(np.prod(shape)) for shape in WEIGHTS.values())
        self.weights = self.model.parent / "weights.bin"
        self.weights.write_bytes(np.random.default_rng(1).standard_normal(count, np.float32).tobytes())
        self.save(mlp())

    def save(self, model):
        self.model.write_bytes(model.SerializeToString())

    def call(self, tool, *args):
        return subprocess.run([BIN / tool, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)

    def assert_refused(self, result, *names):
        """One error line that names what is wrong, exit code 1, no crash, an empty output folder."""
        errors = result.stderr.strip()
        self.assertEqual(result.returncode, 1, f"exit code {result.returncode}: {errors}")
        self.assertEqual(sum("error" in line for line in errors.splitlines()), 1, f"not one error line:\n{errors}")
        for word in CRASHES:
            self.assertNotIn(word, errors)
        for name in names:
            self.assertIn(str(name), errors)
        self.assertEqual([path.name for path in self.out.rglob("*")], [], "left something behind")

    def plan(self, *args, dim=("--dim", "batch=4"), devices=2, machine=MACHINE):
        return self.call("mpopt", self.model, "--devices", devices, "--machine", machine, "-o", self.out / "mlp.mpplan",
                         "--json", self.out / "mlp.json", *dim, *args)


class BadModel(BadInput):
    def test_the_good_model_is_planned(self):
        result = self.plan()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue((self.out / "mlp.mpplan").exists() and (self.out / "mlp.json").exists())

    def test_missing_model(self):
        self.model.unlink()
        self.assert_refused(self.plan(), "mlp.onnx")

    def test_truncated_model(self):
        whole = self.model.read_bytes()
        for part in (1, len(whole) // 3, len(whole) - 1):
            with self.subTest(bytes=part):
                self.model.write_bytes(whole[:part])
                self.assert_refused(self.plan(), "mlp.onnx")

    def test_not_a_model(self):
        self.model.write_bytes(random.Random(1).randbytes(4096))
        self.assert_refused(self.plan(), "mlp.onnx")
        self.model.write_bytes(b"")
        self.assert_refused(self.plan(), "mlp.onnx")

    def test_unknown_operator(self):
        self.save(mlp(operator="Frobnicate"))
        self.assert_refused(self.plan(), "Frobnicate", "/act/node")

    def test_unbound_dimension(self):
        self.assert_refused(self.plan(dim=()), "batch", "--dim")

    def test_bad_dimension(self):
        for value in ("batch=-4", "batch=many", "batch", "nosuch=4", "x=4x9"):
            with self.subTest(dim=value):
                dims = ("--dim", value) if value.startswith(("batch", "x")) else ("--dim", "batch=4", "--dim", value)
                self.assert_refused(self.plan(dim=dims), value.split("=")[0])

    def test_undefined_value(self):
        model = mlp()
        model.graph.node[2].input[0] = "nowhere"
        self.save(model)
        self.assert_refused(self.plan(), "nowhere")

    def test_two_inputs_of_one_name(self):
        model = mlp()
        model.graph.input.append(model.graph.input[0])
        self.save(model)
        self.assert_refused(self.plan(), "two of the graph's inputs", f"'{model.graph.input[0].name}'")

    def test_shapes_that_do_not_fit(self):
        model = mlp()
        model.graph.initializer[0].dims[0] = 4
        model.graph.initializer[0].external_data[2].value = str(4 * 16 * 4)
        self.save(model)
        self.assert_refused(self.plan(), "/in/MatMul")


class BadExternalData(BadInput):
    def test_missing(self):
        self.weights.unlink()
        self.assert_refused(self.plan(), "weights.bin")

    def test_short(self):
        self.weights.write_bytes(self.weights.read_bytes()[:-4])
        self.assert_refused(self.plan(), "weights.bin", "w2")

    def test_length_that_is_not_the_tensors(self):
        model = mlp()
        model.graph.initializer[0].external_data[2].value = "12"
        self.save(model)
        self.assert_refused(self.plan(), "w1")

    def test_offset_that_overflows(self):
        for offset in (2**63 - 8, 2**64 - 8, -8, "x"):
            with self.subTest(offset=offset):
                model = mlp()
                model.graph.initializer[0].external_data[1].value = str(offset)
                self.save(model)
                self.assert_refused(self.plan(), "w1")

    def test_path_that_leaves_the_folder(self):
        shutil.copy(self.weights, self.root / "weights.bin")
        for location in ("../weights.bin", "a/../../weights.bin", str(self.root / "weights.bin")):
            with self.subTest(location=location):
                self.save(mlp(location))
                self.assert_refused(self.plan(), location)


class BadOptions(BadInput):
    def test_devices(self):
        for devices in (0, -1, 10**6, "four"):
            with self.subTest(devices=devices):
                self.assert_refused(self.plan(devices=devices), "devices")

    def test_machine(self):
        text = MACHINE.read_text()
        file = self.root / "machine.toml"
        for name, bad in (("bandwidth", text.replace("bandwidth = 6.0e9", "bandwidth = -6.0e9")),
                          ("bandwidth", text.replace("bandwidth = 6.0e9", 'bandwidth = "fast"')),
                          ("memory_bytes", text.replace("memory_bytes = 68719476736", "memory_bytes = 0")),
                          ("machine.toml", text + "\n[[[")):
            self.assertNotEqual(bad, text)
            with self.subTest(names=name):
                file.write_text(bad)
                self.assert_refused(self.plan(machine=file), name, "machine.toml")

    def test_unknown_machine(self):
        self.assert_refused(self.plan(machine="abacus"), "abacus")

    def test_strategy(self):
        for strategy in ("dp=3", "dp=2,tp=2", "zz=2", "dp=", "dp=0"):
            with self.subTest(strategy=strategy):
                self.assert_refused(self.plan("--strategy", strategy), "strategy")

    def test_missing_pin_file(self):
        self.assert_refused(self.plan("--pin", self.root / "pins.json"), "pins.json")

    def test_output_folder_that_does_not_exist(self):
        result = self.call("mpopt", self.model, "--devices", 2, "--machine", MACHINE, "--dim", "batch=4",
                           "-o", self.out / "no/mlp.mpplan")
        self.assert_refused(result, self.out / "no/mlp")


class BadPlan(BadInput):
    """Plans and inputs that mpopt-run must refuse."""

    def setUp(self):
        super().setUp()
        result = self.plan()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.plan_folder = self.root / "plan"
        self.out.rename(self.plan_folder)
        self.out.mkdir()
        self.file = self.plan_folder / "mlp.mpplan"
        self.input = self.root / "x.npy"
        np.save(self.input, np.ones((4, 8), np.float32))

    def run_plan(self, *inputs):
        args = [part for value in inputs or (f"x={self.input}",) for part in ("--input", value)]
        return self.call("mpopt-run", self.file, *args, "--output-dir", self.out)

    def test_the_good_plan_runs(self):
        result = self.run_plan()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(np.load(self.out / "y.npy").shape, (4, 4))

    def test_cut_short(self):
        whole = self.file.read_bytes()
        for size in (0, 1, 8, len(whole) // 2, len(whole) - 32, len(whole) - 1):
            with self.subTest(bytes=size):
                self.file.write_bytes(whole[:size])
                self.assert_refused(self.run_plan(), "mlp.mpplan")

    def test_flipped_byte(self):
        whole = self.file.read_bytes()
        chosen = random.Random(7)
        ends = [*range(0, 24), *range(len(whole) - 32, len(whole))]
        for place in ends + [chosen.randrange(len(whole)) for _ in range(60)]:
            with self.subTest(byte=place):
                bad = bytearray(whole)
                bad[place] ^= 1 << chosen.randrange(8)
                self.file.write_bytes(bad)
                self.assert_refused(self.run_plan(), "mlp.mpplan")

    def test_something_else(self):
        self.file.write_bytes(self.model.read_bytes())
        self.assert_refused(self.run_plan(), "mlp.mpplan")
        self.file.unlink()
        self.assert_refused(self.run_plan(), "mlp.mpplan")

    def weights_file(self):
        others = [p for p in self.plan_folder.iterdir() if p != self.file and p.suffix != ".json"]
        self.assertEqual(len(others), 1, others)
        return others[0]

    def test_weights(self):
        file = self.weights_file()
        whole = file.read_bytes()
        for name, bad in (("short", whole[:-1]), ("empty", b""), ("flipped", bytes([whole[0] ^ 1]) + whole[1:])):
            with self.subTest(weights=name):
                file.write_bytes(bad)
                self.assert_refused(self.run_plan(), file.name)
        file.unlink()
        self.assert_refused(self.run_plan(), file.name)

    def test_input_of_wrong_shape_or_type(self):
        for name, array in (("shape", np.ones((4, 9), np.float32)), ("rank", np.ones((4, 8, 1), np.float32)),
                            ("type", np.ones((4, 8), np.float64)), ("integers", np.ones((4, 8), np.int64))):
            with self.subTest(wrong=name):
                np.save(self.input, array)
                self.assert_refused(self.run_plan(), "x")

    def test_inputs_by_name(self):
        self.assert_refused(self.run_plan(f"z={self.input}"), "z")
        self.assert_refused(self.run_plan(f"x={self.root / 'none.npy'}"), "none.npy")
        self.assert_refused(self.run_plan(str(self.input)), "name=")
        self.assert_refused(self.run_plan(f"x={self.input}", f"x={self.input}"), "x")

    def test_broken_input_file(self):
        whole = self.input.read_bytes()
        for name, bad in (("empty", b""), ("header", whole[:20]), ("data", whole[:-1]), ("text", b"not an array" * 20)):
            with self.subTest(npy=name):
                self.input.write_bytes(bad)
                self.assert_refused(self.run_plan(), "x.npy")


if __name__ == "__main__":
    unittest.main()
