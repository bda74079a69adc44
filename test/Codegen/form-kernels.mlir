// RUN: mpopt-opt %s --mpopt-form-kernels=cpu=x86-64-v3 --split-input-file | FileCheck %s

// A product by a constant weight is packed at load time; bias, activation and residual are fused behind it.
// CHECK-LABEL: func.func private @kernel_0(%arg0: tensor<100x5x24xf32>) -> tensor<5x100x24xf32>
// CHECK: nn.transpose
// CHECK-LABEL: func.func private @kernel_1
// CHECK: nn.packed_matmul
// CHECK-NEXT: nn.add
// CHECK-NEXT: nn.gelu
// CHECK-NEXT: nn.add
// CHECK-LABEL: func.func @main
// CHECK: nn.reshape
// CHECK-NEXT: call @kernel_0
// CHECK-NEXT: call @kernel_1
// CHECK-NEXT: return
func.func @main(%x: tensor<8x100xf32>, %r: tensor<8x120xf32>) -> tensor<8x120xf32> {
  %w = nn.weight "w" <"file", 0, 48000> : tensor<100x120xf32>
  %b = nn.weight "b" <"file", 48000, 480> : tensor<120xf32>
  %0 = nn.matmul %x, %w : tensor<8x100xf32>, tensor<100x120xf32>
  %1 = nn.add %0, %b : tensor<8x120xf32>, tensor<120xf32>
  %2 = nn.gelu %1 : tensor<8x120xf32>
  %3 = nn.add %2, %r : tensor<8x120xf32>, tensor<8x120xf32>
  return %3 : tensor<8x120xf32>
}

// -----

// Heads are split and merged in place: no transpose is a kernel of its own, and reshapes stay outside as other names of memory.
// CHECK-LABEL: func.func private @kernel_0
// CHECK: nn.transpose
// CHECK: nn.attention
// CHECK: nn.transpose
// CHECK-NEXT: return
// CHECK-LABEL: func.func @main
// CHECK-COUNT-3: nn.reshape
// CHECK-NEXT: call @kernel_0
// CHECK-NEXT: nn.reshape
// CHECK-NEXT: return
func.func @main(%q: tensor<1x8x32xf32>, %k: tensor<1x8x32xf32>, %v: tensor<1x8x32xf32>) -> tensor<1x8x32xf32> {
  %0 = nn.reshape %q : tensor<1x8x32xf32> -> tensor<1x8x2x16xf32>
  %1 = nn.transpose %0 [0, 2, 1, 3] : tensor<1x8x2x16xf32>
  %2 = nn.reshape %k : tensor<1x8x32xf32> -> tensor<1x8x2x16xf32>
  %3 = nn.transpose %2 [0, 2, 1, 3] : tensor<1x8x2x16xf32>
  %4 = nn.reshape %v : tensor<1x8x32xf32> -> tensor<1x8x2x16xf32>
  %5 = nn.transpose %4 [0, 2, 1, 3] : tensor<1x8x2x16xf32>
  %6 = nn.attention %1, %3, %5 {scale = 0.25 : f64} : tensor<1x2x8x16xf32>, tensor<1x2x8x16xf32>, tensor<1x2x8x16xf32>
  %7 = nn.transpose %6 [0, 2, 1, 3] : tensor<1x2x8x16xf32>
  %8 = nn.reshape %7 : tensor<1x8x2x16xf32> -> tensor<1x8x32xf32>
  return %8 : tensor<1x8x32xf32>
}

// -----

// Equal kernels are shared; a value that others need as well becomes a second result.
// CHECK-LABEL: func.func private @kernel_0
// CHECK: return %{{.*}}, %{{.*}} : tensor<4x32xf32>, tensor<4x32xf32>
// CHECK-NOT: kernel_1(
// CHECK-LABEL: func.func @main
// CHECK: %[[A:.*]]:2 = call @kernel_0
// CHECK-NEXT: %[[C:.*]] = coll.all_reduce %[[A]]#1
// CHECK-NEXT: %[[B:.*]]:2 = call @kernel_0(%[[C]], %[[A]]#0)
// CHECK-NEXT: return %[[B]]#0, %[[B]]#1
func.func @main(%x: tensor<4x32xf32>, %y: tensor<4x32xf32>) -> (tensor<4x32xf32>, tensor<4x32xf32>) {
  %0 = nn.add %x, %y : tensor<4x32xf32>, tensor<4x32xf32>
  %1 = nn.softmax %0 {axis = 1 : i64} : tensor<4x32xf32>
  %c = coll.all_reduce %1 over @mesh ["x"] : tensor<4x32xf32>
  %2 = nn.add %c, %0 : tensor<4x32xf32>, tensor<4x32xf32>
  %3 = nn.softmax %2 {axis = 1 : i64} : tensor<4x32xf32>
  return %2, %3 : tensor<4x32xf32>, tensor<4x32xf32>
}

// -----

