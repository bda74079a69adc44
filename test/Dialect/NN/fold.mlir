// RUN: mpopt-opt %s -canonicalize | FileCheck %s

// CHECK-LABEL: @arithmetic
// CHECK-NEXT: %[[C:.*]] = nn.constant dense<[11, 22]> : tensor<2xi64>
// CHECK-NEXT: return %[[C]]
func.func @arithmetic() -> tensor<2xi64> {
  %a = nn.constant dense<[1, 2]> : tensor<2xi64> : tensor<2xi64>
  %b = nn.constant dense<10> : tensor<i64> : tensor<i64>
  %c = nn.mul %a, %b : tensor<2xi64>, tensor<i64>
  %d = nn.add %c, %a : tensor<2xi64>, tensor<2xi64>
  return %d : tensor<2xi64>
}

// CHECK-LABEL: @division_truncates_and_by_zero_stays
// CHECK: dense<[-3, 3]>
// CHECK: nn.div
func.func @division_truncates_and_by_zero_stays() -> (tensor<2xi64>, tensor<2xi64>) {
  %a = nn.constant dense<[-7, 7]> : tensor<2xi64> : tensor<2xi64>
  %two = nn.constant dense<2> : tensor<i64> : tensor<i64>
  %zero = nn.constant dense<0> : tensor<i64> : tensor<i64>
  %c = nn.div %a, %two : tensor<2xi64>, tensor<i64>
  %d = nn.div %a, %zero : tensor<2xi64>, tensor<i64>
  return %c, %d : tensor<2xi64>, tensor<2xi64>
}

// CHECK-LABEL: @mod_has_the_sign_of_the_divisor
// CHECK: dense<[2, 1]>
func.func @mod_has_the_sign_of_the_divisor() -> tensor<2xi64> {
  %a = nn.constant dense<[-1, 1]> : tensor<2xi64> : tensor<2xi64>
  %b = nn.constant dense<3> : tensor<i64> : tensor<i64>
  %c = nn.mod %a, %b : tensor<2xi64>, tensor<i64>
  return %c : tensor<2xi64>
}

// CHECK-LABEL: @large_splats_stay_splats
// CHECK: nn.constant dense<3.000000e+00> : tensor<1000x1000x1000xf32>
func.func @large_splats_stay_splats() -> tensor<1000x1000x1000xf32> {
  %a = nn.constant dense<1.0> : tensor<f32> : tensor<f32>
  %b = nn.broadcast %a : tensor<f32> -> tensor<1000x1000x1000xf32>
  %c = nn.constant dense<2.0> : tensor<1000x1x1xf32> : tensor<1000x1x1xf32>
  %d = nn.add %b, %c : tensor<1000x1000x1000xf32>, tensor<1000x1x1xf32>
  return %d : tensor<1000x1000x1000xf32>
}

// CHECK-LABEL: @large_results_are_not_made
// CHECK: nn.broadcast
func.func @large_results_are_not_made() -> tensor<100000x2xi64> {
  %a = nn.constant dense<[1, 2]> : tensor<2xi64> : tensor<2xi64>
  %b = nn.broadcast %a : tensor<2xi64> -> tensor<100000x2xi64>
  return %b : tensor<100000x2xi64>
}

// CHECK-LABEL: @moves
// CHECK-DAG: dense<{{\[}}[1, 4], [2, 5], [3, 6]]>
// CHECK-DAG: dense<{{\[}}[6, 4], [3, 1]]>
// CHECK-DAG: dense<{{\[}}[4, 5, 6]]>
// CHECK-DAG: dense<[6, 15]>
func.func @moves() -> (tensor<3x2xi64>, tensor<2x2xi64>, tensor<1x3xi64>, tensor<2xi64>) {
  %a = nn.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi64> : tensor<2x3xi64>
  %i = nn.constant dense<[-1]> : tensor<1xi64> : tensor<1xi64>
  %t = nn.transpose %a [1, 0] : tensor<2x3xi64>
  %s = nn.slice %a [1, 2] [2, 2] [-1, -2] : tensor<2x3xi64>
  %g = nn.gather %a[%i] {axis = 0 : i64} : tensor<2x3xi64>, tensor<1xi64>
  %r = nn.reduce sum %a [1] : tensor<2x3xi64>
  return %t, %s, %g, %r : tensor<3x2xi64>, tensor<2x2xi64>, tensor<1x3xi64>, tensor<2xi64>
}

// CHECK-LABEL: @select_where_nan
// CHECK: dense<[0.000000e+00, 2.000000e+00]>
func.func @select_where_nan() -> tensor<2xf32> {
  %a = nn.constant dense<[0x7FC00000, 2.0]> : tensor<2xf32> : tensor<2xf32>
  %zero = nn.constant dense<0.0> : tensor<f32> : tensor<f32>
  %n = nn.compare ne %a, %a : tensor<2xf32>, tensor<2xf32>
  %s = nn.select %n, %zero, %a : tensor<2xi1>, tensor<f32>, tensor<2xf32>
  return %s : tensor<2xf32>
}

// CHECK-LABEL: @round_trips
// CHECK-NEXT: return %arg0
func.func @round_trips(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %a = nn.transpose %x [2, 0, 1] : tensor<2x3x4xf32>
  %b = nn.transpose %a [1, 2, 0] : tensor<4x2x3xf32>
  %c = nn.reshape %b : tensor<2x3x4xf32> -> tensor<6x4xf32>
  %d = nn.reshape %c : tensor<6x4xf32> -> tensor<2x3x4xf32>
  %one = nn.constant dense<1.0> : tensor<f32> : tensor<f32>
  %e = nn.mul %d, %one : tensor<2x3x4xf32>, tensor<f32>
  return %e : tensor<2x3x4xf32>
}

// CHECK-LABEL: @casts
// CHECK-DAG: dense<[true, false]>
// CHECK-DAG: dense<[-1, 0]>
func.func @casts() -> (tensor<2xi1>, tensor<2xi32>) {
  %a = nn.constant dense<[-1.9, 0.0]> : tensor<2xf32> : tensor<2xf32>
  %b = nn.cast %a : tensor<2xf32> -> tensor<2xi1>
  %c = nn.cast %a : tensor<2xf32> -> tensor<2xi32>
  return %b, %c : tensor<2xi1>, tensor<2xi32>
}
