// RUN: mpopt-opt %s -mpopt-recognize-attention -cse -verify-diagnostics | FileCheck %s

// CHECK-LABEL: @plain
// CHECK: nn.attention %arg0, %arg1, %arg2 {scale = 2.500000e-01 : f64}
// CHECK-NEXT: return
func.func @plain(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %v: tensor<2x3x8x16xf32>) -> tensor<2x3x4x16xf32> {
  %four = nn.constant dense<4.0> : tensor<f32> : tensor<f32>
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %d = nn.div %s, %four : tensor<2x3x4x8xf32>, tensor<f32>
  %p = nn.softmax %d {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %v : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// Scale split over q and k, an added mask, and the safe softmax of PyTorch's exporter.
// CHECK-LABEL: @safe
// CHECK: nn.attention %arg0, %arg1, %arg1 mask %arg2 : tensor<2x1x1x8xf32> {safe, scale = 2.500000e-01 : f64}
func.func @safe(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %mask: tensor<2x1x1x8xf32>) -> tensor<2x3x4x16xf32> {
  %c = nn.constant dense<0.5> : tensor<f32> : tensor<f32>
  %zero = nn.constant dense<0.0> : tensor<f32> : tensor<f32>
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x8x16xf32>
  %qs = nn.mul %q, %c : tensor<2x3x4x16xf32>, tensor<f32>
  %ks = nn.mul %t, %c : tensor<2x3x16x8xf32>, tensor<f32>
  %s = nn.matmul %qs, %ks : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %m = nn.add %s, %mask : tensor<2x3x4x8xf32>, tensor<2x1x1x8xf32>
  %p = nn.softmax %m {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %n = nn.is_nan %p : tensor<2x3x4x8xf32>
  %w = nn.select %n, %zero, %p : tensor<2x3x4x8xi1>, tensor<f32>, tensor<2x3x4x8xf32>
  %y = nn.matmul %w, %k : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// Where hides scores behind a low number: a mask that is added.
// CHECK-LABEL: @where
// CHECK: %[[M:.*]] = nn.select %arg2, %{{.*}}, %{{.*}} : tensor<1x1x4x4xi1>, tensor<f32>, tensor<f32>
// CHECK: nn.attention %arg0, %arg1, %arg1 mask %[[M]] : tensor<1x1x4x4xf32>
func.func @where(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x4x16xf32>, %keep: tensor<1x1x4x4xi1>) -> tensor<2x3x4x16xf32> {
  %low = nn.constant dense<-3.40282347E+38> : tensor<f32> : tensor<f32>
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x4x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x4xf32>
  %m = nn.select %keep, %s, %low : tensor<1x1x4x4xi1>, tensor<2x3x4x4xf32>, tensor<f32>
  %p = nn.softmax %m {axis = 3 : i64} : tensor<2x3x4x4xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x4xf32>, tensor<2x3x4x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// Heads merged into the batch; keys that come transposed by a permutation of their own.
// CHECK-LABEL: @rank_3
// CHECK: %[[K:.*]] = nn.transpose %arg1 [1, 0, 2]
// CHECK: nn.attention
// CHECK-SAME: tensor<6x1x4x16xf32>, tensor<6x1x8x16xf32>, tensor<6x1x8x16xf32>
func.func @rank_3(%q: tensor<6x4x16xf32>, %k: tensor<8x6x16xf32>, %v: tensor<6x8x16xf32>) -> tensor<6x4x16xf32> {
  %t = nn.transpose %k [1, 2, 0] : tensor<8x6x16xf32>
  %s = nn.matmul %q, %t : tensor<6x4x16xf32>, tensor<6x16x8xf32>
  %p = nn.softmax %s {axis = 2 : i64} : tensor<6x4x8xf32>
  %y = nn.matmul %p, %v : tensor<6x4x8xf32>, tensor<6x8x16xf32>
  return %y : tensor<6x4x16xf32>
}

// Keys and values repeated for groups of query heads.
// CHECK-LABEL: @grouped
// CHECK: nn.attention %arg0, %arg1, %arg1 {{.*}} : tensor<2x6x4x16xf32>, tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
func.func @grouped(%q: tensor<2x6x4x16xf32>, %k: tensor<2x3x8x16xf32>) -> tensor<2x6x4x16xf32> {
  %a = nn.reshape %k : tensor<2x3x8x16xf32> -> tensor<2x3x1x8x16xf32>
  %b = nn.broadcast %a : tensor<2x3x1x8x16xf32> -> tensor<2x3x2x8x16xf32>
  %r = nn.reshape %b : tensor<2x3x2x8x16xf32> -> tensor<2x6x8x16xf32>
  %t = nn.transpose %r [0, 1, 3, 2] : tensor<2x6x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x6x4x16xf32>, tensor<2x6x16x8xf32>
  %p = nn.softmax %s {axis = 3 : i64} : tensor<2x6x4x8xf32>
  %y = nn.matmul %p, %r : tensor<2x6x4x8xf32>, tensor<2x6x8x16xf32>
  return %y : tensor<2x6x4x16xf32>
}

// The same around an attention that came in whole.
// CHECK-LABEL: @grouped_whole
// CHECK: nn.attention %arg0, %arg1, %arg1 {scale = 1.000000e+00 : f64} : tensor<2x6x4x16xf32>, tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
func.func @grouped_whole(%q: tensor<2x6x4x16xf32>, %k: tensor<2x3x8x16xf32>) -> tensor<2x6x4x16xf32> {
  %a = nn.reshape %k : tensor<2x3x8x16xf32> -> tensor<2x3x1x8x16xf32>
  %b = nn.broadcast %a : tensor<2x3x1x8x16xf32> -> tensor<2x3x2x8x16xf32>
  %r = nn.reshape %b : tensor<2x3x2x8x16xf32> -> tensor<2x6x8x16xf32>
  %y = nn.attention %q, %r, %r {scale = 1.0} : tensor<2x6x4x16xf32>, tensor<2x6x8x16xf32>, tensor<2x6x8x16xf32>
  return %y : tensor<2x6x4x16xf32>
}

// The weights of attention are a result: it stays taken apart.
// CHECK-LABEL: @weights_used
// CHECK-NOT: nn.attention
func.func @weights_used(%q: tensor<2x3x4x16xf32>, %t: tensor<2x3x16x8xf32>, %v: tensor<2x3x8x16xf32>) -> (tensor<2x3x4x16xf32>, tensor<2x3x4x8xf32>) {
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %p = nn.softmax %s {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %v : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y, %p : tensor<2x3x4x16xf32>, tensor<2x3x4x8xf32>
}

// Only the values are repeated for groups of heads in a form that is known: both stay so, and the pass settles.
// CHECK-LABEL: @values_repeated
// CHECK: nn.broadcast
// CHECK: nn.attention {{.*}} : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
// CHECK-LABEL: @keys_repeated
// CHECK: nn.attention {{.*}} : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
func.func @values_repeated(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x8x16xf32>, %v: tensor<2x2x1x8x16xf32>) -> tensor<2x4x8x16xf32> {
  %r = nn.broadcast %v : tensor<2x2x1x8x16xf32> -> tensor<2x2x2x8x16xf32>
  %m = nn.reshape %r : tensor<2x2x2x8x16xf32> -> tensor<2x4x8x16xf32>
  %y = nn.attention %q, %k, %m {scale = 0.25 : f64} : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
  return %y : tensor<2x4x8x16xf32>
}
func.func @keys_repeated(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x1x8x16xf32>, %v: tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32> {
  %r = nn.broadcast %k : tensor<2x2x1x8x16xf32> -> tensor<2x2x2x8x16xf32>
  %m = nn.reshape %r : tensor<2x2x2x8x16xf32> -> tensor<2x4x8x16xf32>
  %y = nn.attention %q, %m, %v {scale = 0.25 : f64} : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>
  return %y : tensor<2x4x8x16xf32>
}

// All query heads read one key head.
// CHECK-LABEL: @one_key_head
// CHECK: nn.attention %arg0, %arg1, %arg1 {{.*}} : tensor<2x3x4x16xf32>, tensor<2x1x8x16xf32>, tensor<2x1x8x16xf32>
func.func @one_key_head(%q: tensor<2x3x4x16xf32>, %k: tensor<2x1x8x16xf32>) -> tensor<2x3x4x16xf32> {
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x1x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x1x16x8xf32>
  %p = nn.softmax %s {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x8xf32>, tensor<2x1x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// Keys of one batch row for all are not attention's.
// CHECK-LABEL: @one_batch_row
// CHECK-NOT: nn.attention
// CHECK: return
func.func @one_batch_row(%q: tensor<2x3x4x16xf32>, %k: tensor<1x3x8x16xf32>) -> tensor<2x3x4x16xf32> {
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<1x3x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<1x3x16x8xf32>
  %p = nn.softmax %s {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x8xf32>, tensor<1x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// Products of merged batch and heads, a bias by head among them, and a mask where they are apart.
// CHECK-LABEL: @split_batch
// CHECK: %[[B:.*]] = nn.reshape %arg3 : tensor<6x1x8xf32> -> tensor<2x3x1x8xf32>
// CHECK: %[[M:.*]] = nn.add %arg2, %[[B]]
// CHECK: nn.attention %arg0, %arg1, %arg1 mask %[[M]] : tensor<2x3x4x8xf32> {scale = 2.500000e-01 : f64}
func.func @split_batch(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %mask: tensor<2x1x4x8xf32>,
                       %bias: tensor<6x1x8xf32>) -> tensor<2x3x4x16xf32> {
  %c = nn.constant dense<0.25> : tensor<f32> : tensor<f32>
  %a = nn.reshape %q : tensor<2x3x4x16xf32> -> tensor<6x4x16xf32>
  %b = nn.reshape %k : tensor<2x3x8x16xf32> -> tensor<6x8x16xf32>
  %t = nn.transpose %b [0, 2, 1] : tensor<6x8x16xf32>
  %s = nn.matmul %a, %t : tensor<6x4x16xf32>, tensor<6x16x8xf32>
  %d = nn.mul %s, %c : tensor<6x4x8xf32>, tensor<f32>
  %e = nn.add %d, %bias : tensor<6x4x8xf32>, tensor<6x1x8xf32>
  %f = nn.reshape %e : tensor<6x4x8xf32> -> tensor<2x3x4x8xf32>
  %m = nn.add %f, %mask : tensor<2x3x4x8xf32>, tensor<2x1x4x8xf32>
  %p = nn.softmax %m {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %g = nn.reshape %p : tensor<2x3x4x8xf32> -> tensor<6x4x8xf32>
  %y = nn.matmul %g, %b : tensor<6x4x8xf32>, tensor<6x8x16xf32>
  %z = nn.reshape %y : tensor<6x4x16xf32> -> tensor<2x3x4x16xf32>
  return %z : tensor<2x3x4x16xf32>
}

// Windows: a mask for each of 5 windows, added where they stand apart from the 2 images, and a bias by head.
// CHECK-LABEL: @windows
// CHECK: %[[R:.*]] = nn.broadcast {{.*}} : tensor<1x5x1x4x4xf32> -> tensor<2x5x1x4x4xf32>
// CHECK: %[[W:.*]] = nn.reshape %[[R]] : tensor<2x5x1x4x4xf32> -> tensor<10x1x4x4xf32>
// CHECK: %[[M:.*]] = nn.add %[[W]], %arg2
// CHECK: nn.attention %arg0, %arg1, %arg1 mask %[[M]] : tensor<10x3x4x4xf32>
func.func @windows(%q: tensor<10x3x4x16xf32>, %k: tensor<10x3x4x16xf32>, %bias: tensor<3x4x4xf32>,
                   %mask: tensor<5x1x4x4xf32>) -> tensor<10x3x4x16xf32> {
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<10x3x4x16xf32>
  %s = nn.matmul %q, %t : tensor<10x3x4x16xf32>, tensor<10x3x16x4xf32>
  %b = nn.add %s, %bias : tensor<10x3x4x4xf32>, tensor<3x4x4xf32>
  %w = nn.reshape %b : tensor<10x3x4x4xf32> -> tensor<2x5x3x4x4xf32>
  %m = nn.add %w, %mask : tensor<2x5x3x4x4xf32>, tensor<5x1x4x4xf32>
  %u = nn.reshape %m : tensor<2x5x3x4x4xf32> -> tensor<10x3x4x4xf32>
  %p = nn.softmax %u {axis = 3 : i64} : tensor<10x3x4x4xf32>
  %y = nn.matmul %p, %k : tensor<10x3x4x4xf32>, tensor<10x3x4x16xf32>
  return %y : tensor<10x3x4x16xf32>
}

// Windows apart all the way: [batch, windows, heads, ..].
// CHECK-LABEL: @rank_5
// CHECK: %[[B:.*]] = nn.broadcast %arg2 : tensor<2x1x3x4x4xf32> -> tensor<2x5x3x4x4xf32>
// CHECK: nn.attention {{.*}} mask %{{.*}} : tensor<10x3x4x4xf32> {{.*}} : tensor<10x3x4x16xf32>, tensor<10x3x4x16xf32>, tensor<10x3x4x16xf32>
func.func @rank_5(%q: tensor<2x5x3x4x16xf32>, %k: tensor<2x5x3x4x16xf32>, %mask: tensor<2x1x3x4x4xf32>) -> tensor<2x5x3x4x16xf32> {
  %t = nn.transpose %k [0, 1, 2, 4, 3] : tensor<2x5x3x4x16xf32>
  %s = nn.matmul %q, %t : tensor<2x5x3x4x16xf32>, tensor<2x5x3x16x4xf32>
  %m = nn.add %s, %mask : tensor<2x5x3x4x4xf32>, tensor<2x1x3x4x4xf32>
  %p = nn.softmax %m {axis = 4 : i64} : tensor<2x5x3x4x4xf32>
  %y = nn.matmul %p, %k : tensor<2x5x3x4x4xf32>, tensor<2x5x3x4x16xf32>
  return %y : tensor<2x5x3x4x16xf32>
}

// A floor under masked scores is one under the mask.
// CHECK-LABEL: @floor
// CHECK: %[[M:.*]] = nn.max %arg2, %{{.*}} : tensor<2x1x1x8xf32>, tensor<f32>
// CHECK: nn.attention %arg0, %arg1, %arg1 mask %[[M]]
func.func @floor(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %mask: tensor<2x1x1x8xf32>) -> tensor<2x3x4x16xf32> {
  %low = nn.constant dense<-3.40282347E+38> : tensor<f32> : tensor<f32>
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %m = nn.add %s, %mask : tensor<2x3x4x8xf32>, tensor<2x1x1x8xf32>
  %f = nn.max %m, %low : tensor<2x3x4x8xf32>, tensor<f32>
  %p = nn.softmax %f {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// A sink takes part in the softmax and its weight is dropped: a key of zeros, whose score is what the mask says.
// CHECK-LABEL: @sink
// CHECK: %[[M:.*]] = nn.broadcast %arg2 : tensor<2x1x4x8xf32> -> tensor<2x4x4x8xf32>
// CHECK: %[[S:.*]] = nn.broadcast %arg3 : tensor<1x4x1x1xf32> -> tensor<2x4x4x1xf32>
// CHECK: %[[A:.*]] = nn.concat %[[M]], %[[S]] {axis = 3 : i64}
// CHECK: %[[K:.*]] = nn.pad %arg1 [0, 0, 0, 0] [0, 0, 1, 0] : tensor<2x2x8x16xf32>
// CHECK: nn.attention %arg0, %[[K]], %[[K]] mask %[[A]] : tensor<2x4x4x9xf32> {{.*}} : tensor<2x4x4x16xf32>, tensor<2x2x9x16xf32>, tensor<2x2x9x16xf32>
func.func @sink(%q: tensor<2x4x4x16xf32>, %k: tensor<2x2x8x16xf32>, %mask: tensor<2x1x4x8xf32>, %sink: tensor<1x4x1x1xf32>) -> tensor<2x4x4x16xf32> {
  %r = nn.reshape %k : tensor<2x2x8x16xf32> -> tensor<2x2x1x8x16xf32>
  %b = nn.broadcast %r : tensor<2x2x1x8x16xf32> -> tensor<2x2x2x8x16xf32>
  %w = nn.reshape %b : tensor<2x2x2x8x16xf32> -> tensor<2x4x8x16xf32>
  %t = nn.transpose %w [0, 1, 3, 2] : tensor<2x4x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x4x4x16xf32>, tensor<2x4x16x8xf32>
  %m = nn.add %s, %mask : tensor<2x4x4x8xf32>, tensor<2x1x4x8xf32>
  %e = nn.broadcast %sink : tensor<1x4x1x1xf32> -> tensor<2x4x4x1xf32>
  %c = nn.concat %m, %e {axis = 3 : i64} : tensor<2x4x4x8xf32>, tensor<2x4x4x1xf32>
  %x = nn.reduce max %c [3] keep_dims : tensor<2x4x4x9xf32>
  %d = nn.sub %c, %x : tensor<2x4x4x9xf32>, tensor<2x4x4x1xf32>
  %p = nn.softmax %d {axis = 3 : i64} : tensor<2x4x4x9xf32>
  %l = nn.slice %p [0, 0, 0, 0] [2, 4, 4, 8] [1, 1, 1, 1] : tensor<2x4x4x9xf32>
  %y = nn.matmul %l, %w : tensor<2x4x4x8xf32>, tensor<2x4x8x16xf32>
  return %y : tensor<2x4x4x16xf32>
}

// Where the weight of the first score is dropped instead, it is no sink.
// CHECK-LABEL: @first_dropped
// CHECK-NOT: nn.attention
// CHECK: return
func.func @first_dropped(%q: tensor<2x4x4x16xf32>, %k: tensor<2x4x8x16xf32>, %sink: tensor<2x4x4x1xf32>) -> tensor<2x4x4x16xf32> {
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x4x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x4x4x16xf32>, tensor<2x4x16x8xf32>
  %c = nn.concat %s, %sink {axis = 3 : i64} : tensor<2x4x4x8xf32>, tensor<2x4x4x1xf32>
  %p = nn.softmax %c {axis = 3 : i64} : tensor<2x4x4x9xf32>
  %l = nn.slice %p [0, 0, 0, 1] [2, 4, 4, 8] [1, 1, 1, 1] : tensor<2x4x4x9xf32>
  %y = nn.matmul %l, %k : tensor<2x4x4x8xf32>, tensor<2x4x8x16xf32>
  return %y : tensor<2x4x4x16xf32>
}

// A bias that is scaled with the scores, and a mask that is taken off them.
// CHECK-LABEL: @scaled_bias
// CHECK-DAG: %[[C:.*]] = nn.constant dense<2.500000e-01>
// CHECK-DAG: %[[N:.*]] = nn.neg %arg3
// CHECK-DAG: %[[B:.*]] = nn.mul %arg2, %[[C]]
// CHECK: %[[M:.*]] = nn.add %[[N]], %[[B]]
// CHECK: nn.attention %arg0, %arg1, %arg1 mask %[[M]] : tensor<2x3x4x8xf32> {scale = 2.500000e-01 : f64}
func.func @scaled_bias(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %bias: tensor<2x3x4x8xf32>, %mask: tensor<2x1x1x8xf32>) -> tensor<2x3x4x16xf32> {
  %c = nn.constant dense<0.25> : tensor<f32> : tensor<f32>
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %b = nn.add %s, %bias : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>
  %d = nn.mul %b, %c : tensor<2x3x4x8xf32>, tensor<f32>
  %m = nn.sub %d, %mask : tensor<2x3x4x8xf32>, tensor<2x1x1x8xf32>
  %p = nn.softmax %m {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// A factor by head goes to the queries.
// CHECK-LABEL: @factor_by_head
// CHECK: %[[Q:.*]] = nn.mul %arg0, %arg2 : tensor<2x3x4x16xf32>, tensor<3x1x1xf32>
// CHECK: nn.attention %[[Q]], %arg1, %arg1 mask %arg3 : tensor<3x4x8xf32>
func.func @factor_by_head(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %f: tensor<3x1x1xf32>, %bias: tensor<3x4x8xf32>) -> tensor<2x3x4x16xf32> {
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %d = nn.mul %s, %f : tensor<2x3x4x8xf32>, tensor<3x1x1xf32>
  %m = nn.add %d, %bias : tensor<2x3x4x8xf32>, tensor<3x4x8xf32>
  %p = nn.softmax %m {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// One that also weighs what is added before it stays where it is.
// CHECK-LABEL: @factor_of_sum
// CHECK-NOT: nn.attention
// CHECK: return
func.func @factor_of_sum(%q: tensor<2x3x4x16xf32>, %k: tensor<2x3x8x16xf32>, %f: tensor<3x1x1xf32>, %bias: tensor<3x4x8xf32>) -> tensor<2x3x4x16xf32> {
  %t = nn.transpose %k [0, 1, 3, 2] : tensor<2x3x8x16xf32>
  %s = nn.matmul %q, %t : tensor<2x3x4x16xf32>, tensor<2x3x16x8xf32>
  %d = nn.add %s, %bias : tensor<2x3x4x8xf32>, tensor<3x4x8xf32>
  %m = nn.mul %d, %f : tensor<2x3x4x8xf32>, tensor<3x1x1xf32>
  %p = nn.softmax %m {axis = 3 : i64} : tensor<2x3x4x8xf32>
  %y = nn.matmul %p, %k : tensor<2x3x4x8xf32>, tensor<2x3x8x16xf32>
  return %y : tensor<2x3x4x16xf32>
}
