// RUN: mpopt-opt %s --split-input-file --mpopt-verify-shardings --verify-diagnostics

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
// expected-error@+1 {{argument 0 needs shd.sharding}}
func.func @main(%x: tensor<4xf32>) {
  return
}

// -----

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
// expected-error@+1 {{argument 0: mesh has no axis 'z'}}
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{"z"}]>}) {
  return
}

// -----

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
// expected-error@+1 {{cannot have the sharding}}
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  return
}

// -----

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
// expected-error@+1 {{block 3 does not divide a dimension of 4}}
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{"a"}:3]>}) {
  return
}

// -----

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
// expected-error@+1 {{result 0 is partial}}
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{}]>})
    -> (tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{}], unreduced=["a"] sum>}) {
  return %x : tensor<4xf32>
}

// -----

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{}]>}) {
  // expected-error@+1 {{needs the attribute shd.in}}
  %0 = nn.exp %x : tensor<4xf32>
  return
}

// -----

// No strategy of an elementwise operator moves a split.
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4x4xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {}]>}) {
  // expected-error@+1 {{follow from no strategy}}
  %0 = nn.exp %x {shd.in = [#shd.sharding<@mesh, [{"a"}, {}]>], shd.out = [#shd.sharding<@mesh, [{}, {"a"}]>]} : tensor<4x4xf32>
  return
}

// -----

// exp is not linear.
shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{}]>}) {
  // expected-error@+1 {{follow from no strategy}}
  %0 = nn.exp %x {shd.in = [#shd.sharding<@mesh, [{}], unreduced=["a"] sum>], shd.out = [#shd.sharding<@mesh, [{}], unreduced=["a"] sum>]} : tensor<4xf32>
  return
}

// -----

shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
func.func @main(%x: tensor<4xf32> {shd.sharding = #shd.sharding<@mesh, [{}]>}) {
  // expected-error@+1 {{shd.out needs 1 shardings}}
  %0 = nn.exp %x {shd.in = [#shd.sharding<@mesh, [{}]>], shd.out = []} : tensor<4xf32>
  return
}

// -----

// expected-error@+1 {{needs a shd.mesh}}
module {
  func.func @main() {
    return
  }
}
