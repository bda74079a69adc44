#ifndef MPOPT_EMIT_SOURCEFILES_H
#define MPOPT_EMIT_SOURCEFILES_H

#include "mpopt/Dialect/NN/NN.h"
#include <map>
#include <string>

namespace mpopt::emit {

/// Maps the files that weights live in, read-only, each once.
class SourceFiles {
public:
  explicit SourceFiles(std::string folder) : folder(std::move(folder)) {}
  ~SourceFiles();
  SourceFiles(const SourceFiles &) = delete;
  SourceFiles &operator=(const SourceFiles &) = delete;

  /// The bytes of `source`; an error at `loc` when the file is missing, unreadable or too short.
  mlir::FailureOr<const char *> map(nn::ExternalAttr source, mlir::Location loc);

private:
  struct Mapping {
    char *data = nullptr;
    uint64_t bytes = 0;
  };
  std::string folder;
  std::map<std::string, Mapping> files;
};

} // namespace mpopt::emit

#endif // MPOPT_EMIT_SOURCEFILES_H
