// RUN: mpopt-opt %s -mpopt-recognize-rotary -canonicalize | FileCheck %s

// CHECK-LABEL: @computed
// CHECK: %[[C:.*]] = nn.slice %{{.*}} [0, 0, 0] [1, 3, 2] [1, 1, 1]
// CHECK: %[[S:.*]] = nn.slice %{{.*}} [0, 0, 0] [1, 3, 2] [1, 1, 1]
// CHECK: nn.rotary %arg0, %[[C]], %[[S]] : tensor<2x3x4xf32>
func.func @computed(%x: tensor<2x3x4xf32>, %angles: tensor<1x3x2xf32>) -> tensor<2x3x4xf32> {
  %a = nn.concat %angles, %angles {axis = 2 : i64} : tensor<1x3x2xf32>, tensor<1x3x2xf32>
  %cos = nn.cos %a : tensor<1x3x4xf32>
  %sin = nn.sin %a : tensor<1x3x4xf32>
  %lo = nn.slice %x [0, 0, 0] [2, 3, 2] [1, 1, 1] : tensor<2x3x4xf32>
  %hi = nn.slice %x [0, 0, 2] [2, 3, 2] [1, 1, 1] : tensor<2x3x4xf32>
  %neg = nn.neg %hi : tensor<2x3x2xf32>
  %r = nn.concat %neg, %lo {axis = 2 : i64} : tensor<2x3x2xf32>, tensor<2x3x2xf32>
  %p = nn.mul %x, %cos : tensor<2x3x4xf32>, tensor<1x3x4xf32>
  %q = nn.mul %r, %sin : tensor<2x3x4xf32>, tensor<1x3x4xf32>
  %y = nn.add %p, %q : tensor<2x3x4xf32>, tensor<2x3x4xf32>
  return %y : tensor<2x3x4xf32>
}

// CHECK-LABEL: @constants
// CHECK: nn.rotary %arg0, %{{.*}}, %{{.*}} : tensor<1x4xf32>, tensor<2xf32>, tensor<2xf32>
func.func @constants(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %cos = nn.constant dense<[1.0, 0.5, 1.0, 0.5]> : tensor<4xf32> : tensor<4xf32>
  %sin = nn.constant dense<[0.0, 0.25, 0.0, 0.25]> : tensor<4xf32> : tensor<4xf32>
  %lo = nn.slice %x [0, 0] [1, 2] [1, 1] : tensor<1x4xf32>
  %hi = nn.slice %x [0, 2] [1, 2] [1, 1] : tensor<1x4xf32>
  %neg = nn.neg %hi : tensor<1x2xf32>
  %r = nn.concat %neg, %lo {axis = 1 : i64} : tensor<1x2xf32>, tensor<1x2xf32>
  %p = nn.mul %cos, %x : tensor<4xf32>, tensor<1x4xf32>
  %q = nn.mul %r, %sin : tensor<1x4xf32>, tensor<4xf32>
  %y = nn.add %q, %p : tensor<1x4xf32>, tensor<1x4xf32>
  return %y : tensor<1x4xf32>
}

// Angles that differ between the halves are no rotation.
// CHECK-LABEL: @different_halves
// CHECK-NOT: nn.rotary
func.func @different_halves(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %cos = nn.constant dense<[1.0, 0.5, 1.0, 0.75]> : tensor<4xf32> : tensor<4xf32>
  %sin = nn.constant dense<[0.0, 0.25, 0.0, 0.25]> : tensor<4xf32> : tensor<4xf32>
  %lo = nn.slice %x [0, 0] [1, 2] [1, 1] : tensor<1x4xf32>
  %hi = nn.slice %x [0, 2] [1, 2] [1, 1] : tensor<1x4xf32>
  %neg = nn.neg %hi : tensor<1x2xf32>
  %r = nn.concat %neg, %lo {axis = 1 : i64} : tensor<1x2xf32>, tensor<1x2xf32>
  %p = nn.mul %x, %cos : tensor<1x4xf32>, tensor<4xf32>
  %q = nn.mul %r, %sin : tensor<1x4xf32>, tensor<4xf32>
  %y = nn.add %p, %q : tensor<1x4xf32>, tensor<1x4xf32>
  return %y : tensor<1x4xf32>
}

