// Rows are split before the experts and after them. Tokens are sent to the experts where that is cheaper than gathering all of them.
// RUN: split-file %s %t
// RUN: sed 's/^count = 1024/count = 2/' %machine > %t/nodes.toml
// RUN: cat %t/network.toml >> %t/nodes.toml
// RUN: mpopt-opt %t/few.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=ep=4" | FileCheck %s --check-prefix=ROUTED
// RUN: mpopt-opt %t/few.mlir --mpopt-plan-module="machine=%t/nodes.toml devices=4 strategy=ep=4" | FileCheck %s --check-prefix=ROUTED
// RUN: mpopt-opt %t/most.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=ep=4" | FileCheck %s --check-prefix=ROUTED
// RUN: mpopt-opt %t/most.mlir --mpopt-plan-module="machine=%t/nodes.toml devices=4 strategy=ep=4" | FileCheck %s --check-prefix=GATHERED
// RUN: mpopt-opt %t/all.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=ep=4" | FileCheck %s --check-prefix=GATHERED
// RUN: mpopt-opt %t/known.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=ep=4" | FileCheck %s --check-prefix=GATHERED

// ROUTED: nn.experts
// ROUTED-SAME: shd.in = [#shd.sharding<@mesh, [{"x0","x1"}, {}, {}]>
// ROUTED-SAME: #shd.sharding<@mesh, [{"x0","x1"}, {}, {}]>, #shd.sharding<@mesh, [{"x0","x1"}, {}, {}]>]
// ROUTED-SAME: shd.out = [#shd.sharding<@mesh, [{"x0","x1"}, {}, {}]>]

// GATHERED: nn.experts
// GATHERED-SAME: shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["x0","x1"] sum>]

//--- network.toml

[[link]]
name = "network"
count = 512
latency_seconds = 2.0e-6
bandwidth = 1.0e9
algorithms = ["ring", "tree"]

//--- few.mlir
// One of 4 experts: a token goes to one device.
func.func @main(%x: tensor<4x64x256xf32> {nn.name = "x"}, %i: tensor<4x64x1xi64> {nn.name = "i"}, %s: tensor<4x64x1xf32> {nn.name = "s"}) -> (tensor<4x64x256xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 262144> : tensor<256x256xf32>
  %up = nn.weight "up" <"m.bin", 262144, 2097152> : tensor<4x256x512xf32>
  %down = nn.weight "down" <"m.bin", 2359296, 2097152> : tensor<4x512x256xf32>
  %0 = nn.matmul %x, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  %1 = nn.experts silu %0[%i] %s up %up down %down : tensor<4x64x256xf32>, tensor<4x64x1xi64>, tensor<4x64x1xf32>, tensor<4x256x512xf32>, tensor<4x512x256xf32>
  %2 = nn.matmul %1, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  return %2 : tensor<4x64x256xf32>
}

//--- most.mlir
// Three of 4 experts: a token goes to most devices. Where links have levels, sums made inside a node save more than that.
func.func @main(%x: tensor<4x64x256xf32> {nn.name = "x"}, %i: tensor<4x64x3xi64> {nn.name = "i"}, %s: tensor<4x64x3xf32> {nn.name = "s"}) -> (tensor<4x64x256xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 262144> : tensor<256x256xf32>
  %up = nn.weight "up" <"m.bin", 262144, 2097152> : tensor<4x256x512xf32>
  %down = nn.weight "down" <"m.bin", 2359296, 2097152> : tensor<4x512x256xf32>
  %0 = nn.matmul %x, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  %1 = nn.experts silu %0[%i] %s up %up down %down : tensor<4x64x256xf32>, tensor<4x64x3xi64>, tensor<4x64x3xf32>, tensor<4x256x512xf32>, tensor<4x512x256xf32>
  %2 = nn.matmul %1, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  return %2 : tensor<4x64x256xf32>
}

//--- all.mlir
// All experts for each token: nothing is saved, and buffers are.
func.func @main(%x: tensor<4x64x256xf32> {nn.name = "x"}, %i: tensor<4x64x4xi64> {nn.name = "i"}, %s: tensor<4x64x4xf32> {nn.name = "s"}) -> (tensor<4x64x256xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 262144> : tensor<256x256xf32>
  %up = nn.weight "up" <"m.bin", 262144, 2097152> : tensor<4x256x512xf32>
  %down = nn.weight "down" <"m.bin", 2359296, 2097152> : tensor<4x512x256xf32>
  %0 = nn.matmul %x, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  %1 = nn.experts silu %0[%i] %s up %up down %down : tensor<4x64x256xf32>, tensor<4x64x4xi64>, tensor<4x64x4xf32>, tensor<4x256x512xf32>, tensor<4x512x256xf32>
  %2 = nn.matmul %1, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  return %2 : tensor<4x64x256xf32>
}

//--- known.mlir
// Shares that are weights: devices tell each other what they compute, not what is known before.
func.func @main(%x: tensor<4x64x256xf32> {nn.name = "x"}, %i: tensor<4x64x1xi64> {nn.name = "i"}) -> (tensor<4x64x256xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 262144> : tensor<256x256xf32>
  %up = nn.weight "up" <"m.bin", 262144, 2097152> : tensor<4x256x512xf32>
  %down = nn.weight "down" <"m.bin", 2359296, 2097152> : tensor<4x512x256xf32>
  %s = nn.weight "s" <"m.bin", 4456448, 1024> : tensor<4x64x1xf32>
  %0 = nn.matmul %x, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  %1 = nn.experts silu %0[%i] %s up %up down %down : tensor<4x64x256xf32>, tensor<4x64x1xi64>, tensor<4x64x1xf32>, tensor<4x256x512xf32>, tensor<4x512x256xf32>
  %2 = nn.matmul %1, %w : tensor<4x64x256xf32>, tensor<256x256xf32>
  return %2 : tensor<4x64x256xf32>
}
