#ifndef MPOPT_DIALECT_SHD_SHD_H
#define MPOPT_DIALECT_SHD_SHD_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include "mpopt/Dialect/Shd/ShdDialect.h.inc"
#include "mpopt/Dialect/Shd/ShdEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "mpopt/Dialect/Shd/ShdAttrs.h.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/Shd/ShdOps.h.inc"

namespace mpopt::shd {

/// Names of the attributes that planning writes (see the dialect's description).
inline constexpr llvm::StringLiteral kInAttr = "shd.in", kOutAttr = "shd.out", kShardingAttr = "shd.sharding";

/// On a function or program: the symbol of its mesh, where the module has several.
inline constexpr llvm::StringLiteral kMeshAttr = "shd.mesh";

/// The mesh that `op`, or the nearest operation around it, names; else the module's first. Null when there is none.
MeshOp getMesh(mlir::Operation *op);

} // namespace mpopt::shd

#endif // MPOPT_DIALECT_SHD_SHD_H
