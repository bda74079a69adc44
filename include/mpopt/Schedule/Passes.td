#ifndef MPOPT_SCHEDULE_PASSES
#define MPOPT_SCHEDULE_PASSES

include "mlir/Pass/PassBase.td"

def LowerPlaces : Pass<"mpopt-lower-places", "::mlir::ModuleOp"> {
  let summary = "Expresses what depends on a device's place through coll.index and nn operators";
  let description = [{
    After this pass `coll.index` is the only operation, besides communication, by which the devices of a program differ.

    ```mlir
    %b = coll.slice %a dim 0 over @mesh ["x0"] : tensor<8xf32> -> tensor<4xf32>
    %d = coll.keep_first %c over @mesh ["x0"] : tensor<4xf32>
    ```
    becomes
    ```mlir
    %i = coll.index over @mesh ["x0"] {scale = 4} : tensor<i64>
    %b = nn.slice_at %a[%i] {axis = 0} : tensor<8xf32>, tensor<i64> -> tensor<4xf32>
    %p = coll.index over @mesh ["x0"] : tensor<i64>
    %f = nn.compare eq %p, %zero : tensor<i64>, tensor<i64>
    %d = nn.select %f, %c, %nought : tensor<i1>, tensor<4xf32>, tensor<f32>
    ```
  }];
  let dependentDialects = ["::mpopt::nn::NNDialect", "::mpopt::coll::CollDialect"];
}

def UnrollMicrobatches : Pass<"mpopt-unroll-microbatches", "::mlir::ModuleOp"> {
  let summary = "Writes a program of one microbatch as that of all, one after the other";
  let description = [{
    Arguments and results with `shd.batch_dim` become one per microbatch, marked with `shd.part`, and operations say with `shd.microbatch` which one they are
    for; what is computed once stays as it is. Several
    microbatches are on their way at a time because the ranks of other stages work on the earlier ones.

    ```mlir
    module attributes {shd.microbatches = 2} {
    func.func @stage_0(%x: tensor<2xf32> {shd.batch_dim = 0}) {
      %y = call @kernel_0(%x, %w) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
      coll.send %y distance 1 tag 5 : tensor<2xf32>
    ```
    becomes
    ```mlir
    func.func @stage_0(%x0: tensor<2xf32> {shd.batch_dim = 0, shd.part = 0}, %x1: tensor<2xf32> {shd.batch_dim = 0, shd.part = 1}) {
      %y0 = call @kernel_0(%x0, %w) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
      coll.send %y0 distance 1 tag 10 {microbatch = 0} : tensor<2xf32>
      %y1 = call @kernel_0(%x1, %w) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
      coll.send %y1 distance 1 tag 11 {microbatch = 1} : tensor<2xf32>
    ```
  }];
  let dependentDialects = ["::mpopt::coll::CollDialect"];
}

def BuildProgram : Pass<"mpopt-build-program", "::mlir::ModuleOp"> {
  let summary = "Turns @main, or each stage, a list of kernel calls and communication, into an rt.program";
  let description = [{
    Values become buffers. Run-time buffers share the arena by liveness (offsets are the same on all devices); what can be computed once,
    from weights, constants and the device's place alone, becomes instructions marked `init`, whose intermediate buffers share an
    arena of their own, and whose results that the run needs are numbered `weights` buffers. What is sent stays as it is for as many further microbatches
    as there are stages between sender and receiver, so that the sender need not wait for them.

    ```mlir
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %w = nn.weight "w" #nn.external<"m.onnx", 64, 16> : tensor<4xf32>
      %y = call @kernel_0(%x, %w) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
    becomes
    ```mlir
    rt.program @main work 128 {
      %x = rt.buffer work 0 : <tensor<4xf32>>
      %s = rt.buffer source 0 {source = #nn.external<"m.onnx", 64, 16>} : <tensor<4xf32>>
      %w = rt.buffer weights 0 : <tensor<4xf32>>
      rt.copy(%s) -> (%w) {init}
      %y = rt.buffer work 64 : <tensor<4xf32>>
      rt.kernel @kernel_0(%x, %w) -> (%y)
    }
    ```
  }];
  let options = [
    Option<"streams", "streams", "bool", "false", "Whether a step may begin while later stages run the one before">
  ];
  let dependentDialects = ["::mpopt::rt::RTDialect"];
}

#endif // MPOPT_SCHEDULE_PASSES
