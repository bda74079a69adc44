// RUN: mpopt-opt %s -mpopt-split-products -canonicalize | FileCheck %s

// CHECK-LABEL: @qkv
// CHECK-DAG: %[[WQ:.*]] = nn.slice %{{.*}} [0, 0] [8, 8] [1, 1] : tensor<8x24xf32>
// CHECK-DAG: %[[WK:.*]] = nn.slice %{{.*}} [0, 8] [8, 8] [1, 1] : tensor<8x24xf32>
// CHECK-DAG: %[[WV:.*]] = nn.slice %{{.*}} [0, 16] [8, 8] [1, 1] : tensor<8x24xf32>
// CHECK-DAG: nn.matmul %arg0, %[[WQ]]
// CHECK-DAG: nn.matmul %arg0, %[[WK]]
// CHECK-DAG: nn.matmul %arg0, %[[WV]]
// CHECK: return
func.func @qkv(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<8x24xf32>
  %b = nn.weight "b" <"m.bin", 768, 96> : tensor<24xf32>
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x24xf32>
  %1 = nn.add %0, %b : tensor<4x24xf32>, tensor<24xf32>
  %q = nn.slice %1 [0, 0] [4, 8] [1, 1] : tensor<4x24xf32>
  %k = nn.slice %1 [0, 8] [4, 8] [1, 1] : tensor<4x24xf32>
  %v = nn.slice %1 [0, 16] [4, 8] [1, 1] : tensor<4x24xf32>
  return %q, %k, %v : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// The parts are the major factor of the columns: (3, heads, d).
// CHECK-LABEL: @three_heads_d
// CHECK-DAG: nn.slice %{{.*}} [0, 0] [8, 8] [1, 1] : tensor<8x24xf32>
// CHECK-DAG: nn.slice %{{.*}} [0, 8] [8, 8] [1, 1] : tensor<8x24xf32>
// CHECK-DAG: nn.matmul {{.*}} : tensor<2x4x8xf32>, tensor<8x8xf32>
// CHECK-NOT: nn.matmul {{.*}} : tensor<2x4x8xf32>, tensor<8x24xf32>
// CHECK: return
func.func @three_heads_d(%x: tensor<2x4x8xf32>) -> (tensor<1x2x4x4x2xf32>, tensor<1x2x4x4x2xf32>) {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<8x24xf32>
  %0 = nn.matmul %x, %w : tensor<2x4x8xf32>, tensor<8x24xf32>
  %1 = nn.reshape %0 : tensor<2x4x24xf32> -> tensor<2x4x3x4x2xf32>
  %2 = nn.transpose %1 [2, 0, 3, 1, 4] : tensor<2x4x3x4x2xf32>
  %q = nn.slice %2 [0, 0, 0, 0, 0] [1, 2, 4, 4, 2] [1, 1, 1, 1, 1] : tensor<3x2x4x4x2xf32>
  %k = nn.slice %2 [1, 0, 0, 0, 0] [1, 2, 4, 4, 2] [1, 1, 1, 1, 1] : tensor<3x2x4x4x2xf32>
  return %q, %k : tensor<1x2x4x4x2xf32>, tensor<1x2x4x4x2xf32>
}

// Halves of every head are no run of columns; (heads, 3, d) can be split by heads as it is.
// CHECK-LABEL: @stays
// CHECK: nn.matmul {{.*}} : tensor<4x8xf32>, tensor<8x24xf32>
// CHECK-NOT: nn.matmul
func.func @stays(%x: tensor<4x8xf32>) -> (tensor<4x4x2xf32>, tensor<4x4x2xf32>) {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<8x24xf32>
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x24xf32>
  %1 = nn.reshape %0 : tensor<4x24xf32> -> tensor<4x4x6xf32>
  %q = nn.slice %1 [0, 0, 0] [4, 4, 2] [1, 1, 1] : tensor<4x4x6xf32>
  %k = nn.slice %1 [0, 0, 2] [4, 4, 2] [1, 1, 1] : tensor<4x4x6xf32>
  return %q, %k : tensor<4x4x2xf32>, tensor<4x4x2xf32>
}

// Slices that overlap, and a product that something else reads too, stay.
// CHECK-LABEL: @shared
// CHECK-COUNT-2: nn.matmul {{.*}} : tensor<4x8xf32>, tensor<8x24xf32>
// CHECK-NOT: nn.matmul
func.func @shared(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x24xf32>) {
  %w = nn.weight "w" <"m.bin", 0, 768> : tensor<8x24xf32>
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x24xf32>
  %a = nn.slice %0 [0, 0] [4, 8] [1, 1] : tensor<4x24xf32>
  %b = nn.slice %0 [0, 4] [4, 8] [1, 1] : tensor<4x24xf32>
  %1 = nn.matmul %y, %w : tensor<4x8xf32>, tensor<8x24xf32>
  %c = nn.slice %1 [0, 0] [4, 8] [1, 1] : tensor<4x24xf32>
  %d = nn.slice %1 [0, 8] [4, 8] [1, 1] : tensor<4x24xf32>
  return %a, %b, %c, %d, %1 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x24xf32>
}
