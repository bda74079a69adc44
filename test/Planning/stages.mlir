// Stages are runs of operators of about equal time; what is cheaper to compute than to send belongs to none.
// RUN: mpopt-opt %s --mpopt-plan-module="machine=%machine devices=2 strategy=pp=2" | FileCheck %s
// RUN: mpopt-opt %s --mpopt-plan-module="machine=%machine devices=2 strategy=pp=2" --mpopt-plan-module="machine=%machine devices=1" | FileCheck %s --check-prefix=AGAIN
// CHECK: shd.stages = 2
// CHECK: nn.cast %arg1
// CHECK-NOT: shd.stage =
// CHECK: nn.matmul %arg0, {{.*}}shd.stage = 0
// CHECK: nn.mul {{.*}}shd.stage = 0
// CHECK: nn.matmul {{.*}}shd.stage = 1
// CHECK: nn.mul {{.*}}shd.stage = 1

// A plan without stages leaves none of an earlier one.
// AGAIN-NOT: shd.stage
func.func @main(%x: tensor<64x256xf32> {nn.name = "x"}, %m: tensor<64x1xi1> {nn.name = "m"}) -> (tensor<64x256xf32> {nn.name = "y"}) {
  %w1 = nn.weight "w1" <"m.bin", 0, 262144> : tensor<256x256xf32>
  %w2 = nn.weight "w2" <"m.bin", 262144, 262144> : tensor<256x256xf32>
  %f = nn.cast %m : tensor<64x1xi1> -> tensor<64x1xf32>
  %0 = nn.matmul %x, %w1 : tensor<64x256xf32>, tensor<256x256xf32>
  %1 = nn.mul %0, %f : tensor<64x256xf32>, tensor<64x1xf32>
  %2 = nn.matmul %1, %w2 : tensor<64x256xf32>, tensor<256x256xf32>
  %3 = nn.mul %2, %f : tensor<64x256xf32>, tensor<64x1xf32>
  return %3 : tensor<64x256xf32>
}
