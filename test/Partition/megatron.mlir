// A BERT layer split as Megatron-LM does: heads and the inner width over 4 devices. One all-reduce for the attention block,
// one for the MLP.
// RUN: mpopt-opt %s --partition | FileCheck %s

shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>

// CHECK-LABEL: func.func @main
// CHECK: nn.attention {{.*}} tensor<2x1x16x16xf32>
// CHECK: nn.matmul {{.*}} tensor<2x16x16xf32>, tensor<16x64xf32>
// CHECK-COUNT-1: coll.all_reduce
// CHECK: nn.gelu {{.*}} tensor<2x16x64xf32>
// CHECK: nn.matmul {{.*}} tensor<2x16x64xf32>, tensor<64x64xf32>
// CHECK-COUNT-1: coll.all_reduce
// CHECK-NOT: coll.{{all_|reduce_scatter|permute}}
func.func @main(%x: tensor<2x16x64xf32> {nn.name = "x", shd.sharding = #shd.sharding<@mesh, [{}, {}, {}]>}, %m: tensor<2x1x1x16xf32> {nn.name = "m", shd.sharding = #shd.sharding<@mesh, [{}, {}, {}, {}]>})
    -> (tensor<2x16x64xf32> {nn.name = "y", shd.sharding = #shd.sharding<@mesh, [{}, {}, {}]>}) {
  %wq = nn.weight "wq" <"w.bin", 0, 16384> : tensor<64x64xf32>
  %wk = nn.weight "wk" <"w.bin", 0, 16384> : tensor<64x64xf32>
  %wv = nn.weight "wv" <"w.bin", 0, 16384> : tensor<64x64xf32>
  %wo = nn.weight "wo" <"w.bin", 0, 16384> : tensor<64x64xf32>
  %bq = nn.weight "bq" <"w.bin", 0, 256> : tensor<64xf32>
  %bk = nn.weight "bk" <"w.bin", 0, 256> : tensor<64xf32>
  %bv = nn.weight "bv" <"w.bin", 0, 256> : tensor<64xf32>
  %bo = nn.weight "bo" <"w.bin", 0, 256> : tensor<64xf32>
  %wi = nn.weight "wi" <"w.bin", 0, 65536> : tensor<64x256xf32>
  %bi = nn.weight "bi" <"w.bin", 0, 1024> : tensor<256xf32>
  %wd = nn.weight "wd" <"w.bin", 0, 65536> : tensor<256x64xf32>
  %bd = nn.weight "bd" <"w.bin", 0, 256> : tensor<64xf32>
  %g1 = nn.weight "g1" <"w.bin", 0, 256> : tensor<64xf32>
  %b1 = nn.weight "b1" <"w.bin", 0, 256> : tensor<64xf32>
  %g2 = nn.weight "g2" <"w.bin", 0, 256> : tensor<64xf32>
  %b2 = nn.weight "b2" <"w.bin", 0, 256> : tensor<64xf32>
  %q0 = nn.matmul %x, %wq {shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64x64xf32>
  %q1 = nn.add %q0, %bq {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>, #shd.sharding<@mesh, [{"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64xf32>
  %q2 = nn.reshape %q1 {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>]} : tensor<2x16x64xf32> -> tensor<2x16x4x16xf32>
  %q = nn.transpose %q2 [0, 2, 1, 3] {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>]} : tensor<2x16x4x16xf32>
  %k0 = nn.matmul %x, %wk {shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64x64xf32>
  %k1 = nn.add %k0, %bk {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>, #shd.sharding<@mesh, [{"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64xf32>
  %k2 = nn.reshape %k1 {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>]} : tensor<2x16x64xf32> -> tensor<2x16x4x16xf32>
  %k = nn.transpose %k2 [0, 2, 1, 3] {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>]} : tensor<2x16x4x16xf32>
  %v0 = nn.matmul %x, %wv {shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64x64xf32>
  %v1 = nn.add %v0, %bv {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>, #shd.sharding<@mesh, [{"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64xf32>
  %v2 = nn.reshape %v1 {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>]} : tensor<2x16x64xf32> -> tensor<2x16x4x16xf32>
  %v = nn.transpose %v2 [0, 2, 1, 3] {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>]} : tensor<2x16x4x16xf32>
  %c = nn.attention %q, %k, %v mask %m : tensor<2x1x1x16xf32> {scale = 0.25 : f64, shd.in = [#shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>, #shd.sharding<@mesh, [{}, {}, {}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>]} : tensor<2x4x16x16xf32>, tensor<2x4x16x16xf32>, tensor<2x4x16x16xf32>
  %c1 = nn.transpose %c [0, 2, 1, 3] {shd.in = [#shd.sharding<@mesh, [{}, {"a","b"}, {}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>]} : tensor<2x4x16x16xf32>
  %c2 = nn.reshape %c1 {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x4x16xf32> -> tensor<2x16x64xf32>
  %o = nn.matmul %c2, %wo {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>, #shd.sharding<@mesh, [{"a","b"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>]} : tensor<2x16x64xf32>, tensor<64x64xf32>
  %o1 = nn.add %o, %bo {shd.in = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>, #shd.sharding<@mesh, [{}], unreduced=["a","b"] sum>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>]} : tensor<2x16x64xf32>, tensor<64xf32>
  %s1 = nn.add %o1, %x {shd.in = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>, #shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>]} : tensor<2x16x64xf32>, tensor<2x16x64xf32>
  %n1 = nn.layer_norm %s1 scale %g1 : tensor<64xf32> bias %b1 : tensor<64xf32> {axis = 2 : i64, epsilon = 1.0e-5 : f64, shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}]>, #shd.sharding<@mesh, [{}]>], shd.out = [#shd.sharding<@mesh, [{}, {}, {}]>]} : tensor<2x16x64xf32>
  %i = nn.matmul %n1, %wi {shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x64xf32>, tensor<64x256xf32>
  %i1 = nn.add %i, %bi {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>, #shd.sharding<@mesh, [{"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x256xf32>, tensor<256xf32>
  %i2 = nn.gelu %i1 {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>]} : tensor<2x16x256xf32>
  %d = nn.matmul %i2, %wd {shd.in = [#shd.sharding<@mesh, [{}, {}, {"a","b"}]>, #shd.sharding<@mesh, [{"a","b"}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}], unreduced=["a","b"] sum>]} : tensor<2x16x256xf32>, tensor<256x64xf32>
  %d1 = nn.add %d, %bd {shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}]>]} : tensor<2x16x64xf32>, tensor<64xf32>
  %s2 = nn.add %d1, %n1 {shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}, {}, {}]>],
      shd.out = [#shd.sharding<@mesh, [{}, {}, {}]>]} : tensor<2x16x64xf32>, tensor<2x16x64xf32>
  %n2 = nn.layer_norm %s2 scale %g2 : tensor<64xf32> bias %b2 : tensor<64xf32> {axis = 2 : i64, epsilon = 1.0e-5 : f64, shd.in = [#shd.sharding<@mesh, [{}, {}, {}]>, #shd.sharding<@mesh, [{}]>, #shd.sharding<@mesh, [{}]>], shd.out = [#shd.sharding<@mesh, [{}, {}, {}]>]} : tensor<2x16x64xf32>
  return %n2 : tensor<2x16x64xf32>
}
