// Classic layouts: every role splits what it may, wherever it can.
// RUN: split-file %s %t
// RUN: mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=tp=2" | FileCheck %s --check-prefix=MLP
// RUN: mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=dp=2" | FileCheck %s --check-prefix=BATCH
// RUN: mpopt-opt %t/mlp.mlir --mpopt-plan-module="machine=%machine devices=6 strategy=dp=3,tp=2" | FileCheck %s --check-prefix=MIX
// RUN: mpopt-opt %t/attention.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=tp=4" | FileCheck %s --check-prefix=HEADS
// RUN: mpopt-opt %t/attention.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=sp=2" | FileCheck %s --check-prefix=SEQ
// RUN: mpopt-opt %t/embedding.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=dp=2,tp=2" | FileCheck %s --check-prefix=TABLE
// RUN: mpopt-opt %t/conv.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=dp=2" | FileCheck %s --check-prefix=CONV
// RUN: mpopt-opt %t/cache.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=dp=2" | FileCheck %s --check-prefix=CACHE
// RUN: mpopt-opt %t/groups.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=tp=2" | FileCheck %s --check-prefix=GROUPS
// RUN: mpopt-opt %t/groups.mlir --mpopt-plan-module="machine=%machine devices=8 strategy=tp=8" | FileCheck %s --check-prefix=FEW
// RUN: mpopt-opt %t/experts.mlir --mpopt-plan-module="machine=%machine devices=4 strategy=dp=2,ep=2" | FileCheck %s --check-prefix=EXPERTS
// RUN: mpopt-opt %t/causal.mlir --mpopt-plan-module="machine=%machine devices=2 strategy=sp=2" | FileCheck %s --check-prefix=CAUSAL

//--- mlp.mlir
// The first weight is split by columns, the second by rows: one partial sum, and nothing between them.
// MLP-LABEL: @main
// MLP: nn.matmul
// MLP-SAME: shd.in = [#shd.sharding<@mesh, [{}, {}]>, #shd.sharding<@mesh, [{}, {"x0"}]>]
// MLP-SAME: shd.out = [#shd.sharding<@mesh, [{}, {"x0"}]>]
// MLP: nn.add
// MLP-SAME: shd.out = [#shd.sharding<@mesh, [{}, {"x0"}]>]
// MLP: nn.gelu
// MLP-SAME: shd.out = [#shd.sharding<@mesh, [{}, {"x0"}]>]
// MLP: nn.matmul
// MLP-SAME: shd.in = [#shd.sharding<@mesh, [{}, {"x0"}]>, #shd.sharding<@mesh, [{"x0"}, {}]>]
// MLP-SAME: shd.out = [#shd.sharding<@mesh, [{}, {}], unreduced=["x0"] sum>]

// BATCH-LABEL: @main
// BATCH-SAME: shd.sharding = #shd.sharding<@mesh, [{"x0"}, {}]>
// BATCH-SAME: shd.sharding = #shd.sharding<@mesh, [{"x0"}, {}]>
// BATCH-NOT: unreduced
// BATCH-COUNT-5: shd.out = [#shd.sharding<@mesh, [{"x0"}, {}]>]

// MIX: shd.mesh @mesh <[<"x0" = 2>, <"x1" = 3>]>
// MIX-LABEL: @main
// MIX-SAME: shd.sharding = #shd.sharding<@mesh, [{"x1"}
// MIX: nn.matmul
// MIX-SAME: shd.out = [#shd.sharding<@mesh, [{"x1"}, {"x0"}]>]
// MIX: nn.matmul
// MIX-SAME: shd.out = [#shd.sharding<@mesh, [{"x1"}, {}], unreduced=["x0"] sum>]
func.func @main(%x: tensor<24x64xf32> {nn.name = "x"}) -> (tensor<24x64xf32> {nn.name = "y"}) {
  %w1 = nn.weight "w1" <"m.bin", 0, 65536> : tensor<64x256xf32>
  %b1 = nn.weight "b1" <"m.bin", 65536, 1024> : tensor<256xf32>
  %w2 = nn.weight "w2" <"m.bin", 66560, 65536> : tensor<256x64xf32>
  %b2 = nn.weight "b2" <"m.bin", 132096, 256> : tensor<64xf32>
  %0 = nn.matmul %x, %w1 : tensor<24x64xf32>, tensor<64x256xf32>
  %1 = nn.add %0, %b1 : tensor<24x256xf32>, tensor<256xf32>
  %2 = nn.gelu %1 : tensor<24x256xf32>
  %3 = nn.matmul %2, %w2 : tensor<24x256xf32>, tensor<256x64xf32>
  %4 = nn.add %3, %b2 : tensor<24x64xf32>, tensor<64xf32>
  return %4 : tensor<24x64xf32>
}

