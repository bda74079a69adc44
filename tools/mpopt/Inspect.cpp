#include "Inspect.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <array>
#include <fstream>

namespace mpopt {
namespace {

/// By what FlatBuffers writes at byte 4, or by the name: a damaged plan is a plan, too.
bool isPlan(const std::string &path) {
  std::array<char, 8> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return llvm::StringRef(path).ends_with(".mpplan") || llvm::StringRef(start.data() + 4, 4) == "MPLN";
}

} // namespace

int inspect(const InspectArguments &arguments) {
  bool plan = isPlan(arguments.file);
  std::string error = plan && !arguments.dims.empty() ? "--dim is for models; the shapes of a plan are fixed"
                      : plan                          ? inspectPlan(arguments)
                                                      : inspectOnnx(arguments);
  if (error.empty())
    return 0;
  llvm::errs() << "mpopt: error: " << error << "\n";
  return 1;
}

} // namespace mpopt
