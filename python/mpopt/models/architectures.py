"""GPT, BERT, Llama, Mixtral and ViT. Each function adds its model to a graph; sizes are keyword arguments."""
import numpy as np
from onnx import TensorProto

from mpopt.models import layers as l

TOKENS = ["batch", "sequence"]


def gpt(g, *, hidden, layers, heads, vocabulary, sequence, inner=None):
    """GPT-2 and GPT-3 (Radford et al. 2019, Brown et al. 2020): learned positions, norms first, embedding tied to the output."""
    ids = g.input("input_ids", TensorProto.INT64, TOKENS)
    table = g.weight("token_embedding.weight", vocabulary, hidden)
    with g.scope("embedding"):
        place = g.op("Gather", g.weight("position_embedding.weight", sequence, hidden), l.positions(g, ids))
        x = g.op("Add", g.op("Gather", table, ids), place)
    for i in range(layers):
        with g.scope(f"layers.{i}"):
            x = g.op("Add", x, l.attention(g, l.layer_norm(g, x, "norm_1", hidden), hidden, heads, causal=True))
            x = g.op("Add", x, l.gelu_mlp(g, l.layer_norm(g, x, "norm_2", hidden), hidden, inner or 4 * hidden, "tanh"))
    x = l.layer_norm(g, x, "norm", hidden)
    with g.scope("output"):
        logits = g.op("MatMul", x, g.op("Transpose", table, perm=[1, 0]))
    g.output(logits, "logits", [*TOKENS, vocabulary])


def bert(g, *, hidden, layers, heads, vocabulary, sequence, inner=None):
    """BERT (Devlin et al. 2018): norms after each half layer, padding mask, pooled first token."""
    ids = g.input("input_ids", TensorProto.INT64, TOKENS)
    attends = g.input("attention_mask", TensorProto.INT64, TOKENS)
    kinds = g.input("token_type_ids", TensorProto.INT64, TOKENS)
    with g.scope("embedding"):
        x = g.op("Add", g.op("Gather", g.weight("token.weight", vocabulary, hidden), ids),
                 g.op("Gather", g.weight("token_type.weight", 2, hidden), kinds))
        x = g.op("Add", x, g.op("Gather", g.weight("position.weight", sequence, hidden), l.positions(g, ids)))
        x = l.layer_norm(g, x, "norm", hidden, 1e-12)
        # ONNX Runtime wants a row of the mask for each query, and does not repeat one.
        length = g.op("Unsqueeze", l.sequence_length(g, ids), g.constant(np.array([0])))
        rows = g.op("Concat", g.constant(np.array([1, 1])), length, g.constant(np.array([1])), axis=0)
        mask = g.op("Cast", g.op("Unsqueeze", attends, g.constant(np.array([1, 2]))), to=TensorProto.BOOL)
        mask = g.op("Expand", mask, rows)
    for i in range(layers):
        with g.scope(f"layers.{i}"):
            x = l.layer_norm(g, g.op("Add", x, l.attention(g, x, hidden, heads, mask=mask)), "norm_1", hidden, 1e-12)
            x = l.layer_norm(g, g.op("Add", x, l.gelu_mlp(g, x, hidden, inner or 4 * hidden)), "norm_2", hidden, 1e-12)
    with g.scope("pooler"):
        first = g.op("Gather", x, g.constant(np.int64(0)), axis=1)
        pooled = g.op("Tanh", l.linear(g, first, "dense", hidden, hidden))
    g.output(x, "last_hidden_state", [*TOKENS, hidden])
    g.output(pooled, "pooler_output", ["batch", hidden])


def llama(g, *, hidden, layers, heads, vocabulary, inner, kv_heads=None, head_size=None, theta=10000.0, experts=0, chosen=2):
    """Llama (Touvron et al. 2023), and with `experts` Mixtral (Jiang et al. 2024): RMS norms, rotary positions, shared key and value
    heads, gated MLPs. Any sequence length."""
    ids = g.input("input_ids", TensorProto.INT64, TOKENS)
    size = head_size or hidden // heads
    x = g.op("Gather", g.weight("embedding.weight", vocabulary, hidden), ids)
    rotary = l.Rotary(g, ids, size, theta)
    for i in range(layers):
        with g.scope(f"layers.{i}"):
            y = l.attention(g, l.rms_norm(g, x, "norm_1", hidden), hidden, heads, kv_heads, size, rotary, causal=True, bias=False)
            x = g.op("Add", x, y)
            y = l.rms_norm(g, x, "norm_2", hidden)
            y = l.mixture_mlp(g, y, hidden, inner, experts, chosen) if experts else l.swiglu_mlp(g, y, hidden, inner)
            x = g.op("Add", x, y)
    logits = l.linear(g, l.rms_norm(g, x, "norm", hidden), "output", hidden, vocabulary, bias=False)
    g.output(logits, "logits", [*TOKENS, vocabulary])


def vit(g, *, hidden, layers, heads, patch, image=224, classes=1000, inner=None):
    """ViT (Dosovitskiy et al. 2020): patches by a convolution, a class token, norms first."""
    pixels = g.input("pixel_values", g.dtype, ["batch", 3, image, image])
    count = (image // patch) ** 2
    with g.scope("embedding"):
        x = g.op("Conv", pixels, g.weight("patch.weight", hidden, 3, patch, patch), g.weight("patch.bias", hidden),
                 kernel_shape=[patch, patch], strides=[patch, patch])
        x = g.op("Transpose", g.reshape(x, 0, hidden, count), perm=[0, 2, 1])
        batch = g.op("Slice", g.op("Shape", pixels), *(g.constant(np.array([i])) for i in (0, 1)))
        shape = g.op("Concat", batch, g.constant(np.array([1, hidden])), axis=0)
        x = g.op("Concat", g.op("Expand", g.weight("class_token", 1, 1, hidden), shape), x, axis=1)
        x = g.op("Add", x, g.weight("position", 1, count + 1, hidden))
    for i in range(layers):
        with g.scope(f"layers.{i}"):
            x = g.op("Add", x, l.attention(g, l.layer_norm(g, x, "norm_1", hidden, 1e-6), hidden, heads))
            x = g.op("Add", x, l.gelu_mlp(g, l.layer_norm(g, x, "norm_2", hidden, 1e-6), hidden, inner or 4 * hidden))
    first = g.op("Gather", l.layer_norm(g, x, "norm", hidden, 1e-6), g.constant(np.int64(0)), axis=1)
    g.output(l.linear(g, first, "classifier", hidden, classes), "logits", ["batch", classes])
