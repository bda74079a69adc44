"""The models of the end-to-end tests and of the benchmark: graphs with random weights, inputs, reference outputs.

Everything is made once and kept in a cache folder; a stamp of what it was made from tells when it is stale.
"""
import dataclasses
import gzip
import hashlib
import pathlib
import sys

import numpy as np
import onnx

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "utils"), str(TOP / "python")]

import make_weights
import randomize_light
from mpopt import reference

LIGHT = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"
DTYPES = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.INT64: np.int64}


@dataclasses.dataclass(frozen=True)
class Model:
    """A model by name. `source` is a graph of test/models, or a light model of the onnx package (weights are constants)."""

    name: str
    source: pathlib.Path
    sequence: int = 0  # tokens per row; 0 for images
    past: int = 0  # tokens of a decoder's cache
    vocabulary: int = 30000
    experts: int = 0  # of a mixture of experts
    rowwise: bool = False  # whether ONNX Runtime must be given one row at a time

    @property
    def light(self):
        return self.source.parent == LIGHT


def _graph(name, **kwargs):
    return Model(name, TOP / f"test/models/{name}.onnx.gz", **kwargs)


def _light(name, **kwargs):
    return Model(f"light.{name}", LIGHT / f"light_{name}.onnx", **kwargs)


MODELS = {model.name: model for model in (
    _graph("all-minilm-l6-v2", sequence=16),
    _graph("bert-base.dynamo18", sequence=16),
    _graph("bert-base.dynamo23", sequence=16),
    _graph("bert-base.legacy14", sequence=16),
    _graph("gpt2.dynamo18", sequence=16),
    _graph("gpt2.legacy13", sequence=16),
    _graph("gpt2-past.legacy17", sequence=4, past=12),
    _graph("smollm-135m.dynamo23", sequence=16, rowwise=True),
    _graph("smollm-135m.legacy17", sequence=16),
    _graph("smollm-135m-past.dynamo20", sequence=4, past=12),
    _graph("mixtral-small.dynamo20", sequence=16, vocabulary=8000, experts=8),
    _graph("t5-small.dynamo18", sequence=16),
    _graph("vit-base.dynamo18"),
    _graph("alexnet.dynamo18"),
    _graph("resnet50.dynamo18"),
    _graph("resnet50.legacy11"),
    _graph("mobilenet-v3-large.dynamo18"),
    *map(_light, ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet",
                  "vgg19", "zfnet512")),
)}


def _stamp(model):
    digest = hashlib.sha256()
    for path in (model.source, make_weights.__file__, randomize_light.__file__):
        digest.update(pathlib.Path(path).read_bytes())
    return digest.hexdigest()


def prepare(model, cache):
    """The path of the model with its weights beside or inside it, made when missing or stale."""
    folder = cache / "models" / model.name
    path = folder / (model.name + ".onnx")
    stamp = folder / "stamp"
    if not stamp.exists() or stamp.read_text() != _stamp(model):
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        if model.light:
            randomize_light.randomize(str(model.source), str(path))
        else:
            make_weights.make(str(model.source), str(folder))
        stamp.write_text(_stamp(model))
    return path


def graph_inputs(path):
    """The ONNX value infos that a user must feed: inputs that are not initializers."""
    graph = onnx.load(path, load_external_data=False).graph
    initializers = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in initializers]


def _shape(model, value, batch, past):
    """The shape of an input: what the file leaves open is the batch, then tokens."""
    tokens = {"attention_mask": past + model.sequence}.get(value.name, past if value.name.startswith("past") else model.sequence)
    given = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value or (batch if place == 0 else tokens) for place, dim in enumerate(given))


def make_inputs(model, path, batch, past=None):
    """Reproducible random inputs, `past` tokens in the cache where a model has one. Masks end in padding in every second row."""
    random = np.random.default_rng(20)
    past = model.past if past is None else past
    inputs = {}
    for value in graph_inputs(path):
        shape = _shape(model, value, batch, past)
        if value.name == "attention_mask":
            array = np.ones(shape, np.int64)
            array[1::2, -(model.sequence // 4):] = 0
        elif value.name == "token_type_ids":
            array = np.zeros(shape, np.int64)
            array[:, model.sequence // 2:] = 1
        elif value.type.tensor_type.elem_type == onnx.TensorProto.INT64:
            array = random.integers(model.vocabulary // 30, model.vocabulary, shape)
        else:
            array = random.standard_normal(shape).astype(DTYPES[value.type.tensor_type.elem_type])
        inputs[value.name] = array
    return inputs


def dims(inputs):
    """The inputs' shapes as texts for --dim."""
    return [f"{name}={'x'.join(map(str, array.shape))}" for name, array in inputs.items()]


def _run_rows(path, inputs):
    """The outputs of one run per row, joined."""
    rows = range(len(next(iter(inputs.values()))))
    runs = [reference.run(path, {name: array[row:row + 1] for name, array in inputs.items()}) for row in rows]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def reference_outputs(model, path, inputs, cache):
    """ONNX Runtime's outputs by name, computed once."""
    digest = hashlib.sha256(_stamp(model).encode())
    for name, array in inputs.items():
        digest.update(name.encode() + array.tobytes())
    file = cache / "reference" / f"{model.name}-{digest.hexdigest()[:16]}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        outputs = _run_rows(path, inputs) if model.rowwise else reference.run(path, inputs)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, names=np.array(list(outputs)), **{f"output{i}": v for i, v in enumerate(outputs.values())})
        partial.rename(file)
    with np.load(file) as stored:
        return {str(name): stored[f"output{i}"] for i, name in enumerate(stored["names"])}
