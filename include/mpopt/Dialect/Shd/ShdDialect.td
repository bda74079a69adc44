#ifndef MPOPT_DIALECT_SHD_DIALECT
#define MPOPT_DIALECT_SHD_DIALECT

include "mlir/IR/OpBase.td"

def ShdDialect : Dialect {
  let name = "shd";
  let cppNamespace = "::mpopt::shd";
  let summary = "Meshes, shardings and partition rules";
  let description = [{
    Says how values are spread over a mesh of devices. Planning annotates operations of any dialect with `shd` attributes:

    - a module holds one `shd.mesh`;
    - function arguments and results carry `shd.sharding`;
    - every operation that implements `PartitionInterface` carries `shd.in` and `shd.out`, arrays of one `#shd.sharding`
      per operand and result. Where the sharding in which a value is made differs from the one in which it is used,
      partitioning inserts a reshard;
    - in a pipeline the module carries `shd.stages`, each stage being a mesh like the one declared, and operations carry `shd.stage`; one
      without belongs to every stage that uses it. Stages of different sizes (`shd.stage_devices`) are functions of their own before they are
      planned, and name their meshes with `shd.mesh`. `shd.microbatches` says how many microbatches a step is made of, `shd.batch_dim`
      on an argument or result of @main which dimension they split: shapes are those of one microbatch.

    The dialect knows no operator: operators register their rules through `PartitionInterface`.
  }];
  let useDefaultAttributePrinterParser = 1;
}

#endif // MPOPT_DIALECT_SHD_DIALECT
