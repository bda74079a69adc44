#ifndef MPOPT_DIALECT_NN_OPS
#define MPOPT_DIALECT_NN_OPS

include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mpopt/Dialect/NN/NNDialect.td"
include "mpopt/Dialect/Shd/PartitionInterface.td"

def NN_Tensor : StaticShapeTensorOf<[AnyFloat, AnyInteger]>;
def NN_Float : StaticShapeTensorOf<[AnyFloat]>;
def NN_Int : StaticShapeTensorOf<[AnyInteger]>;
def NN_Bool : StaticShapeTensorOf<[I1]>;

/// `own` names the methods of PartitionInterface, besides the rule, that the operator has its own bodies of.
class NN_Op<string mnemonic, list<Trait> traits = [], list<string> own = []>
    : Op<NNDialect, mnemonic,
         traits # [Pure, DeclareOpInterfaceMethods<PartitionInterface, ["getPartitionRule"] # own>]>;

/// Operators whose result type follows from operands and attributes.
class NN_InferOp<string mnemonic, list<Trait> traits = [], list<string> own = []>
    : NN_Op<mnemonic, traits # [DeclareOpInterfaceMethods<InferTypeOpInterface>], own>;

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

def NN_WeightOp : NN_Op<"weight"> {
  let summary = "a weight that stays on disk";
  let description = [{
    A handle to an initializer: dense, row-major, little-endian bytes of a file, mapped only when a plan is written or run.
    ```mlir
    %w = nn.weight "encoder.weight" #nn.external<"model.safetensors", 4096, 1536> : tensor<384xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, NN_ExternalAttr:$source);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$name $source attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def NN_ConstantOp : NN_Op<"constant", [ConstantLike]> {
  let summary = "a small constant held in the IR";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def NN_IotaOp : NN_Op<"iota", [], ["buildLocal"]> {
  let summary = "start + step * index along one axis";
  let arguments = (ins I64Attr:$axis, DefaultValuedAttr<F64Attr, "0.0">:$start, DefaultValuedAttr<F64Attr, "1.0">:$step);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

class NN_Unary<string mnemonic, string what, Type type = NN_Float> : NN_InferOp<mnemonic, [SameOperandsAndResultShape]> {
  let summary = what;
  let arguments = (ins type:$input);
  let results = (outs type:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasFolder = 1;
}

def NN_NegOp : NN_Unary<"neg", "-x", NN_Tensor>;
def NN_AbsOp : NN_Unary<"abs", "|x|", NN_Tensor>;
def NN_SignOp : NN_Unary<"sign", "-1, 0 or 1", NN_Tensor>;
def NN_ExpOp : NN_Unary<"exp", "e^x">;
def NN_LogOp : NN_Unary<"log", "natural logarithm">;
def NN_SqrtOp : NN_Unary<"sqrt", "square root">;
def NN_RsqrtOp : NN_Unary<"rsqrt", "1 / sqrt(x)">;
def NN_ReciprocalOp : NN_Unary<"reciprocal", "1 / x">;
def NN_SinOp : NN_Unary<"sin", "sine">;
def NN_CosOp : NN_Unary<"cos", "cosine">;
def NN_TanhOp : NN_Unary<"tanh", "hyperbolic tangent">;
def NN_ErfOp : NN_Unary<"erf", "error function">;
def NN_FloorOp : NN_Unary<"floor", "round down">;
def NN_CeilOp : NN_Unary<"ceil", "round up">;
def NN_RoundOp : NN_Unary<"round", "round half to even">;
def NN_SigmoidOp : NN_Unary<"sigmoid", "1 / (1 + e^-x)">;
def NN_ReluOp : NN_Unary<"relu", "max(x, 0)", NN_Tensor>;
def NN_SiluOp : NN_Unary<"silu", "x * sigmoid(x)">;
def NN_SoftplusOp : NN_Unary<"softplus", "log(1 + e^x)">;
def NN_NotOp : NN_Unary<"not", "logical not", NN_Bool>;

def NN_GeluOp : NN_InferOp<"gelu", [SameOperandsAndResultShape]> {
  let summary = "x * Phi(x), exact by erf, or by the tanh approximation";
  let arguments = (ins NN_Float:$input, UnitAttr:$tanh);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input (`tanh` $tanh^)? attr-dict `:` type($input)";
}

class NN_UnaryParams<string mnemonic, string what, dag params>
    : NN_InferOp<mnemonic, [SameOperandsAndResultShape]> {
  let summary = what;
  let arguments = !con((ins NN_Float:$input), params);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}
def NN_LeakyReluOp : NN_UnaryParams<"leaky_relu", "x < 0 ? alpha * x : x", (ins F64Attr:$alpha)>;
def NN_EluOp : NN_UnaryParams<"elu", "x < 0 ? alpha * (e^x - 1) : x", (ins F64Attr:$alpha)>;
def NN_HardSigmoidOp : NN_UnaryParams<"hard_sigmoid", "max(0, min(1, alpha * x + beta))", (ins F64Attr:$alpha, F64Attr:$beta)>;

def NN_IsNanOp : NN_InferOp<"is_nan", [SameOperandsAndResultShape]> {
  let summary = "whether x is not a number";
  let arguments = (ins NN_Float:$input);
  let results = (outs NN_Bool:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

class NN_Binary<string mnemonic, string what, list<Trait> traits = [], Type type = NN_Tensor, list<string> own = []>
    : NN_InferOp<mnemonic, traits, own> {
  let summary = what # ", broadcasting as numpy does";
  let arguments = (ins type:$lhs, type:$rhs);
  let results = (outs type:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
  let hasFolder = 1;
}

def NN_AddOp : NN_Binary<"add", "x + y", [Commutative]>;
def NN_SubOp : NN_Binary<"sub", "x - y">;
def NN_MulOp : NN_Binary<"mul", "x * y", [Commutative]>;
def NN_DivOp : NN_Binary<"div", "x / y; integers truncate towards zero", [], NN_Tensor, ["buildLocal"]>;
def NN_PowOp : NN_Binary<"pow", "x ^ y">;
def NN_MaxOp : NN_Binary<"max", "the larger; NaN if either is", [Commutative]>;
def NN_MinOp : NN_Binary<"min", "the smaller; NaN if either is", [Commutative]>;
def NN_ModOp : NN_Binary<"mod", "remainder with the sign of y (of x with `fmod`)", [], NN_Tensor, ["buildLocal"]> {
  let arguments = (ins NN_Tensor:$lhs, NN_Tensor:$rhs, UnitAttr:$fmod);
}
def NN_AndOp : NN_Binary<"and", "logical and; of integers bit by bit", [Commutative], NN_Int>;
def NN_OrOp : NN_Binary<"or", "logical or; of integers bit by bit", [Commutative], NN_Int>;
def NN_XorOp : NN_Binary<"xor", "logical exclusive or; of integers bit by bit", [Commutative], NN_Int>;

def NN_CompareOp : NN_InferOp<"compare"> {
  let summary = "compares, broadcasting as numpy does";
  let arguments = (ins NN_Predicate:$predicate, NN_Tensor:$lhs, NN_Tensor:$rhs);
  let results = (outs NN_Bool:$result);
  let assemblyFormat = "$predicate $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
  let hasFolder = 1;
}

def NN_SelectOp : NN_InferOp<"select"> {
  let summary = "condition ? x : y, all three broadcast";
  let arguments = (ins NN_Bool:$condition, NN_Tensor:$lhs, NN_Tensor:$rhs);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$condition `,` $lhs `,` $rhs attr-dict `:` type($condition) `,` type($lhs) `,` type($rhs)";
  let hasFolder = 1;
}

def NN_CastOp : NN_Op<"cast", [SameOperandsAndResultShape]> {
  let summary = "converts elements: floats to integers truncate, anything to bool is x != 0";
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

def NN_ReshapeOp : NN_Op<"reshape"> {
  let summary = "same elements in row-major order, another shape";
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def NN_TransposeOp : NN_InferOp<"transpose"> {
  let summary = "result dimension i is input dimension permutation[i]";
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$permutation);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input $permutation attr-dict `:` type($input)";
  let hasFolder = 1;
}

def NN_BroadcastOp : NN_Op<"broadcast"> {
  let summary = "repeats dimensions of size 1 and adds leading ones, to the result's shape";
  let arguments = (ins NN_Tensor:$input);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def NN_SliceOp : NN_InferOp<"slice", [], ["buildLocal"]> {
  let summary = "result[i] = input[starts + i * steps], with `sizes` elements per dimension; steps may be negative";
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$starts, DenseI64ArrayAttr:$sizes, DenseI64ArrayAttr:$steps);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input $starts $sizes $steps attr-dict `:` type($input)";
  let hasFolder = 1;
}

def NN_SliceAtOp : NN_Op<"slice_at"> {
  let summary = "elements from `start` (a scalar known when the program runs, not negative) on along `axis`, zero past the input's end";
  let arguments = (ins NN_Tensor:$input, NN_Int:$start, I64Attr:$axis);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input `[` $start `]` attr-dict `:` type($input) `,` type($start) `->` type($result)";
  let hasVerifier = 1;
}

def NN_ConcatOp : NN_InferOp<"concat"> {
  let summary = "operands one after the other along an axis";
  let arguments = (ins Variadic<NN_Tensor>:$inputs, I64Attr:$axis);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$inputs attr-dict `:` type($inputs)";
  let hasFolder = 1;
}

def NN_PadOp : NN_InferOp<"pad"> {
  let summary = "adds `low` elements of `value` before and `high` after, per dimension; negative ones crop";
  let arguments = (ins NN_Tensor:$input, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, DefaultValuedAttr<F64Attr, "0.0">:$value);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input $low $high attr-dict `:` type($input)";
}

def NN_GatherOp : NN_InferOp<"gather", [], ["buildLocal", "getLocalWork"]> {
  let summary = "result[o.., i.., r..] = input[o.., indices[i..], r..] along `axis`; negative indices count from the end";
  let description = [{
    With `offset` (a scalar), indices are first lowered by offset, and elements whose index then lies outside
    the input are 0: what a device does that holds a part of a split table.
  }];
  let arguments = (ins NN_Tensor:$input, NN_Int:$indices, Optional<NN_Int>:$offset, I64Attr:$axis);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input `[` $indices (`-` $offset^)? `]` attr-dict `:` type($input) `,` type($indices) (`,` type($offset)^)?";
  let hasFolder = 1;
}

def NN_GatherElementsOp : NN_InferOp<"gather_elements", [], ["buildLocal"]> {
  let summary = "result[.., i, ..] = input[.., indices[.., i, ..], ..] along `axis`";
  let arguments = (ins NN_Tensor:$input, NN_Int:$indices, I64Attr:$axis);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input `[` $indices `]` attr-dict `:` type($input) `,` type($indices)";
}

def NN_GatherNdOp : NN_InferOp<"gather_nd", [], ["buildLocal"]> {
  let summary = "ONNX GatherND with `batch_dims` leading batch dimensions";
  let arguments = (ins NN_Tensor:$input, NN_Int:$indices, DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input `[` $indices `]` attr-dict `:` type($input) `,` type($indices)";
}

def NN_ScatterNdOp : NN_InferOp<"scatter_nd", [], ["buildLocal"]> {
  let summary = "ONNX ScatterND: a copy of `input` with `updates` written at (or, with `reduction`, combined into) `indices`, in order";
  let arguments = (ins NN_Tensor:$input, NN_Int:$indices, NN_Tensor:$updates, OptionalAttr<NN_ReduceKind>:$reduction);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input `[` $indices `]` $updates attr-dict `:` type($input) `,` type($indices) `,` type($updates)";
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

def NN_ReduceOp : NN_InferOp<"reduce"> {
  let summary = "reduces over `axes`, which stay as size 1 with `keep_dims`";
  let arguments = (ins NN_ReduceKind:$kind, NN_Tensor:$input, DenseI64ArrayAttr:$axes, UnitAttr:$keep_dims);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$kind $input $axes (`keep_dims` $keep_dims^)? attr-dict `:` type($input)";
  let hasFolder = 1;
}

def NN_ArgReduceOp : NN_InferOp<"arg_reduce"> {
  let summary = "index (i64) of the largest (smallest with `min`) element along `axis`: the first, or the last with `select_last`";
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis, UnitAttr:$min, UnitAttr:$select_last, UnitAttr:$keep_dims);
  let results = (outs NN_Int:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_TopKOp : NN_InferOp<"top_k"> {
  let summary = "the k largest (smallest with `smallest`) elements along `axis`, sorted, and their indices (i64); ties: lower index first";
  let arguments = (ins NN_Tensor:$input, I64Attr:$k, I64Attr:$axis, UnitAttr:$smallest);
  let results = (outs NN_Tensor:$values, NN_Int:$indices);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_CumSumOp : NN_InferOp<"cum_sum"> {
  let summary = "running sum along `axis`";
  let arguments = (ins NN_Tensor:$input, I64Attr:$axis, UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

//===----------------------------------------------------------------------===//
// Products, norms, attention
//===----------------------------------------------------------------------===//

def NN_MatmulOp : NN_InferOp<"matmul", [], ["getLocalWork"]> {
  let summary = "[.., m, k] x [.., k, n], leading dimensions broadcast as numpy does; both of rank 2 at least";
  let arguments = (ins NN_Tensor:$lhs, NN_Tensor:$rhs);
  let results = (outs NN_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
}

def NN_PackedMatmulOp : NN_InferOp<"packed_matmul"> {
  let summary = "[.., m, k] x weights packed into panels [ceil(n / r), k, r], zero past column n";
  let description = "What kernel formation makes of a `matmul` by constant weights; r is the code generator's panel width.";
  let arguments = (ins NN_Float:$lhs, NN_Tensor:$packed, I64Attr:$n);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$lhs `,` $packed attr-dict `:` type($lhs) `,` type($packed)";
}

def NN_ExpertMatmulOp : NN_InferOp<"expert_matmul", [], ["buildLocal", "getLocalWork"]> {
  let summary = "row i of the result is row i / (r / t) of `lhs` times the matrix that `indices[i]` names; zero where it names none";
  let description = [{
    lhs: [t, k], weights: [experts, k, n], indices: [r], a multiple of t; result: [r, n]. With `n`, the weights are packed as for
    `packed_matmul`: [experts, ceil(n / w), k, w], which kernel formation does to constant ones.
  }];
  let arguments = (ins NN_Float:$lhs, NN_Float:$weights, NN_Int:$indices, OptionalAttr<I64Attr>:$n);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$lhs `,` $weights `[` $indices `]` attr-dict `:` type($lhs) `,` type($weights) `,` type($indices)";
}

def NN_ExpertsOp : NN_InferOp<"experts", [], ["buildLocal", "getLocalWork"]> {
  let summary = "mixture of experts: the scaled sum of what the chosen experts, two-layer perceptrons, make of each token";
  let description = [{
    input: [.., h]; indices, scales: [.., k], the k experts of each token and their shares; up and gate: [experts, h, f], down: [experts, f, o].
    Result [.., o]: sum over j of scales[.., j] * hidden * down[e], e = indices[.., j], hidden = activation(input * up[e]), or with a gate
    activation(input * gate[e]) * (input * up[e]). An index that names no expert adds nothing.
  }];
  let arguments = (ins NN_Float:$input, NN_Int:$indices, NN_Float:$scales, NN_Float:$up, NN_Float:$down, Optional<NN_Float>:$gate,
                       NN_Activation:$activation);
  let results = (outs NN_Float:$result);
  let assemblyFormat = [{
    $activation $input `[` $indices `]` $scales `up` $up `down` $down (`gate` $gate^ `:` type($gate))? attr-dict `:` type($input) `,`
    type($indices) `,` type($scales) `,` type($up) `,` type($down)
  }];
}

def NN_SoftmaxOp : NN_InferOp<"softmax", [SameOperandsAndResultShape], ["buildLocal", "getLocalWork"]> {
  let summary = "e^(x - max) / sum along `axis`, or its logarithm with `log`";
  let description = [{
    With `safe`, a row that is -inf all along gives 0 instead of NaN (the form that exporters write with IsNaN and Where).
  }];
  let arguments = (ins NN_Float:$input, I64Attr:$axis, UnitAttr:$log, UnitAttr:$safe);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_LayerNormOp : NN_InferOp<"layer_norm", [AttrSizedOperandSegments], ["buildLocal", "getLocalWork"]> {
  let summary = "(x - mean) / sqrt(variance + epsilon) * scale + bias over the dimensions from `axis` on";
  let description = "With `rms`, x / sqrt(mean(x^2) + epsilon) * scale. scale and bias broadcast to the normalised dimensions.";
  let arguments = (ins NN_Float:$input, Optional<NN_Float>:$scale, Optional<NN_Float>:$bias, I64Attr:$axis, F64Attr:$epsilon, UnitAttr:$rms);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input (`scale` $scale^ `:` type($scale))? (`bias` $bias^ `:` type($bias))? attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def NN_LrnOp : NN_InferOp<"lrn", [SameOperandsAndResultShape]> {
  let summary = "x / (bias + alpha / size * sum of squares over `size` neighbours along `axis`) ^ beta";
  let arguments = (ins NN_Float:$input, F64Attr:$alpha, F64Attr:$beta, F64Attr:$bias, I64Attr:$size, DefaultValuedAttr<I64Attr, "1">:$axis);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_GroupNormOp : NN_InferOp<"group_norm", [], ["buildLocal"]> {
  let summary = "normalises over channels of one of `groups` groups and all spatial dimensions; scale and bias are [channels]";
  let arguments = (ins NN_Float:$input, NN_Float:$scale, NN_Float:$bias, I64Attr:$groups, F64Attr:$epsilon);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input `,` $scale `,` $bias attr-dict `:` type($input) `,` type($scale) `,` type($bias)";
}

def NN_AttentionOp : NN_InferOp<"attention", [], ["buildLocal", "getLocalWork"]> {
  let summary = "softmax(q k^T * scale + mask) v";
  let description = [{
    q: [batch, heads, q_len, d], k: [batch, kv_heads, kv_len, d], v: [batch, kv_heads, kv_len, dv]; kv_heads divides heads, and
    query head h reads key/value head h / (heads / kv_heads). mask: broadcasts to [batch, heads, q_len, kv_len];
    i1 (true: may attend) or float (added). `causal`: query i attends to keys j <= i + offset, offset = `causal_offset`.
    A row that may attend to nothing gives 0 with `safe` and NaN without. `softcap` c > 0: scores become c * tanh(scores / c) before the mask.
    Result: [batch, heads, q_len, dv].
  }];
  let arguments = (ins NN_Float:$query, NN_Float:$key, NN_Float:$value, Optional<NN_Tensor>:$mask, F64Attr:$scale,
                       UnitAttr:$causal, DefaultValuedAttr<I64Attr, "0">:$causal_offset, DefaultValuedAttr<F64Attr, "0.0">:$softcap, UnitAttr:$safe);
  let results = (outs NN_Float:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^ `:` type($mask))? attr-dict `:` type($query) `,` type($key) `,` type($value)
  }];
}

def NN_RotaryOp : NN_InferOp<"rotary"> {
  let summary = "rotates pairs of the last dimension of [.., d] by angles given as cos and sin, which broadcast to [.., r / 2]";
  let description = [{
    The first r = 2 * (last dimension of cos) elements rotate, the rest passes. Pairs are (i, i + r/2), or (2i, 2i + 1) with
    `interleaved`.
  }];
  let arguments = (ins NN_Float:$input, NN_Float:$cos, NN_Float:$sin, UnitAttr:$interleaved);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input `,` $cos `,` $sin attr-dict `:` type($input) `,` type($cos) `,` type($sin)";
}

//===----------------------------------------------------------------------===//
// Convolution and pooling: [batch, channels, spatial..]
//===----------------------------------------------------------------------===//

def NN_ConvOp : NN_InferOp<"conv", [], ["buildLocal", "getLocalWork"]> {
  let summary = "convolution: input [n, c, ..], weight [o, c / groups, k..], optional bias [o]";
  let arguments = (ins NN_Float:$input, NN_Float:$weight, Optional<NN_Float>:$bias, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin, DenseI64ArrayAttr:$pads_end, DefaultValuedAttr<I64Attr, "1">:$groups, UnitAttr:$relu);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^ `:` type($bias))? attr-dict `:` type($input) `,` type($weight)";
}

def NN_ConvTransposeOp : NN_InferOp<"conv_transpose", [], ["buildLocal", "getLocalWork"]> {
  let summary = "transposed convolution: input [n, c, ..], weight [c, o / groups, k..], optional bias [o]";
  let arguments = (ins NN_Float:$input, NN_Float:$weight, Optional<NN_Float>:$bias, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin, DenseI64ArrayAttr:$pads_end, DenseI64ArrayAttr:$output_padding, DefaultValuedAttr<I64Attr, "1">:$groups);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^ `:` type($bias))? attr-dict `:` type($input) `,` type($weight)";
}

class NN_Pool<string mnemonic, string what, dag extra> : NN_InferOp<mnemonic, [], ["buildLocal", "getLocalWork"]> {
  let summary = what;
  let description = [{
    ceil mode is expressed by larger pads_end. Positions that only padding covers do not occur. With `channels_last`, which only
    kernel formation sets, tensors are [batch, spatial.., channels].
  }];
  let arguments = !con((ins NN_Float:$input, DenseI64ArrayAttr:$kernel, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                            DenseI64ArrayAttr:$pads_begin, DenseI64ArrayAttr:$pads_end), extra, (ins UnitAttr:$channels_last));
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}
def NN_MaxPoolOp : NN_Pool<"max_pool", "largest element of each window; padding is -inf", (ins)>;
def NN_AvgPoolOp : NN_Pool<"avg_pool", "mean of each window, over real elements only unless `count_include_pad`", (ins UnitAttr:$count_include_pad)>;

def NN_PackedConvOp : NN_InferOp<"packed_conv"> {
  let summary = "convolution of [n, spatial.., c] by packed weights, giving [n, spatial.., o]";
  let description = [{
    What kernel formation makes of a `conv`. Weights are [groups, panels, k.., c / groups, r]: output channel p * r + j of a group is
    element j of its panel p; panels = ceil(o / groups / r), zero past a group's last channel; r is the code generator's panel width.
    `channels` is o.
  }];
  let arguments = (ins NN_Float:$input, NN_Float:$packed, I64Attr:$channels, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin, DenseI64ArrayAttr:$pads_end);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input `,` $packed attr-dict `:` type($input) `,` type($packed)";
}

def NN_DepthwiseConvOp : NN_InferOp<"depthwise_conv"> {
  let summary = "convolution of each channel of [n, spatial.., c] by its own window of the weights [k.., c], giving [n, spatial.., c]";
  let description = "What kernel formation makes of a `conv` with as many groups as channels.";
  let arguments = (ins NN_Float:$input, NN_Float:$weight, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_begin, DenseI64ArrayAttr:$pads_end);
  let results = (outs NN_Float:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
}

#endif // MPOPT_DIALECT_NN_OPS
