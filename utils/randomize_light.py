#!/usr/bin/env python3
"""Gives ONNX's "light" test models, whose weights are all ConstantOfShape, random weights and a symbolic batch.

usage: randomize_light.py OUT.onnx MODEL.onnx      needs the packages of utils/requirements.txt

The weights follow make_weights.py, and are made for ReLU: filters and matrices ~ N(0, 2/fan_in). They lie inside the file,
as older exporters wrote them. The last layer is scaled by a power of two that keeps the softmax behind it from saturating:
there, a test could not see errors. The input's first dimension becomes `batch`; Reshapes copy it instead of saying 1.
"""
import math
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.helper import make_tensor_value_info

from make_weights import draw, roles

RELU_GAIN = math.sqrt(2)


def constants(model):
    """Turns each ConstantOfShape node into a random initializer. Initializers stop being inputs, which IR 3 asked of
    them: whoever runs the model may then treat them as constants."""
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    role = roles(graph)
    made, dead = [], set()
    for node in [n for n in graph.node if n.op_type == "ConstantOfShape"]:
        name = node.output[0]
        shape = tuple(int(size) for size in shapes[node.input[0]])
        value = draw(name, role.get(name), shape, np.dtype("f4"))
        if len(shape) >= 2:
            value *= np.float32(RELU_GAIN)
        made.append(numpy_helper.from_array(value, name))
        dead.add(node.input[0])
        graph.node.remove(node)
    keep = [tensor for tensor in graph.initializer if tensor.name not in dead]
    del graph.initializer[:]
    graph.initializer.extend(keep + made)
    constant = dead | {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constant]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = 4


def free_batch(model):
    """Makes the first dimension of inputs and outputs symbolic. Intermediate shapes, which would contradict it, go."""
    graph = model.graph
    del graph.value_info[:]
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    reshapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        if tensor.name in reshapes:
            shape = numpy_helper.to_array(tensor).copy()
            if shape[0] == 1:
                shape[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))


def last_weight(graph, weights):
    """The weight of the last matrix product or convolution, perhaps behind a Reshape."""
    makers = {node.output[0]: node for node in graph.node}
    name = next(node.input[1] for node in reversed(graph.node) if node.op_type in ("Gemm", "Conv", "MatMul"))
    while name not in weights:
        name = makers[name].input[0]
    return weights[name]


def tame_last_layer(model):
    """Scales the last layer so that what goes into the softmax (or is the output) has a standard deviation of about 1 (measured, then
    rounded to a power of two, so that the last bits of the measurement do not matter)."""
    graph = model.graph
    logits = next((node.input[0] for node in reversed(graph.node) if node.op_type == "Softmax"), graph.output[0].name)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    if logits != graph.output[0].name:
        probe.graph.output.append(make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
    weights = {tensor.name: tensor for tensor in graph.initializer}
    image = graph.input[0].name
    sample = np.random.default_rng(0).standard_normal((2, 3, 224, 224), dtype=np.float32)
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    spread = session.run([logits], {image: sample})[0].std()
    last = last_weight(graph, weights)
    scale = np.float32(2.0 ** -round(math.log2(spread)))
    last.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(last) * scale, last.name))


def randomize(source, target):
    """Writes the model of file `source` to file `target` with random weights."""
    model = onnx.load(source)
    constants(model)
    free_batch(model)
    tame_last_layer(model)
    onnx.save(model, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    randomize(sys.argv[2], sys.argv[1])
