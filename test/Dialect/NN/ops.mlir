// RUN: mpopt-opt %s | mpopt-opt | FileCheck %s

// CHECK-LABEL: @constants
func.func @constants() -> (tensor<384xf32>, tensor<3xi64>, tensor<4x8xi64>) {
  // CHECK: nn.weight "encoder.weight" <"model.safetensors", 4096, 1536> : tensor<384xf32>
  %w = nn.weight "encoder.weight" <"model.safetensors", 4096, 1536> : tensor<384xf32>
  // CHECK: nn.constant dense<[1, 2, 3]>
  %c = nn.constant dense<[1, 2, 3]> : tensor<3xi64> : tensor<3xi64>
  // CHECK: nn.iota {axis = 1 : i64, step = 2.000000e+00 : f64} : tensor<4x8xi64>
  %i = nn.iota {axis = 1 : i64, step = 2.0 : f64} : tensor<4x8xi64>
  return %w, %c, %i : tensor<384xf32>, tensor<3xi64>, tensor<4x8xi64>
}

// CHECK-LABEL: @elementwise
func.func @elementwise(%x: tensor<2x3xf32>, %y: tensor<3xf32>, %m: tensor<2x1xi1>) -> tensor<2x3xf32> {
  // CHECK: nn.add %{{.*}}, %{{.*}} : tensor<2x3xf32>, tensor<3xf32>
  %a = nn.add %x, %y : tensor<2x3xf32>, tensor<3xf32>
  // CHECK: nn.gelu %{{.*}} tanh : tensor<2x3xf32>
  %g = nn.gelu %a tanh : tensor<2x3xf32>
  // CHECK: nn.compare lt %{{.*}}, %{{.*}} : tensor<2x3xf32>, tensor<3xf32>
  %c = nn.compare lt %g, %y : tensor<2x3xf32>, tensor<3xf32>
  // CHECK: nn.and %{{.*}} : tensor<2x3xi1>, tensor<2x1xi1>
  %n = nn.and %c, %m : tensor<2x3xi1>, tensor<2x1xi1>
  // CHECK: nn.select
  %s = nn.select %n, %g, %y : tensor<2x3xi1>, tensor<2x3xf32>, tensor<3xf32>
  return %s : tensor<2x3xf32>
}

// CHECK-LABEL: @shapes
func.func @shapes(%x: tensor<4x6xf32>, %i: tensor<2x2xi64>) -> tensor<2x2x8xf32> {
  // CHECK: nn.pad %{{.*}} [0, 1] [0, 1] : tensor<4x6xf32>
  %p = nn.pad %x [0, 1] [0, 1] : tensor<4x6xf32>
  // CHECK: nn.gather %{{.*}}[%{{.*}}] {axis = 0 : i64} : tensor<4x8xf32>, tensor<2x2xi64>
  %g = nn.gather %p[%i] {axis = 0 : i64} : tensor<4x8xf32>, tensor<2x2xi64>
  // CHECK: nn.top_k
  %v, %at = nn.top_k %x {k = 2 : i64, axis = 1 : i64} : tensor<4x6xf32>
  return %g : tensor<2x2x8xf32>
}

// CHECK-LABEL: @whole
func.func @whole(%x: tensor<2x4x8x16xf32>, %s: tensor<16xf32>, %m: tensor<2x1x1x8xi1>) -> tensor<2x4x8x16xf32> {
  // CHECK: nn.layer_norm %{{.*}} scale %{{.*}} : tensor<16xf32> {axis = 3 : i64, epsilon = 1.000000e-05 : f64, rms} : tensor<2x4x8x16xf32>
  %n = nn.layer_norm %x scale %s : tensor<16xf32> {axis = 3 : i64, epsilon = 1.0e-5 : f64, rms} : tensor<2x4x8x16xf32>
  // CHECK: nn.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} : tensor<2x1x1x8xi1> {safe, scale = 2.500000e-01 : f64}
  %a = nn.attention %n, %x, %x mask %m : tensor<2x1x1x8xi1> {scale = 0.25, safe} : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
  return %a : tensor<2x4x8x16xf32>
}

// CHECK-LABEL: @windows
func.func @windows(%x: tensor<1x3x32x32xf32>, %w: tensor<8x3x3x3xf32>, %b: tensor<8xf32>) -> tensor<1x8x8x8xf32> {
  // CHECK: nn.conv %{{.*}}, %{{.*}} bias %{{.*}} : tensor<8xf32>
  %c = nn.conv %x, %w bias %b : tensor<8xf32> {strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>, relu} : tensor<1x3x32x32xf32>, tensor<8x3x3x3xf32>
  // CHECK: nn.max_pool
  %p = nn.max_pool %c {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x8x16x16xf32>
  return %p : tensor<1x8x8x8xf32>
}
