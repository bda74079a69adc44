// RUN: mpopt-opt %s -mpopt-simplify-shapes | FileCheck %s

// mask[b, s] by index grids: no gather, and no broadcast before it is needed.
// CHECK-LABEL: @index_grid
// CHECK: %[[R:.*]] = nn.reshape %arg0 : tensor<2x3xi1> -> tensor<2x1x1x3xi1>
// CHECK: nn.select %[[R]]
func.func @index_grid(%mask: tensor<2x3xi1>, %x: tensor<2x4x3x3xf32>) -> tensor<2x4x3x3xf32> {
  %i = nn.constant dense<[[[[[0, 0], [0, 1], [0, 2]]]], [[[[1, 0], [1, 1], [1, 2]]]]]> : tensor<2x1x1x3x2xi64> : tensor<2x1x1x3x2xi64>
  %true = nn.constant dense<true> : tensor<1x1x3x1xi1> : tensor<1x1x3x1xi1>
  %low = nn.constant dense<-1.0e38> : tensor<f32> : tensor<f32>
  %g = nn.gather_nd %mask[%i] : tensor<2x3xi1>, tensor<2x1x1x3x2xi64>
  %a = nn.and %g, %true : tensor<2x1x1x3xi1>, tensor<1x1x3x1xi1>
  %s = nn.select %a, %x, %low : tensor<2x1x3x3xi1>, tensor<2x4x3x3xf32>, tensor<f32>
  return %s : tensor<2x4x3x3xf32>
}

// CHECK-LABEL: @other_grid
// CHECK: nn.gather_nd
func.func @other_grid(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %i = nn.constant dense<[[1, 0], [0, 2]]> : tensor<2x2xi64> : tensor<2x2xi64>
  %g = nn.gather_nd %x[%i] : tensor<2x3xf32>, tensor<2x2xi64>
  return %g : tensor<2xf32>
}

// CHECK-LABEL: @counting_gather
// CHECK: nn.slice %arg0 [2, 0] [3, 4] [1, 1]
// CHECK-NOT: nn.gather
func.func @counting_gather(%table: tensor<8x4xf32>) -> tensor<1x3x4xf32> {
  %i = nn.constant dense<[[2, 3, 4]]> : tensor<1x3xi64> : tensor<1x3xi64>
  %g = nn.gather %table[%i] {axis = 0 : i64} : tensor<8x4xf32>, tensor<1x3xi64>
  return %g : tensor<1x3x4xf32>
}

// CHECK-LABEL: @transpose_of_merged
// CHECK-NEXT: nn.transpose %arg0 [0, 1, 3, 2]
// CHECK-NEXT: return
func.func @transpose_of_merged(%x: tensor<1x3x4x5xf32>) -> tensor<1x3x5x4xf32> {
  %a = nn.reshape %x : tensor<1x3x4x5xf32> -> tensor<3x4x5xf32>
  %b = nn.transpose %a [0, 2, 1] : tensor<3x4x5xf32>
  %c = nn.reshape %b : tensor<3x5x4xf32> -> tensor<1x3x5x4xf32>
  return %c : tensor<1x3x5x4xf32>
}

// Repeated heads were merged with the batch: one reshape stays, before the transpose.
// CHECK-LABEL: @transpose_between_reshapes
// CHECK-NEXT: %[[R:.*]] = nn.reshape %arg0 : tensor<1x3x2x4x5xf32> -> tensor<1x6x4x5xf32>
// CHECK-NEXT: nn.transpose %[[R]] [0, 1, 3, 2]
// CHECK-NEXT: return
func.func @transpose_between_reshapes(%x: tensor<1x3x2x4x5xf32>) -> tensor<1x6x5x4xf32> {
  %a = nn.reshape %x : tensor<1x3x2x4x5xf32> -> tensor<6x4x5xf32>
  %b = nn.transpose %a [0, 2, 1] : tensor<6x4x5xf32>
  %c = nn.reshape %b : tensor<6x5x4xf32> -> tensor<1x6x5x4xf32>
  return %c : tensor<1x6x5x4xf32>
}

// Batch, key heads and their groups merged before the transpose, batch and query heads apart behind it: one reshape.
// CHECK-LABEL: @transpose_of_repeated
// CHECK: %[[R:.*]] = nn.reshape %arg0 : tensor<4x3x2x10x8xf32> -> tensor<4x6x10x8xf32>
// CHECK-NEXT: nn.transpose %[[R]] [0, 1, 3, 2]
// CHECK-NEXT: return
func.func @transpose_of_repeated(%x: tensor<4x3x2x10x8xf32>) -> tensor<4x6x8x10xf32> {
  %m = nn.reshape %x : tensor<4x3x2x10x8xf32> -> tensor<24x10x8xf32>
  %t = nn.transpose %m [0, 2, 1] : tensor<24x10x8xf32>
  %y = nn.reshape %t : tensor<24x8x10xf32> -> tensor<4x6x8x10xf32>
  return %y : tensor<4x6x8x10xf32>
}

// What the last reshape merges again does not stand apart.
// CHECK-LABEL: @transpose_then_merged
// CHECK-COUNT-2: nn.reshape
func.func @transpose_then_merged(%x: tensor<24x80xf32>) -> tensor<4x48x10xf32> {
  %a = nn.reshape %x : tensor<24x80xf32> -> tensor<4x6x8x10xf32>
  %t = nn.transpose %a [0, 2, 1, 3] : tensor<4x6x8x10xf32>
  %y = nn.reshape %t : tensor<4x8x6x10xf32> -> tensor<4x48x10xf32>
  return %y : tensor<4x48x10xf32>
}

// CHECK-LABEL: @casts
// CHECK-NEXT: nn.cast %arg1 : tensor<2xf32> -> tensor<2xi64>
// CHECK-NEXT: nn.cast
// CHECK-NEXT: return %arg0
func.func @casts(%b: tensor<2xi1>, %f: tensor<2xf32>) -> (tensor<2xi1>, tensor<2xf32>) {
  %a = nn.cast %b : tensor<2xi1> -> tensor<2xi64>
  %c = nn.cast %a : tensor<2xi64> -> tensor<2xi1>
  %d = nn.cast %f : tensor<2xf32> -> tensor<2xi64>
  %e = nn.cast %d : tensor<2xi64> -> tensor<2xf32>
  return %c, %e : tensor<2xi1>, tensor<2xf32>
}
