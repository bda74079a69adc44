#include "Dims.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include <map>
#include <set>

using namespace mpopt;
namespace proto = mpopt_onnx;

namespace {

constexpr int64_t kMaxSize = int64_t(1) << 40;

class Binder {
public:
  Binder(proto::GraphProto &graph, llvm::ArrayRef<std::string> flags) : graph(graph), flags(flags) {}

  Status run() {
    collect();
    for (const std::string &flag : flags)
      if (Status status = read(flag); !status)
        return status;
    for (proto::ValueInfoProto *input : inputs)
      if (Status status = bindInput(*input); !status)
        return status;
    return {};
  }

private:
  /// Finds the graph's real inputs (initializers may be listed as inputs too) and their symbolic dimensions.
  void collect() {
    std::set<std::string> initializers;
    for (const auto &tensor : graph.initializer())
      initializers.insert(tensor.name());
    for (auto &input : *graph.mutable_input()) {
      if (initializers.count(input.name()))
        continue;
      inputs.push_back(&input);
      for (const auto &dim : input.type().tensor_type().shape().dim())
        if (dim.has_dim_param() && !dim.dim_param().empty())
          symbols.insert(dim.dim_param());
    }
  }

  Status read(const std::string &flag) {
    auto [name, value] = llvm::StringRef(flag).split('=');
    llvm::SmallVector<llvm::StringRef> parts;
    value.split(parts, 'x');
    std::vector<int64_t> sizes;
    for (llvm::StringRef part : parts) {
      int64_t size;
      if (name.empty() || part.getAsInteger(10, size) || size < 0 || size > kMaxSize)
        return error("--dim " + flag +
                     ": expected NAME=SIZE, or INPUT=AxBxC with all sizes of an input, such as --dim batch=8");
      sizes.push_back(size);
    }
    bool isInput = llvm::any_of(inputs, [&](auto *input) { return input->name() == name; });
    if (sizes.size() == 1 && symbols.count(name.str()))
      return bindSymbol(name.str(), sizes[0], "--dim " + flag);
    if (!isInput)
      return error("--dim " + flag + ": the model has no " +
                   (sizes.size() == 1 ? "symbolic dimension or input" : "input") + " '" + name.str() + "'; " + known());
    shapes[name.str()] = sizes;
    return bindSymbolsOf(name.str(), sizes, flag);
  }

  Status bindSymbol(const std::string &symbol, int64_t size, const std::string &flag) {
    auto [it, isNew] = bound.emplace(symbol, size);
    if (!isNew && it->second != size)
      return error(flag + " makes dimension '" + symbol + "' " + std::to_string(size) + ", but it is already " +
                   std::to_string(it->second));
    return {};
  }

  /// An input's sizes bind its symbolic dimensions, so that other inputs that share them follow.
  Status bindSymbolsOf(const std::string &name, const std::vector<int64_t> &sizes, const std::string &flag) {
    for (proto::ValueInfoProto *input : inputs) {
      if (input->name() != name || !input->type().tensor_type().has_shape())
        continue;
      const auto &dims = input->type().tensor_type().shape().dim();
      if (dims.size() != static_cast<int>(sizes.size()))
        return error("--dim " + flag + ": input '" + name + "' has " + std::to_string(dims.size()) + " dimensions");
      for (int i = 0; i < dims.size(); ++i) {
        if (dims[i].has_dim_value() && dims[i].dim_value() != sizes[i])
          return error("--dim " + flag + ": dimension " + std::to_string(i) + " of input '" + name + "' is " +
                       std::to_string(dims[i].dim_value()) + " in the model");
        if (!dims[i].dim_param().empty())
          if (Status status = bindSymbol(dims[i].dim_param(), sizes[i], "--dim " + flag); !status)
            return status;
      }
    }
    return {};
  }

  Status bindInput(proto::ValueInfoProto &input) {
    if (!input.type().has_tensor_type())
      return error("input '" + input.name() + "' is not a tensor, which is not supported");
    auto given = shapes.find(input.name());
    if (given == shapes.end() && !input.type().tensor_type().has_shape())
      return error("input '" + input.name() + "' has no shape; give one with --dim " + input.name() + "=AxBxC");
    auto &shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
    if (given != shapes.end())
      while (shape.dim_size() < static_cast<int>(given->second.size()))
        shape.add_dim();
    for (int i = 0; i < shape.dim_size(); ++i) {
      auto &dim = *shape.mutable_dim(i);
      auto symbol = bound.find(dim.dim_param());
      if (given != shapes.end())
        dim.set_dim_value(given->second[i]);
      else if (!dim.has_dim_value() && symbol != bound.end())
        dim.set_dim_value(symbol->second);
      if (!dim.has_dim_value())
        return unbound(input, i);
      if (dim.dim_value() < 0 || dim.dim_value() > kMaxSize)
        return error("dimension " + std::to_string(i) + " of input '" + input.name() + "' has size " +
                     std::to_string(dim.dim_value()));
    }
    return {};
  }

  Status unbound(const proto::ValueInfoProto &input, int i) const {
    const auto &shape = input.type().tensor_type().shape();
    std::string all = input.name() + "=", symbol = shape.dim(i).dim_param();
    for (int j = 0; j < shape.dim_size(); ++j)
      all +=
          (j ? "x" : "") + (shape.dim(j).has_dim_value() ? std::to_string(shape.dim(j).dim_value()) : std::string("N"));
    if (symbol.empty())
      return error("dimension " + std::to_string(i) + " of input '" + input.name() +
                   "' has no size; bind it with --dim " + all);
    return error("dimension " + std::to_string(i) + " ('" + symbol + "') of input '" + input.name() +
                 "' has no size; bind it with --dim " + symbol + "=N or --dim " + all);
  }

  std::string known() const {
    std::vector<std::string> names;
    for (const proto::ValueInfoProto *input : inputs)
      names.push_back(input->name());
    std::string text = "inputs: " + llvm::join(names, ", ");
    names.assign(symbols.begin(), symbols.end());
    return text + "; symbolic dimensions: " + (names.empty() ? "none" : llvm::join(names, ", "));
  }

  proto::GraphProto &graph;
  llvm::ArrayRef<std::string> flags;
  std::vector<proto::ValueInfoProto *> inputs;
  std::set<std::string> symbols;
  std::map<std::string, int64_t> bound;
  std::map<std::string, std::vector<int64_t>> shapes;
};

} // namespace

Status mpopt::onnx::bindDims(proto::GraphProto &graph, llvm::ArrayRef<std::string> flags) {
  return Binder(graph, flags).run();
}
