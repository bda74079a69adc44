#!/usr/bin/env python3
"""Checks that every file includes only what its room may know.

usage: check-layers.py [ROOT]        exit code 1 and one line per broken rule
"""
import pathlib
import re
import sys

# room: the rooms that it may include, and whether it may use MLIR and LLVM ("mlir"), ONNX and protobuf ("onnx").
# Its own headers are free to it, and so is Support. "*" stands for every room but Pipelines.
ALLOWED = {
    # pure C++: each knows only what stands above it
    "Support": "",
    "Machine": "runtime/cuda",
    "Cost": "Machine",
    "Search": "Machine Cost",
    # the IRs; shd knows no operator
    "Dialect/Shd": "mlir",
    "Dialect/NN": "mlir Dialect/Shd Dialect/Coll",
    "Dialect/Coll": "mlir Dialect/Shd",
    "Dialect/RT": "mlir Dialect/NN Dialect/Shd",
    # the way of the data
    "Import/ONNX": "mlir onnx Dialect/NN",
    "Planning": "mlir Machine Cost Search Dialect/NN Dialect/Shd Dialect/Coll",
    "Autodiff": "mlir Dialect/NN",
    "Partition": "mlir Machine Cost Dialect/NN Dialect/Shd Dialect/Coll",
    "Schedule": "mlir Machine Cost Dialect/NN Dialect/Shd Dialect/Coll Dialect/RT",
    "Codegen": "mlir Dialect/NN Dialect/Shd Dialect/Coll Dialect/RT",
    "Emit": "mlir runtime/format Dialect/NN Dialect/Shd Dialect/Coll Dialect/RT",
    "Report": "mlir",
    "Pipelines": "mlir *",
    # the runtime knows nothing of the compiler
    "runtime/format": "",
    "runtime/cuda": "",
    "runtime": "runtime/format runtime/cuda",
    # tools
    "tools/mpopt": "mlir * Pipelines",
    "tools/mpopt-opt": "mlir * Pipelines",
    "tools/mpopt-price": "Machine Cost Search",
    "tools/mpopt-run": "runtime runtime/format",
    "tools/mpopt-solve": "runtime/format Search",
}
# What the runtime may know of Support: headers without a library behind them.
RUNTIME_SUPPORT = {"include/mpopt/Support/Result.h"}

SUFFIXES = {".h", ".hpp", ".c", ".cpp", ".cu", ".td"}
FAMILIES = {"mlir": "mlir", "mlir-c": "mlir", "llvm": "mlir", "llvm-c": "mlir", "onnx": "onnx", "google": "onnx"}
INCLUDE = re.compile(r'^\s*#?\s*include\s*[<"]([^">]+)[">]')


def room_of(path):
    """The room of a file, by the longest room name that its path below include/mpopt, lib or the root starts with.
    Import/ONNX.h belongs to Import/ONNX."""
    parts = path.parts
    if parts[:2] == ("include", "mpopt"):
        parts = parts[2:]
    elif parts[0] == "lib":
        parts = parts[1:]
    parts = (*parts[:-1], parts[-1].split(".")[0])
    for depth in (2, 1):
        if "/".join(parts[:depth]) in ALLOWED:
            return "/".join(parts[:depth])
    return None


def target_of(root, includer, name):
    """What an include names: a file of the project as a path below the root, or a family of outside headers, or None."""
    if name.startswith("mpopt/"):  # also what the build generates
        return pathlib.PurePath("include", name)
    if name.startswith("plan_generated"):
        return pathlib.PurePath("runtime/format", name)
    for folder in (includer.parent, pathlib.PurePath(), pathlib.PurePath("runtime"), pathlib.PurePath("tools")):
        if (root / folder / name).is_file():
            return (root / folder / name).resolve().relative_to(root)
    return FAMILIES.get(name.split("/")[0])


def broken_rule(root, path, name):
    """Why `path` may not include `name`, or None when it may."""
    room, target = room_of(path), target_of(root, path, name)
    if target is None:
        return None
    allowed = ALLOWED[room].split()
    if isinstance(target, str):
        return None if target in allowed else f"{room} may not use {target}"
    other = room_of(target)
    if other is None:
        return f"{target} lies in no room"
    if other == room or other in allowed or ("*" in allowed and other != "Pipelines"):
        return None
    if other == "Support" and (not path.parts[0] == "runtime" or str(target) in RUNTIME_SUPPORT):
        return None
    return f"{room} may not know {other}"


def main(root):
    files = [path.relative_to(root) for folder in ("include", "lib", "runtime", "tools")
             for path in sorted((root / folder).rglob("*")) if path.suffix in SUFFIXES]
    errors = 0
    for path in files:
        if room_of(path) is None:
            print(f"{path}: lies in no room; add its folder to ALLOWED in utils/check-layers.py")
            errors += 1
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            why = match and broken_rule(root, path, match[1])
            if why:
                print(f"{path}:{number}: includes {match[1]}, but {why}")
                errors += 1
    print(f"{len(files)} files, {errors} broken include rules")
    return 1 if errors or not files else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()))
