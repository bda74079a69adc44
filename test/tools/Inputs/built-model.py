"""Writes a model of mpopt.models without weights.

usage: built-model.py MODEL.onnx ARCHITECTURE SIZE=NUMBER... [dtype=NAME]
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "python"))
from mpopt.models.graph import save
from mpopt.models.presets import build

sizes = dict(argument.split("=") for argument in sys.argv[3:])
save(build(sys.argv[2], **{name: int(value) if value.isdigit() else value for name, value in sizes.items()}), sys.argv[1])
