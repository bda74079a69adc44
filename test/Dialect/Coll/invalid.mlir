// One case per constraint that the verifiers number.
// RUN: mpopt-opt %s --split-input-file --verify-diagnostics

// An axis that the mesh lacks.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c1)}}
  %0 = coll.all_reduce %x over @mesh ["z"] : tensor<4x6xf32>
  return
}

// -----

// An axis twice.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c1)}}
  %0 = coll.all_reduce %x over @mesh ["a", "a"] : tensor<4x6xf32>
  return
}

// -----

// Another dimension changes.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.all_gather %x dim 1 over @mesh ["a"] : tensor<4x6xf32> -> tensor<8x12xf32>
  return
}

// -----

// No such dimension.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.slice %x dim 2 over @mesh ["a"] : tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

// Another element type.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.slice %x dim 1 over @mesh ["a"] : tensor<4x6xf32> -> tensor<4x3xf16>
  return
}

// -----

// More elements than the parts hold.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.all_gather %x dim 1 over @mesh ["a"] : tensor<4x6xf32> -> tensor<4x13xf32>
  return
}

// -----

// Blocks too small.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.reduce_scatter %x dim 1 over @mesh ["a"] : tensor<4x6xf32> -> tensor<4x2xf32>
  return
}

// -----

// Blocks too small.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.slice %x dim 1 over @mesh ["a"] : tensor<4x6xf32> -> tensor<4x2xf32>
  return
}

// -----

// One dimension split and joined.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.all_to_all %x split 1 concat 1 over @mesh ["a"] : tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

// Sources that are no permutation.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.permute %x [1, 1] over @mesh ["a"] : tensor<4x6xf32>
  return
}

// -----

// A source too many.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.permute %x [1, 0, 2] over @mesh ["a"] : tensor<4x6xf32>
  return
}

// -----

// A halo of another size.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.halo %x dim 0 low 1 high 1 value 0.0 over @mesh ["a"] : tensor<4x6xf32> -> tensor<5x6xf32>
  return
}

// -----

// A mask of no dimension.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.mask_pad %x dim 2 size 7 value 0.0 over @mesh ["a"] : tensor<4x6xf32>
  return
}

// -----

// An index that is no scalar.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.index over @mesh ["a"] : tensor<1xi64>
  return
}

// -----

// Indices that are no i64.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<8x2xi32>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.dispatch %x[%i] experts 1 over @mesh ["a"] : tensor<4x6xf32>, tensor<8x2xi32> -> tensor<8x6xf32>
  return
}

// -----

// Rows of another width.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<4x2xi64>) {
  // expected-error@+1 {{(c2)}}
  %0 = coll.combine %x[%i] experts 1 over @mesh ["a"] : tensor<4x6xf32>, tensor<4x2xi64> -> tensor<2x5xf32>
  return
}

// -----

// No experts.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<8x2xi64>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.dispatch %x[%i] experts 0 over @mesh ["a"] : tensor<4x6xf32>, tensor<8x2xi64> -> tensor<8x6xf32>
  return
}

// -----

// Room for fewer rows than may come.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<8x2xi64>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.dispatch %x[%i] experts 1 over @mesh ["a", "b"] : tensor<4x6xf32>, tensor<8x2xi64> -> tensor<8x6xf32>
  return
}

// -----

// Experts for one device's rows only.
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"b" = 2>]>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<2x2xi64>) {
  // expected-error@+1 {{(c3)}}
  %0 = coll.combine %x[%i] experts 1 over @mesh ["a"] : tensor<4x6xf32>, tensor<2x2xi64> -> tensor<2x6xf32>
  return
}
