// RUN: mpopt-opt %s --mpopt-build-program --split-input-file --verify-diagnostics | FileCheck %s

// Weights become numbered buffers, made by init instructions; inputs, intermediates and outputs share the arena.
shd.mesh @mesh #shd.mesh<[<"x0" = 2>]>
func.func private @double(%a: tensor<32xf32>) -> tensor<32xf32> attributes {rt.kernel} {
  %b = nn.add %a, %a : tensor<32xf32>, tensor<32xf32>
  return %b : tensor<32xf32>
}
func.func private @mul(%a: tensor<32xf32>, %b: tensor<32xf32>) -> tensor<32xf32> attributes {rt.kernel} {
  %c = nn.mul %a, %b : tensor<32xf32>, tensor<32xf32>
  return %c : tensor<32xf32>
}
// CHECK-LABEL: rt.program @main work 256 init 0
// CHECK-DAG: %[[W:.*]] = rt.buffer weights 0 : <tensor<32xf32>>
// CHECK-DAG: %[[S:.*]] = rt.buffer source 0 {source = #nn.external<"m.onnx", 64, 128>} : <tensor<32xf32>>
// CHECK-DAG: %[[X:.*]] = rt.buffer work 0 : <tensor<32xf32>>
// CHECK: rt.kernel @double(%[[S]] : {{.*}}) -> (%[[W]] : {{.*}}) {init}
// CHECK: rt.kernel @mul(%[[X]], %[[W]] : {{.*}}) -> (%[[Y:.*]] :
// The reduction works in place.
// CHECK: rt.collective all_reduce ["x0"](%[[Y]] : {{.*}}) -> (%[[Y]] :
// CHECK: rt.port "x" %[[X]]
// CHECK: rt.port "y" output %[[Y]]
func.func @main(%x: tensor<32xf32> {nn.name = "x", nn.global = tensor<32xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>})
    -> (tensor<32xf32> {nn.name = "y", nn.global = tensor<32xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>}) {
  %w = nn.weight "w" <"m.onnx", 64, 128> : tensor<32xf32>
  %w2 = call @double(%w) : (tensor<32xf32>) -> tensor<32xf32>
  %y = call @mul(%x, %w2) : (tensor<32xf32>, tensor<32xf32>) -> tensor<32xf32>
  %z = coll.all_reduce %y over @mesh ["x0"] : tensor<32xf32>
  return %z : tensor<32xf32>
}

// -----

// A reshape is a view; a weight used as it is gets copied from its file; buffers whose lives do not meet share bytes.
shd.mesh @mesh #shd.mesh<[]>
func.func private @add(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {rt.kernel} {
  %c = nn.add %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
  return %c : tensor<4x8xf32>
}
// CHECK-LABEL: rt.program @main work 384
// CHECK-DAG: %[[W:.*]] = rt.buffer weights 0 : <tensor<4x8xf32>>
// CHECK-DAG: %[[X:.*]] = rt.buffer work [[AT:[0-9]+]] : <tensor<4x8xf32>>
// CHECK: rt.copy(%{{.*}} : {{.*}}) -> (%[[W]] : {{.*}}) {init}
// CHECK: rt.kernel @add(%[[X]], %[[W]] :
// CHECK-NOT: reshape
func.func @main(%x: tensor<32xf32> {nn.name = "x", nn.global = tensor<32xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>})
    -> (tensor<4x8xf32> {nn.name = "y", nn.global = tensor<4x8xf32>, shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  %w = nn.weight "w" <"m.onnx", 64, 128> : tensor<4x8xf32>
  %x1 = nn.reshape %x : tensor<32xf32> -> tensor<4x8xf32>
  %a = call @add(%x1, %w) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %b = call @add(%a, %w) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %c = call @add(%b, %w) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return %c : tensor<4x8xf32>
}

// -----

shd.mesh @mesh #shd.mesh<[]>
func.func @main(%x: tensor<4xf32> {nn.name = "x", nn.global = tensor<4xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>})
    -> (tensor<4xf32> {nn.name = "y", nn.global = tensor<4xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>}) {
  // expected-error @+1 {{cannot be an instruction}}
  %a = nn.exp %x : tensor<4xf32>
  return %a : tensor<4xf32>
}
