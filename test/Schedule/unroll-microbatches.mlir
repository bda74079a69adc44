// RUN: mpopt-opt %s --mpopt-unroll-microbatches | FileCheck %s
// RUN: mpopt-opt %s --mpopt-unroll-microbatches --mpopt-build-program | FileCheck %s --check-prefix=PROGRAM
// RUN: mpopt-opt %s --mpopt-unroll-microbatches --mpopt-build-program=streams=true | FileCheck %s --check-prefix=STREAMS

// The weight is made once; every microbatch has its own input and its own message.
// CHECK-LABEL: func.func @stage_0
// CHECK-SAME: %arg0: tensor<16xf32> {{{.*}}shd.part = 0 : i64{{.*}}}, %arg1: tensor<16xf32> {{{.*}}shd.part = 1 : i64{{.*}}}, %arg2: tensor<16xf32> {{{.*}}shd.part = 2
// CHECK: %[[W:.*]] = call @double
// CHECK: %[[Y:.*]] = call @mul(%arg0, %[[W]])
// CHECK: coll.send %[[Y]] distance 1 tag 15 {microbatch = 0 : i64}
// CHECK-NOT: @double
// CHECK: %[[Y:.*]] = call @mul(%arg1, %[[W]])
// CHECK: coll.send %[[Y]] distance 1 tag 16 {microbatch = 1 : i64}
// CHECK: %[[Y:.*]] = call @mul(%arg2, %[[W]])
// CHECK: coll.send %[[Y]] distance 1 tag 17 {microbatch = 2 : i64}

// What is sent is not overwritten before the next is sent: two buffers alternate.
// PROGRAM-LABEL: rt.program @stage_0
// PROGRAM: rt.kernel @mul({{.*}}) -> (%[[A0:.*]] :{{.*}}shd.microbatch = 0 : i64
// PROGRAM: rt.send distance 1 tag 15(%[[A0]]
// PROGRAM: rt.send distance 1 tag 16{{.*}}shd.microbatch = 1 : i64
// PROGRAM: rt.send distance 1 tag 17
// PROGRAM: rt.port "x" {{.*}}part = 1 : i64, parts = 3 : i64
// PROGRAM-LABEL: rt.program @stage_1
// PROGRAM: rt.recv distance 1 tag 15({{.*}}) -> (
// PROGRAM: rt.port "y" output {{.*}}part = 2 : i64, parts = 3 : i64

// Three buffers where the next step may begin while the last one's message is on its way.
// STREAMS-LABEL: rt.program @stage_0 work 384
module attributes {shd.microbatches = 3, shd.stages = 2} {
  shd.mesh @mesh #shd.mesh<[]>
  func.func private @double(%a: tensor<16xf32>) -> tensor<16xf32> attributes {rt.kernel} {
    %b = nn.add %a, %a : tensor<16xf32>, tensor<16xf32>
    return %b : tensor<16xf32>
  }
  func.func private @mul(%a: tensor<16xf32>, %b: tensor<16xf32>) -> tensor<16xf32> attributes {rt.kernel} {
    %c = nn.mul %a, %b : tensor<16xf32>, tensor<16xf32>
    return %c : tensor<16xf32>
  }
  func.func @stage_0(%x: tensor<16xf32> {nn.name = "x", nn.global = tensor<16xf32>, shd.batch_dim = 0 : i64, shd.position = 0 : i64, shd.sharding = #shd.sharding<@mesh, [{}]>}) attributes {shd.stage = 0} {
    %w = nn.weight "w" <"m.onnx", 64, 64> : tensor<16xf32>
    %w2 = call @double(%w) : (tensor<16xf32>) -> tensor<16xf32>
    %y = call @mul(%x, %w2) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
    coll.send %y distance 1 tag 5 : tensor<16xf32>
    return
  }
  func.func @stage_1() -> (tensor<16xf32> {nn.name = "y", nn.global = tensor<16xf32>, shd.batch_dim = 0 : i64, shd.position = 0 : i64, shd.sharding = #shd.sharding<@mesh, [{}]>}) attributes {shd.stage = 1} {
    %x = coll.recv distance 1 tag 5 : tensor<16xf32>
    %y = call @mul(%x, %x) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
    return %y : tensor<16xf32>
  }
}