// Each half on its own, with angles that are not doubled.
// CHECK-LABEL: @halves
// CHECK-NEXT: %[[Y:.*]] = nn.rotary %arg0, %arg1, %arg2 : tensor<2x3x4x8xf32>, tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>
// CHECK-NEXT: return %[[Y]]
func.func @halves(%x: tensor<2x3x4x8xf32>, %cos: tensor<1x1x4x4xf32>, %sin: tensor<1x1x4x4xf32>) -> tensor<2x3x4x8xf32> {
  %a = nn.slice %x [0, 0, 0, 0] [2, 3, 4, 4] [1, 1, 1, 1] : tensor<2x3x4x8xf32>
  %b = nn.slice %x [0, 0, 0, 4] [2, 3, 4, 4] [1, 1, 1, 1] : tensor<2x3x4x8xf32>
  %0 = nn.mul %a, %cos : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %1 = nn.mul %b, %sin : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %2 = nn.sub %0, %1 : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>
  %3 = nn.mul %b, %cos : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %4 = nn.mul %a, %sin : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %5 = nn.add %3, %4 : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>
  %6 = nn.concat %2, %5 {axis = 3 : i64} : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>
  return %6 : tensor<2x3x4x8xf32>
}

// Turned the other way: a plus where the minus should be, and the reverse.
// CHECK-LABEL: @halves_backwards
// CHECK-NOT: nn.rotary
// CHECK: return
func.func @halves_backwards(%x: tensor<2x3x4x8xf32>, %cos: tensor<1x1x4x4xf32>, %sin: tensor<1x1x4x4xf32>) -> tensor<2x3x4x8xf32> {
  %a = nn.slice %x [0, 0, 0, 0] [2, 3, 4, 4] [1, 1, 1, 1] : tensor<2x3x4x8xf32>
  %b = nn.slice %x [0, 0, 0, 4] [2, 3, 4, 4] [1, 1, 1, 1] : tensor<2x3x4x8xf32>
  %0 = nn.mul %a, %cos : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %1 = nn.mul %b, %sin : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %2 = nn.add %0, %1 : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>
  %3 = nn.mul %b, %cos : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %4 = nn.mul %a, %sin : tensor<2x3x4x4xf32>, tensor<1x1x4x4xf32>
  %5 = nn.sub %3, %4 : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>
  %6 = nn.concat %2, %5 {axis = 3 : i64} : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>
  return %6 : tensor<2x3x4x8xf32>
}

// Neighbours as pairs, with angles that are repeated one by one.
// CHECK-LABEL: @neighbours
// CHECK-NEXT: %[[C:.*]] = nn.reshape %arg1 : tensor<2x3x2xf32> -> tensor<2x3x1x2xf32>
// CHECK-NEXT: %[[S:.*]] = nn.reshape %arg2 : tensor<2x3x2xf32> -> tensor<2x3x1x2xf32>
// CHECK-NEXT: %[[Y:.*]] = nn.rotary %arg0, %[[C]], %[[S]] {interleaved} : tensor<2x3x5x4xf32>
// CHECK-NEXT: return %[[Y]]
func.func @neighbours(%x: tensor<2x3x5x4xf32>, %cos: tensor<2x3x2xf32>, %sin: tensor<2x3x2xf32>) -> tensor<2x3x5x4xf32> {
  %c0 = nn.reshape %cos : tensor<2x3x2xf32> -> tensor<2x3x1x2x1x1xf32>
  %c1 = nn.broadcast %c0 : tensor<2x3x1x2x1x1xf32> -> tensor<2x3x1x2x2x1xf32>
  %c2 = nn.reshape %c1 : tensor<2x3x1x2x2x1xf32> -> tensor<2x3x1x4xf32>
  %s0 = nn.reshape %sin : tensor<2x3x2xf32> -> tensor<2x3x1x2x1xf32>
  %s1 = nn.concat %s0, %s0 {axis = 4 : i64} : tensor<2x3x1x2x1xf32>, tensor<2x3x1x2x1xf32>
  %s2 = nn.reshape %s1 : tensor<2x3x1x2x2xf32> -> tensor<2x3x1x4xf32>
  %even = nn.slice %x [0, 0, 0, 0] [2, 3, 5, 2] [1, 1, 1, 2] : tensor<2x3x5x4xf32>
  %odd = nn.slice %x [0, 0, 0, 1] [2, 3, 5, 2] [1, 1, 1, 2] : tensor<2x3x5x4xf32>
  %neg = nn.neg %odd : tensor<2x3x5x2xf32>
  %a = nn.reshape %neg : tensor<2x3x5x2xf32> -> tensor<2x3x5x2x1xf32>
  %b = nn.reshape %even : tensor<2x3x5x2xf32> -> tensor<2x3x5x2x1xf32>
  %j = nn.concat %a, %b {axis = 4 : i64} : tensor<2x3x5x2x1xf32>, tensor<2x3x5x2x1xf32>
  %r = nn.reshape %j : tensor<2x3x5x2x2xf32> -> tensor<2x3x5x4xf32>
  %p = nn.mul %x, %c2 : tensor<2x3x5x4xf32>, tensor<2x3x1x4xf32>
  %q = nn.mul %r, %s2 : tensor<2x3x5x4xf32>, tensor<2x3x1x4xf32>
  %y = nn.add %p, %q : tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>
  return %y : tensor<2x3x5x4xf32>
}

