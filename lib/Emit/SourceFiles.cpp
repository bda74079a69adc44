#include "mpopt/Emit/SourceFiles.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlir;

namespace mpopt::emit {

SourceFiles::~SourceFiles() {
  for (auto &[name, mapping] : files)
    if (mapping.data)
      munmap(mapping.data, mapping.bytes);
}

FailureOr<const char *> SourceFiles::map(nn::ExternalAttr source, Location loc) {
  std::string path = folder.empty() ? source.getFile().str() : folder + "/" + source.getFile().str();
  auto [it, isNew] = files.try_emplace(path);
  Mapping &mapping = it->second;
  if (isNew) {
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
      emitError(loc) << "cannot read weights file '" << path << "': " << std::strerror(errno)
                     << "; put the model's external data beside the model";
      files.erase(it);
      if (fd >= 0)
        close(fd);
      return failure();
    }
    mapping.bytes = info.st_size;
    if (mapping.bytes > 0) {
      void *data = mmap(nullptr, mapping.bytes, PROT_READ, MAP_SHARED, fd, 0);
      if (data == MAP_FAILED) {
        emitError(loc) << "cannot map the " << mapping.bytes << " bytes of weights file '" << path
                       << "': " << std::strerror(errno);
        files.erase(it);
        close(fd);
        return failure();
      }
      mapping.data = static_cast<char *>(data);
    }
    close(fd);
  }
  uint64_t offset = source.getOffset(), length = source.getLength();
  if (!mapping.data || offset > mapping.bytes || length > mapping.bytes - offset)
    return emitError(loc) << "weights file '" << path << "' has " << mapping.bytes << " bytes, but this weight is "
                          << length << " bytes at offset " << offset << "; the file is cut short or is another model's";
  return mapping.data + offset;
}

} // namespace mpopt::emit
