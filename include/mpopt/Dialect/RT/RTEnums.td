#ifndef MPOPT_DIALECT_RT_ENUMS
#define MPOPT_DIALECT_RT_ENUMS

include "mlir/IR/EnumAttr.td"

def RT_Space : I32EnumAttr<"Space", "where a buffer lives", [
    I32EnumAttrCase<"Work", 0, "work">, I32EnumAttrCase<"Weights", 1, "weights">, I32EnumAttrCase<"Source", 2, "source">]> {
  let cppNamespace = "::mpopt::rt";
}

def RT_CollectiveKind : I32EnumAttr<"CollectiveKind", "collective", [
    I32EnumAttrCase<"AllReduce", 0, "all_reduce">, I32EnumAttrCase<"AllGather", 1, "all_gather">,
    I32EnumAttrCase<"ReduceScatter", 2, "reduce_scatter">, I32EnumAttrCase<"AllToAll", 3, "all_to_all">,
    I32EnumAttrCase<"Permute", 4, "permute">, I32EnumAttrCase<"Halo", 5, "halo">,
    I32EnumAttrCase<"Dispatch", 6, "dispatch">, I32EnumAttrCase<"Combine", 7, "combine">]> {
  let cppNamespace = "::mpopt::rt";
}

#endif // MPOPT_DIALECT_RT_ENUMS
