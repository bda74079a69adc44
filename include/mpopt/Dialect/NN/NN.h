#ifndef MPOPT_DIALECT_NN_NN_H
#define MPOPT_DIALECT_NN_NN_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"

#include "mpopt/Dialect/NN/NNDialect.h.inc"
#include "mpopt/Dialect/NN/NNEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "mpopt/Dialect/NN/NNAttrs.h.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/NN/NNOps.h.inc"

#endif // MPOPT_DIALECT_NN_NN_H
