# Tests by stage: each file here runs the tools as its RUN lines say, and FileCheck reads what they print.
import os

import lit.formats

config.name = "mpopt"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "e2e", "checks", "models", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.build_root, "test/lit")
config.environment["PATH"] = os.pathsep.join([config.tools_dir, config.llvm_tools_dir, os.environ["PATH"]])
config.substitutions.append(("%machine", os.path.join(config.project_root, "machines/test-host.toml")))
config.substitutions.append(("%fake-cuda", os.path.join(config.build_root, "test/fake-cuda")))
config.substitutions.append(("%models", os.path.join(config.test_source_root, "models")))
config.substitutions.append(("%python", config.python))
if os.path.exists(os.path.join(config.tools_dir, "mpopt")):
    config.available_features.add("mpopt")
