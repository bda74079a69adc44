#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

Value Node::in(unsigned i) {
  if (!has(i) && !failed)
    fail() << "ONNX operator " << op << " lacks input " << i;
  return opt(i);
}

int64_t Node::intAttr(StringRef name, int64_t otherwise) {
  auto it = attributes.find(name);
  return it == attributes.end() ? otherwise : it->second.integer.value_or(otherwise);
}

double Node::floatAttr(StringRef name, double otherwise) {
  auto it = attributes.find(name);
  return it == attributes.end() ? otherwise : it->second.number.value_or(otherwise);
}

std::string Node::textAttr(StringRef name, StringRef otherwise) {
  auto it = attributes.find(name);
  return it == attributes.end() ? otherwise.str() : it->second.text.value_or(otherwise.str());
}

std::optional<SmallVector<int64_t>> Node::intsAttr(StringRef name) {
  auto it = attributes.find(name);
  return it == attributes.end() ? std::nullopt : it->second.integers;
}

static DenseElementsAttr smallConstant(Value value) {
  auto constant = value ? value.getDefiningOp<nn::ConstantOp>() : nullptr;
  auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
  return dense && dense.getNumElements() <= nn::kFoldLimit ? dense : nullptr;
}

std::optional<SmallVector<int64_t>> Node::constantIntsOf(Value value) {
  DenseElementsAttr dense = smallConstant(value);
  auto type = dense ? dyn_cast<IntegerType>(dense.getElementType()) : nullptr;
  if (!type || type.getWidth() > 64)
    return std::nullopt;
  bool isUnsigned = type.isUnsigned() || type.getWidth() == 1;
  SmallVector<int64_t> values;
  for (const APInt &element : dense.getValues<APInt>())
    values.push_back(isUnsigned ? static_cast<int64_t>(element.getZExtValue()) : element.getSExtValue());
  return values;
}

std::optional<SmallVector<double>> Node::constantNumbersOf(Value value) {
  DenseElementsAttr dense = smallConstant(value);
  SmallVector<double> values;
  if (dense && isa<FloatType>(dense.getElementType())) {
    bool losesInfo;
    for (APFloat element : dense.getValues<APFloat>()) {
      element.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
      values.push_back(element.convertToDouble());
    }
    return values;
  }
  auto integers = constantIntsOf(value);
  if (!integers)
    return std::nullopt;
  values.assign(integers->begin(), integers->end());
  return values;
}

std::optional<SmallVector<int64_t>> Node::ints(unsigned i, StringRef what) {
  if (!has(i))
    return std::nullopt;
  auto values = constantIntsOf(inputs[i]);
  if (!values && !failed)
    fail() << "the " << what << " of ONNX operator " << op
           << " must be known when the model is imported, but depend on the model's inputs or on a weight that is not "
              "in the file";
  return values;
}

std::optional<SmallVector<int64_t>> Node::intsOf(StringRef name, unsigned i) {
  return hasAttr(name) ? intsAttr(name) : ints(i, name);
}

int64_t Node::axis(int64_t axis, int64_t rank, bool end) {
  int64_t result = axis < 0 ? axis + rank : axis;
  if (result >= 0 && result < rank + (end ? 1 : 0))
    return result;
  if (!failed)
    fail() << "axis " << axis << " of ONNX operator " << op << " is out of range for rank " << rank;
  return 0;
}

SmallVector<int64_t> Node::axes(ArrayRef<int64_t> list, int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t each : list)
    result.push_back(axis(each, rank));
  llvm::sort(result);
  result.erase(llvm::unique(result), result.end());
  return result;
}

const LoweringTable &mpopt::onnx::loweringTable() {
  static const LoweringTable table = [] {
    LoweringTable table;
    addElementwise(table);
    addMath(table);
    addQuantized(table);
    addResampling(table);
    addEinsum(table);
    addRecurrent(table);
    addContribAttention(table);
    addShapes(table);
    addIndexing(table);
    addReductions(table);
    addProducts(table);
    addNorms(table);
    addAttention(table);
    addConvolutions(table);
    addContrib(table);
    addPools(table);
    addFourier(table);
    addSequences(table);
    return table;
  }();
  return table;
}
