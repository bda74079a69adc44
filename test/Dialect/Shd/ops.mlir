// Meshes and shardings in text form.
// RUN: mpopt-opt %s --split-input-file | FileCheck %s

// CHECK: shd.mesh @mesh <[<"x0" = 2>, <"x1" = 3 : 1>]>
shd.mesh @mesh #shd.mesh<[<"x0" = 2>, <"x1" = 3 : 1>]>

// A split by two axes, a replicated dimension, a split in units of 64.
// CHECK: #shd.sharding<@mesh, [{"a","b"}, {}, {"c"}:64]>
func.func private @split() attributes {s = #shd.sharding<@mesh, [{"a", "b"}, {}, {"c"}:64]>}

// CHECK: #shd.sharding<@mesh, [{}, {"a"}], unreduced=["c","b"] sum>
func.func private @partial() attributes {s = #shd.sharding<@mesh, [{}, {"a"}], unreduced=["c", "b"] sum>}

// CHECK: #shd.sharding<@mesh, [], unreduced=["a"] max>
func.func private @scalar() attributes {s = #shd.sharding<@mesh, [], unreduced=["a"] max>}

// -----

// One device: no axes.
// CHECK: shd.mesh @mesh <[]>
shd.mesh @mesh #shd.mesh<[]>