//--- attention.mlir
// Heads are split through projections, reshapes and transposes; one partial sum at the end.
// HEADS-LABEL: @main
// HEADS-COUNT-3: nn.matmul {{.*}}shd.out = [#shd.sharding<@mesh, [{}, {}, {"x0","x1"}]>]
// HEADS: nn.attention
// HEADS-SAME: shd.out = [#shd.sharding<@mesh, [{}, {"x0","x1"}, {}, {}]>]
// HEADS: nn.matmul
// HEADS-SAME: shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["x0","x1"] sum>]

// Every device takes its positions; keys and values are gathered.
// SEQ-LABEL: @main
// SEQ-SAME: %arg0: tensor<2x16xi64> {{.*}}shd.sharding = #shd.sharding<@mesh, [{}, {"x0"}]>
// SEQ: nn.attention
// SEQ-SAME: shd.in = [#shd.sharding<@mesh, [{}, {}, {"x0"}, {}]>, #shd.sharding<@mesh, [{}, {}, {}, {}]>, #shd.sharding<@mesh, [{}, {}, {}, {}]>]
func.func @main(%ids: tensor<2x16xi64> {nn.name = "ids"}) -> (tensor<2x16x64xf32> {nn.name = "y"}) {
  %table = nn.weight "table" <"m.bin", 0, 256000> : tensor<1000x64xf32>
  %wq = nn.weight "wq" <"m.bin", 256000, 16384> : tensor<64x64xf32>
  %wk = nn.weight "wk" <"m.bin", 272384, 16384> : tensor<64x64xf32>
  %wv = nn.weight "wv" <"m.bin", 288768, 16384> : tensor<64x64xf32>
  %wo = nn.weight "wo" <"m.bin", 305152, 16384> : tensor<64x64xf32>
  %x = nn.gather %table[%ids] {axis = 0 : i64} : tensor<1000x64xf32>, tensor<2x16xi64>
  %q0 = nn.matmul %x, %wq : tensor<2x16x64xf32>, tensor<64x64xf32>
  %k0 = nn.matmul %x, %wk : tensor<2x16x64xf32>, tensor<64x64xf32>
  %v0 = nn.matmul %x, %wv : tensor<2x16x64xf32>, tensor<64x64xf32>
  %q1 = nn.reshape %q0 : tensor<2x16x64xf32> -> tensor<2x16x8x8xf32>
  %k1 = nn.reshape %k0 : tensor<2x16x64xf32> -> tensor<2x16x8x8xf32>
  %v1 = nn.reshape %v0 : tensor<2x16x64xf32> -> tensor<2x16x8x8xf32>
  %q = nn.transpose %q1 [0, 2, 1, 3] : tensor<2x16x8x8xf32>
  %k = nn.transpose %k1 [0, 2, 1, 3] : tensor<2x16x8x8xf32>
  %v = nn.transpose %v1 [0, 2, 1, 3] : tensor<2x16x8x8xf32>
  %a0 = nn.attention %q, %k, %v {scale = 0.35 : f64} : tensor<2x8x16x8xf32>, tensor<2x8x16x8xf32>, tensor<2x8x16x8xf32>
  %a1 = nn.transpose %a0 [0, 2, 1, 3] : tensor<2x8x16x8xf32>
  %a2 = nn.reshape %a1 : tensor<2x16x8x8xf32> -> tensor<2x16x64xf32>
  %o = nn.matmul %a2, %wo : tensor<2x16x64xf32>, tensor<64x64xf32>
  %r = nn.add %o, %x : tensor<2x16x64xf32>, tensor<2x16x64xf32>
  %y = nn.layer_norm %r {axis = 2 : i64, epsilon = 1.0e-5 : f64} : tensor<2x16x64xf32>
  return %y : tensor<2x16x64xf32>
}

