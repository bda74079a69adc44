"""Writes small-alexnet.py OUT.onnx: AlexNet of one column (Krizhevsky 2014) without weights."""
import sys

import onnx
from onnx import TensorProto, helper

# Output channels, kernel, stride, padding, and whether pooling follows.
CONVS = [(64, 11, 4, 2, True), (192, 5, 1, 2, True), (384, 3, 1, 1, False), (256, 3, 1, 1, False), (256, 3, 1, 1, True)]
nodes, weights = [], []


def weight(name, *shape):
    size = 4
    for dim in shape:
        size *= dim
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    weights.append(tensor)
    return name


def node(op, inputs, name, **attributes):
    nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
    return name


value, channels = "image", 3
for number, (out, kernel, stride, pad, pool) in enumerate(CONVS, 1):
    inputs = [value, weight(f"conv{number}.weight", out, channels, kernel, kernel), weight(f"conv{number}.bias", out)]
    value = node("Conv", inputs, f"conv{number}", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
    value = node("Relu", [value], f"relu{number}")
    if pool:
        value = node("MaxPool", [value], f"pool{number}", kernel_shape=[3, 3], strides=[2, 2])
    channels = out
value, width = node("Flatten", [value], "flatten"), 256 * 6 * 6
for number, out in enumerate((4096, 4096, 1000), 6):
    inputs = [value, weight(f"fc{number}.weight", out, width), weight(f"fc{number}.bias", out)]
    value = node("Gemm", inputs, f"fc{number}", transB=1)
    if out != 1000:
        value = node("Relu", [value], f"relu{number}")
    width = out
image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])
logits = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", 1000])
graph = helper.make_graph(nodes, "alexnet", [image], [logits], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), sys.argv[1])
