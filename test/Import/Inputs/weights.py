"""Writes models with weights in odd places.

usage: weights.py OUT_DIR
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)


def write(name, tensor):
    node = helper.make_node("Add", ["x", "w"], ["y"], name="adder")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1024])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1024])
    tensor.name = "w"
    graph = helper.make_graph([node], name, [x], [y], [tensor])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    (OUT / f"{name}.onnx").write_bytes(data)
    return data


def external(location, offset=64, length=4096):
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1024], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


data = write("raw", numpy_helper.from_array(np.arange(1024, dtype=np.float32)))
(OUT / "offset.txt").write_text(str(data.index(np.arange(1024, dtype=np.float32).tobytes())))
write("packed", helper.make_tensor("w", TensorProto.FLOAT, [1024], np.arange(1024, dtype=np.float32)))
(OUT / "cut.onnx").write_bytes(data[:200])
write("external", external("weights.safetensors"))
write("absolute", external("/etc/passwd"))
write("above", external("sub/../../w.bin"))
write("length", external("w.bin", length=4095))
write("offset", external("w.bin", offset=2**64 - 1))
negative = external("w.bin")
negative.dims[0] = -1024
write("negative", negative)
huge = external("w.bin")
huge.dims.extend([2**62, 2**62])
write("huge", huge)
short = numpy_helper.from_array(np.arange(4, dtype=np.float32))
short.dims[0] = 5
write("short", short)
