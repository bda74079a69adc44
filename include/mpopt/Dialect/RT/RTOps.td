#ifndef MPOPT_DIALECT_RT_OPS
#define MPOPT_DIALECT_RT_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mpopt/Dialect/Shd/ShdAttrs.td"
include "mpopt/Dialect/NN/NNDialect.td"
include "mpopt/Dialect/RT/RTEnums.td"

def RTDialect : Dialect {
  let name = "rt";
  let cppNamespace = "::mpopt::rt";
  let summary = "Instruction lists: static buffers, kernel calls, collectives, explicit dependencies";
  let description = [{
    The last IR before the plan file, and the same as it, instruction by instruction (runtime/format/plan.fbs). A module holds one
    `rt.program` per stage and the kernels (`func.func` with the `rt.kernel` unit attribute) that its calls name.
  }];
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mpopt::shd::ShdDialect", "::mpopt::nn::NNDialect"];
}

def RT_BufferType : TypeDef<RTDialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "a dense static buffer that holds a tensor";
  let parameters = (ins "::mlir::RankedTensorType":$tensor);
  let assemblyFormat = "`<` $tensor `>`";
}

class RT_Op<string mnemonic, list<Trait> traits = []> : Op<RTDialect, mnemonic, traits>;

def RT_ProgramOp : RT_Op<"program", [Symbol, IsolatedFromAbove, NoTerminator, SingleBlock]> {
  let summary = "what every device of one stage runs, `body` once per step and `init` once at load";
  let description = "`work` and `init` are the sizes in bytes of the arenas for run-time and for init-time intermediate buffers.";
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$work_bytes, I64Attr:$init_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `work` $work_bytes `init` $init_bytes attr-dict-with-keyword $body";
}

def RT_BufferOp : RT_Op<"buffer", [Pure]> {
  let summary = "declares a buffer: `offset` is a byte in the arena (work), or the number of the weight (weights)";
  let arguments = (ins RT_Space:$space, I64Attr:$offset, OptionalAttr<NN_ExternalAttr>:$source,
                       OptionalAttr<StrArrayAttr>:$index_axes, OptionalAttr<I64Attr>:$index_scale,
                       OptionalAttr<ElementsAttr>:$value);
  let description = [{
    A weights buffer gets its contents from `source` (a file's bytes, space `source`), from `value` (a constant), from the device's place along
    `index_axes` times `index_scale`, or, with none of these, from an `init` instruction.
  }];
  let results = (outs RT_BufferType:$result);
  let assemblyFormat = "$space $offset attr-dict `:` type($result)";
}

class RT_Instruction<string mnemonic, dag args> : RT_Op<mnemonic, [AttrSizedOperandSegments]> {
  let arguments = !con((ins Variadic<RT_BufferType>:$reads, Variadic<RT_BufferType>:$writes), args,
                       (ins UnitAttr:$init, DefaultValuedAttr<I64Attr, "0">:$stream, OptionalAttr<DenseI64ArrayAttr>:$waits,
                            OptionalAttr<F64Attr>:$seconds));
  let assemblyFormat = "`(` $reads `:` type($reads) `)` `->` `(` $writes `:` type($writes) `)` attr-dict";
}

def RT_KernelOp : RT_Instruction<"kernel", (ins FlatSymbolRefAttr:$callee)> {
  let summary = "calls a compiled kernel";
  let assemblyFormat = "$callee `(` $reads `:` type($reads) `)` `->` `(` $writes `:` type($writes) `)` attr-dict";
}
def RT_CollectiveOp : RT_Instruction<"collective", (ins RT_CollectiveKind:$kind, StrArrayAttr:$axes,
    DefaultValuedAttr<Shd_ReduceKind, "::mpopt::shd::ReduceKind::Sum">:$reduce, DefaultValuedAttr<I64Attr, "0">:$dim,
    DefaultValuedAttr<I64Attr, "0">:$split_dim, DefaultValuedAttr<I64Attr, "0">:$low, DefaultValuedAttr<I64Attr, "0">:$high,
    DefaultValuedAttr<F64Attr, "0.0">:$pad, OptionalAttr<DenseI64ArrayAttr>:$permutation,
    DefaultValuedAttr<I64Attr, "0">:$experts)> {
  let summary = "one collective over mesh axes; fields as in runtime/format/plan.fbs";
  let assemblyFormat = "$kind $axes `(` $reads `:` type($reads) `)` `->` `(` $writes `:` type($writes) `)` attr-dict";
}
def RT_CopyOp : RT_Instruction<"copy", (ins)> { let summary = "copies one buffer to another"; }

class RT_Message<string mnemonic> : RT_Instruction<mnemonic, (ins I64Attr:$distance, I64Attr:$tag,
    OptionalAttr<TypeAttr>:$global, OptionalAttr<Shd_ShardingAttr>:$sharding)> {
  let assemblyFormat = "`distance` $distance `tag` $tag `(` $reads `:` type($reads) `)` `->` `(` $writes `:` type($writes) `)` attr-dict";
}
def RT_SendOp : RT_Message<"send"> { let summary = "gives its operand to the stage `distance` stages later; attributes as in coll.send"; }
def RT_RecvOp : RT_Message<"recv"> { let summary = "takes its result from the stage `distance` stages earlier; attributes as in coll.send"; }

def RT_PortOp : RT_Op<"port"> {
  let summary = "a model input or output: name, global shape, sharding, buffer";
  let description = [{
    `global` is the whole tensor's type, or, where there are microbatches, that of one microbatch: part `part` of `parts` along `dim`. `position`
    is the port's place among the model's inputs or outputs.
  }];
  let arguments = (ins StrAttr:$name, UnitAttr:$output, RT_BufferType:$buffer, TypeAttr:$global, Shd_ShardingAttr:$sharding,
                       I64Attr:$position, DefaultValuedAttr<I64Attr, "0">:$part, DefaultValuedAttr<I64Attr, "1">:$parts,
                       DefaultValuedAttr<I64Attr, "0">:$dim);
  let assemblyFormat = "$name (`output` $output^)? $buffer `:` type($buffer) `global` $global `sharding` $sharding attr-dict";
}

#endif // MPOPT_DIALECT_RT_OPS
