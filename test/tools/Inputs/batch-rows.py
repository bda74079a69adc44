"""Writes y = relu(x + w) for a batch of four, where w has a row for each of the batch; in a second dimension where `outer` is above 1.

usage: batch-rows.py MODEL.onnx alike|different OUTER     the weights go to MODEL.onnx.weights
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCH, WIDTH = 4, 2048
path, kind, outer = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
random = np.random.default_rng(0)
w = np.repeat(random.standard_normal((outer, 1, WIDTH), np.float32), BATCH, axis=1)
if kind == "different":
    w[-1, -1, -1] += 1
w = w if outer > 1 else w[0]
nodes = [helper.make_node("Add", ["x", "w"], ["sum"], name="/positions"), helper.make_node("Relu", ["sum"], ["y"], name="/act")]
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [BATCH, WIDTH]), ("y", w.shape))]
graph = helper.make_graph(nodes, "rows", values[:1], values[1:], [numpy_helper.from_array(w, "w")])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path, save_as_external_data=True,
          location=path.name + ".weights", size_threshold=0)
