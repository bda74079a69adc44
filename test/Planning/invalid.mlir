// RUN: split-file %s %t
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=0" 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=1000000" 2>&1 | FileCheck %s --check-prefix=MANY
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=dp=2,tp=4" 2>&1 | FileCheck %s --check-prefix=PRODUCT
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=dp2" 2>&1 | FileCheck %s --check-prefix=TEXT
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=8 strategy=dp=8" 2>&1 | FileCheck %s --check-prefix=BATCH
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=sp=2" 2>&1 | FileCheck %s --check-prefix=SEQUENCE
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=ep=2" 2>&1 | FileCheck %s --check-prefix=EXPERT
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 memory-limit=1000" 2>&1 | FileCheck %s --check-prefix=MEMORY
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 objective=beauty" 2>&1 | FileCheck %s --check-prefix=OBJECTIVE
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=nowhere devices=2" 2>&1 | FileCheck %s --check-prefix=MACHINE
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 pin=%t/nothing.json" 2>&1 | FileCheck %s --check-prefix=UNFOUND
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 pin=%t/axis.json" 2>&1 | FileCheck %s --check-prefix=AXIS
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 pin=%t/never.json" 2>&1 | FileCheck %s --check-prefix=NEVER
// RUN: not mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 pin=%t/missing.json" 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not mpopt-opt %t/foreign.mlir --mpopt-plan-module="machine=%machine devices=2" 2>&1 | FileCheck %s --check-prefix=FOREIGN
// RUN: not mpopt-opt %t/empty.mlir --mpopt-plan-module="machine=%machine devices=2" 2>&1 | FileCheck %s --check-prefix=EMPTY

// NONE: error: cannot plan for 0 devices
// MANY: error: machine 'test-host' has 1024 devices, fewer than the 1000000 asked for
// PRODUCT: error: strategy 'dp=2,tp=4' is for 8 devices, not for 4; make the product of its numbers the number of devices
// TEXT: error: strategy 'dp2': 'dp2' gives no number; write it like dp=2,tp=4
// BATCH: error: strategy 'dp=8': no operator's batch can be split over dp=8 devices
// SEQUENCE: error: strategy 'sp=2': no operator's sequence can be split over sp=2 devices
// EXPERT: error: strategy 'ep=2': the model has no mixture of experts that ep could split; leave ep out
// MEMORY: error: no plan for 2 devices of 'test-host': {{.*}}memory
// OBJECTIVE: error: objective 'beauty' is none of latency, throughput and memory
// MACHINE: error: {{.*}}nowhere
// UNFOUND: error: pin 'nothing' fits nothing: no node, input, output or weight of that name has 2 dimensions
// AXIS: error: pin 'x' names the mesh axis 'q'; the axes are x0
// NEVER: error: {{.*}}pin 'product' cannot be met
// MISSING: error: cannot read the pin file
// FOREIGN: error: has no partition rule
// EMPTY: error: has no function @main of one block to plan

//--- mlp.mlir
func.func @main(%x: tensor<4x64xf32> {nn.name = "x"}) -> (tensor<4x64xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 16384> : tensor<64x64xf32>
  %0 = nn.matmul %x, %w : tensor<4x64xf32>, tensor<64x64xf32> loc("product")
  return %0 : tensor<4x64xf32>
}

//--- foreign.mlir
func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  %c = arith.constant dense<1.0> : tensor<4xf32>
  %0 = nn.add %x, %c : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}

//--- empty.mlir
module {}

//--- nothing.json
{"pin": [{"name": "nothing", "sharding": [1, 2]}]}
//--- axis.json
{"pin": [{"name": "x", "sharding": [["q"], []]}]}
//--- never.json
{"pin": [{"name": "product", "sharding": [3, 1]}]}
