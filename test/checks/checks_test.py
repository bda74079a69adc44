#!/usr/bin/env python3
"""Shows that each check of the source tree fails on a bad tree and passes on a good one.

usage: checks_test.py [unittest options]
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

UTILS = pathlib.Path(__file__).resolve().parents[2] / "utils"
DIALECT = """
include "mlir/IR/OpBase.td"
def Toy_Dialect : Dialect {
  let name = "toy";
  let cppNamespace = "::toy";
  let summary = "One operation";
}
def Toy_NopOp : Op<Toy_Dialect, "nop"> { let summary = "%s"; }
"""


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run_check(self, name, *args):
        return subprocess.run([UTILS / name, *args], capture_output=True, text=True, check=False)

    def assert_refuses(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stdout + result.stderr)

    def layers_refuse(self, path, include, why):
        self.write(path, f'#include "{include}"\n')
        self.assert_refuses(self.run_check("check-layers.py", self.root), f"{path}:1: includes {include}", why)
        (self.root / path).unlink()

    def test_layers(self):
        self.write("lib/Cost/Compute.cpp", '#include "mpopt/Machine/Machine.h"\n#include <vector>\n')
        self.write("runtime/core/Load.cpp", '#include "format/Container.h"\n#include "mpopt/Support/Result.h"\n')
        self.write("runtime/format/Container.h", "")
        self.assertEqual(self.run_check("check-layers.py", self.root).returncode, 0)
        self.layers_refuse("lib/Machine/A.cpp", "mpopt/Cost/Cost.h", "Machine may not know Cost")
        self.layers_refuse("lib/Search/A.cpp", "llvm/ADT/SmallVector.h", "Search may not use mlir")
        self.layers_refuse("include/mpopt/Dialect/Shd/A.td", "mpopt/Dialect/NN/NNOps.td", "may not know Dialect/NN")
        self.layers_refuse("lib/Planning/A.cpp", "onnx/onnx_pb.h", "Planning may not use onnx")
        self.layers_refuse("lib/Partition/A.cpp", "mpopt/Search/Problem.h", "Partition may not know Search")
        self.layers_refuse("lib/Emit/A.cpp", "mpopt/Pipelines/Pipelines.h", "Emit may not know Pipelines")
        self.layers_refuse("runtime/core/A.cpp", "mpopt/Support/Json.h", "runtime may not know Support")
        self.layers_refuse("runtime/core/A.cpp", "mpopt/Machine/Machine.h", "runtime may not know Machine")
        self.layers_refuse("tools/mpopt-run/A.cpp", "mpopt/Dialect/RT/RT.h", "tools/mpopt-run may not know Dialect/RT")
        self.write("lib/Elsewhere/A.cpp", "")
        self.assert_refuses(self.run_check("check-layers.py", self.root), "lies in no room")

    def test_layers_of_an_empty_tree(self):
        self.assert_refuses(self.run_check("check-layers.py", self.root), "0 files")

    def test_format(self):
        shutil.copy(UTILS.parent / ".clang-format", self.root)
        good, bad = self.write("good.cpp", "int f(int x) { return x; }\n"), self.write("bad.cpp", "int  f(int x){return x;}\n")
        self.assertEqual(self.run_check("check-format", good).returncode, 0)
        self.assert_refuses(self.run_check("check-format", good, bad), "bad.cpp")
        self.run_check("check-format", "--fix", bad)
        self.assertEqual(self.run_check("check-format", good, bad).returncode, 0)

    def test_promises(self):
        subprocess.run(["git", "init", "-q", self.root], check=True)
        for text, good in (("Adds two numbers.", True), ("// TO" + "DO: subtract", False), ("not " + "implemented", False)):
            self.write("file.cpp", text + "\n")
            subprocess.run(["git", "-C", self.root, "add", "."], check=True)
            result = self.run_check("check-promises", self.root)
            if good:
                self.assertEqual(result.returncode, 0, result.stderr)
            else:
                self.assert_refuses(result, "file.cpp:1")

    def test_dialect_docs(self):
        self.write("include/mpopt/Dialect/Toy/ToyOps.td", DIALECT % "Does nothing")
        self.assert_refuses(self.run_check("dialect-docs", "--check", self.root), "toy.md")
        self.assertEqual(self.run_check("dialect-docs", self.root).returncode, 0)
        self.assertIn("Does nothing", (self.root / "docs/dialects/toy.md").read_text())
        self.assertEqual(self.run_check("dialect-docs", "--check", self.root).returncode, 0)
        self.write("include/mpopt/Dialect/Toy/ToyOps.td", DIALECT % "Does something else")
        self.assert_refuses(self.run_check("dialect-docs", "--check", self.root), "toy.md")
        self.run_check("dialect-docs", self.root)
        self.write("docs/dialects/gone.md", "a dialect that was removed")
        self.assert_refuses(self.run_check("dialect-docs", "--check", self.root), "gone.md")

    def test_runtime(self):
        core = self.write("core/Loader.cpp", "int x;\n" * 100).parent
        self.assertEqual(self.run_check("check-runtime", "/bin/true", core).returncode, 0)
        self.assert_refuses(self.run_check("check-runtime", "/usr/lib/llvm-22/bin/mlir-opt", core), "links libMLIR.so")
        self.assert_refuses(self.run_check("check-runtime", self.root / "none", core), "none")
        self.write("core/Executor.cpp", "int x;\n" * 4950)
        self.assert_refuses(self.run_check("check-runtime", "/bin/true", core), "5050 lines")


if __name__ == "__main__":
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    unittest.main()
