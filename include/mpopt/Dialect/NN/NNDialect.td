#ifndef MPOPT_DIALECT_NN_DIALECT
#define MPOPT_DIALECT_NN_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def NNDialect : Dialect {
  let name = "nn";
  let cppNamespace = "::mpopt::nn";
  let summary = "Neural-network operators on static tensors";
  let description = [{
    A small set of operators, far fewer than ONNX's, with value semantics on static ranked tensors. Before partitioning
    shapes are global; after it the same operators work on one device's local shapes beside `coll` operators.

    Elementwise operators broadcast as numpy does. Operators that sharding, kernels and derivatives need whole (softmax,
    norms, attention, convolution) are kept whole. Every operator's location names the ONNX node that it stems from.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
}

def NN_ReduceKind : I32EnumAttr<"ReduceKind", "kind of reduction", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">,
    I32EnumAttrCase<"Min", 2, "min">, I32EnumAttrCase<"Prod", 3, "prod">]> {
  let cppNamespace = "::mpopt::nn";
}

def NN_Predicate : I32EnumAttr<"Predicate", "comparison", [
    I32EnumAttrCase<"Eq", 0, "eq">, I32EnumAttrCase<"Ne", 1, "ne">, I32EnumAttrCase<"Lt", 2, "lt">,
    I32EnumAttrCase<"Le", 3, "le">, I32EnumAttrCase<"Gt", 4, "gt">, I32EnumAttrCase<"Ge", 5, "ge">]> {
  let cppNamespace = "::mpopt::nn";
}

def NN_Activation : I32EnumAttr<"Activation", "activation between two products", [
    I32EnumAttrCase<"Relu", 0, "relu">, I32EnumAttrCase<"Gelu", 1, "gelu">, I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,
    I32EnumAttrCase<"Silu", 3, "silu">]> {
  let cppNamespace = "::mpopt::nn";
}

def NN_ExternalAttr : AttrDef<NNDialect, "External"> {
  let mnemonic = "external";
  let summary = "Bytes of a file: path relative to the model's folder, offset and length in bytes";
  let parameters = (ins "::mlir::StringAttr":$file, "uint64_t":$offset, "uint64_t":$length);
  let assemblyFormat = "`<` $file `,` $offset `,` $length `>`";
}

#endif // MPOPT_DIALECT_NN_DIALECT
