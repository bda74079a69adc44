#include "Tensors.h"
#include "mpopt/Dialect/NN/NN.h"
#include "onnx/onnx_pb.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mpopt;
namespace proto = mpopt_onnx;

namespace {

Result<RankedTensorType> typeOf(MLIRContext *context, const proto::TensorProto &tensor, const std::string &what) {
  Type element = onnx::elementTypeOf(context, tensor.data_type());
  if (!element)
    return error(what + " has data type " + std::to_string(tensor.data_type()) + ", which is not supported");
  constexpr int64_t kMaxElements = int64_t(1) << 48;
  int64_t count = 1;
  for (int64_t size : tensor.dims()) {
    if (size < 0 || (size > 0 && count > kMaxElements / size))
      return error(what + " has a dimension of size " + std::to_string(size) + ", or too many elements");
    count *= std::max<int64_t>(size, 1);
  }
  return RankedTensorType::get(SmallVector<int64_t>(tensor.dims().begin(), tensor.dims().end()), element);
}

uint64_t byteSize(RankedTensorType type) {
  uint64_t bits = type.getElementType().isInteger(1) ? 8 : type.getElementTypeBitWidth();
  return static_cast<uint64_t>(type.getNumElements()) * (bits / 8);
}

Result<Value> buildWeight(OpBuilder &builder, Location loc, const proto::TensorProto &tensor, StringRef name,
                          StringRef modelFile, RankedTensorType type, const std::string &what) {
  std::string file;
  uint64_t offset = 0, length = byteSize(type);
  for (const auto &entry : tensor.external_data()) {
    bool fits = true;
    if (entry.key() == "location")
      file = entry.value();
    else if (entry.key() == "offset")
      fits = !StringRef(entry.value()).getAsInteger(10, offset);
    else if (entry.key() == "length")
      fits = !StringRef(entry.value()).getAsInteger(10, length);
    if (!fits)
      return error(what + " has external data with a bad " + entry.key() + ": '" + entry.value() + "'");
  }
  if (length != byteSize(type))
    return error(what + " needs " + std::to_string(byteSize(type)) + " bytes by its shape, but its data has " +
                 std::to_string(length));
  if (offset > UINT64_MAX - length)
    return error(what + " lies beyond any file");
  if (file.empty())
    file = modelFile.str();
  if (!onnx::staysInside(file))
    return error(what + " lies in '" + file + "', outside of the model's folder; move the file beside the model");
  auto source = nn::ExternalAttr::get(builder.getContext(), builder.getStringAttr(file), offset, length);
  return Value(nn::WeightOp::create(builder, loc, type, builder.getStringAttr(name), source));
}

/// The values of a repeated field as integers or floats of the tensor's type.
template <typename Field, typename Make>
DenseElementsAttr fromField(RankedTensorType type, const Field &field, Make make) {
  std::vector<Attribute> values;
  values.reserve(field.size());
  for (auto value : field)
    values.push_back(make(value));
  return DenseElementsAttr::get(type, values);
}

DenseElementsAttr fromTyped(RankedTensorType type, const proto::TensorProto &tensor) {
  Type element = type.getElementType();
  int64_t count = type.getNumElements();
  if (tensor.float_data_size() == count && element.isF32())
    return DenseElementsAttr::get(type, ArrayRef<float>(tensor.float_data().data(), count));
  if (tensor.double_data_size() == count && element.isF64())
    return DenseElementsAttr::get(type, ArrayRef<double>(tensor.double_data().data(), count));
  if (tensor.int64_data_size() == count && element.isInteger(64))
    return DenseElementsAttr::get(type, ArrayRef<int64_t>(tensor.int64_data().data(), count));
  auto integer = [&](uint64_t value) {
    return Attribute(IntegerAttr::get(element, APInt(64, value).trunc(element.getIntOrFloatBitWidth())));
  };
  if (tensor.uint64_data_size() == count && isa<IntegerType>(element))
    return fromField(type, tensor.uint64_data(), integer);
  if (tensor.int32_data_size() != count)
    return nullptr;
  if (isa<IntegerType>(element))
    return fromField(type, tensor.int32_data(),
                     [&](int32_t value) { return integer(element.isInteger(1) ? value != 0 : value); });
  if (element.getIntOrFloatBitWidth() != 16)
    return nullptr;
  return fromField(type, tensor.int32_data(), [&](int32_t bits) {
    return Attribute(
        FloatAttr::get(element, APFloat(cast<FloatType>(element).getFloatSemantics(), APInt(16, bits & 0xffff))));
  });
}

DenseElementsAttr fromRaw(RankedTensorType type, const std::string &raw) {
  if (raw.size() != byteSize(type))
    return nullptr;
  if (!type.getElementType().isInteger(1))
    return DenseElementsAttr::getFromRawBuffer(type, ArrayRef<char>(raw.data(), raw.size()));
  SmallVector<bool> bools;
  for (char byte : raw)
    bools.push_back(byte != 0);
  return DenseElementsAttr::get(type, ArrayRef<bool>(bools));
}

} // namespace

Result<Value> onnx::buildTensor(OpBuilder &builder, Location loc, const proto::TensorProto &tensor, StringRef name,
                                StringRef modelFile) {
  std::string what = "tensor '" + name.str() + "'";
  auto type = typeOf(builder.getContext(), tensor, what);
  if (!type)
    return tl::unexpected(type.error());
  if (tensor.data_location() == proto::TensorProto::EXTERNAL)
    return buildWeight(builder, loc, tensor, name, modelFile, *type, what);
  DenseElementsAttr value = tensor.has_raw_data() ? fromRaw(*type, tensor.raw_data()) : fromTyped(*type, tensor);
  if (!value)
    return error(what + " does not have the " + std::to_string(type->getNumElements()) + " elements of its shape");
  return Value(nn::ConstantOp::create(builder, loc, *type, value));
}

bool onnx::staysInside(StringRef path) {
  if (path.empty() || llvm::sys::path::is_absolute(path) || path.contains('\0'))
    return false;
  int depth = 0;
  for (auto it = llvm::sys::path::begin(path), end = llvm::sys::path::end(path); it != end; ++it) {
    depth += *it == ".." ? -1 : *it == "." ? 0 : 1;
    if (depth < 0 || *it == "..")
      return false;
  }
  return true;
}
