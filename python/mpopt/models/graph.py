"""An ONNX graph under construction: names, shapes of weights, external data."""
import onnx
from onnx import TensorProto, helper, numpy_helper

import numpy as np

OPSET = 23
IR_VERSION = 11
ALIGNMENT = 4096  # of each weight in the external file, bytes

DTYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
BYTES = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2}


class Graph:
    """Collects nodes and weights. Values are names; a node is called after its scope and operator, as exporters do."""

    def __init__(self, name, dtype, weights_file):
        if dtype not in DTYPES:
            raise ValueError(f"unknown type {dtype}; known: {', '.join(DTYPES)}")
        self.name = name
        self.dtype = DTYPES[dtype]
        self.weights_file = weights_file
        self.nodes, self.inputs, self.outputs, self.initializers = [], [], [], []
        self.names = {}
        self.scopes = []
        self.offset = 0

    def scope(self, name):
        """A context in which names begin with `name`."""
        return _Scope(self, name)

    def _path(self, leaf):
        return ".".join([*self.scopes, leaf])

    def _unique(self, name):
        count = self.names.get(name, 0)
        self.names[name] = count + 1
        return f"{name}_{count}" if count else name

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, value, name, shape):
        """Makes `value` the output `name` of the graph's own type."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"output.{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, self.dtype, shape))

    def weight(self, name, *shape):
        """A weight of the graph's type, a range of the weights file."""
        tensor = TensorProto(name=self._path(name), data_type=self.dtype, dims=shape, data_location=TensorProto.EXTERNAL)
        length = int(np.prod(shape, dtype=object)) * BYTES[self.dtype]
        for key, value in (("location", self.weights_file), ("offset", self.offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self.offset += -(-length // ALIGNMENT) * ALIGNMENT
        self.initializers.append(tensor)
        return tensor.name

    def constant(self, array, name="constant"):
        """A small constant held in the file."""
        tensor = numpy_helper.from_array(np.asarray(array), self._unique(self._path(name)))
        self.initializers.append(tensor)
        return tensor.name

    def scalar(self, value):
        """A constant of the graph's type and rank 0."""
        name = self._unique(self._path("scalar"))
        self.initializers.append(helper.make_tensor(name, self.dtype, [], [value]))
        return name

    def op(self, kind, *inputs, outputs=1, **attributes):
        """Adds a node; returns its output, or a tuple of them."""
        name = self._unique(self._path(kind))
        results = [name] if outputs == 1 else [f"{name}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), results, name=name, **attributes))
        return results[0] if outputs == 1 else tuple(results)

    def reshape(self, value, *shape):
        """0 keeps a dimension, -1 is inferred."""
        return self.op("Reshape", value, self.constant(np.array(shape, np.int64), "shape"))

    def model(self):
        """The finished model."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                 producer_name="mpopt.models")


class _Scope:
    def __init__(self, graph, name):
        self.graph, self.name = graph, name

    def __enter__(self):
        self.graph.scopes.append(self.name)

    def __exit__(self, *error):
        self.graph.scopes.pop()


def save(model, path):
    """Writes a model; its weights are only named."""
    onnx.save_model(model, path)
