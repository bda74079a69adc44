#include "NNFoldData.h"

using namespace mlir;
using namespace mpopt::nn;

std::optional<FoldData> FoldData::read(Attribute attribute) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(attribute);
  auto type = dense ? dyn_cast<RankedTensorType>(dense.getType()) : nullptr;
  if (!type || !mayFold(type, dense.isSplat()))
    return std::nullopt;
  FoldData data(type);
  data.splat = dense.isSplat() && type.getNumElements() > 0;
  int64_t count = data.splat ? 1 : type.getNumElements();
  if (auto floatType = dyn_cast<FloatType>(type.getElementType())) {
    bool losesInfo;
    data.floats.reserve(count);
    for (auto it = dense.value_begin<APFloat>(); count--; ++it) {
      APFloat value = *it;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
      data.floats.push_back(value.convertToDouble());
    }
    return data;
  }
  auto intType = dyn_cast<IntegerType>(type.getElementType());
  if (!intType || intType.getWidth() > 64)
    return std::nullopt;
  bool isUnsigned = intType.isUnsigned() || intType.getWidth() == 1;
  data.ints.reserve(count);
  for (auto it = dense.value_begin<APInt>(); count--; ++it)
    data.ints.push_back(isUnsigned ? static_cast<int64_t>((*it).getZExtValue()) : (*it).getSExtValue());
  return data;
}

DenseElementsAttr FoldData::write() const {
  if (auto floatType = dyn_cast<FloatType>(type.getElementType())) {
    std::vector<APFloat> values;
    values.reserve(floats.size());
    bool losesInfo;
    for (double number : floats) {
      values.emplace_back(number);
      values.back().convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
    }
    return DenseElementsAttr::get(type, values);
  }
  unsigned width = type.getElementTypeBitWidth();
  std::vector<APInt> values;
  values.reserve(ints.size());
  for (int64_t number : ints)
    values.push_back(width == 1 ? APInt(1, number != 0) : APInt(64, number, /*isSigned=*/true).trunc(width));
  return DenseElementsAttr::get(type, values);
}

SmallVector<int64_t> mpopt::nn::broadcastStrides(ArrayRef<int64_t> shape, ArrayRef<int64_t> result) {
  SmallVector<int64_t> strides(result.size());
  int64_t stride = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    size_t from = shape.size() - 1 - i, to = result.size() - 1 - i;
    strides[to] = shape[from] == 1 ? 0 : stride;
    stride *= shape[from];
  }
  return strides;
}

void mpopt::nn::forEachOffset(ArrayRef<int64_t> shape, int64_t start, ArrayRef<int64_t> strides,
                              llvm::function_ref<void(int64_t, int64_t)> fn) {
  int64_t count = ShapedType::getNumElements(shape), offset = start;
  SmallVector<int64_t> index(shape.size());
  for (int64_t i = 0; i < count; ++i) {
    fn(i, offset);
    for (size_t d = shape.size(); d-- > 0;) {
      offset += strides[d];
      if (++index[d] < shape[d])
        break;
      offset -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

bool mpopt::nn::mayFold(RankedTensorType type, bool splat) { return splat || type.getNumElements() <= kFoldLimit; }
