"""Writes small-gpt.py OUT.onnx LAYERS: a GPT of hidden size 1024 without weights."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "python"))
from mpopt.models.graph import save
from mpopt.models.presets import build

save(build("gpt", hidden=1024, heads=16, layers=int(sys.argv[2]), vocabulary=50000, sequence=1024), sys.argv[1])
