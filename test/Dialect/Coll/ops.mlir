// RUN: mpopt-opt %s | FileCheck %s

shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>

// CHECK-LABEL: func.func @all
func.func @all(%x: tensor<4x6xf32>, %i: tensor<8x2xi64>) {
  // CHECK: coll.all_reduce %{{.*}} over @mesh ["a", "b"] {reduce = 1 : i32} : tensor<4x6xf32>
  %0 = coll.all_reduce %x over @mesh ["a", "b"] {reduce = 1 : i32} : tensor<4x6xf32>
  // CHECK: coll.all_gather %{{.*}} dim 1 over @mesh ["b"] : tensor<4x6xf32> -> tensor<4x11xf32>
  %1 = coll.all_gather %x dim 1 over @mesh ["b"] : tensor<4x6xf32> -> tensor<4x11xf32>
  // CHECK: coll.reduce_scatter %{{.*}} dim 0 over @mesh ["a"] : tensor<4x6xf32> -> tensor<2x6xf32>
  %2 = coll.reduce_scatter %x dim 0 over @mesh ["a"] : tensor<4x6xf32> -> tensor<2x6xf32>
  // CHECK: coll.all_to_all %{{.*}} split 1 concat 0 over @mesh ["a"] : tensor<4x6xf32> -> tensor<8x3xf32>
  %3 = coll.all_to_all %x split 1 concat 0 over @mesh ["a"] : tensor<4x6xf32> -> tensor<8x3xf32>
  // CHECK: coll.permute %{{.*}} [1, 0] over @mesh ["b"] : tensor<4x6xf32>
  %4 = coll.permute %x [1, 0] over @mesh ["b"] : tensor<4x6xf32>
  // CHECK: coll.halo %{{.*}} dim 0 low 1 high 2 value {{.*}} over @mesh ["a"] : tensor<4x6xf32> -> tensor<7x6xf32>
  %5 = coll.halo %x dim 0 low 1 high 2 value 0.0 over @mesh ["a"] : tensor<4x6xf32> -> tensor<7x6xf32>
  // CHECK: coll.slice %{{.*}} dim 1 over @mesh ["a", "b"] : tensor<4x6xf32> -> tensor<4x2xf32>
  %6 = coll.slice %x dim 1 over @mesh ["a", "b"] : tensor<4x6xf32> -> tensor<4x2xf32>
  // CHECK: coll.mask_pad %{{.*}} dim 0 size 7 value {{.*}} over @mesh ["a"] : tensor<4x6xf32>
  %7 = coll.mask_pad %x dim 0 size 7 value -1.0 over @mesh ["a"] : tensor<4x6xf32>
  // CHECK: coll.keep_first %{{.*}} over @mesh ["a"] : tensor<4x6xf32>
  %8 = coll.keep_first %x over @mesh ["a"] : tensor<4x6xf32>
  // CHECK: coll.index over @mesh ["a"] {scale = 4 : i64} : tensor<i64>
  %9 = coll.index over @mesh ["a"] {scale = 4 : i64} : tensor<i64>
  // CHECK: %[[SENT:.*]] = coll.dispatch %{{.*}}[%{{.*}}] experts 3 over @mesh ["b"] : tensor<4x6xf32>, tensor<8x2xi64> -> tensor<8x6xf32>
  %10 = coll.dispatch %x[%i] experts 3 over @mesh ["b"] : tensor<4x6xf32>, tensor<8x2xi64> -> tensor<8x6xf32>
  // CHECK: coll.combine %[[SENT]][%{{.*}}] experts 3 over @mesh ["b"] : tensor<8x6xf32>, tensor<8x2xi64> -> tensor<4x6xf32>
  %11 = coll.combine %10[%i] experts 3 over @mesh ["b"] : tensor<8x6xf32>, tensor<8x2xi64> -> tensor<4x6xf32>
  return
}
