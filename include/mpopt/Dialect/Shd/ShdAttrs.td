#ifndef MPOPT_DIALECT_SHD_ATTRS
#define MPOPT_DIALECT_SHD_ATTRS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mpopt/Dialect/Shd/ShdDialect.td"

def Shd_ReduceKind : I32EnumAttr<"ReduceKind", "how partial values combine", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">,
    I32EnumAttrCase<"Min", 2, "min">, I32EnumAttrCase<"Prod", 3, "prod">]> {
  let cppNamespace = "::mpopt::shd";
}

class Shd_Attr<string name, string mnem> : AttrDef<ShdDialect, name> { let mnemonic = mnem; }

def Shd_MeshAxisAttr : Shd_Attr<"MeshAxis", "axis"> {
  let summary = "One axis of a mesh: name, prime size, level of the link that it crosses (0: innermost)";
  let parameters = (ins "::mlir::StringAttr":$name, "int64_t":$size, DefaultValuedParameter<"int64_t", "0">:$level);
  let assemblyFormat = "`<` $name `=` $size (`:` $level^)? `>`";
}

def Shd_MeshAttr : Shd_Attr<"Mesh", "mesh"> {
  let summary = "Axes, major to minor: device number = row-major index over the axes";
  let parameters = (ins ArrayRefParameter<"MeshAxisAttr">:$axes);
  let assemblyFormat = "`<` custom<MeshAxes>($axes) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Number of devices: the product of the axes' sizes.
    int64_t getNumDevices() const;
    /// The axis of that name, or null.
    MeshAxisAttr find(::llvm::StringRef name) const;
    /// Place of the axis of that name among the axes, or -1.
    int64_t indexOf(::llvm::StringRef name) const;
    /// Product of the sizes of the named axes.
    int64_t sizeOf(::llvm::ArrayRef<::mlir::StringAttr> axes) const;
  }];
}

def Shd_DimShardingAttr : Shd_Attr<"DimSharding", "dim"> {
  let summary = "How one dimension is split: axes, major to minor, in units of `block` elements";
  let description = [{
    A dimension of n elements split over k devices (the product of the axes' sizes) has ceil(n / block / k) * block
    elements on each device; what lies past n on the last ones is padding with unspecified contents. `block` is a
    divisor of n; it is 1 whenever k divides n / block (the canonical form).
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$axes, DefaultValuedParameter<"int64_t", "1">:$block);
  let hasCustomAssemblyFormat = 1;
}

def Shd_ShardingAttr : Shd_Attr<"Sharding", "sharding"> {
  let summary = "Sharding of one value: a split per dimension, and the axes over which it is still a partial result";
  let description = [{
    ```mlir
    #shd.sharding<@mesh, [{"a","b"}, {}, {"c"}:64]>
    #shd.sharding<@mesh, [{}, {"a"} ], unreduced=["c"] sum>
    ```
    An axis occurs at most once. Axes that do not occur: the value is replicated along them.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$mesh, ArrayRefParameter<"DimShardingAttr">:$dims,
                        ArrayRefParameter<"::mlir::StringAttr">:$unreduced,
                        DefaultValuedParameter<"ReduceKind", "ReduceKind::Sum">:$reduce);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool isReplicated() const;
    /// Everything on every device.
    static ShardingAttr replicated(::mlir::FlatSymbolRefAttr mesh, int64_t rank);
    /// Local shape of a value of global `shape` (padding included).
    ::llvm::SmallVector<int64_t> getLocalShape(::llvm::ArrayRef<int64_t> shape, MeshAttr mesh) const;
    /// The local type of a value of global `type`.
    ::mlir::RankedTensorType getLocalType(::mlir::RankedTensorType type, MeshAttr mesh) const;
    /// The one form of all that say the same: the smallest `block` that gives the same local size (1 wherever the split is
    /// even), unreduced axes in the mesh's order, `sum` where nothing is unreduced.
    ShardingAttr canonical(::llvm::ArrayRef<int64_t> shape, MeshAttr mesh) const;
  }];
}

#endif // MPOPT_DIALECT_SHD_ATTRS
