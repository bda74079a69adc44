// RUN: mpopt-opt %s --split-input-file --verify-diagnostics --mpopt-split-stages | FileCheck %s

// Inputs go to every stage that uses them, values straight to the stages that use them; what belongs to no stage is computed in each.
module attributes {shd.stages = 3} {
  shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
  // CHECK-LABEL: func.func @stage_0(%arg0: tensor<4xf32> {nn.name = "x", shd.position = 0 : i64})
  // CHECK: %[[W:.*]] = nn.weight
  // CHECK: %[[Y:.*]] = nn.add %arg0, %[[W]]
  // CHECK-NEXT: coll.send %[[Y]] distance 1 tag 0
  // CHECK-NEXT: coll.send %[[Y]] distance 2 tag 2
  // CHECK-NEXT: return
  // CHECK-LABEL: func.func @stage_1(%arg0: tensor<4xf32> {nn.name = "m", shd.position = 1 : i64})
  // CHECK-SAME: -> (tensor<4xf32> {nn.name = "z", shd.position = 1 : i64})
  // CHECK: %[[M:.*]] = nn.neg %arg0
  // CHECK: %[[Y:.*]] = coll.recv distance 1 tag 0
  // CHECK: %[[Z:.*]] = nn.mul %[[Y]], %[[M]]
  // CHECK: coll.send %[[Z]] distance 1 tag {{.*}}
  // CHECK: return %[[Z]]
  // CHECK-LABEL: func.func @stage_2(%arg0: tensor<4xf32> {nn.name = "m", shd.position = 1 : i64})
  // CHECK-SAME: -> (tensor<4xf32> {nn.name = "u", shd.position = 0 : i64})
  // CHECK: nn.neg %arg0
  // CHECK: coll.recv distance 1
  // CHECK: coll.recv distance 2
  // CHECK-NOT: coll.send
  func.func @main(%x: tensor<4xf32> {nn.name = "x"}, %m: tensor<4xf32> {nn.name = "m"})
      -> (tensor<4xf32> {nn.name = "u"}, tensor<4xf32> {nn.name = "z"}) {
    %w = nn.weight "w" <"m.bin", 0, 16> : tensor<4xf32>
    %n = nn.neg %m : tensor<4xf32>
    %y = nn.add %x, %w {shd.stage = 0} : tensor<4xf32>, tensor<4xf32>
    %z = nn.mul %y, %n {shd.stage = 1} : tensor<4xf32>, tensor<4xf32>
    %t = nn.mul %z, %n {shd.stage = 2} : tensor<4xf32>, tensor<4xf32>
    %u = nn.add %t, %y {shd.stage = 2} : tensor<4xf32>, tensor<4xf32>
    return %u, %z : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// What makes a value smaller happens before it is sent, what makes it larger after.
module attributes {shd.stages = 2} {
  shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
  // CHECK-LABEL: func.func @stage_0
  // CHECK: coll.reduce_scatter
  // CHECK-NEXT: coll.send {{.*}} : tensor<2xf32>
  // CHECK-LABEL: func.func @stage_1
  // CHECK: coll.recv {{.*}} : tensor<2xf32>
  // CHECK-NEXT: coll.all_gather
  func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
    %0 = nn.neg %x {shd.stage = 0} : tensor<4xf32>
    %1 = coll.reduce_scatter %0 dim 0 over @mesh ["a"] {shd.stage = 1} : tensor<4xf32> -> tensor<2xf32>
    %2 = coll.all_gather %1 dim 0 over @mesh ["a"] {shd.stage = 1} : tensor<2xf32> -> tensor<4xf32>
    %3 = nn.neg %2 {shd.stage = 1} : tensor<4xf32>
    return %3 : tensor<4xf32>
  }
}

// -----

module attributes {shd.stages = 2} {
  func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
    // expected-error@+1 {{is in stage 2 of 2}}
    %0 = nn.neg %x {shd.stage = 2} : tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}
