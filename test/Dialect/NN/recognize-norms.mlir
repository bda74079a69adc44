// RUN: mpopt-opt %s -mpopt-recognize-norms | FileCheck %s

// CHECK-LABEL: @layer_norm
// CHECK: nn.layer_norm %arg0 scale %arg1 : tensor<8xf32> bias %arg2 : tensor<8xf32> {axis = 1 : i64, epsilon = 9.99{{.*}}E-6 : f64} : tensor<4x8xf32>
// CHECK-NEXT: return
func.func @layer_norm(%x: tensor<4x8xf32>, %scale: tensor<8xf32>, %bias: tensor<8xf32>) -> tensor<4x8xf32> {
  %n = nn.constant dense<0.125> : tensor<f32> : tensor<f32>
  %eps = nn.constant dense<1.0e-5> : tensor<f32> : tensor<f32>
  %two = nn.constant dense<2.0> : tensor<f32> : tensor<f32>
  %sum = nn.reduce sum %x [1] keep_dims : tensor<4x8xf32>
  %mean = nn.mul %sum, %n : tensor<4x1xf32>, tensor<f32>
  %d = nn.sub %x, %mean : tensor<4x8xf32>, tensor<4x1xf32>
  %sq = nn.pow %d, %two : tensor<4x8xf32>, tensor<f32>
  %vs = nn.reduce sum %sq [1] keep_dims : tensor<4x8xf32>
  %var = nn.mul %vs, %n : tensor<4x1xf32>, tensor<f32>
  %e = nn.add %var, %eps : tensor<4x1xf32>, tensor<f32>
  %r = nn.sqrt %e : tensor<4x1xf32>
  %y = nn.div %d, %r : tensor<4x8xf32>, tensor<4x1xf32>
  %s = nn.mul %y, %scale : tensor<4x8xf32>, tensor<8xf32>
  %z = nn.add %s, %bias : tensor<4x8xf32>, tensor<8xf32>
  return %z : tensor<4x8xf32>
}

// CHECK-LABEL: @rms_norm
// CHECK: nn.layer_norm %arg0 scale %arg1 : tensor<8xf32> {axis = 1 : i64, epsilon = {{.*}}, rms} : tensor<4x8xf32>
// CHECK-NEXT: return
func.func @rms_norm(%x: tensor<4x8xf32>, %scale: tensor<8xf32>) -> tensor<4x8xf32> {
  %n = nn.constant dense<0.125> : tensor<f32> : tensor<f32>
  %eps = nn.constant dense<1.0e-5> : tensor<f32> : tensor<f32>
  %sq = nn.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %vs = nn.reduce sum %sq [1] keep_dims : tensor<4x8xf32>
  %var = nn.mul %vs, %n : tensor<4x1xf32>, tensor<f32>
  %e = nn.add %var, %eps : tensor<4x1xf32>, tensor<f32>
  %q = nn.sqrt %e : tensor<4x1xf32>
  %r = nn.reciprocal %q : tensor<4x1xf32>
  %y = nn.mul %x, %r : tensor<4x8xf32>, tensor<4x1xf32>
  %s = nn.mul %scale, %y : tensor<8xf32>, tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}

// The divisor is not the count: no mean.
// CHECK-LABEL: @not_a_mean
// CHECK-NOT: nn.layer_norm
func.func @not_a_mean(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %n = nn.constant dense<0.25> : tensor<f32> : tensor<f32>
  %eps = nn.constant dense<1.0e-5> : tensor<f32> : tensor<f32>
  %sq = nn.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %vs = nn.reduce sum %sq [1] keep_dims : tensor<4x8xf32>
  %var = nn.mul %vs, %n : tensor<4x1xf32>, tensor<f32>
  %e = nn.add %var, %eps : tensor<4x1xf32>, tensor<f32>
  %q = nn.sqrt %e : tensor<4x1xf32>
  %y = nn.div %x, %q : tensor<4x8xf32>, tensor<4x1xf32>
  return %y : tensor<4x8xf32>
}

// A residual is no bias.
// CHECK-LABEL: @residual
// CHECK: nn.layer_norm
// CHECK: nn.add
func.func @residual(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %y = nn.layer_norm %x {axis = 1 : i64, epsilon = 1.0e-5 : f64} : tensor<4x8xf32>
  %z = nn.add %x, %y : tensor<4x8xf32>, tensor<4x8xf32>
  return %z : tensor<4x8xf32>
}
