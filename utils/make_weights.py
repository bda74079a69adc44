#!/usr/bin/env python3
"""Unpacks graph-only ONNX models and writes the external data that they refer to, with reproducible random values.

usage: make_weights.py OUT_DIR MODEL.onnx[.gz] ...      needs the packages of utils/requirements.txt

Each float tensor is drawn from a generator seeded by its own name, so its values depend on neither order nor platform:
matrices and filters ~ N(0, 1/fan_in), embeddings ~ N(0, 0.02^2), scales of normalisations ~ 1 + 0.1 N(0, 1), variances
~ 0.5 + |N(0, 0.25)|, other vectors ~ 0.02 N(0, 1). No two shards look alike: one that ends up in the wrong place is seen.
"""
import gzip
import os
import sys
import zlib

import ml_dtypes
import numpy as np
import onnx

DTYPES = {
    onnx.TensorProto.FLOAT: np.dtype("f4"),
    onnx.TensorProto.DOUBLE: np.dtype("f8"),
    onnx.TensorProto.FLOAT16: np.dtype("f2"),
    onnx.TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    onnx.TensorProto.INT64: np.dtype("i8"),
}
NORMALISATIONS = ("LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization")


def roles(graph):
    """Initializer name -> 'scale', 'variance' or 'table', from the operator that consumes it."""
    role = {}
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            role[node.input[1]], role[node.input[4]] = "scale", "variance"
        elif node.op_type in NORMALISATIONS:
            role[node.input[1]] = "scale"
        elif node.op_type == "Gather":
            role[node.input[0]] = "table"
    return role


def draw(name, role, shape, dtype):
    """A sample for one tensor. Integers are positions: 0, 1, 2, ..."""
    if dtype.kind == "i":
        return np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    x = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape, dtype=np.float32)
    norm_scale = len(shape) == 1 and ("norm" in name.lower() or "ln_" in name) and name.endswith("weight")
    if role == "variance":
        x = 0.5 + 0.25 * np.abs(x)
    elif role == "scale" or norm_scale:
        x = 1 + 0.1 * x
    elif role == "table" or len(shape) < 2:
        x *= 0.02
    else:
        fan_in = min(shape) if len(shape) == 2 else np.prod(shape[1:])
        x *= 1 / np.sqrt(fan_in)
    return x.astype(dtype)


def make(source, out_dir):
    """Writes OUT_DIR/MODEL.onnx and its weight file."""
    with (gzip.open if source.endswith(".gz") else open)(source, "rb") as f:
        model = onnx.load_model_from_string(f.read())
    path = os.path.join(out_dir, os.path.basename(source).removesuffix(".gz"))
    with open(path, "wb") as f:
        f.write(model.SerializeToString())
    role = roles(model.graph)
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        data = draw(tensor.name, role.get(tensor.name), tuple(tensor.dims), DTYPES[tensor.data_type])
        if data.nbytes != int(where["length"]):
            sys.exit(f"{source}: {tensor.name} has {data.nbytes} bytes, the model says {where['length']}")
        target = os.path.join(out_dir, where["location"])
        with open(target, "r+b" if os.path.exists(target) else "wb") as f:
            f.seek(int(where["offset"]))
            f.write(data.tobytes())


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for model_file in sys.argv[2:]:
        make(model_file, sys.argv[1])
