// RUN: mpopt-opt %s -mpopt-recognize-experts -canonicalize | FileCheck %s

// A matrix per row, transposed; both experts of a token read the same row.
// CHECK-LABEL: @product
// CHECK: %[[T:.*]] = nn.transpose %{{.*}} [0, 2, 1] : tensor<4x6x8xf32>
// CHECK: %[[I:.*]] = nn.reshape %arg1 : tensor<20x1xi64> -> tensor<20xi64>
// CHECK: nn.expert_matmul %arg0, %[[T]][%[[I]]] : tensor<10x8xf32>, tensor<4x8x6xf32>, tensor<20xi64>
// CHECK-NOT: nn.gather_nd
func.func @product(%x: tensor<10x8xf32>, %i: tensor<20x1xi64>) -> tensor<20x6xf32> {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<4x6x8xf32>
  %0 = nn.reshape %x : tensor<10x8xf32> -> tensor<10x1x8xf32>
  %1 = nn.broadcast %0 : tensor<10x1x8xf32> -> tensor<10x2x8xf32>
  %2 = nn.reshape %1 : tensor<10x2x8xf32> -> tensor<20x8x1xf32>
  %3 = nn.gather_nd %w[%i] : tensor<4x6x8xf32>, tensor<20x1xi64>
  %4 = nn.matmul %3, %2 : tensor<20x6x8xf32>, tensor<20x8x1xf32>
  %5 = nn.reshape %4 : tensor<20x6x1xf32> -> tensor<20x6xf32>
  return %5 : tensor<20x6xf32>
}

// Rows that are repeated with a dimension of size 1 behind the repetitions.
// CHECK-LABEL: @repeated_before_unit
// CHECK: nn.expert_matmul %arg0, %{{.*}}[%arg1] : tensor<10x8xf32>, tensor<4x8x6xf32>, tensor<20xi64>
func.func @repeated_before_unit(%x: tensor<10x8xf32>, %i: tensor<20xi64>) -> tensor<20x1x6xf32> {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<4x8x6xf32>
  %0 = nn.reshape %x : tensor<10x8xf32> -> tensor<10x1x1x8xf32>
  %1 = nn.broadcast %0 : tensor<10x1x1x8xf32> -> tensor<10x2x1x8xf32>
  %2 = nn.reshape %1 : tensor<10x2x1x8xf32> -> tensor<20x1x8xf32>
  %3 = nn.gather %w[%i] {axis = 0 : i64} : tensor<4x8x6xf32>, tensor<20xi64>
  %4 = nn.matmul %2, %3 : tensor<20x1x8xf32>, tensor<20x8x6xf32>
  return %4 : tensor<20x1x6xf32>
}

// All rows repeated one after the other are not each row repeated in a row.
// CHECK-LABEL: @repeated_as_a_whole
// CHECK: nn.expert_matmul %{{.*}}, %{{.*}}[%arg1] : tensor<20x8xf32>, tensor<4x8x6xf32>, tensor<20xi64>
func.func @repeated_as_a_whole(%x: tensor<10x8xf32>, %i: tensor<20xi64>) -> tensor<20x1x6xf32> {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<4x8x6xf32>
  %0 = nn.reshape %x : tensor<10x8xf32> -> tensor<1x10x8xf32>
  %1 = nn.broadcast %0 : tensor<1x10x8xf32> -> tensor<2x10x8xf32>
  %2 = nn.reshape %1 : tensor<2x10x8xf32> -> tensor<20x1x8xf32>
  %3 = nn.gather %w[%i] {axis = 0 : i64} : tensor<4x8x6xf32>, tensor<20xi64>
  %4 = nn.matmul %2, %3 : tensor<20x1x8xf32>, tensor<20x8x6xf32>
  return %4 : tensor<20x1x6xf32>
}

// Row vectors from the left, with gather.
// CHECK-LABEL: @rows
// CHECK: nn.expert_matmul %{{.*}}, %{{.*}}[%arg1] : tensor<20x8xf32>, tensor<4x8x6xf32>, tensor<20xi64>
func.func @rows(%x: tensor<20x1x8xf32>, %i: tensor<20xi64>) -> tensor<20x1x6xf32> {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<4x8x6xf32>
  %0 = nn.gather %w[%i] {axis = 0 : i64} : tensor<4x8x6xf32>, tensor<20xi64>
  %1 = nn.matmul %x, %0 : tensor<20x1x8xf32>, tensor<20x8x6xf32>
  return %1 : tensor<20x1x6xf32>
}

