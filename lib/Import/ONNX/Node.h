#ifndef MPOPT_LIB_IMPORT_ONNX_NODE_H
#define MPOPT_LIB_IMPORT_ONNX_NODE_H

#include "Build.h"
#include "llvm/ADT/StringMap.h"

namespace mpopt::onnx {

/// An attribute of an ONNX node, free of protobuf.
struct NodeAttribute {
  std::optional<int64_t> integer;
  std::optional<double> number;
  std::optional<std::string> text;
  std::optional<SmallVector<int64_t>> integers;
  std::optional<SmallVector<double>> numbers;
  std::optional<SmallVector<std::string>> texts;
  Value tensor;
};

/// One ONNX node as the lowerings see it: operands as nn values, attributes, and a place for results.
class Node : public Build {
public:
  Node(mlir::OpBuilder &builder, mlir::Location loc) : Build(builder, loc) {}

  std::string op, domain;
  /// Version of the operator set that its domain has in the model.
  int64_t version = 0;
  /// Null where the node leaves an optional input out.
  SmallVector<Value> inputs;
  /// Whether output i is used or at least named.
  SmallVector<bool> wanted;
  llvm::StringMap<NodeAttribute> attributes;
  SmallVector<Value> results;

  /// Input i, or null (with an error) when it is missing.
  Value in(unsigned i);
  /// Input i, or null.
  Value opt(unsigned i) const { return i < inputs.size() ? inputs[i] : Value(); }
  bool has(unsigned i) const { return static_cast<bool>(opt(i)); }
  bool wants(unsigned i) const { return i < wanted.size() && wanted[i]; }

  bool hasAttr(StringRef name) const { return attributes.contains(name); }
  int64_t intAttr(StringRef name, int64_t otherwise);
  double floatAttr(StringRef name, double otherwise);
  std::string textAttr(StringRef name, StringRef otherwise);
  std::optional<SmallVector<int64_t>> intsAttr(StringRef name);

  /// The integers of a constant (nullopt without an error when it is none).
  static std::optional<SmallVector<int64_t>> constantIntsOf(Value value);
  static std::optional<SmallVector<double>> constantNumbersOf(Value value);
  /// The integers of input i, which must be a constant; nullopt when it is absent or, with an error, when it is not constant.
  std::optional<SmallVector<int64_t>> ints(unsigned i, StringRef what);
  /// The attribute `name` of older operator sets or input i of newer ones.
  std::optional<SmallVector<int64_t>> intsOf(StringRef name, unsigned i);

  /// An axis counted from the end when negative, checked against the rank (rank inclusive with `end`).
  int64_t axis(int64_t axis, int64_t rank, bool end = false);
  /// Like axis, for several, sorted.
  SmallVector<int64_t> axes(ArrayRef<int64_t> axes, int64_t rank);

  void give(Value value) { results.assign(1, value); }
  void give(SmallVector<Value> values) { results = std::move(values); }
};

using Lowering = void (*)(Node &);
using LoweringTable = llvm::StringMap<Lowering>;

/// The lowerings, keyed by "Operator" or, outside of ONNX's own domain, "domain:Operator".
const LoweringTable &loweringTable();

/// Convolution with the attributes of a Conv-like node; `bias` may be null. Null after an error.
Value convolve(Node &n, Value x, Value weight, Value bias);
/// Attention with q, k and v as [batch, heads, length, d], what `mask` hides hidden; null operands give null. See nn.attention.
struct AttentionOptions {
  double scale = 0; // 0: 1 / sqrt(d)
  double softcap = 0;
  std::optional<int64_t> causalOffset;
};
Value attend(Node &n, Value q, Value k, Value v, Value mask, const AttentionOptions &options);
/// [batch, length, heads * d] as [batch, heads, length, d], and its inverse; null (after an error) where it does not fit.
Value splitHeads(Node &n, Value x, int64_t heads);
Value mergeHeads(Node &n, Value x);
/// x, of [batch, heads, length, d], rotated by the rows of the caches [positions, r / 2] at `positions` [batch, length].
Value rotateHeads(Node &n, Value x, Value cos, Value sin, Value positions, bool interleaved);
/// Elements of x at fixed positions along one axis.
Value pick(Node &n, Value x, int64_t axis, ArrayRef<int64_t> positions);

/// Places along a dimension of `size`, those below 0 counted from the end.
Value fromStart(Node &n, Value places, int64_t size);

/// Whether a value stands for a list of tensors.
bool isSequence(Value value);
/// Whether a value stands for a slice whose bounds depend on the model's inputs; whether a Slice is one; the slice.
bool isRun(Value value);
bool isRunSlice(Node &n);
Value runOf(Node &n);
/// What lowers an operator with such slices among its inputs; null (after an error) where that is not supported.
Lowering runLowering(Node &n);
/// Whether an operator has sequences among its inputs, or gives on what it gets.
bool takesSequences(StringRef op);

void addElementwise(LoweringTable &table);
void addMath(LoweringTable &table);
void addQuantized(LoweringTable &table);
void addResampling(LoweringTable &table);
void addEinsum(LoweringTable &table);
void addRecurrent(LoweringTable &table);
void addContribAttention(LoweringTable &table);
void addShapes(LoweringTable &table);
void addIndexing(LoweringTable &table);
void addReductions(LoweringTable &table);
void addProducts(LoweringTable &table);
void addNorms(LoweringTable &table);
void addAttention(LoweringTable &table);
void addConvolutions(LoweringTable &table);
void addContrib(LoweringTable &table);
void addPools(LoweringTable &table);
void addFourier(LoweringTable &table);
void addSequences(LoweringTable &table);

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_NODE_H
