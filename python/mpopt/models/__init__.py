"""Builders of well-known architectures of any size, as ONNX graphs whose weights need not exist.

A graph of a model with 10^12 parameters is a file of some hundred kilobytes: its weights are external data that is only named. That is
enough to plan with (`mpopt --emit=planned`). `python -m mpopt.models --help` writes one.
"""
from mpopt.models.presets import PRESETS, build

__all__ = ["PRESETS", "build"]
