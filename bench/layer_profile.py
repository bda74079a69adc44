#!/usr/bin/env python3
"""Times transformer layers with PyTorch on this machine's GPU and writes them as a stack's layer profile; see --help."""
import argparse
import itertools
import statistics
import sys

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    sys.exit("bench/layer_profile.py: error: PyTorch is not installed; pip install torch")

LAYERS = 4  # So that one layer's weights are not in the cache when its turn comes.


class Layer(nn.Module):
    """A decoder layer of GPT: norms before attention and the feed-forward block, fused causal attention, GELU."""

    def __init__(self, hidden, heads, feed_forward):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, feed_forward), nn.Linear(feed_forward, hidden)

    def forward(self, x):
        batch, sequence, hidden = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, sequence, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, sequence, hidden))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


def seconds(body, repeats=10):
    """The median time of `body` on the GPU."""
    for _ in range(3):
        body()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        body()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def measure(hidden, heads, feed_forward, sequence, microbatch, compiled):
    """Forward and backward seconds of one layer on one microbatch, in bf16."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = nn.Sequential(*(Layer(hidden, heads, feed_forward).to(torch.bfloat16) for _ in range(LAYERS)))
    if compiled:
        model = torch.compile(model)
    x = torch.randn(microbatch, sequence, hidden, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    gradient = torch.randn_like(x)

    def both():
        for parameter in itertools.chain(model.parameters(), [x]):
            parameter.grad = None
        model(x).backward(gradient)

    total, forward = seconds(both), seconds(lambda: model(x))
    return forward / LAYERS, (total - forward) / LAYERS


def entry(hidden, heads, feed_forward, sequence, microbatch, forward, backward):
    return (f"\n[[profile]]\nhidden = {hidden}\nheads = {heads}\nfeed_forward = {feed_forward}\nsequence = {sequence}\n"
            f"tp = 1\nmicrobatch = {microbatch}\nforward_seconds = {forward:.4e}\nbackward_seconds = {backward:.4e}\n")


def main():
    parser = argparse.ArgumentParser(
        prog="bench/layer_profile.py",
        description="Times transformer layers (forward and backward, bf16, fused causal attention) with PyTorch on one GPU and writes a "
        "stack file whose [[profile]] entries `mpopt-price` prices by.")
    parser.add_argument("--hidden", type=int, nargs="+", default=[4096], help="widths of layers; heads of 128, inner width four times it")
    parser.add_argument("--sequence", type=int, default=2048, help="tokens per sequence (default: %(default)s)")
    parser.add_argument("--microbatch", type=int, nargs="+", default=[1, 2, 4, 8], help="sequences per pass")
    parser.add_argument("--compile", action="store_true", help="run the layers through torch.compile, which fuses element-wise work")
    parser.add_argument("--stack", default="profiled", help="name of the stack (default: %(default)s)")
    parser.add_argument("-o", "--output", default="-", metavar="STACK.toml", help="where to write (default: standard output)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU; check that nvidia-smi lists one")
    how = "compiled" if arguments.compile else "eager"
    text = (f'name = "{arguments.stack}"\nnote = "layers measured on one {torch.cuda.get_device_name()} with PyTorch '
            f'{torch.__version__}, {how}"\nfused_attention = true\n')
    for hidden, microbatch in itertools.product(arguments.hidden, arguments.microbatch):
        shape = (hidden, max(1, hidden // 128), 4 * hidden, arguments.sequence, microbatch)
        forward, backward = measure(*shape, arguments.compile)
        print(f"hidden {hidden} microbatch {microbatch}: forward {forward * 1e3:.3f} ms, backward {backward * 1e3:.3f} ms", file=sys.stderr)
        text += entry(*shape, forward, backward)
    if arguments.output == "-":
        print(text, end="")
    else:
        with open(arguments.output, "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()
