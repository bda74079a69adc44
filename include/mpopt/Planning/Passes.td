#ifndef MPOPT_PLANNING_PASSES
#define MPOPT_PLANNING_PASSES

include "mlir/Pass/PassBase.td"

def PlanModule : Pass<"mpopt-plan-module", "::mlir::ModuleOp"> {
  let summary = "Chooses a sharding for every value";
  let description = [{
    Annotates @main with the cheapest shardings that the cost model finds; changes no operation.

    ```mlir
    func.func @main(%x: tensor<8x64xf32>) -> tensor<8x32xf32> {
      %w = nn.weight "w" <"m.onnx", 0, 8192> : tensor<64x32xf32>
      %y = nn.matmul %x, %w : tensor<8x64xf32>, tensor<64x32xf32>
    ```
    becomes, for 2 devices,
    ```mlir
    shd.mesh @mesh #shd.mesh<[<"x0" = 2>]>
    func.func @main(%x: tensor<8x64xf32> {shd.sharding = #shd.sharding<@mesh, [{"x0"}, {} ]>}) -> ... {
      %w = nn.weight ...
      %y = nn.matmul %x, %w {shd.in = [#shd.sharding<@mesh, [{"x0"}, {} ]>, #shd.sharding<@mesh, [{}, {} ]>],
                             shd.out = [#shd.sharding<@mesh, [{"x0"}, {} ]>]} : ...
    ```
  }];
  let options = [
    Option<"machine", "machine", "std::string", "\"host\"", "Name or file of the machine">,
    Option<"devices", "devices", "int64_t", "1", "Number of devices">,
    Option<"strategy", "strategy", "std::string", "\"\"", "Classic layout that the plan must have: dp=2,tp=4, or pp=2,mb=4">,
    Option<"objective", "objective", "std::string", "\"latency\"", "latency, throughput or memory">,
    Option<"pin", "pin", "std::string", "\"\"", "File with shardings that the plan must have">,
    Option<"memoryLimit", "memory-limit", "int64_t", "0", "Bytes per device; 0: the machine's">,
    Option<"explain", "explain", "bool", "false", "Prints the report to standard error">
  ];
  let dependentDialects = ["::mpopt::shd::ShdDialect"];
}

#endif // MPOPT_PLANNING_PASSES
