"""Writes four equal layers of a perceptron with residuals, weights inside the model.

usage: mlp-layers.py MODEL.onnx
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCH, WIDTH, INNER = 16, 64, 256
random = np.random.default_rng(0)
nodes, weights = [], []
for layer in range(4):
    for name, shape in (("up", (WIDTH, INNER)), ("down", (INNER, WIDTH))):
        values = random.standard_normal(shape, np.float32) / np.float32(shape[0] ** 0.5)
        weights.append(numpy_helper.from_array(values, f"layer.{layer}.{name}.weight"))
    path, x = f"/layer.{layer}", f"x{layer}"
    nodes += [
        helper.make_node("MatMul", [x, f"layer.{layer}.up.weight"], [f"h{layer}"], name=f"{path}/up"),
        helper.make_node("Relu", [f"h{layer}"], [f"r{layer}"], name=f"{path}/act"),
        helper.make_node("MatMul", [f"r{layer}", f"layer.{layer}.down.weight"], [f"d{layer}"], name=f"{path}/down"),
        helper.make_node("Add", [x, f"d{layer}"], [f"x{layer + 1}"], name=f"{path}/add"),
    ]
graph = helper.make_graph(nodes, "mlp", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [BATCH, WIDTH])],
                          [helper.make_tensor_value_info("x4", TensorProto.FLOAT, [BATCH, WIDTH])], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), sys.argv[1])
