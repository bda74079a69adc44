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

def BuildProgram : Pass<"mpopt-build-program", "::mlir::ModuleOp"> {
  let summary = "Turns @main, a list of kernel calls and collectives, into an rt.program";
  let description = [{
    Values become buffers. Run-time buffers share the arena by liveness (offsets are the same on all devices); what can be computed once,
    from weights, constants and the device's place alone, becomes instructions marked `init`, whose intermediate buffers share an
    arena of their own, and whose results that the run needs are numbered `weights` buffers.

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
  let dependentDialects = ["::mpopt::rt::RTDialect"];
}

#endif // MPOPT_SCHEDULE_PASSES