// A gated perceptron whose first two matrices are fused; tokens keep their two dimensions.
// CHECK-LABEL: @gated
// CHECK: nn.experts silu %arg0[%arg1] %arg2 up %{{.*}} down %{{.*}} gate %{{.*}} : tensor<4x8x5xf32> : tensor<2x5x8xf32>, tensor<2x5x2xi64>, tensor<2x5x2xf32>, tensor<4x8x5xf32>, tensor<4x5x8xf32>
// CHECK-NEXT: return
func.func @gated(%x: tensor<2x5x8xf32>, %i: tensor<2x5x2xi64>, %s: tensor<2x5x2xf32>) -> tensor<2x5x8xf32> {
  %up = nn.weight "up" <"m.bin", 0, 1280> : tensor<4x10x8xf32>
  %down = nn.weight "down" <"m.bin", 1280, 640> : tensor<4x8x5xf32>
  %0 = nn.reshape %x : tensor<2x5x8xf32> -> tensor<10x1x8xf32>
  %1 = nn.broadcast %0 : tensor<10x1x8xf32> -> tensor<10x2x8xf32>
  %2 = nn.reshape %1 : tensor<10x2x8xf32> -> tensor<20x8x1xf32>
  %3 = nn.reshape %i : tensor<2x5x2xi64> -> tensor<20x1xi64>
  %4 = nn.gather_nd %up[%3] : tensor<4x10x8xf32>, tensor<20x1xi64>
  %5 = nn.matmul %4, %2 : tensor<20x10x8xf32>, tensor<20x8x1xf32>
  %6 = nn.reshape %5 : tensor<20x10x1xf32> -> tensor<20x10xf32>
  %7 = nn.slice %6 [0, 0] [20, 5] [1, 1] : tensor<20x10xf32>
  %8 = nn.slice %6 [0, 5] [20, 5] [1, 1] : tensor<20x10xf32>
  %9 = nn.silu %7 : tensor<20x5xf32>
  %10 = nn.mul %9, %8 : tensor<20x5xf32>, tensor<20x5xf32>
  %11 = nn.gather_nd %down[%3] : tensor<4x8x5xf32>, tensor<20x1xi64>
  %12 = nn.reshape %10 : tensor<20x5xf32> -> tensor<20x5x1xf32>
  %13 = nn.matmul %11, %12 : tensor<20x8x5xf32>, tensor<20x5x1xf32>
  %14 = nn.reshape %13 : tensor<20x8x1xf32> -> tensor<20x8xf32>
  %15 = nn.reshape %s : tensor<2x5x2xf32> -> tensor<20x1xf32>
  %16 = nn.mul %14, %15 : tensor<20x8xf32>, tensor<20x1xf32>
  %17 = nn.reshape %16 : tensor<20x8xf32> -> tensor<10x2x8xf32>
  %18 = nn.reduce sum %17 [1] : tensor<10x2x8xf32>
  %19 = nn.reshape %18 : tensor<10x8xf32> -> tensor<2x5x8xf32>
  return %19 : tensor<2x5x8xf32>
}

// Rows are sent elsewhere by the second product: no perceptron.
// CHECK-LABEL: @other_indices
// CHECK-COUNT-2: nn.expert_matmul
// CHECK-NOT: nn.experts
func.func @other_indices(%x: tensor<20x1x8xf32>, %i: tensor<20xi64>, %j: tensor<20xi64>, %s: tensor<20x1xf32>) -> tensor<10x8xf32> {
  %up = nn.weight "up" <"m.bin", 0, 768> : tensor<4x8x6xf32>
  %down = nn.weight "down" <"m.bin", 768, 768> : tensor<4x6x8xf32>
  %0 = nn.gather %up[%i] {axis = 0 : i64} : tensor<4x8x6xf32>, tensor<20xi64>
  %1 = nn.matmul %x, %0 : tensor<20x1x8xf32>, tensor<20x8x6xf32>
  %2 = nn.relu %1 : tensor<20x1x6xf32>
  %3 = nn.gather %down[%j] {axis = 0 : i64} : tensor<4x6x8xf32>, tensor<20xi64>
  %4 = nn.matmul %2, %3 : tensor<20x1x6xf32>, tensor<20x6x8xf32>
  %5 = nn.reshape %4 : tensor<20x1x8xf32> -> tensor<20x8xf32>
  %6 = nn.mul %5, %s : tensor<20x8xf32>, tensor<20x1xf32>
  %7 = nn.reshape %6 : tensor<20x8xf32> -> tensor<10x2x8xf32>
  %8 = nn.reduce sum %7 [1] : tensor<10x2x8xf32>
  return %8 : tensor<10x8xf32>
}
