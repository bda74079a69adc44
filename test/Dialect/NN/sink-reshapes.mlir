// RUN: mpopt-opt %s -mpopt-sink-reshapes -canonicalize | FileCheck %s

// CHECK-LABEL: @product
// CHECK: %[[P:.*]] = nn.matmul %arg0, %{{.*}} : tensor<2x16x8xf32>, tensor<8x4xf32>
// CHECK-NEXT: return %[[P]]
func.func @product(%x: tensor<2x16x8xf32>) -> tensor<2x16x4xf32> {
  %w = nn.weight "w" <"m.bin", 0, 128> : tensor<8x4xf32>
  %0 = nn.reshape %x : tensor<2x16x8xf32> -> tensor<32x8xf32>
  %1 = nn.matmul %0, %w : tensor<32x8xf32>, tensor<8x4xf32>
  %2 = nn.reshape %1 : tensor<32x4xf32> -> tensor<2x16x4xf32>
  return %2 : tensor<2x16x4xf32>
}

// Heads are merged together with the leading dimensions.
// CHECK-LABEL: @heads
// CHECK: %[[X:.*]] = nn.reshape %arg0 : tensor<2x16x4x2xf32> -> tensor<2x16x8xf32>
// CHECK: nn.matmul %[[X]]
// CHECK-NOT: nn.reshape
// CHECK: nn.add {{.*}} : tensor<2x16x4xf32>, tensor<4xf32>
// CHECK-NEXT: return
func.func @heads(%x: tensor<2x16x4x2xf32>) -> tensor<2x16x4xf32> {
  %w = nn.weight "w" <"m.bin", 0, 128> : tensor<8x4xf32>
  %b = nn.weight "b" <"m.bin", 128, 16> : tensor<4xf32>
  %0 = nn.reshape %x : tensor<2x16x4x2xf32> -> tensor<32x8xf32>
  %1 = nn.matmul %0, %w : tensor<32x8xf32>, tensor<8x4xf32>
  %2 = nn.add %1, %b : tensor<32x4xf32>, tensor<4xf32>
  %3 = nn.reshape %2 : tensor<32x4xf32> -> tensor<2x16x4xf32>
  return %3 : tensor<2x16x4xf32>
}

// A router: all works on the last dimension.
// CHECK-LABEL: @router
// CHECK: nn.softmax %arg0 {axis = 2 : i64} : tensor<2x16x8xf32>
// CHECK: nn.top_k {{.*}} {axis = 2 : i64, k = 2 : i64} : tensor<2x16x8xf32>
// CHECK: nn.reduce sum {{.*}} [2] keep_dims : tensor<2x16x2xf32>
// CHECK: nn.div {{.*}} : tensor<2x16x2xf32>, tensor<2x16x1xf32>
// CHECK: nn.slice {{.*}} [0, 0, 1] [2, 16, 1] [1, 1, 1] : tensor<2x16x2xf32>
func.func @router(%x: tensor<2x16x8xf32>) -> (tensor<32x1xf32>, tensor<32x2xi64>) {
  %0 = nn.reshape %x : tensor<2x16x8xf32> -> tensor<32x8xf32>
  %1 = nn.softmax %0 {axis = 1 : i64} : tensor<32x8xf32>
  %values, %indices = nn.top_k %1 {axis = 1 : i64, k = 2 : i64} : tensor<32x8xf32>
  %2 = nn.reduce sum %values [1] keep_dims : tensor<32x2xf32>
  %3 = nn.div %values, %2 : tensor<32x2xf32>, tensor<32x1xf32>
  %4 = nn.slice %3 [0, 1] [32, 1] [1, 1] : tensor<32x2xf32>
  return %4, %indices : tensor<32x1xf32>, tensor<32x2xi64>
}

// The other operand is not merged alike, or a run-time value meets the merged dimension: nothing moves.
// CHECK-LABEL: @stays
// CHECK: nn.add {{.*}} : tensor<32x8xf32>, tensor<32x8xf32>
// CHECK: nn.mul {{.*}} : tensor<32x8xf32>, tensor<32x1xf32>
func.func @stays(%x: tensor<2x16x8xf32>, %y: tensor<4x8x8xf32>, %z: tensor<32x1xf32>) -> (tensor<32x8xf32>, tensor<32x8xf32>) {
  %0 = nn.reshape %x : tensor<2x16x8xf32> -> tensor<32x8xf32>
  %1 = nn.reshape %y : tensor<4x8x8xf32> -> tensor<32x8xf32>
  %2 = nn.add %0, %1 : tensor<32x8xf32>, tensor<32x8xf32>
  %3 = nn.mul %0, %z : tensor<32x8xf32>, tensor<32x1xf32>
  return %2, %3 : tensor<32x8xf32>, tensor<32x8xf32>
}

// A softmax over the merged dimension must stay.
// CHECK-LABEL: @over_merged
// CHECK: nn.softmax {{.*}} {axis = 0 : i64} : tensor<32x8xf32>
func.func @over_merged(%x: tensor<2x16x8xf32>) -> tensor<32x8xf32> {
  %0 = nn.reshape %x : tensor<2x16x8xf32> -> tensor<32x8xf32>
  %1 = nn.softmax %0 {axis = 0 : i64} : tensor<32x8xf32>
  return %1 : tensor<32x8xf32>
}
