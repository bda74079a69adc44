"""Writes what the fuzzers begin with, in place of what an earlier run left there: models from the texts in test/Import and test/hostile/models and small ones of the onnx package,
and plans.

usage: make_seeds.py FOLDER PLAN_SEEDS_PROGRAM
Makes FOLDER/model and FOLDER/plan, and FOLDER/new/TARGET, empty, for what a run finds.
"""
import pathlib
import re
import shutil
import subprocess
import sys

import onnx
import onnx.parser

HERE = pathlib.Path(__file__).parent
LARGEST = 16384  # bytes; more make the fuzzer slow


def texts():
    """(name, text) of each model in the text format."""
    for path in sorted((HERE / "models").glob("*.txt")):
        yield path.stem, path.read_text()
    for path in sorted((HERE.parent / "Import").glob("*.test")):
        parts = re.split(r"^#--- *(\S+)\n", path.read_text(), flags=re.MULTILINE)
        for name, text in zip(parts[1::2], parts[2::2]):
            if text.lstrip().startswith("<"):
                yield f"{path.stem}.{name}", text


def models():
    for name, text in texts():
        yield name, onnx.parser.parse_model(text).SerializeToString()
    for path in sorted((pathlib.Path(onnx.__file__).parent / "backend/test/data").glob("*/*/model.onnx")):
        yield path.parent.name, path.read_bytes()


def main(folder, plan_seeds):
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("model", "plan", "new/model", "new/plan", "new/machine", "new/pins"):
        (folder / name).mkdir(parents=True)
    count = 0
    for name, data in models():
        if len(data) <= LARGEST:
            (folder / "model" / name).write_bytes(data)
            count += 1
    subprocess.run([plan_seeds, folder / "plan"], check=True)
    print(f"{count} models")
    return 0 if count > 50 else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2]))
