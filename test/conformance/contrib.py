#!/usr/bin/env python3
"""Operators of com.microsoft, each through mpopt and mpopt-run on one device and compared with ONNX Runtime, which defines them.

usage: contrib.py [unittest options]
"""
import pathlib
import sys
import tempfile
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "python"))

from mpopt import execute, plan, reference
from mpopt.tools import file_name

MACHINE = TOP / "machines/test-host.toml"
OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]


class Contrib(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(3)

    def normal(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def check(self, op, inputs, outputs=1, constants=(), tolerance=1e-4, domain="com.microsoft", defined=None, **attributes):
        """Compares the first `outputs` results; `inputs` are arrays, None for one left out; those at the places `constants` are
        initializers. `defined` maps results of which only a part is defined to that part."""
        names = ["" if array is None else f"i{place}" for place, array in enumerate(inputs)]
        results = [f"o{i}" for i in range(outputs)] if isinstance(outputs, int) else outputs
        node = helper.make_node(op, names, results, name=f"/{op}", domain=domain, **attributes)
        fixed = [numpy_helper.from_array(inputs[place], names[place]) for place in constants]
        fed = {name: array for place, (name, array) in enumerate(zip(names, inputs)) if name and place not in constants}
        infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                 for name, array in fed.items()]
        shown = [helper.make_empty_tensor_value_info(name) for name in results if name]
        model = helper.make_model(helper.make_graph([node], "contrib", infos, shown, fixed), opset_imports=OPSETS, ir_version=10)
        with tempfile.TemporaryDirectory(prefix="mpopt-contrib-") as folder:
            path = pathlib.Path(folder) / "model.onnx"
            path.write_bytes(model.SerializeToString())
            expected = reference.run(path, fed)
            plan(path, pathlib.Path(folder) / "model.mpplan", 1, machine=MACHINE)
            found, _ = execute(pathlib.Path(folder) / "model.mpplan", fed)
        for name, value in expected.items():
            self.assertEqual(found[file_name(name)].shape, value.shape)
            part = (defined or {}).get(name, lambda array: array)
            np.testing.assert_allclose(part(found[file_name(name)]), part(value), rtol=tolerance, atol=tolerance)

    def test_attention(self):
        x, w, b = self.normal(2, 5, 24), self.normal(24, 72), self.normal(72)
        self.check("Attention", [x, w, b], constants=(1, 2), num_heads=4)
        self.check("Attention", [x, w, b], constants=(1, 2), num_heads=3, unidirectional=1, scale=0.3)
        self.check("Attention", [x, w, b, np.array([5, 3], np.int32)], constants=(1, 2), num_heads=4)
        mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]], np.int32)
        self.check("Attention", [x, w, b, mask, None, self.normal(2, 4, 5, 5)], constants=(1, 2), num_heads=4)

    def test_attention_with_past(self):
        x, w, b, past = self.normal(2, 3, 24), self.normal(24, 72), self.normal(72), self.normal(2, 2, 4, 6, 6)
        self.check("Attention", [x, w, b, None, past], outputs=2, constants=(1, 2), num_heads=4, unidirectional=1)

    def test_multi_head_attention(self):
        q, k, v = self.normal(2, 5, 32), self.normal(2, 7, 32), self.normal(2, 7, 48)
        self.check("MultiHeadAttention", [q, k, v], num_heads=4)
        bias = self.normal(112)
        self.check("MultiHeadAttention", [q, k, v, bias], constants=(3,), num_heads=4, scale=0.2)
        mask = np.array([[1, 1, 1, 1, 1, 1, 0], [1, 0, 1, 1, 1, 1, 1]], np.int32)
        self.check("MultiHeadAttention", [q, k, v, None, mask], num_heads=4)
        self.check("MultiHeadAttention", [q, k, v, None, None, self.normal(1, 4, 5, 7)], num_heads=4)

    def test_multi_head_attention_with_past(self):
        q, k, v, past = self.normal(2, 3, 32), self.normal(2, 3, 32), self.normal(2, 3, 32), self.normal(2, 4, 6, 8)
        self.check("MultiHeadAttention", [q, k, v, None, None, None, past, self.normal(2, 4, 6, 8)], outputs=3, num_heads=4,
                   unidirectional=1)

    def test_group_query_attention(self):
        q, k, v = self.normal(2, 6, 64), self.normal(2, 6, 32), self.normal(2, 6, 32)
        counts, longest = np.array([5, 5], np.int32), np.array(6, np.int32)
        self.check("GroupQueryAttention", [q, k, v, None, None, counts, longest], outputs=3, num_heads=4, kv_num_heads=2)
        cos, sin = self.normal(16, 8), self.normal(16, 8)
        for interleaved in (0, 1):
            self.check("GroupQueryAttention", [q, k, v, None, None, counts, longest, cos, sin], outputs=3, constants=(7, 8),
                       num_heads=4, kv_num_heads=2, do_rotary=1, rotary_interleaved=interleaved)
        self.check("GroupQueryAttention", [np.concatenate([q, k, v], 2), None, None, None, None, counts, longest], outputs=3,
                   num_heads=4, kv_num_heads=2, local_window_size=3)

    def test_group_query_attention_with_past(self):
        q, k, v = self.normal(2, 1, 64), self.normal(2, 1, 32), self.normal(2, 1, 32)
        past, cos, sin = [self.normal(2, 2, 7, 16) for _ in range(2)], self.normal(16, 8), self.normal(16, 8)
        counts, longest = np.array([7, 7], np.int32), np.array(8, np.int32)
        self.check("GroupQueryAttention", [q, k, v, *past, counts, longest, cos, sin], outputs=3, constants=(6, 7, 8), num_heads=4,
                   kv_num_heads=2, do_rotary=1)

    def test_group_query_attention_with_rows_of_different_lengths(self):
        past, cos, sin = [self.normal(2, 2, 7, 16) for _ in range(2)], self.normal(16, 8), self.normal(16, 8)
        q, k, v = self.normal(2, 1, 64), self.normal(2, 1, 32), self.normal(2, 1, 32)
        counts, longest = np.array([7, 4], np.int32), np.array(8, np.int32)

        def seen(cache):
            return np.concatenate([row[:, :count + 1] for row, count in zip(cache, counts)], axis=1)

        for window in (-1, 4):
            self.check("GroupQueryAttention", [q, k, v, *past, counts, longest, cos, sin], outputs=3, constants=(6, 7, 8),
                       defined={"o1": seen, "o2": seen}, num_heads=4, kv_num_heads=2, do_rotary=1, local_window_size=window)

    def test_rotary_embedding(self):
        cos, sin = self.normal(16, 8), self.normal(16, 8)
        for interleaved in (0, 1):
            self.check("RotaryEmbedding", [self.normal(2, 5, 64), np.array([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]]), cos, sin],
                       constants=(2, 3), interleaved=interleaved)
            self.check("RotaryEmbedding", [self.normal(2, 4, 5, 16), np.array([2]), cos, sin], constants=(2, 3),
                       interleaved=interleaved)

    def test_norms(self):
        x, skip, scale, bias = self.normal(2, 5, 16), self.normal(2, 5, 16), self.normal(16), self.normal(16)
        self.check("SkipLayerNormalization", [x, skip, scale, bias, self.normal(16)], outputs=["o0", "", "", "o3"])
        self.check("SkipSimplifiedLayerNormalization", [x, skip, scale], outputs=["o0", "", "", "o3"])
        self.check("SimplifiedLayerNormalization", [x, scale], domain="", axis=-1, epsilon=1e-5)
        words, places, segments = self.normal(30, 16), self.normal(8, 16), self.normal(2, 16)
        ids, kinds = self.random.integers(0, 30, (2, 5)).astype(np.int32), np.array([[0, 0, 1, 1, 1]] * 2, np.int32)
        self.check("EmbedLayerNormalization", [ids, kinds, words, places, segments, scale, bias], constants=(2, 3, 4, 5, 6),
                   outputs=["o0", ""])

    def test_activations(self):
        x, bias = self.normal(3, 16), self.normal(16)
        self.check("Gelu", [x])
        self.check("BiasGelu", [x, bias])
        self.check("FastGelu", [x])
        self.check("FastGelu", [x, bias])
        self.check("QuickGelu", [x], alpha=1.5)

    def test_fused_mat_mul(self):
        self.check("FusedMatMul", [self.normal(3, 4, 5), self.normal(3, 6, 5)], transB=1, alpha=0.25)
        self.check("FusedMatMul", [self.normal(5, 4), self.normal(5, 6)], transA=1)
        self.check("FusedMatMul", [self.normal(4, 3, 5), self.normal(3, 5, 6)], transBatchA=1)

    def test_mat_mul_n_bits(self):
        for depth, block in ((64, 32), (80, 32), (48, 16)):
            blocks = -(-depth // block)
            packed = self.random.integers(0, 256, (24, blocks, block // 2)).astype(np.uint8)
            scales = np.abs(self.normal(24 * blocks)) * np.float32(0.1)
            zeros = self.random.integers(0, 256, 24 * -(-blocks // 2)).astype(np.uint8)
            sizes = {"K": depth, "N": 24, "bits": 4, "block_size": block}
            self.check("MatMulNBits", [self.normal(2, 3, depth), packed, scales], constants=(1, 2), tolerance=1e-3, **sizes)
            self.check("MatMulNBits", [self.normal(3, depth), packed, scales, zeros], constants=(1, 2, 3), tolerance=1e-3, **sizes)

    def test_quantized_arithmetic(self):
        a, b = (self.random.integers(0, 256, (3, 8)).astype(np.uint8) for _ in range(2))
        scales, zeros = [np.array(s, np.float32) for s in (0.1, 0.2, 0.3)], [np.array(z, np.uint8) for z in (120, 130, 7)]
        inputs = [part for triple in ((a, scales[0], zeros[0]), (b, scales[1], zeros[1])) for part in triple]
        for op in ("QLinearAdd", "QLinearMul"):
            self.check(op, [*inputs, scales[2], zeros[2]], constants=(1, 2, 4, 5, 6, 7), tolerance=0)
        # Seven bits: with eight, ONNX Runtime's kernel for processors without VNNI saturates a sum of two products at 16 bits.
        w = self.random.integers(-64, 64, (8, 6)).astype(np.int8)
        self.check("MatMulIntegerToFloat", [a, w, scales[0], scales[1], zeros[0], np.array(3, np.int8), self.normal(6)],
                   constants=(1, 2, 3, 4, 5, 6))


if __name__ == "__main__":
    unittest.main()