// What is known at load time is never computed together with activations.
// CHECK-LABEL: func.func private @kernel_0(%arg0: tensor<4xf32>) -> tensor<4xf32>
// CHECK: nn.exp
// CHECK-LABEL: func.func private @kernel_1
// CHECK: nn.transpose
// CHECK-LABEL: func.func private @kernel_2
// CHECK: nn.packed_conv
// CHECK: nn.mul
// CHECK-LABEL: func.func @main
// CHECK: call @kernel_0
// CHECK: call @kernel_1
// CHECK: call @kernel_2
func.func @main(%x: tensor<1x1x6x6xf32>) -> tensor<1x1x4x4xf32> {
  %w = nn.weight "w" <"file", 0, 16> : tensor<4xf32>
  %k = nn.weight "k" <"file", 16, 36> : tensor<1x1x3x3xf32>
  %0 = nn.exp %w : tensor<4xf32>
  %1 = nn.conv %x, %k {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x1x6x6xf32>, tensor<1x1x3x3xf32>
  %2 = nn.mul %1, %0 : tensor<1x1x4x4xf32>, tensor<4xf32>
  return %2 : tensor<1x1x4x4xf32>
}

// -----

// Images have channels last from the first convolution on. Weights are packed at load time; bias, relu and a residual are fused; a
// convolution of single elements is a product.
// CHECK-LABEL: func.func private @kernel_0(%arg0: tensor<1x8x6x6xf32>) -> tensor<1x6x6x8xf32>
// CHECK-LABEL: func.func private @kernel_1(%arg0: tensor<1x1x16x8x3x3xf32>) -> tensor<1x1x3x3x8x16xf32>
// CHECK-LABEL: func.func private @kernel_2
// CHECK: nn.packed_conv
// CHECK-NEXT: nn.add
// CHECK-NEXT: nn.relu
// CHECK-LABEL: func.func private @kernel_3(%arg0: tensor<16x16xf32>) -> tensor<1x16x24xf32>
// CHECK-LABEL: func.func private @kernel_4
// CHECK: nn.packed_matmul
// CHECK-NEXT: nn.add
// CHECK-LABEL: func.func private @kernel_5
// CHECK: nn.reduce sum %{{.*}} [1, 2]
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<1x8x6x6xf32>) -> tensor<1x16xf32> {
  %w = nn.weight "w" <"file", 0, 4608> : tensor<16x8x3x3xf32>
  %b = nn.weight "b" <"file", 4608, 64> : tensor<16xf32>
  %v = nn.weight "v" <"file", 4672, 1024> : tensor<16x16x1x1xf32>
  %0 = nn.conv %x, %w bias %b : tensor<16xf32> {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>, relu} : tensor<1x8x6x6xf32>, tensor<16x8x3x3xf32>
  %1 = nn.conv %0, %v {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x16x6x6xf32>, tensor<16x16x1x1xf32>
  %2 = nn.add %1, %0 : tensor<1x16x6x6xf32>, tensor<1x16x6x6xf32>
  %3 = nn.reduce sum %2 [2, 3] : tensor<1x16x6x6xf32>
  return %3 : tensor<1x16xf32>
}

// -----

// A product by experts reads where rows go from memory, also when all go to one.
// CHECK-LABEL: func.func private @kernel_0(%arg0: tensor<4x8xf32>, %arg1: tensor<3x8x16xf32>, %arg2: tensor<4xi32>)
// CHECK-NEXT: nn.expert_matmul
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<4x8xf32>, %w: tensor<3x8x16xf32>) -> tensor<4x16xf32> {
  %0 = nn.constant dense<1> : tensor<4xi32> : tensor<4xi32>
  %1 = nn.expert_matmul %x, %w[%0] : tensor<4x8xf32>, tensor<3x8x16xf32>, tensor<4xi32>
  return %1 : tensor<4x16xf32>
}

// -----

// Rows that others read at other places are computed before: a kernel of rows has one row at a time.
// CHECK-LABEL: func.func private @kernel_0
// CHECK: nn.layer_norm
// CHECK-NOT: nn.pad
// CHECK-LABEL: func.func private @kernel_1
// CHECK: nn.pad
// CHECK: nn.mul
// CHECK-LABEL: func.func @main
// CHECK: call @kernel_0
// CHECK: call @kernel_1
// CHECK-NEXT: return
func.func @main(%x: tensor<2x6x32xf32>, %a: tensor<32xf32>, %b: tensor<32xf32>) -> tensor<2x6x32xf32> {
  %0 = nn.layer_norm %x scale %a : tensor<32xf32> {axis = 2 : i64, epsilon = 1.0e-05 : f64} : tensor<2x6x32xf32>
  %1 = nn.pad %0 [0, 1, 0] [0, -1, 0] : tensor<2x6x32xf32>
  %2 = nn.mul %0, %a : tensor<2x6x32xf32>, tensor<32xf32>
  %3 = nn.mul %1, %b : tensor<2x6x32xf32>, tensor<32xf32>
  %4 = nn.add %2, %3 : tensor<2x6x32xf32>, tensor<2x6x32xf32>
  return %4 : tensor<2x6x32xf32>
}
