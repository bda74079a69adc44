"""annotate-by-hand.py MODEL.onnx OUT.onnx [TENSOR]: annotates the node /layer.0/up for 4 devices: its weight's columns over all, which can be had,
and TENSOR (or its output) over 5 devices, which cannot."""
import sys

import onnx

model = onnx.load(sys.argv[1])
model.ir_version = 11
model.configuration.add(name="hand", num_devices=4)
node = next(node for node in model.graph.node if node.name == "/layer.0/up")
given = node.device_configurations.add(configuration_id="hand")
weight = given.sharding_spec.add(tensor_name="layer.0.up.weight", device=range(4))
weight.sharded_dim.add(axis=-1).simple_sharding.add(num_shards=4)
odd = given.sharding_spec.add(tensor_name=sys.argv[3] if len(sys.argv) > 3 else node.output[0])
odd.sharded_dim.add(axis=1).simple_sharding.add(num_shards=5)
onnx.save(model, sys.argv[2])
