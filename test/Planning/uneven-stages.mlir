// Stages of different sizes are functions before they are planned. Each has a mesh of its own, and both ends of a message say how they hold the
// value.
// RUN: mpopt-opt %s --mpopt-split-stages --mpopt-plan-module="machine=%machine devices=3" | FileCheck %s
// RUN: mpopt-opt %s --mpopt-split-stages --mpopt-plan-module="machine=%machine devices=3" --partition | FileCheck %s --check-prefix=LOCAL
// RUN: not mpopt-opt %s --mpopt-plan-module="machine=%machine devices=3 strategy=pp=2" 2>&1 | FileCheck %s --check-prefix=WHOLE
// RUN: not mpopt-opt %s --mpopt-split-stages --mpopt-plan-module="machine=%machine devices=3 strategy=pp=2+1,tp=2" 2>&1 | FileCheck %s --check-prefix=ROLES

// CHECK: shd.mesh @mesh_0 <[<"x0" = 2>]>
// CHECK: shd.mesh @mesh_1 <[]>
// CHECK: func.func @stage_0(%arg0: {{.*}}shd.sharding = #shd.sharding<@mesh_0
// CHECK-SAME: shd.mesh = @mesh_0
// CHECK: coll.send {{.*}} distance 1 tag 0 {shd.in = [#shd.sharding<@mesh_0, [{}, {"x0"}]>], shd.out = []}
// CHECK: func.func @stage_1
// CHECK-SAME: shd.mesh = @mesh_1
// CHECK: coll.recv distance 1 tag 0 {shd.in = [], shd.out = [#shd.sharding<@mesh_1, [{}, {}]>]}

// LOCAL: coll.send {{.*}} distance 1 tag 0 {global = tensor<512x256xf32>, sharding = #shd.sharding<@mesh_0, [{}, {"x0"}]>} : tensor<512x128xf32>
// LOCAL: coll.recv distance 1 tag 0 {global = tensor<512x256xf32>, sharding = #shd.sharding<@mesh_1, [{}, {}]>} : tensor<512x256xf32>

// WHOLE: error: strategy 'pp=2' has stages of different sizes on 3 devices; cut the model into them before it is planned
// ROLES: error: pipeline stage 1 has 1 device(s), and its roles make 2; make the product of a stage's roles its number of devices (a role may have a number per stage, as in pp=4+2,tp=4+2)
module attributes {shd.stages = 2, shd.stage_devices = array<i64: 2, 1>} {
  func.func @main(%x: tensor<512x256xf32> {nn.name = "x"}) -> (tensor<512x256xf32> {nn.name = "y"}) {
    %w1 = nn.weight "w1" <"m.bin", 0, 262144> : tensor<256x256xf32>
    %w2 = nn.weight "w2" <"m.bin", 262144, 262144> : tensor<256x256xf32>
    %0 = nn.matmul %x, %w1 {shd.stage = 0} : tensor<512x256xf32>, tensor<256x256xf32>
    %1 = nn.matmul %0, %w2 {shd.stage = 1} : tensor<512x256xf32>, tensor<256x256xf32>
    return %1 : tensor<512x256xf32>
  }
}
