#include "device/Library.h"

#include <algorithm>

namespace mpopt::runtime {
namespace {

/// Bounds every number, so that no product of two overflows.
constexpr int64_t kLargest = int64_t(1) << 30;

std::string readAttrs(const plan::LibraryCall &call, WindowParams &params) {
  for (const plan::IntsAttr *attr : items(call.attrs())) {
    std::string_view name = text(attr->name());
    auto values = numbers(attr->values());
    std::vector<int64_t> list(values.begin(), values.end());
    if (name == "kernel")
      params.kernel = list;
    else if (name == "strides")
      params.strides = list;
    else if (name == "dilations")
      params.dilations = list;
    else if (name == "pads_begin")
      params.padsBegin = list;
    else if (name == "pads_end")
      params.padsEnd = list;
    else if (name == "groups" && list.size() == 1)
      params.groups = list[0];
    else if (name == "relu" && list.size() == 1)
      params.relu = list[0] != 0;
    else if (name == "count_include_pad" && list.size() == 1)
      params.countIncludePad = list[0] != 0;
    else if (name.find('.') == std::string_view::npos)
      return "its attribute '" + std::string(name) + "' is unknown";
  }
  return "";
}

std::string checkConvolution(WindowParams &params, const Operands &operands) {
  auto x = operands.reads[0].shape, y = operands.writes[0].shape;
  if (operands.reads.size() < 2 || operands.reads.size() > 3 || operands.reads[1].shape.size() != x.size())
    return "it needs x, w and optionally a bias";
  auto w = operands.reads[1].shape;
  params.kernel.assign(w.begin() + 2, w.end());
  if (params.groups < 1 || params.groups > kLargest || w[0] % params.groups != 0 || x[1] % params.groups != 0 ||
      w[1] != x[1] / params.groups || y[1] != w[0])
    return "its channels do not fit";
  if (operands.reads.size() == 3 && (operands.reads[2].shape.size() != 1 || operands.reads[2].shape[0] != w[0]))
    return "its bias does not fit";
  return "";
}

std::string checkWindows(const WindowParams &params, std::span<const int64_t> x, std::span<const int64_t> y) {
  size_t spatial = x.size() - 2;
  for (const auto *list : {&params.kernel, &params.strides, &params.dilations, &params.padsBegin, &params.padsEnd})
    if (list->size() != spatial)
      return "its parameters do not have one number per spatial dimension";
  for (size_t i = 0; i < spatial; ++i) {
    int64_t kernel = params.kernel[i], stride = params.strides[i], dilation = params.dilations[i];
    if (kernel < 1 || stride < 1 || dilation < 1 || params.padsBegin[i] < 0 || params.padsEnd[i] < 0 ||
        std::max({kernel, stride, dilation, params.padsBegin[i], params.padsEnd[i], x[i + 2], y[i + 2]}) > kLargest)
      return "its parameters are out of range";
    int64_t room = x[i + 2] + params.padsBegin[i] + params.padsEnd[i] - (dilation * (kernel - 1) + 1);
    if (room < 0 || room / stride + 1 != y[i + 2])
      return "its windows do not make " + toText(y) + " of " + toText(x);
  }
  return "";
}

std::string check(std::string_view kind, WindowParams &params, const Operands &operands) {
  for (const auto *list : {&operands.reads, &operands.writes})
    for (const BufferView &view : *list) {
      if (view.dtype != plan::DType::f32)
        return std::string("it is given ") + nameOf(view.dtype) + ", supported is float32";
      if (std::ranges::any_of(view.shape, [](int64_t size) { return size < 1 || size > kLargest; }))
        return "an operand is empty or too large";
    }
  auto x = operands.reads[0].shape, y = operands.writes[0].shape;
  if (x.size() < 3 || x.size() > 5 || y.size() != x.size() || y[0] != x[0])
    return "it needs 1 to 3 spatial dimensions";
  if (kind == "conv") {
    params.kind = WindowParams::Kind::conv;
    if (std::string why = checkConvolution(params, operands); !why.empty())
      return why;
  } else if (kind == "max_pool" || kind == "avg_pool") {
    params.kind = kind == "max_pool" ? WindowParams::Kind::maxPool : WindowParams::Kind::avgPool;
    if (operands.reads.size() != 1 || y[1] != x[1])
      return "its operands do not fit";
  } else {
    return "it is no known library kernel";
  }
  return checkWindows(params, x, y);
}

} // namespace

Result<WindowParams> WindowParams::parse(const plan::LibraryCall &call, const Operands &operands) {
  WindowParams params;
  std::string why = readAttrs(call, params);
  if (why.empty())
    why = check(text(call.kind()), params, operands);
  if (!why.empty())
    return error("library kernel '" + call.kind()->str() + "': " + why);
  return params;
}

} // namespace mpopt::runtime