// Neighbours that turn, but with angles for halves.
// CHECK-LABEL: @neighbours_by_halves
// CHECK-NOT: nn.rotary
// CHECK: return
func.func @neighbours_by_halves(%x: tensor<3x4xf32>, %cos: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %c = nn.concat %cos, %cos {axis = 1 : i64} : tensor<3x2xf32>, tensor<3x2xf32>
  %even = nn.slice %x [0, 0] [3, 2] [1, 2] : tensor<3x4xf32>
  %odd = nn.slice %x [0, 1] [3, 2] [1, 2] : tensor<3x4xf32>
  %neg = nn.neg %odd : tensor<3x2xf32>
  %a = nn.reshape %neg : tensor<3x2xf32> -> tensor<3x2x1xf32>
  %b = nn.reshape %even : tensor<3x2xf32> -> tensor<3x2x1xf32>
  %j = nn.concat %a, %b {axis = 2 : i64} : tensor<3x2x1xf32>, tensor<3x2x1xf32>
  %r = nn.reshape %j : tensor<3x2x2xf32> -> tensor<3x4xf32>
  %p = nn.mul %x, %c : tensor<3x4xf32>, tensor<3x4xf32>
  %q = nn.mul %r, %c : tensor<3x4xf32>, tensor<3x4xf32>
  %y = nn.add %p, %q : tensor<3x4xf32>, tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// The parts of a complex product, side by side.
// CHECK-LABEL: @complex
// CHECK-NEXT: %[[Y:.*]] = nn.rotary %arg0, %arg1, %arg2 {interleaved} : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>
// CHECK-NEXT: return %[[Y]]
func.func @complex(%x: tensor<3x4xf32>, %cos: tensor<3x2xf32>, %sin: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %a = nn.slice %x [0, 0] [3, 2] [1, 2] : tensor<3x4xf32>
  %b = nn.slice %x [0, 1] [3, 2] [1, 2] : tensor<3x4xf32>
  %0 = nn.mul %a, %cos : tensor<3x2xf32>, tensor<3x2xf32>
  %1 = nn.mul %b, %sin : tensor<3x2xf32>, tensor<3x2xf32>
  %2 = nn.sub %0, %1 : tensor<3x2xf32>, tensor<3x2xf32>
  %3 = nn.mul %a, %sin : tensor<3x2xf32>, tensor<3x2xf32>
  %4 = nn.mul %b, %cos : tensor<3x2xf32>, tensor<3x2xf32>
  %5 = nn.add %3, %4 : tensor<3x2xf32>, tensor<3x2xf32>
  %6 = nn.reshape %2 : tensor<3x2xf32> -> tensor<3x2x1xf32>
  %7 = nn.reshape %5 : tensor<3x2xf32> -> tensor<3x2x1xf32>
  %8 = nn.concat %6, %7 {axis = 2 : i64} : tensor<3x2x1xf32>, tensor<3x2x1xf32>
  %9 = nn.reshape %8 : tensor<3x2x2xf32> -> tensor<3x4xf32>
  return %9 : tensor<3x4xf32>
}

// Only the first elements turn.
// CHECK-LABEL: @partial
// CHECK-NEXT: %[[Y:.*]] = nn.rotary %arg0, %arg1, %arg1 : tensor<3x10xf32>, tensor<3x2xf32>, tensor<3x2xf32>
// CHECK-NEXT: return %[[Y]]
func.func @partial(%x: tensor<3x10xf32>, %cos: tensor<3x2xf32>) -> tensor<3x10xf32> {
  %first = nn.slice %x [0, 0] [3, 4] [1, 1] : tensor<3x10xf32>
  %rest = nn.slice %x [0, 4] [3, 6] [1, 1] : tensor<3x10xf32>
  %turned = nn.rotary %first, %cos, %cos : tensor<3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>
  %y = nn.concat %turned, %rest {axis = 1 : i64} : tensor<3x4xf32>, tensor<3x6xf32>
  return %y : tensor<3x10xf32>
}
