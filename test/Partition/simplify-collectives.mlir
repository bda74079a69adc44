// RUN: mpopt-opt %s --mpopt-simplify-collectives | FileCheck %s

shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>

// CHECK-LABEL: func.func @all_reduce_then_slice
// CHECK-NEXT: %[[R:.*]] = coll.reduce_scatter %arg0 dim 0 over @mesh ["a"] : tensor<4x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT: return %[[R]]
func.func @all_reduce_then_slice(%x: tensor<4x2xf32>) -> tensor<2x2xf32> {
  %0 = coll.all_reduce %x over @mesh ["a"] : tensor<4x2xf32>
  %1 = coll.slice %0 dim 0 over @mesh ["a"] : tensor<4x2xf32> -> tensor<2x2xf32>
  return %1 : tensor<2x2xf32>
}

// The whole sum is needed too.
// CHECK-LABEL: func.func @all_reduce_with_another_use
// CHECK: coll.all_reduce
// CHECK: coll.slice
func.func @all_reduce_with_another_use(%x: tensor<4x2xf32>) -> (tensor<2x2xf32>, tensor<4x2xf32>) {
  %0 = coll.all_reduce %x over @mesh ["a"] : tensor<4x2xf32>
  %1 = coll.slice %0 dim 0 over @mesh ["a"] : tensor<4x2xf32> -> tensor<2x2xf32>
  return %1, %0 : tensor<2x2xf32>, tensor<4x2xf32>
}

// Another axis: nothing to merge.
// CHECK-LABEL: func.func @all_reduce_then_slice_of_others
// CHECK: coll.all_reduce
// CHECK: coll.slice
func.func @all_reduce_then_slice_of_others(%x: tensor<4x2xf32>) -> tensor<2x2xf32> {
  %0 = coll.all_reduce %x over @mesh ["a"] : tensor<4x2xf32>
  %1 = coll.slice %0 dim 0 over @mesh ["b"] : tensor<4x2xf32> -> tensor<2x2xf32>
  return %1 : tensor<2x2xf32>
}

// CHECK-LABEL: func.func @gather_then_slice_back
// CHECK-NEXT: return %arg0
func.func @gather_then_slice_back(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %0 = coll.all_gather %x dim 1 over @mesh ["a"] : tensor<4x2xf32> -> tensor<4x3xf32>
  %1 = coll.slice %0 dim 1 over @mesh ["a"] : tensor<4x3xf32> -> tensor<4x2xf32>
  return %1 : tensor<4x2xf32>
}

// Devices in another order.
// CHECK-LABEL: func.func @gather_then_slice_in_another_order
// CHECK: coll.all_gather
// CHECK: coll.slice
func.func @gather_then_slice_in_another_order(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %0 = coll.all_gather %x dim 1 over @mesh ["a", "b"] : tensor<4x2xf32> -> tensor<4x8xf32>
  %1 = coll.slice %0 dim 1 over @mesh ["b", "a"] : tensor<4x8xf32> -> tensor<4x2xf32>
  return %1 : tensor<4x2xf32>
}

// CHECK-LABEL: func.func @slice_then_gather
// CHECK-NEXT: return %arg0
func.func @slice_then_gather(%x: tensor<4x3xf32>) -> tensor<4x3xf32> {
  %0 = coll.slice %x dim 1 over @mesh ["a"] : tensor<4x3xf32> -> tensor<4x2xf32>
  %1 = coll.all_gather %0 dim 1 over @mesh ["a"] : tensor<4x2xf32> -> tensor<4x3xf32>
  return %1 : tensor<4x3xf32>
}

// Two partial sums added: one all-reduce, not two.
// CHECK-LABEL: func.func @sum_of_all_reduces
// CHECK-NEXT: %[[S:.*]] = nn.add %arg0, %arg1
// CHECK-NEXT: %[[R:.*]] = coll.all_reduce %[[S]] over @mesh ["a", "b"]
// CHECK-NEXT: return %[[R]]
func.func @sum_of_all_reduces(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = coll.all_reduce %x over @mesh ["a", "b"] : tensor<4xf32>
  %1 = coll.all_reduce %y over @mesh ["a", "b"] : tensor<4xf32>
  %2 = nn.add %0, %1 : tensor<4xf32>, tensor<4xf32>
  return %2 : tensor<4xf32>
}

// CHECK-LABEL: func.func @product_of_all_reduces
// CHECK-COUNT-2: coll.all_reduce
func.func @product_of_all_reduces(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = coll.all_reduce %x over @mesh ["a"] : tensor<4xf32>
  %1 = coll.all_reduce %y over @mesh ["a"] : tensor<4xf32>
  %2 = nn.mul %0, %1 : tensor<4xf32>, tensor<4xf32>
  return %2 : tensor<4xf32>
}

// CHECK-LABEL: func.func @keep_first_then_all_reduce
// CHECK-NEXT: return %arg0
func.func @keep_first_then_all_reduce(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = coll.keep_first %x over @mesh ["a"] : tensor<4xf32>
  %1 = coll.all_reduce %0 over @mesh ["a"] : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// A slice is zero past the end of what it slices.
// CHECK-LABEL: func.func @mask_of_slice
// CHECK-NEXT: %[[S:.*]] = coll.slice
// CHECK-NEXT: return %[[S]]
func.func @mask_of_slice(%x: tensor<5xf32>) -> tensor<3xf32> {
  %0 = coll.slice %x dim 0 over @mesh ["a"] : tensor<5xf32> -> tensor<3xf32>
  %1 = coll.mask_pad %0 dim 0 size 5 value 0.0 over @mesh ["a"] : tensor<3xf32>
  return %1 : tensor<3xf32>
}

// The slice of what was gathered is the value before, whose padding is anything: the mask stays.
// CHECK-LABEL: func.func @mask_of_gathered
// CHECK-NEXT: %[[M:.*]] = coll.mask_pad %arg0 dim 0 size 5
// CHECK-NEXT: return %[[M]]
func.func @mask_of_gathered(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = coll.all_gather %x dim 0 over @mesh ["a"] : tensor<3xf32> -> tensor<5xf32>
  %1 = coll.slice %0 dim 0 over @mesh ["a"] : tensor<5xf32> -> tensor<3xf32>
  %2 = coll.mask_pad %1 dim 0 size 5 value 0.0 over @mesh ["a"] : tensor<3xf32>
  return %2 : tensor<3xf32>
}
