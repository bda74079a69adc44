"""One process of bert-base in PyTorch, split by DTensor's tensor parallelism over WORLD_SIZE processes; rank 0 prints the median
seconds of a forward run. Imports nothing but PyTorch."""
import argparse
import os
import statistics
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

HIDDEN, HEADS, INNER, LAYERS, WORDS, POSITIONS = 768, 12, 3072, 12, 30522, 512


class Layer(nn.Module):
    """Attention and feed-forward, each with residual and layer norm after it."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.up, self.down = nn.Linear(HIDDEN, INNER), nn.Linear(INNER, HIDDEN)
        self.norm1, self.norm2 = nn.LayerNorm(HIDDEN, eps=1e-12), nn.LayerNorm(HIDDEN, eps=1e-12)

    def forward(self, x, mask):
        # Each process has some of the heads.
        q, k, v = (f(x).unflatten(-1, (-1, HIDDEN // HEADS)).transpose(1, 2) for f in (self.query, self.key, self.value))
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        x = self.norm1(x + self.output(attended))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.positions, self.types = (nn.Embedding(n, HIDDEN) for n in (WORDS, POSITIONS, 2))
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.pooler = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, ids, types, mask):
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1])) + self.types(types)
        x = self.norm(x)
        mask = mask[:, None, None, :].bool()
        for layer in self.layers:
            x = layer(x, mask)
        return x, torch.tanh(self.pooler(x[:, 0]))


def split(model, ranks):
    mesh = init_device_mesh("cpu", (ranks,))
    for layer in model.layers:
        parallelize_module(layer, mesh, {"query": ColwiseParallel(), "key": ColwiseParallel(), "value": ColwiseParallel(),
                                         "output": RowwiseParallel(), "up": ColwiseParallel(), "down": RowwiseParallel()})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ranks = int(os.environ["WORLD_SIZE"])
    model = Bert().eval()
    if ranks > 1:
        dist.init_process_group("gloo")
        split(model, ranks)
    ids = torch.randint(1000, 30000, (options.batch, options.sequence))
    types, mask = torch.zeros_like(ids), torch.ones_like(ids)
    times = []
    with torch.inference_mode():
        for _ in range(2):
            model(ids, types, mask)
        start = time.perf_counter()
        model(ids, types, mask)
        runs = torch.tensor([max(3, int(options.seconds / (time.perf_counter() - start)))])
        if ranks > 1:
            dist.broadcast(runs, 0)
        for _ in range(int(runs)):
            start = time.perf_counter()
            model(ids, types, mask)
            times.append(time.perf_counter() - start)
    if int(os.environ["RANK"]) == 0:
        print(statistics.median(times))
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
