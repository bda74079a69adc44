// RUN: mpopt-opt %s --split-input-file --mpopt-partition-module --cse | FileCheck %s

// A split contraction: the result is summed once.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x8xf32>
// CHECK-SAME: nn.global = tensor<4x8xf32>, nn.name = "x"
// CHECK: %[[W:.*]] = nn.weight "w" {{.*}} : tensor<8x2xf32>
// CHECK: %[[X:.*]] = coll.slice %arg0 dim 1 over @mesh ["a"] : tensor<4x8xf32> -> tensor<4x4xf32>
// CHECK: %[[WS:.*]] = coll.slice %[[W]] dim 0 over @mesh ["a"] : tensor<8x2xf32> -> tensor<4x2xf32>
// CHECK: %[[Y:.*]] = nn.matmul %[[X]], %[[WS]] : tensor<4x4xf32>, tensor<4x2xf32>
// CHECK: %[[R:.*]] = coll.all_reduce %[[Y]] over @mesh ["a"] : tensor<4x2xf32>
// CHECK: return %[[R]]
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4x8xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{}, {}]>})
    -> (tensor<4x2xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  %w = nn.weight "w" <"m.bin", 0, 64> : tensor<8x2xf32>
  %y = nn.matmul %x, %w {shd.in = [#shd.sharding<@mesh, [{}, {"a"}]>, #shd.sharding<@mesh, [{"a"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}], unreduced=["a"] sum>]} : tensor<4x8xf32>, tensor<8x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// An uneven contraction: padding of both sides is masked.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x3xf32>
// CHECK: coll.mask_pad %arg0 dim 1 size 5 value 0.000000e+00 over @mesh ["a"] : tensor<4x3xf32>
// CHECK: coll.mask_pad %{{.*}} dim 0 size 5 value 0.000000e+00 over @mesh ["a"] : tensor<3x2xf32>
// CHECK: nn.matmul {{.*}} : tensor<4x3xf32>, tensor<3x2xf32>
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4x5xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{}, {"a"}]>})
    -> (tensor<4x2xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  %w = nn.weight "w" <"m.bin", 0, 40> : tensor<5x2xf32>
  %y = nn.matmul %x, %w {shd.in = [#shd.sharding<@mesh, [{}, {"a"}]>, #shd.sharding<@mesh, [{"a"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}], unreduced=["a"] sum>]} : tensor<4x5xf32>, tensor<5x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A table split by rows: each device looks up its own and the rows are summed.
// CHECK-LABEL: func.func @main
// CHECK: %[[T:.*]] = coll.slice %{{.*}} dim 0 over @mesh ["a"] : tensor<100x4xf32> -> tensor<50x4xf32>
// CHECK: %[[P:.*]] = coll.index over @mesh ["a"] {scale = 50 : i64} : tensor<i64>
// CHECK: %[[G:.*]] = nn.gather %[[T]][%{{.*}} - %[[P]]]
// CHECK: coll.all_reduce %[[G]] over @mesh ["a"] : tensor<6x4xf32>
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%i: tensor<6xi64> {nn.name = "i", shd.sharding = #shd.sharding<@mesh, [{}]>})
    -> (tensor<6x4xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  %t = nn.weight "t" <"m.bin", 0, 1600> : tensor<100x4xf32>
  %y = nn.gather %t[%i] {axis = 0 : i64, shd.in = [#shd.sharding<@mesh, [{"a"}, {}]>, #shd.sharding<@mesh, [{}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}], unreduced=["a"] sum>]} : tensor<100x4xf32>, tensor<6xi64>
  return %y : tensor<6x4xf32>
}

// -----

// Uneven indices: what lies in the padding looks up row 0.
// CHECK-LABEL: func.func @main
// CHECK: %[[I:.*]] = coll.mask_pad %arg0 dim 0 size 5 value 0.000000e+00 over @mesh ["a"] : tensor<3xi64>
// CHECK: nn.gather %{{.*}}[%[[I]]]
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%i: tensor<5xi64> {nn.name = "i", shd.sharding = #shd.sharding<@mesh, [{"a"}]>})
    -> (tensor<5x4xf32> {shd.sharding = #shd.sharding<@mesh, [{"a"}, {}]>}) {
  %t = nn.weight "t" <"m.bin", 0, 1600> : tensor<100x4xf32>
  %y = nn.gather %t[%i] {axis = 0 : i64, shd.in = [#shd.sharding<@mesh, [{}, {}]>, #shd.sharding<@mesh, [{"a"}]>],
      shd.out = [#shd.sharding<@mesh, [{"a"}, {}]>]} : tensor<100x4xf32>, tensor<5xi64>
  return %y : tensor<5x4xf32>
}

// -----

// Softmax along an uneven split: the maximum and the sum are of all devices, and padding counts for nothing.
// CHECK-LABEL: func.func @main
// CHECK: coll.mask_pad %arg0 dim 1 size 5 value 0xFFF0000000000000 over @mesh ["a"]
// CHECK: coll.all_reduce %{{.*}} over @mesh ["a"] {reduce = 1 : i32} : tensor<4x1xf32>
// CHECK: nn.exp
// CHECK: coll.all_reduce %{{.*}} over @mesh ["a"] : tensor<4x1xf32>
// CHECK: nn.div
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4x5xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{}, {"a"}]>})
    -> (tensor<4x5xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {"a"}]>}) {
  %y = nn.softmax %x {axis = 1 : i64, shd.in = [#shd.sharding<@mesh, [{}, {"a"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {"a"}]>]} : tensor<4x5xf32>
  return %y : tensor<4x5xf32>
}

// -----

// Convolution over split rows: one row of each neighbour takes the padding's place.
// CHECK-LABEL: func.func @main
// CHECK: %[[H:.*]] = coll.halo %arg0 dim 2 low 1 high 1 value 0.000000e+00 over @mesh ["a"] : tensor<1x2x4x8xf32> -> tensor<1x2x6x8xf32>
// CHECK: nn.conv %[[H]], {{.*}} pads_begin = array<i64: 0, 1>, pads_end = array<i64: 0, 1>
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<1x2x8x8xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{}, {}, {"a"}, {}]>})
    -> (tensor<1x4x8x8xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}, {"a"}, {}]>}) {
  %w = nn.weight "w" <"m.bin", 0, 288> : tensor<4x2x3x3xf32>
  %y = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>,
      shd.in = [#shd.sharding<@mesh, [{}, {}, {"a"}, {}]>, #shd.sharding<@mesh, [{}, {}, {}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a"}, {}]>]} : tensor<1x2x8x8xf32>, tensor<4x2x3x3xf32>
  return %y : tensor<1x4x8x8xf32>
}

// -----

// A convolution over split input channels adds its bias once.
// CHECK-LABEL: func.func @main
// CHECK: %[[B:.*]] = coll.keep_first %{{.*}} over @mesh ["a"] : tensor<4xf32>
// CHECK: %[[Y:.*]] = nn.conv %{{.*}} bias %[[B]]
// CHECK: coll.all_reduce %[[Y]]
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<1x2x8x8xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{}, {"a"}, {}, {}]>})
    -> (tensor<1x4x8x8xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}, {}, {}]>}) {
  %w = nn.weight "w" <"m.bin", 0, 32> : tensor<4x2x1x1xf32>
  %b = nn.weight "b" <"m.bin", 32, 16> : tensor<4xf32>
  %y = nn.conv %x, %w bias %b : tensor<4xf32> {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>,
      shd.in = [#shd.sharding<@mesh, [{}, {"a"}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a"}, {}, {}]>, #shd.sharding<@mesh, [{}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}, {}], unreduced=["a"] sum>]} : tensor<1x2x8x8xf32>, tensor<4x2x1x1xf32>
  return %y : tensor<1x4x8x8xf32>
}

// -----

// Values known when the plan is made are computed whole, then sliced, and a value used twice is resharded once.
// CHECK-LABEL: func.func @main
// CHECK: %[[T:.*]] = nn.transpose %{{.*}} [1, 0] : tensor<2x8xf32>
// CHECK: %[[S:.*]] = coll.slice %[[T]] dim 0 over @mesh ["a"] : tensor<8x2xf32> -> tensor<4x2xf32>
// CHECK: nn.add %arg0, %[[S]]
// CHECK: nn.mul %{{.*}}, %[[S]]
// CHECK-NOT: coll
// CHECK: return
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<8x2xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{"a"}, {}]>})
    -> (tensor<8x2xf32> {shd.sharding = #shd.sharding<@mesh, [{"a"}, {}]>}) {
  %w = nn.weight "w" <"m.bin", 0, 64> : tensor<2x8xf32>
  %t = nn.transpose %w [1, 0] : tensor<2x8xf32>
  %0 = nn.add %x, %t {shd.in = [#shd.sharding<@mesh, [{"a"}, {}]>, #shd.sharding<@mesh, [{"a"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{"a"}, {}]>]} : tensor<8x2xf32>, tensor<8x2xf32>
  %1 = nn.mul %0, %t {shd.in = [#shd.sharding<@mesh, [{"a"}, {}]>, #shd.sharding<@mesh, [{"a"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{"a"}, {}]>]} : tensor<8x2xf32>, tensor<8x2xf32>
  return %1 : tensor<8x2xf32>
}

// -----

// Where all is known when the plan is made, operators made of others are taken apart, too.
// CHECK-LABEL: func.func @main
// CHECK-COUNT-2: nn.expert_matmul
// CHECK-NOT: nn.experts
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main() -> (tensor<3x5xf32> {nn.name = "y", shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  %x = nn.weight "x" <"m.bin", 0, 48> : tensor<3x4xf32>
  %i = nn.constant dense<[[0, 1], [1, 1], [1, 0]]> : tensor<3x2xi64> : tensor<3x2xi64>
  %s = nn.weight "s" <"m.bin", 48, 24> : tensor<3x2xf32>
  %u = nn.weight "u" <"m.bin", 72, 192> : tensor<2x4x6xf32>
  %d = nn.weight "d" <"m.bin", 264, 240> : tensor<2x6x5xf32>
  %y = nn.experts gelu %x[%i] %s up %u down %d {shd.in = [#shd.sharding<@mesh, [{}, {}]>,
      #shd.sharding<@mesh, [{}, {}]>, #shd.sharding<@mesh, [{}, {}]>, #shd.sharding<@mesh, [{}, {}, {}]>,
      #shd.sharding<@mesh, [{}, {}, {}]>], shd.out = [#shd.sharding<@mesh, [{}, {}]>]} :
      tensor<3x4xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<2x4x6xf32>, tensor<2x6x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// Tokens and experts over one axis: tokens are routed, those of padding nowhere. Another axis splits the experts besides.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x4xf32>
// CHECK: %[[A:.*]] = coll.index over @mesh ["a"] {scale = 2 : i64} : tensor<i64>
// CHECK: %[[FROM:.*]] = nn.sub %arg1, %[[A]]
// CHECK: %[[OWN:.*]] = coll.mask_pad %[[FROM]] dim 0 size 3 value -1.000000e+00 over @mesh ["b"] : tensor<2x2xi64>
// CHECK: %[[ALL:.*]] = coll.all_gather %[[OWN]] dim 0 over @mesh ["b"] : tensor<2x2xi64> -> tensor<4x2xi64>
// CHECK: %[[ROWS:.*]] = coll.dispatch %arg0[%[[ALL]]] experts 1 over @mesh ["b"] : tensor<2x4xf32>, tensor<4x2xi64> -> tensor<4x4xf32>
// CHECK: %[[B:.*]] = coll.index over @mesh ["b"] : tensor<i64>
// CHECK: %[[HERE:.*]] = nn.sub %[[ALL]], %[[B]]
// CHECK: coll.all_gather %arg2 dim 0 over @mesh ["b"] : tensor<2x2xf32> -> tensor<4x2xf32>
// CHECK: nn.expert_matmul %[[ROWS]], %{{.*}}[%{{.*}}] : tensor<4x4xf32>, tensor<1x4x6xf32>, tensor<8xi64>
// CHECK: %[[MADE:.*]] = nn.reduce
// CHECK: %[[SUM:.*]] = coll.combine %[[MADE]][%[[ALL]]] experts 1 over @mesh ["b"] : tensor<4x5xf32>, tensor<4x2xi64> -> tensor<2x5xf32>
// CHECK: coll.all_reduce %[[SUM]] over @mesh ["a"] : tensor<2x5xf32>
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @main(%x: tensor<3x4xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{"b"}, {}]>},
                %i: tensor<3x2xi64> {nn.name = "i", shd.sharding = #shd.sharding<@mesh, [{"b"}, {}]>},
                %s: tensor<3x2xf32> {nn.name = "s", shd.sharding = #shd.sharding<@mesh, [{"b"}, {}]>})
    -> (tensor<3x5xf32> {nn.name = "y", shd.sharding = #shd.sharding<@mesh, [{"b"}, {}]>}) {
  %u = nn.weight "u" <"m.bin", 0, 384> : tensor<4x4x6xf32>
  %d = nn.weight "d" <"m.bin", 384, 480> : tensor<4x6x5xf32>
  %y = nn.experts gelu %x[%i] %s up %u down %d {shd.in = [#shd.sharding<@mesh, [{"b"}, {}]>,
      #shd.sharding<@mesh, [{"b"}, {}]>, #shd.sharding<@mesh, [{"b"}, {}]>, #shd.sharding<@mesh, [{"a", "b"}, {}, {}]>,
      #shd.sharding<@mesh, [{"a", "b"}, {}, {}]>], shd.out = [#shd.sharding<@mesh, [{"b"}, {}], unreduced=["a"] sum>]} :
      tensor<3x4xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<4x4x6xf32>, tensor<4x6x5xf32>
  return %y : tensor<3x5xf32>
}
