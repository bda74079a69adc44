#include "Tensors.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Import/ONNX.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mpopt;

namespace {

struct WeightFile {
  std::string problem;
  uint64_t size = 0;
};

/// Looks at a file of the model's folder; `problem` says what is wrong with it.
WeightFile inspect(StringRef file, StringRef modelDir) {
  SmallString<256> path(modelDir.empty() ? "." : modelDir), folder = path, realPath, realFolder;
  llvm::sys::path::append(path, file);
  if (!onnx::staysInside(file))
    return {"lies outside of the model's folder"};
  if (std::error_code code = llvm::sys::fs::real_path(path, realPath))
    return {"cannot be read: " + code.message()};
  if (llvm::sys::fs::real_path(folder, realFolder))
    return {"lies in a folder that cannot be read"};
  if (!StringRef(realPath).starts_with((realFolder + (StringRef(realFolder).ends_with("/") ? "" : "/")).str()))
    return {"leads out of the model's folder (to " + std::string(realPath) + ")"};
  WeightFile result;
  if (llvm::sys::fs::is_directory(realPath) || llvm::sys::fs::file_size(realPath, result.size))
    return {"is not a file"};
  return result;
}

} // namespace

LogicalResult mpopt::checkWeights(ModuleOp module, StringRef modelDir) {
  llvm::StringMap<WeightFile> files;
  WalkResult walk = module.walk([&](nn::WeightOp weight) -> WalkResult {
    nn::ExternalAttr source = weight.getSource();
    StringRef name = source.getFile();
    auto it = files.find(name);
    if (it == files.end())
      it = files.try_emplace(name, inspect(name, modelDir)).first;
    if (!it->second.problem.empty())
      return weight.emitError() << "the file '" << name << "' of weight '" << weight.getName() << "' "
                                << it->second.problem;
    if (source.getOffset() > it->second.size || source.getLength() > it->second.size - source.getOffset())
      return weight.emitError() << "the file '" << name << "' of weight '" << weight.getName()
                                << "' is too short: it has " << it->second.size << " bytes, the weight ends at byte "
                                << source.getOffset() + source.getLength();
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}
