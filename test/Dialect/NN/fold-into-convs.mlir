// RUN: mpopt-opt %s -mpopt-fold-into-convs -canonicalize | FileCheck %s

// CHECK-LABEL: @batch_norm
// CHECK: %[[W:.*]] = nn.mul %{{.*}}, %{{.*}} : tensor<8x3x1x1xf32>, tensor<8x1x1x1xf32>
// CHECK: nn.conv %arg0, %[[W]] bias %{{.*}} : tensor<8xf32> {{.*}}relu
// CHECK-NEXT: return
func.func @batch_norm(%x: tensor<1x3x4x4xf32>) -> tensor<1x8x4x4xf32> {
  %w = nn.weight "w" <"w.bin", 0, 96> : tensor<8x3x1x1xf32>
  %scale = nn.weight "scale" <"w.bin", 96, 32> : tensor<8x1x1xf32>
  %shift = nn.weight "shift" <"w.bin", 128, 32> : tensor<8x1x1xf32>
  %c = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x3x4x4xf32>, tensor<8x3x1x1xf32>
  %m = nn.mul %c, %scale : tensor<1x8x4x4xf32>, tensor<8x1x1xf32>
  %a = nn.add %m, %shift : tensor<1x8x4x4xf32>, tensor<8x1x1xf32>
  %r = nn.relu %a : tensor<1x8x4x4xf32>
  return %r : tensor<1x8x4x4xf32>
}

// A factor that is only known at run time, or that is not per channel, stays.
// CHECK-LABEL: @gate
// CHECK: nn.conv
// CHECK: nn.mul
func.func @gate(%x: tensor<1x3x4x4xf32>, %gate: tensor<1x8x1x1xf32>) -> tensor<1x8x4x4xf32> {
  %w = nn.weight "w" <"w.bin", 0, 96> : tensor<8x3x1x1xf32>
  %c = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x3x4x4xf32>, tensor<8x3x1x1xf32>
  %m = nn.mul %c, %gate : tensor<1x8x4x4xf32>, tensor<1x8x1x1xf32>
  return %m : tensor<1x8x4x4xf32>
}

// CHECK-LABEL: @read_twice
// CHECK: nn.conv
// CHECK-NOT: relu}
// CHECK: nn.relu
func.func @read_twice(%x: tensor<1x3x4x4xf32>, %w: tensor<8x3x1x1xf32>) -> (tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>) {
  %c = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x3x4x4xf32>, tensor<8x3x1x1xf32>
  %r = nn.relu %c : tensor<1x8x4x4xf32>
  return %c, %r : tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>
}
