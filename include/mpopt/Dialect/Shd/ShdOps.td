#ifndef MPOPT_DIALECT_SHD_OPS
#define MPOPT_DIALECT_SHD_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mpopt/Dialect/Shd/ShdAttrs.td"

def Shd_MeshOp : Op<ShdDialect, "mesh", [Symbol]> {
  let summary = "declares the mesh of devices";
  let description = [{
    ```mlir
    shd.mesh @mesh #shd.mesh<[<"x0" = 2>, <"x1" = 2>]>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Shd_MeshAttr:$mesh);
  let assemblyFormat = "$sym_name $mesh attr-dict";
}

#endif // MPOPT_DIALECT_SHD_OPS
