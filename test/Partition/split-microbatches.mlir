// RUN: mpopt-opt %s --split-input-file --verify-diagnostics --mpopt-split-microbatches=count=4 | FileCheck %s

// The batch is followed through merges of dimensions; weights stay whole, inputs without a batch too.
// CHECK: shd.microbatches = 4
// CHECK-LABEL: func.func @main
// CHECK-SAME: %arg0: tensor<2x3x16xf32> {nn.name = "x", shd.batch_dim = 0 : i64}, %arg1: tensor<3x16xf32> {nn.name = "p"})
// CHECK-SAME: -> (tensor<2x3x5xf32> {nn.name = "y", shd.batch_dim = 0 : i64})
// CHECK: %[[W:.*]] = nn.weight "w" {{.*}} : tensor<16x5xf32>
// CHECK: nn.add %arg0, %arg1 : tensor<2x3x16xf32>, tensor<3x16xf32>
// CHECK: nn.reshape {{.*}} : tensor<2x3x16xf32> -> tensor<6x16xf32>
// CHECK: nn.matmul %{{.*}}, %[[W]] : tensor<6x16xf32>, tensor<16x5xf32>
// CHECK: nn.reshape {{.*}} : tensor<6x5xf32> -> tensor<2x3x5xf32>
func.func @main(%x: tensor<8x3x16xf32> {nn.name = "x"}, %p: tensor<3x16xf32> {nn.name = "p"})
    -> (tensor<8x3x5xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"m.bin", 0, 320> : tensor<16x5xf32>
  %0 = nn.add %x, %p : tensor<8x3x16xf32>, tensor<3x16xf32>
  %1 = nn.reshape %0 : tensor<8x3x16xf32> -> tensor<24x16xf32>
  %2 = nn.matmul %1, %w : tensor<24x16xf32>, tensor<16x5xf32>
  %3 = nn.reshape %2 : tensor<24x5xf32> -> tensor<8x3x5xf32>
  return %3 : tensor<8x3x5xf32>
}

// -----

// A constant that is the same for all microbatches is cut.
// CHECK-LABEL: func.func @main
// CHECK: nn.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32> : tensor<2xf32>
// CHECK: nn.add %arg0, {{.*}} : tensor<2xf32>, tensor<2xf32>
func.func @main(%x: tensor<8xf32> {nn.name = "x"}) -> (tensor<8xf32> {nn.name = "y"}) {
  %c = nn.constant dense<[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]> : tensor<8xf32> : tensor<8xf32>
  %0 = nn.add %x, %c : tensor<8xf32>, tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  %c = nn.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<4xf32>
  // expected-error@+1 {{the batch cannot be split into 4 microbatches: its rows are computed with a constant (nn.constant) that may differ between them}}
  %0 = nn.add %x, %c : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<8x4xf32> {nn.name = "x"}) -> (tensor<8x8xf32> {nn.name = "y"}) {
  %t = nn.transpose %x [1, 0] : tensor<8x4xf32>
  // expected-error@+1 {{the batch cannot be split into 4 microbatches: nn.matmul mixes rows of the batch}}
  %0 = nn.matmul %x, %t : tensor<8x4xf32>, tensor<4x8xf32>
  return %0 : tensor<8x8xf32>
}

// -----

func.func @main(%x: tensor<8x4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  // expected-error@+1 {{the batch cannot be split into 4 microbatches: nn.reduce reduces over the batch at once}}
  %0 = nn.reduce sum %x [0] : tensor<8x4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error@+1 {{the batch cannot be split into 4 microbatches: it has 6 rows; choose a divisor of that for mb}}
func.func @main(%x: tensor<6x4xf32> {nn.name = "x"}) -> (tensor<6x4xf32> {nn.name = "y"}) {
  return %x : tensor<6x4xf32>
}
