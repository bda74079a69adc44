"""Published sizes by name, and the one function that builds a model from a name or from sizes."""
import inspect
import sys

from mpopt.models import architectures
from mpopt.models.graph import Graph

ARCHITECTURES = {"gpt": architectures.gpt, "bert": architectures.bert, "llama": architectures.llama, "vit": architectures.vit}


def _gpt(hidden, layers, heads, vocabulary=51200, sequence=2048):
    return "gpt", {"hidden": hidden, "layers": layers, "heads": heads, "vocabulary": vocabulary, "sequence": sequence}


def _gpt2(hidden, layers, heads):
    return _gpt(hidden, layers, heads, 50257, 1024)


def _bert(hidden, layers, heads):
    return "bert", {"hidden": hidden, "layers": layers, "heads": heads, "vocabulary": 30522, "sequence": 512}


def _llama(hidden, layers, heads, kv_heads, inner, vocabulary=32000, theta=10000.0, **more):
    return "llama", {"hidden": hidden, "layers": layers, "heads": heads, "kv_heads": kv_heads, "inner": inner,
                     "vocabulary": vocabulary, "theta": theta, **more}


def _vit(hidden, layers, heads, patch):
    return "vit", {"hidden": hidden, "layers": layers, "heads": heads, "patch": patch}


# GPT-39B is Megatron-LM's (Narayanan et al. 2021), whose table 1 also has the 1T model; the others are from the models' own papers.
PRESETS = {
    "gpt2": _gpt2(768, 12, 12), "gpt2-medium": _gpt2(1024, 24, 16), "gpt2-large": _gpt2(1280, 36, 20), "gpt2-xl": _gpt2(1600, 48, 25),
    "gpt-39b": _gpt(8192, 48, 64), "gpt3-175b": _gpt(12288, 96, 96), "gpt-1t": _gpt(25600, 128, 160),
    "bert-base": _bert(768, 12, 12), "bert-large": _bert(1024, 24, 16),
    "llama2-7b": _llama(4096, 32, 32, 32, 11008), "llama2-13b": _llama(5120, 40, 40, 40, 13824), "llama2-70b": _llama(8192, 80, 64, 8, 28672),
    "llama3-8b": _llama(4096, 32, 32, 8, 14336, 128256, 500000.0), "llama3-70b": _llama(8192, 80, 64, 8, 28672, 128256, 500000.0),
    "llama3-405b": _llama(16384, 126, 128, 8, 53248, 128256, 500000.0),
    "mixtral-8x7b": _llama(4096, 32, 32, 8, 14336, theta=1e6, experts=8, chosen=2),
    "mixtral-8x22b": _llama(6144, 56, 48, 8, 16384, theta=1e6, experts=8, chosen=2),
    "vit-base": _vit(768, 12, 12, 16), "vit-large": _vit(1024, 24, 16, 16), "vit-huge": _vit(1280, 32, 16, 14),
}


def _check_sizes(name, function, sizes):
    known = {key: value for key, value in inspect.signature(function).parameters.items() if value.kind is value.KEYWORD_ONLY}
    missing = [key for key, value in known.items() if value.default is value.empty and key not in sizes]
    if missing:
        raise ValueError(f"{name} needs the sizes {', '.join(missing)}")
    if unknown := sorted(sizes.keys() - known):
        raise ValueError(f"{name} has no size {', '.join(unknown)}; it has {', '.join(known)}")
    if bad := [key for key, value in sizes.items() if value < (0 if key == "experts" else 1)]:
        raise ValueError(f"{', '.join(bad)} must be positive")
    if sizes["hidden"] % sizes["heads"] and not sizes.get("head_size"):
        raise ValueError(f"hidden size {sizes['hidden']} is no multiple of {sizes['heads']} heads")
    if sizes["heads"] % (sizes.get("kv_heads") or 1):
        raise ValueError(f"{sizes['heads']} query heads cannot share {sizes['kv_heads']} key and value heads evenly")
    if sizes.get("chosen", 2) > (sizes.get("experts") or sys.maxsize):
        raise ValueError(f"{sizes.get('chosen', 2)} of {sizes['experts']} experts cannot be chosen")


def build(name, *, dtype="float32", weights_file="weights.bin", **sizes):
    """The ModelProto of a preset, or of an architecture given by its sizes; `sizes` override those of a preset.
    Raises ValueError for an unknown name and for sizes that are missing, unknown or do not go together."""
    if name in PRESETS:
        architecture, known = PRESETS[name]
        sizes = {**known, **sizes}
    elif name in ARCHITECTURES:
        architecture = name
    else:
        raise ValueError(f"unknown model {name}; known: {', '.join([*ARCHITECTURES, *PRESETS])}")
    function = ARCHITECTURES[architecture]
    _check_sizes(name, function, sizes)
    graph = Graph(name, dtype, weights_file)
    function(graph, **sizes)
    return graph.model()
