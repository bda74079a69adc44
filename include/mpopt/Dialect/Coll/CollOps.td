#ifndef MPOPT_DIALECT_COLL_OPS
#define MPOPT_DIALECT_COLL_OPS

include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/OpBase.td"
include "mpopt/Dialect/Shd/ShdAttrs.td"

def CollDialect : Dialect {
  let name = "coll";
  let cppNamespace = "::mpopt::coll";
  let summary = "Collectives and per-device slices on local shapes";
  let description = [{
    What the devices of a mesh do together. All shapes are local. Every operation names the mesh axes that it works over, major to minor: each
    group of devices that differ only along these axes works on its own, ordered by their row-major index along them
    (a device's place in its group).
  }];
  let dependentDialects = ["::mpopt::shd::ShdDialect"];
}

def Coll_Tensor : StaticShapeTensorOf<[AnyFloat, AnyInteger]>;

class Coll_Op<string mnemonic, list<Trait> traits = []> : Op<CollDialect, mnemonic, traits # [Pure]> { let hasVerifier = 1; }

def Coll_AllReduceOp : Coll_Op<"all_reduce", [SameOperandsAndResultType]> {
  let summary = "every device gets the reduction over the group";
  let arguments = (ins Coll_Tensor:$input, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes, DefaultValuedAttr<Shd_ReduceKind, "::mpopt::shd::ReduceKind::Sum">:$reduce);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `over` $mesh $axes attr-dict `:` type($input)";
}

def Coll_AllGatherOp : Coll_Op<"all_gather"> {
  let summary = "concatenates the group's inputs along `dim`, cropped to the result's size";
  let arguments = (ins Coll_Tensor:$input, I64Attr:$dim, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `dim` $dim `over` $mesh $axes attr-dict `:` type($input) `->` type($result)";
}

def Coll_ReduceScatterOp : Coll_Op<"reduce_scatter"> {
  let summary = "reduces over the group, then each device keeps its block of `dim` (padded with zeros at the end)";
  let arguments = (ins Coll_Tensor:$input, I64Attr:$dim, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes, DefaultValuedAttr<Shd_ReduceKind, "::mpopt::shd::ReduceKind::Sum">:$reduce);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `dim` $dim `over` $mesh $axes attr-dict `:` type($input) `->` type($result)";
}

def Coll_AllToAllOp : Coll_Op<"all_to_all"> {
  let summary = "block i of `split_dim` (zero-padded at the end to equal blocks) goes to device i, which concatenates along `concat_dim`, cropped to the result's size";
  let arguments = (ins Coll_Tensor:$input, I64Attr:$split_dim, I64Attr:$concat_dim, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `split` $split_dim `concat` $concat_dim `over` $mesh $axes attr-dict `:` type($input) `->` type($result)";
}

def Coll_DispatchOp : Coll_Op<"dispatch"> {
  let summary = "gives each device the tokens that its experts are chosen for";
  let description = [{
    On n devices, input: [t, h]; indices: [n * t, k] i64, the same on all: row i * t + j names the experts chosen for row j of device i. Device i
    has the experts from i * `experts` on. Row i * t + j of the result, [n * t, h], is row j of device i, if this device has one of its experts.
    The other rows are unspecified: nothing is sent for them. An index that names no expert sends nothing.
  }];
  let arguments = (ins Coll_Tensor:$input, Coll_Tensor:$indices, I64Attr:$experts, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = [{
    $input `[` $indices `]` `experts` $experts `over` $mesh $axes attr-dict `:` type($input) `,` type($indices) `->` type($result)
  }];
}

def Coll_CombineOp : Coll_Op<"combine"> {
  let summary = "gives back what `dispatch` brought: each token's device adds up, in group order, what the devices of its experts made of it";
  let description = [{
    input: [n * t, h]; indices as for `dispatch`; result: [t, h]. Row j of device i is the sum of rows i * t + j of the devices that have one of the
    experts chosen for it; zero where there are none.
  }];
  let arguments = (ins Coll_Tensor:$input, Coll_Tensor:$indices, I64Attr:$experts, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = [{
    $input `[` $indices `]` `experts` $experts `over` $mesh $axes attr-dict `:` type($input) `,` type($indices) `->` type($result)
  }];
}

def Coll_PermuteOp : Coll_Op<"permute", [SameOperandsAndResultType]> {
  let summary = "device i of the group gets the input of device sources[i]";
  let arguments = (ins Coll_Tensor:$input, DenseI64ArrayAttr:$sources, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input $sources `over` $mesh $axes attr-dict `:` type($input)";
}

def Coll_HaloOp : Coll_Op<"halo"> {
  let summary = "adds `low` elements of the previous devices before and `high` of the next ones after along `dim`; `value` beyond the ends";
  let arguments = (ins Coll_Tensor:$input, I64Attr:$dim, I64Attr:$low, I64Attr:$high, F64Attr:$value, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `dim` $dim `low` $low `high` $high `value` $value `over` $mesh $axes attr-dict `:` type($input) `->` type($result)";
}

def Coll_SliceOp : Coll_Op<"slice"> {
  let summary = "this device's block of `dim`: [i * local, (i + 1) * local) of the input, zero beyond its end; no communication";
  let arguments = (ins Coll_Tensor:$input, I64Attr:$dim, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `dim` $dim `over` $mesh $axes attr-dict `:` type($input) `->` type($result)";
}

def Coll_MaskPadOp : Coll_Op<"mask_pad", [SameOperandsAndResultType]> {
  let summary = "sets what lies at or past global position `size` of `dim` (this device's block starts at i * local) to `value`";
  let arguments = (ins Coll_Tensor:$input, I64Attr:$dim, I64Attr:$size, F64Attr:$value, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `dim` $dim `size` $size `value` $value `over` $mesh $axes attr-dict `:` type($input)";
}

def Coll_KeepFirstOp : Coll_Op<"keep_first", [SameOperandsAndResultType]> {
  let summary = "the input on the group's first device, zero on the others: a replicated value made partial";
  let arguments = (ins Coll_Tensor:$input, FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "$input `over` $mesh $axes attr-dict `:` type($input)";
}

def Coll_IndexOp : Coll_Op<"index"> {
  let summary = "this device's place in its group times `scale`, as a scalar i64";
  let arguments = (ins FlatSymbolRefAttr:$mesh, StrArrayAttr:$axes, DefaultValuedAttr<I64Attr, "1">:$scale);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "`over` $mesh $axes attr-dict `:` type($result)";
}

class Coll_Message<string mnemonic> : Op<CollDialect, mnemonic> { let hasVerifier = 1; }

def Coll_SendOp : Coll_Message<"send"> {
  let summary = "gives the value to the stage that is `distance` stages later";
  let description = [{
    Matched by the `coll.recv` of that stage with the same tag; a tag is used once in a program, or once per microbatch. Where all stages have one
    mesh the device in the same place gets it as it lies. Where each has its own, both ends say what the value is on all devices, `global`, and
    how it is spread on theirs, `sharding`, which is not partial: each device gets what it holds from those that have it.
  }];
  let arguments = (ins Coll_Tensor:$input, I64Attr:$distance, I64Attr:$tag, OptionalAttr<I64Attr>:$microbatch,
                       OptionalAttr<TypeAttr>:$global, OptionalAttr<Shd_ShardingAttr>:$sharding);
  let assemblyFormat = "$input `distance` $distance `tag` $tag attr-dict `:` type($input)";
}

def Coll_RecvOp : Coll_Message<"recv"> {
  let summary = "takes the value from the stage that is `distance` stages earlier";
  let arguments = (ins I64Attr:$distance, I64Attr:$tag, OptionalAttr<I64Attr>:$microbatch,
                       OptionalAttr<TypeAttr>:$global, OptionalAttr<Shd_ShardingAttr>:$sharding);
  let results = (outs Coll_Tensor:$result);
  let assemblyFormat = "`distance` $distance `tag` $tag attr-dict `:` type($result)";
}

#endif // MPOPT_DIALECT_COLL_OPS
