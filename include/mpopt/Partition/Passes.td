#ifndef MPOPT_PARTITION_PASSES
#define MPOPT_PARTITION_PASSES

include "mlir/Pass/PassBase.td"

def VerifyShardings : Pass<"mpopt-verify-shardings", "::mlir::ModuleOp"> {
  let summary = "Checks that @main is planned: every value sharded, every operation by a strategy of its rule";
  let description = [{
    Errors name the operation and what does not hold. Operations on values that are known when the plan is made need no
    shardings.
  }];
}

def PartitionModule : Pass<"mpopt-partition-module", "::mlir::ModuleOp"> {
  let summary = "Turns @main on global shapes with shardings into one device's program with collectives";
  let description = [{
    ```mlir
    func.func @main(%x: tensor<4x8xf32> {shd.sharding = #shd.sharding<@mesh, [{}, {} ]>}) -> (tensor<4x2xf32> {..}) {
      %w = nn.weight "w" #nn.external<"m.bin", 0, 64> : tensor<8x2xf32>
      %y = nn.matmul %x, %w {shd.in = [#shd.sharding<@mesh, [{}, {"a"} ]>, #shd.sharding<@mesh, [{"a"}, {} ]>],
                             shd.out = [#shd.sharding<@mesh, [{}, {} ], unreduced=["a"] sum> ] } : ..
    ```
    becomes, over an axis "a" of 2 devices,
    ```mlir
    func.func @main(%x: tensor<4x8xf32> {nn.global = tensor<4x8xf32>, ..}) -> (tensor<4x2xf32> {..}) {
      %w = nn.weight "w" #nn.external<"m.bin", 0, 64> : tensor<8x2xf32>
      %0 = coll.slice %x dim 1 over @mesh ["a"] : tensor<4x8xf32> -> tensor<4x4xf32>
      %1 = coll.slice %w dim 0 over @mesh ["a"] : tensor<8x2xf32> -> tensor<4x2xf32>
      %2 = nn.matmul %0, %1 : tensor<4x4xf32>, tensor<4x2xf32>
      %3 = coll.all_reduce %2 over @mesh ["a"] : tensor<4x2xf32>
    ```
    A value that is known when the plan is made is computed whole and then sliced, without communication. What lies past the end of
    an unevenly split dimension is masked where a reduction would read it.
  }];
  let dependentDialects = ["::mpopt::coll::CollDialect", "::mpopt::nn::NNDialect"];
}

def SimplifyCollectives : Pass<"mpopt-simplify-collectives", "::mlir::ModuleOp"> {
  let summary = "Merges collectives: all-reduce and slice, gather and slice, sums of two all-reduces";
  let description = [{
    ```mlir
    %1 = coll.all_reduce %0 over @mesh ["a"] : tensor<4x2xf32>
    %2 = coll.slice %1 dim 0 over @mesh ["a"] : tensor<4x2xf32> -> tensor<2x2xf32>
    ```
    becomes, where %1 has no other use,
    ```mlir
    %2 = coll.reduce_scatter %0 dim 0 over @mesh ["a"] : tensor<4x2xf32> -> tensor<2x2xf32>
    ```
    An all-gather whose result is sliced back is dropped, two all-reduces that are added become one of the sum, and masks
    over what a slice has zeroed go.
  }];
}

def TestPrintRules : Pass<"mpopt-test-print-rules", "::mlir::ModuleOp"> {
  let summary = "Prints the partition rule of every operation of @main, for tests";
  let description = [{
    One line per operation: operands -> results as dimensions made of factors, then the factors.
    ```
    nn.matmul: [0][2], [2][1] -> [0][1]; 0=4 1=2 2=8:reduce(sum); linear {0} {1}
    ```
  }];
}

#endif // MPOPT_PARTITION_PASSES
