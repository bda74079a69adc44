#!/usr/bin/env python3
"""The compiler on a host that fails it: no room, no memory, no permission, a signal at any moment. It says so in one line with exit code 1 (or
dies of the signal), and leaves whole files or none.

usage: faults.py [unittest options]
"""
import os
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

import numpy as np
from bad_input import BIN, CRASHES, MACHINE, BadInput, external, mlp


class Faults(BadInput):
    def command(self, *args):
        return [BIN / "mpopt", self.model, "--devices", "2", "--machine", MACHINE, "--dim", "batch=4",
                "-o", self.out / "mlp.mpplan", *map(str, args)]

    def limited(self, kind, value, *args):
        def limit():
            resource.setrlimit(kind, (value, value))

        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit)

    def files(self):
        return sorted(path.name for path in self.out.iterdir())


    def make_large(self, width, numbers):
        """A model whose weights `numbers(count)` makes, large enough that reading and writing them takes a part of the time."""
        sizes = {"w1": (8, width), "b1": (width,), "w2": (width, 4)}
        model, offset = mlp(), 0
        for tensor in list(model.graph.initializer):
            shape = sizes[tensor.name]
            length = 4 * int(np.prod(shape))
            tensor.CopyFrom(external(tensor.name, shape, "weights.bin", offset, length))
            offset += length
        self.weights.write_bytes(numbers(offset // 4).tobytes())
        self.save(model)


class Disk(Faults):
    def test_files_that_are_too_large(self):
        for size in (0, 1000):
            with self.subTest(bytes=size):
                self.assert_refused(self.limited(resource.RLIMIT_FSIZE, size, "--json", self.out / "mlp.json"))
        self.make_large(1 << 16, lambda count: np.zeros(count, np.float32))
        result = self.limited(resource.RLIMIT_FSIZE, 1 << 20, "--json", self.out / "mlp.json")
        self.assert_refused(result, "mlp.weights.bin", "larger than the allowed file size", "--output")

    def test_an_old_plan_stays(self):
        self.assertEqual(self.limited(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY).returncode, 0)
        before = {name: (self.out / name).read_bytes() for name in self.files()}
        self.assertEqual(len(before), 2)
        self.assertEqual(self.limited(resource.RLIMIT_FSIZE, 1000).returncode, 1)
        self.assertEqual({name: (self.out / name).read_bytes() for name in self.files()}, before)

    def test_folders_that_cannot_be_written(self):
        for output, why in (("/proc/mlp.mpplan", "/proc/mlp.mpplan"), (self.out, "it is a folder"),
                            (self.out / "no/mlp.mpplan", "its folder does not exist"), ("/dev/null", "no regular file"),
                            (self.weights / "mlp.mpplan", "mlp.mpplan")):
            with self.subTest(output=output):
                self.assert_refused(subprocess.run([*self.command()[:-1], output], capture_output=True, text=True,
                                                   timeout=120, check=False), why)

    def test_nothing_of_the_model_is_overwritten(self):
        shutil.copy(self.weights, self.model.parent / "mlp2.weights.bin")
        self.save(mlp(location="mlp2.weights.bin"))
        whole = {path: path.read_bytes() for path in self.model.parent.iterdir()}
        for output in (self.model, self.model.parent / "mlp2.mpplan", self.model.parent / "." / "mlp.onnx"):
            with self.subTest(output=output):
                result = subprocess.run([*self.command()[:-1], output], capture_output=True, text=True, timeout=120, check=False)
                self.assert_refused(result, "would overwrite", "--output")
        for json in (self.model, self.out / "mlp.mpplan"):
            self.assert_refused(subprocess.run(self.command("--json", json), capture_output=True, text=True, timeout=120,
                                               check=False), "--json")
        self.assertEqual({path: path.read_bytes() for path in self.model.parent.iterdir()}, whole)


class Memory(Faults):
    def test_limits(self):
        """From just enough to start to enough for everything; in between it must fail well."""
        def starts(limit):
            return subprocess.run([BIN / "mpopt", "--version"], capture_output=True, check=False,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))).returncode == 0

        self.make_large(1 << 18, lambda count: np.zeros(count, np.float32))
        mebi = 1 << 20
        least = next(size for size in range(64 * mebi, 2048 * mebi, 4 * mebi) if starts(size))
        failed = 0
        steps = [*range(0, 16), *range(16, 32, 4), *range(40, 800, 40)]
        for limit in (least + step * mebi for step in steps):
            with self.subTest(mebibytes=limit // mebi):
                result = self.limited(resource.RLIMIT_AS, limit)
                if result.returncode == 0:
                    break
                failed += 1
                self.assert_refused(result)
        self.assertGreater(failed, 0)
        self.assertEqual(result.returncode, 0, "never succeeds")


class Interrupts(Faults):
    def setUp(self):
        super().setUp()
        self.make_large(1 << 18, lambda count: np.random.default_rng(1).standard_normal(count, np.float32))
        self.temporary = self.root / "tmp"
        self.temporary.mkdir()

    def test_signals_at_any_moment(self):
        start = time.monotonic()
        subprocess.run(self.command(), check=True, capture_output=True)
        whole = time.monotonic() - start
        complete = self.files()
        for file in complete:
            (self.out / file).unlink()
        chosen = random.Random(3)
        for number in range(40):
            kind = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3]
            process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, "TMPDIR": str(self.temporary)})
            time.sleep(chosen.uniform(0, whole * 1.1))
            process.send_signal(kind)
            _, errors = process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, -kind), errors)
            self.assertEqual(list(self.temporary.iterdir()), [], "a temporary file is left")
            for word in CRASHES:
                self.assertNotIn(word, errors)
            # Both files, or none; the weights alone only where what cannot be held back kills between two renames.
            if self.files() and (kind != signal.SIGKILL or self.files() != ["mlp.weights.bin"]):
                self.assertEqual(self.files(), complete)
                run = subprocess.run([BIN / "mpopt-run", self.out / "mlp.mpplan"], capture_output=True, text=True, check=False)
                self.assertEqual(run.returncode, 0, run.stderr)
            for file in self.files():
                (self.out / file).unlink()


if __name__ == "__main__":
    unittest.main()
