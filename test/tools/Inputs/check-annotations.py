"""check-annotations.py MODEL.onnx DEVICES: the model is valid, and its annotations put every device to use; prints them."""
import sys

import onnx

model_file, devices = sys.argv[1], int(sys.argv[2])
onnx.checker.check_model(model_file, full_check=True)
model = onnx.load(model_file, load_external_data=False)
assert model.ir_version >= 11
for configuration in model.configuration:
    print(f"configuration {configuration.name} of {configuration.num_devices} devices")
    assert configuration.num_devices == devices
stages = 1 + max((given.pipeline_stage for node in model.graph.node for given in node.device_configurations), default=0)
size = devices // stages
for node in model.graph.node:
    for given in node.device_configurations:
        assert given.configuration_id in {configuration.name for configuration in model.configuration}
        texts = []
        for spec in given.sharding_spec:
            assert spec.tensor_name in [*node.input, *node.output], (node.name, spec.tensor_name)
            groups = {entry.key: list(entry.value) for entry in spec.index_to_device_group_map}
            held = [device for place in spec.device for device in groups.get(place, [place])]
            stage = given.pipeline_stage if given.HasField("pipeline_stage") else None
            own = range(devices) if stage is None else range(stage * size, (stage + 1) * size)
            assert sorted(held) == list(own), (node.name, spec.tensor_name, held)
            dims = [(dim.axis, [part.num_shards for part in dim.simple_sharding]) for dim in spec.sharded_dim]
            texts.append(f"{spec.tensor_name} {dims}")
        stage = f"stage {given.pipeline_stage}: " if given.HasField("pipeline_stage") else ""
        print(f"{node.name}: {stage}{', '.join(texts)}")
