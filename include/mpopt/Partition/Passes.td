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

def SplitMicrobatches : Pass<"mpopt-split-microbatches", "::mlir::ModuleOp"> {
  let summary = "Turns @main on a whole batch into @main on one of `count` equal microbatches";
  let description = [{
    A batch split over time instead of devices: the dimensions that the inputs' batch becomes are followed through all operators' rules and
    divided. Runs before planning, which thus sees the shapes that will run.

    ```mlir
    func.func @main(%x: tensor<8x64xf32>) -> tensor<8x32xf32> { .. }
    ```
    becomes, with count=4,
    ```mlir
    module attributes {shd.microbatches = 4} {
    func.func @main(%x: tensor<2x64xf32> {shd.batch_dim = 0}) -> (tensor<2x32xf32> {shd.batch_dim = 0}) { .. }
    ```
    An operator that does not treat rows apart, and a constant or weight that differs between rows, are errors. Inputs without a batch are given
    whole to every microbatch.
  }];
  let options = [Option<"count", "count", "int64_t", "1", "Number of microbatches">];
  let dependentDialects = ["::mpopt::coll::CollDialect", "::mpopt::nn::NNDialect"];
}

def SplitStages : Pass<"mpopt-split-stages", "::mlir::ModuleOp"> {
  let summary = "Turns the @main of a pipeline into one function per stage, with sends and receives between them";
  let description = [{
    Does nothing where the module has no `shd.stages`, or is split already: stages of different sizes are before they are planned, on whole shapes, and
    planning then says for each message how it is spread at its end. A value goes from the stage that makes it straight to each that uses it, right after it is
    made; it is received before its first use. Inputs are arguments of every stage that uses them. What belongs to no stage is
    computed in each that uses it. A collective that makes its operand smaller moves to the operand's stage, so that less is sent.

    ```mlir
    module attributes {shd.stages = 2} {
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = nn.exp %x {shd.stage = 0} : tensor<4xf32>
      %z = nn.exp %y {shd.stage = 1} : tensor<4xf32>
      return %z : tensor<4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @stage_0(%x: tensor<4xf32>) {
      %y = nn.exp %x : tensor<4xf32>
      coll.send %y distance 1 tag 0 : tensor<4xf32>
      return
    }
    func.func @stage_1() -> tensor<4xf32> {
      %y = coll.recv distance 1 tag 0 : tensor<4xf32>
      %z = nn.exp %y : tensor<4xf32>
      return %z : tensor<4xf32>
    }
    ```
  }];
  let dependentDialects = ["::mpopt::coll::CollDialect"];
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
