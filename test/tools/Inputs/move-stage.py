"""move-stage.py MODEL.onnx OUT.onnx PREFIX STAGE...: gives nodes of a pipeline of two stages of two devices another stage, and its devices."""
import sys

import onnx

model = onnx.load(sys.argv[1], load_external_data=False)
wanted = dict(zip(sys.argv[3::2], map(int, sys.argv[4::2]), strict=True))
for node in model.graph.node:
    stage = next((stage for prefix, stage in wanted.items() if node.name.startswith(prefix)), None)
    for given in node.device_configurations:
        if stage is None or not given.HasField("pipeline_stage"):
            continue
        given.pipeline_stage = stage
        for spec in given.sharding_spec:
            spec.device[:] = [device if device < 0 else device % 2 + 2 * stage for device in spec.device]
            for entry in spec.index_to_device_group_map:
                entry.value[:] = [device % 2 + 2 * stage for device in entry.value]
onnx.save(model, sys.argv[2])
