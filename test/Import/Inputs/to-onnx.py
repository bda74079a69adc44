"""Writes an ONNX file from ONNX's text format.

usage: to-onnx.py MODEL.txt MODEL.onnx
"""
import pathlib
import sys

import onnx.parser

model = onnx.parser.parse_model(pathlib.Path(sys.argv[1]).read_text())
pathlib.Path(sys.argv[2]).write_bytes(model.SerializeToString())