//--- embedding.mlir
// A table is split over the tensor axis (by vocabulary or by columns), the tokens by batch.
// TABLE-LABEL: @main
// TABLE-SAME: shd.sharding = #shd.sharding<@mesh, [{"x0"}, {}]>
// TABLE: nn.gather
// TABLE-SAME: shd.in = [#shd.sharding<@mesh, {{\[({}, {"x1"}|{"x1"}, {})\]}}>, #shd.sharding<@mesh, [{"x0"}, {}]>]
func.func @main(%ids: tensor<8x16xi64> {nn.name = "ids"}) -> (tensor<8x16x64xf32> {nn.name = "y"}) {
  %table = nn.weight "table" <"m.bin", 0, 256000> : tensor<1000x64xf32>
  %x = nn.gather %table[%ids] {axis = 0 : i64} : tensor<1000x64xf32>, tensor<8x16xi64>
  return %x : tensor<8x16x64xf32>
}

//--- conv.mlir
// CONV-LABEL: @main
// CONV-NOT: unreduced
// CONV: nn.conv
// CONV-SAME: shd.out = [#shd.sharding<@mesh, [{"x0"}, {}, {}, {}]>]
// CONV: nn.max_pool
// CONV-SAME: shd.out = [#shd.sharding<@mesh, [{"x0"}, {}, {}, {}]>]
func.func @main(%x: tensor<2x3x16x16xf32> {nn.name = "x"}) -> (tensor<2x8x8x8xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 864> : tensor<8x3x3x3xf32>
  %0 = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>} : tensor<2x3x16x16xf32>, tensor<8x3x3x3xf32>
  %1 = nn.max_pool %0 {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<2x8x16x16xf32>
  return %1 : tensor<2x8x8x8xf32>
}

//--- cache.mlir
// A result whose concatenated dimension no rule follows is still split by the batch.
// CACHE-LABEL: @main
// CACHE: nn.concat
// CACHE-SAME: shd.out = [#shd.sharding<@mesh, [{"x0"}, {}, {}, {}]>]
func.func @main(%past: tensor<2x3x12x4xf32> {nn.name = "past"}, %new: tensor<2x3x4x4xf32> {nn.name = "new"})
    -> (tensor<2x3x16x4xf32> {nn.name = "present"}) {
  %0 = nn.concat %past, %new {axis = 2 : i64} : tensor<2x3x12x4xf32>, tensor<2x3x4x4xf32>
  return %0 : tensor<2x3x16x4xf32>
}

//--- groups.mlir
// 9 heads in 3 groups over 2 devices: whole groups, 2 and 1, from the projections on.
// GROUPS-LABEL: @main
// GROUPS: nn.matmul {{.*}}shd.out = [#shd.sharding<@mesh, [{}, {}, {"x0"}:24]>]
// GROUPS: nn.matmul {{.*}}shd.out = [#shd.sharding<@mesh, [{}, {}, {"x0"}:8]>]
// GROUPS: nn.attention
// GROUPS-SAME: shd.out = [#shd.sharding<@mesh, [{}, {"x0"}:3, {}, {}]>]
// GROUPS: nn.matmul
// GROUPS-SAME: shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["x0"] sum>]

