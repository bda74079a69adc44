// RUN: mpopt-opt %s --mpopt-lower-places --split-input-file | FileCheck %s

shd.mesh @mesh #shd.mesh<[<"x0" = 2>]>

// A slice starts at the device's place times the local size.
// CHECK-LABEL: @slice
// CHECK: %[[START:.*]] = coll.index over @mesh ["x0"] {scale = 4 : i64} : tensor<i64>
// CHECK: nn.slice_at %arg0[%[[START]]] {axis = 0 : i64} : tensor<8x3xf32>, tensor<i64> -> tensor<4x3xf32>
func.func @slice(%a: tensor<8x3xf32>) -> tensor<4x3xf32> {
  %b = coll.slice %a dim 0 over @mesh ["x0"] : tensor<8x3xf32> -> tensor<4x3xf32>
  return %b : tensor<4x3xf32>
}

// -----

shd.mesh @mesh #shd.mesh<[<"x0" = 2>]>

// Elements at or past the global size give way to the value.
// CHECK-LABEL: @mask
// CHECK: %[[IOTA:.*]] = nn.iota {axis = 1 : i64} : tensor<1x4xi64>
// CHECK: %[[START:.*]] = coll.index over @mesh ["x0"] {scale = 4 : i64}
// CHECK: %[[AT:.*]] = nn.add %[[IOTA]], %[[START]]
// CHECK: %[[SIZE:.*]] = nn.constant dense<7> : tensor<i64>
// CHECK: %[[REAL:.*]] = nn.compare lt %[[AT]], %[[SIZE]]
// CHECK: nn.select %[[REAL]], %arg0, {{.*}} : tensor<1x4xi1>, tensor<2x4xf32>, tensor<f32>
func.func @mask(%a: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %b = coll.mask_pad %a dim 1 size 7 value -1.000000e+00 over @mesh ["x0"] : tensor<2x4xf32>
  return %b : tensor<2x4xf32>
}

// -----

shd.mesh @mesh #shd.mesh<[<"x0" = 2>]>

// Only the first device of a group keeps a value made partial.
// CHECK-LABEL: @first
// CHECK: %[[PLACE:.*]] = coll.index over @mesh ["x0"] : tensor<i64>
// CHECK: %[[FIRST:.*]] = nn.compare eq %[[PLACE]], {{.*}} : tensor<i64>, tensor<i64>
// CHECK: nn.select %[[FIRST]], %arg0, {{.*}} : tensor<i1>, tensor<4xf32>, tensor<f32>
func.func @first(%a: tensor<4xf32>) -> tensor<4xf32> {
  %b = coll.keep_first %a over @mesh ["x0"] : tensor<4xf32>
  return %b : tensor<4xf32>
}
