// RUN: mpopt-opt %s -mpopt-recognize-activations | FileCheck %s

// CHECK-LABEL: @erf
// CHECK: nn.gelu %arg0 : tensor<4xf32>
// CHECK-NEXT: return
func.func @erf(%x: tensor<4xf32>) -> tensor<4xf32> {
  %root2 = nn.constant dense<1.41421354> : tensor<f32> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32> : tensor<f32>
  %a = nn.div %x, %root2 : tensor<4xf32>, tensor<f32>
  %b = nn.erf %a : tensor<4xf32>
  %c = nn.add %b, %one : tensor<4xf32>, tensor<f32>
  %d = nn.mul %x, %c : tensor<4xf32>, tensor<4xf32>
  %e = nn.mul %d, %half : tensor<4xf32>, tensor<f32>
  return %e : tensor<4xf32>
}

// The input is a product too, and is found whole.
// CHECK-LABEL: @erf_of_product
// CHECK: %[[P:.*]] = nn.mul %arg0, %arg1
// CHECK-NEXT: nn.gelu %[[P]] : tensor<4xf32>
func.func @erf_of_product(%u: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = nn.constant dense<0.707106769> : tensor<f32> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32> : tensor<f32>
  %x = nn.mul %u, %v : tensor<4xf32>, tensor<4xf32>
  %h = nn.mul %x, %half : tensor<4xf32>, tensor<f32>
  %a = nn.mul %x, %c0 : tensor<4xf32>, tensor<f32>
  %b = nn.erf %a : tensor<4xf32>
  %c = nn.add %b, %one : tensor<4xf32>, tensor<f32>
  %d = nn.mul %h, %c : tensor<4xf32>, tensor<4xf32>
  return %d : tensor<4xf32>
}

// CHECK-LABEL: @tanh
// CHECK: nn.gelu %arg0 tanh : tensor<4xf32>
func.func @tanh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<f32> : tensor<f32>
  %k = nn.constant dense<4.471500e-02> : tensor<f32> : tensor<f32>
  %s = nn.constant dense<0.797884583> : tensor<f32> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32> : tensor<f32>
  %h = nn.mul %x, %half : tensor<4xf32>, tensor<f32>
  %p = nn.pow %x, %three : tensor<4xf32>, tensor<f32>
  %a = nn.mul %p, %k : tensor<4xf32>, tensor<f32>
  %b = nn.add %x, %a : tensor<4xf32>, tensor<4xf32>
  %c = nn.mul %b, %s : tensor<4xf32>, tensor<f32>
  %t = nn.tanh %c : tensor<4xf32>
  %d = nn.add %t, %one : tensor<4xf32>, tensor<f32>
  %e = nn.mul %h, %d : tensor<4xf32>, tensor<4xf32>
  return %e : tensor<4xf32>
}

// CHECK-LABEL: @silu
// CHECK: nn.silu %arg0 : tensor<4xf32>
func.func @silu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %s = nn.sigmoid %x : tensor<4xf32>
  %y = nn.mul %s, %x : tensor<4xf32>, tensor<4xf32>
  return %y : tensor<4xf32>
}

// CHECK-LABEL: @other_factor
// CHECK-NOT: nn.gelu
func.func @other_factor(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = nn.constant dense<0.7> : tensor<f32> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32> : tensor<f32>
  %h = nn.mul %x, %half : tensor<4xf32>, tensor<f32>
  %a = nn.mul %x, %c0 : tensor<4xf32>, tensor<f32>
  %b = nn.erf %a : tensor<4xf32>
  %c = nn.add %b, %one : tensor<4xf32>, tensor<f32>
  %d = nn.mul %h, %c : tensor<4xf32>, tensor<4xf32>
  return %d : tensor<4xf32>
}