// Over 8 devices only 3 of 4 have a group, and all around the attention is split 4 ways.
// FEW-LABEL: @main
// FEW: nn.attention
// FEW-SAME: shd.out = [#shd.sharding<@mesh, [{}, {"x0","x1"}, {}, {}]>]
// FEW: nn.matmul
// FEW-SAME: shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["x0","x1"] sum>]
func.func @main(%x: tensor<2x16x72xf32> {nn.name = "x"}) -> (tensor<2x16x72xf32> {nn.name = "y"}) {
  %wq = nn.weight "wq" <"m.bin", 0, 20736> : tensor<72x72xf32>
  %wk = nn.weight "wk" <"m.bin", 20736, 6912> : tensor<72x24xf32>
  %wo = nn.weight "wo" <"m.bin", 27648, 20736> : tensor<72x72xf32>
  %q0 = nn.matmul %x, %wq : tensor<2x16x72xf32>, tensor<72x72xf32>
  %k0 = nn.matmul %x, %wk : tensor<2x16x72xf32>, tensor<72x24xf32>
  %q1 = nn.reshape %q0 : tensor<2x16x72xf32> -> tensor<2x16x9x8xf32>
  %k1 = nn.reshape %k0 : tensor<2x16x24xf32> -> tensor<2x16x3x8xf32>
  %q = nn.transpose %q1 [0, 2, 1, 3] : tensor<2x16x9x8xf32>
  %k = nn.transpose %k1 [0, 2, 1, 3] : tensor<2x16x3x8xf32>
  %a0 = nn.attention %q, %k, %k {scale = 0.35 : f64} : tensor<2x9x16x8xf32>, tensor<2x3x16x8xf32>, tensor<2x3x16x8xf32>
  %a1 = nn.transpose %a0 [0, 2, 1, 3] : tensor<2x9x16x8xf32>
  %a2 = nn.reshape %a1 : tensor<2x16x9x8xf32> -> tensor<2x16x72xf32>
  %o = nn.matmul %a2, %wo : tensor<2x16x72xf32>, tensor<72x72xf32>
  %y = nn.layer_norm %o {axis = 2 : i64, epsilon = 1.0e-5 : f64} : tensor<2x16x72xf32>
  return %y : tensor<2x16x72xf32>
}

//--- experts.mlir
// Experts over one axis, tokens over the other; what the experts make is one partial sum.
// EXPERTS-LABEL: @main
// EXPERTS: nn.experts
// EXPERTS-SAME: #shd.sharding<@mesh, [{"x1"}, {}, {}]>, #shd.sharding<@mesh, [{"x1"}, {}, {}]>]
// EXPERTS-SAME: shd.out = [#shd.sharding<@mesh, [{"x0"}, {}, {}], unreduced=["x1"] sum>]
func.func @main(%x: tensor<2x8x64xf32> {nn.name = "x"}, %i: tensor<2x8x2xi64> {nn.name = "i"}, %s: tensor<2x8x2xf32> {nn.name = "s"}) -> (tensor<2x8x64xf32> {nn.name = "y"}) {
  %up = nn.weight "up" <"m.bin", 0, 131072> : tensor<4x64x128xf32>
  %down = nn.weight "down" <"m.bin", 131072, 131072> : tensor<4x128x64xf32>
  %0 = nn.experts silu %x[%i] %s up %up down %down : tensor<2x8x64xf32>, tensor<2x8x2xi64>, tensor<2x8x2xf32>, tensor<4x64x128xf32>, tensor<4x128x64xf32>
  return %0 : tensor<2x8x64xf32>
}

//--- causal.mlir
// A sequence is known by the attention over it, and a causal one can be split too.
// CAUSAL-LABEL: @main
// CAUSAL: nn.attention
// CAUSAL-SAME: shd.out = [#shd.sharding<@mesh, [{}, {}, {"x0"}, {}]>]
func.func @main(%x: tensor<2x4x16x8xf32> {nn.name = "x"}) -> (tensor<2x4x16x8xf32> {nn.name = "y"}) {
  %0 = nn.attention %x, %x, %x {scale = 0.35 : f64, causal} : tensor<2x4x16x8xf32>, tensor<2x4x16x8xf32>, tensor<2x4x16x8xf32>
  return %0 : tensor<2x4x16x8xf32>
}
