"""What transformers are made of. Values are [batch, sequence, hidden] unless said otherwise."""
import numpy as np


def linear(g, x, name, inputs, outputs, bias=True):
    """x W + b with W [inputs, outputs]."""
    with g.scope(name):
        y = g.op("MatMul", x, g.weight("weight", inputs, outputs))
        return g.op("Add", y, g.weight("bias", outputs)) if bias else y


def layer_norm(g, x, name, hidden, epsilon=1e-5):
    with g.scope(name):
        return g.op("LayerNormalization", x, g.weight("weight", hidden), g.weight("bias", hidden), epsilon=epsilon)


def rms_norm(g, x, name, hidden, epsilon=1e-5):
    with g.scope(name):
        return g.op("RMSNormalization", x, g.weight("weight", hidden), epsilon=epsilon)


def sequence_length(g, ids):
    """Its second dimension, as a scalar."""
    return g.op("Gather", g.op("Shape", ids), g.constant(np.int64(1)), axis=0)


def positions(g, ids):
    """0, 1, .. along the sequence: [sequence]."""
    return g.op("Range", g.constant(np.int64(0)), sequence_length(g, ids), g.constant(np.int64(1)))


def heads(g, x, count, size):
    """[batch, sequence, count * size] to [batch, count, sequence, size]."""
    return g.op("Transpose", g.reshape(x, 0, 0, count, size), perm=[0, 2, 1, 3])


def join_heads(g, x, hidden):
    return g.reshape(g.op("Transpose", x, perm=[0, 2, 1, 3]), 0, 0, hidden)


class Rotary:
    """Rotary position embedding (Su et al. 2021) with angles computed from positions; pairs are (i, i + size / 2)."""

    def __init__(self, g, ids, size, theta):
        self.g = g
        with g.scope("rotary"):
            frequencies = g.constant((theta ** (-np.arange(0, size, 2) / size)).astype(np.float32)[None, :])
            steps = g.op("Unsqueeze", g.op("Cast", positions(g, ids), to=1), g.constant(np.array([1])))
            angles = g.op("Unsqueeze", g.op("Mul", steps, frequencies), g.constant(np.array([0])))
            batch = g.op("Slice", g.op("Shape", ids), *(g.constant(np.array([i])) for i in (0, 1)))
            shape = g.op("Concat", batch, g.constant(np.array([1, 1])), axis=0)
            angles = g.op("Expand", angles, shape)
            self.cos, self.sin = (g.op("Cast", g.op(kind, angles), to=g.dtype) for kind in ("Cos", "Sin"))

    def __call__(self, x):
        """x: [batch, heads, sequence, size]."""
        return self.g.op("RotaryEmbedding", x, self.cos, self.sin)


def attention(g, x, hidden, count, kv_count=None, size=None, rotary=None, mask="", causal=False, bias=True):
    """Self-attention of `count` query heads over `kv_count` key and value heads, with its projections."""
    kv_count, size = kv_count or count, size or hidden // count
    with g.scope("attention"):
        q, k, v = (heads(g, linear(g, x, name, hidden, number * size, bias), number, size)
                   for name, number in (("query", count), ("key", kv_count), ("value", kv_count)))
        if rotary:
            q, k = rotary(q), rotary(k)
        y = g.op("Attention", q, k, v, *([mask] if mask else []), is_causal=int(causal))
        return linear(g, join_heads(g, y, count * size), "output", count * size, hidden, bias)


def gelu_mlp(g, x, hidden, inner, approximate="none"):
    with g.scope("mlp"):
        y = g.op("Gelu", linear(g, x, "up", hidden, inner), approximate=approximate)
        return linear(g, y, "down", inner, hidden)


def swiglu(g, gate, up):
    return g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)


def swiglu_mlp(g, x, hidden, inner):
    with g.scope("mlp"):
        y = swiglu(g, linear(g, x, "gate", hidden, inner, bias=False), linear(g, x, "up", hidden, inner, bias=False))
        return linear(g, y, "down", inner, hidden, bias=False)


def mixture_mlp(g, x, hidden, inner, experts, chosen):
    """The best `chosen` of `experts` gated MLPs for each token (Jiang et al. 2024), as PyTorch's exporter writes it: the weights of
    the chosen experts are gathered per token."""
    def gathered(rows, weights, index):
        product = g.op("MatMul", g.op("GatherND", weights, index), g.op("Unsqueeze", rows, g.constant(np.array([-1]))))
        return g.op("Squeeze", product, g.constant(np.array([-1])))

    with g.scope("experts"):
        tokens = g.reshape(x, -1, hidden)
        scores = g.op("Softmax", linear(g, tokens, "router", hidden, experts, bias=False), axis=-1)
        share, index = g.op("TopK", scores, g.constant(np.array([chosen])), axis=-1, outputs=2)
        share = g.op("Div", share, g.op("ReduceSum", share, g.constant(np.array([-1])), keepdims=1))
        index = g.reshape(index, -1, 1)
        shape = g.constant(np.array([1, chosen, 1]))
        rows = g.reshape(g.op("Expand", g.op("Unsqueeze", tokens, g.constant(np.array([1]))), shape), -1, hidden)
        gate, up = g.op("Split", gathered(rows, g.weight("gate_up.weight", experts, 2 * inner, hidden), index), axis=-1,
                        num_outputs=2, outputs=2)
        y = gathered(swiglu(g, gate, up), g.weight("down.weight", experts, hidden, inner), index)
        y = g.op("Mul", y, g.reshape(share, -1, 1))
        y = g.op("ReduceSum", g.reshape(y, -1, chosen, hidden), g.constant(np.array([1])), keepdims=0)
        return g.op("Reshape", y, g.op("Shape", x))
