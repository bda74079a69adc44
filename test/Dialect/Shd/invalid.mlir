// RUN: mpopt-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{size 4 of axis 'a' is not prime}}
shd.mesh @mesh #shd.mesh<[<"a" = 4>]>

// -----

// expected-error@+1 {{axis 'a' occurs twice}}
shd.mesh @mesh #shd.mesh<[<"a" = 2>, <"a" = 2>]>

// -----

// expected-error@+1 {{axis 'a' occurs twice}}
func.func private @f() attributes {s = #shd.sharding<@mesh, [{"a"}, {"a"}]>}

// -----

// expected-error@+1 {{axis 'a' occurs twice}}
func.func private @f() attributes {s = #shd.sharding<@mesh, [{"a"}], unreduced=["a"] sum>}

// -----

// expected-error@+1 {{block must be at least 1}}
func.func private @f() attributes {s = #shd.sharding<@mesh, [{"a"}:0]>}

// -----

// expected-error@+1 {{expected sum, max, min or prod}}
func.func private @f() attributes {s = #shd.sharding<@mesh, [{}], unreduced=["a"] mean>}
