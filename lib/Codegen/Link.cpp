#include "LowerKernel.h"
#include "lld/Common/Driver.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"

LLD_HAS_DRIVER(elf)

using namespace mlir;

static LogicalResult createTemporary(StringRef suffix, llvm::SmallString<128> &path, int &file, Location loc) {
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("mpopt-kernels", suffix, file, path))
    return emitError(loc, "cannot create a temporary file: ") << error.message();
  return success();
}

// lld works on files; both live in the system's temporary folder until this returns.
FailureOr<llvm::SmallVector<char>> mpopt::codegen::linkShared(ArrayRef<char> object, Location loc) {
  llvm::SmallString<128> objectPath, libraryPath;
  int objectFile, libraryFile;
  if (failed(createTemporary("o", objectPath, objectFile, loc)))
    return failure();
  llvm::FileRemover removeObject(objectPath);
  llvm::raw_fd_ostream stream(objectFile, /*shouldClose=*/true);
  stream.write(object.data(), object.size());
  stream.close();
  if (stream.has_error()) {
    stream.clear_error();
    return emitError(loc, "cannot write ") << objectPath;
  }
  if (failed(createTemporary("so", libraryPath, libraryFile, loc)))
    return failure();
  llvm::FileRemover removeLibrary(libraryPath);
  llvm::sys::Process::SafelyCloseFileDescriptor(libraryFile);
  std::string output;
  llvm::raw_string_ostream messages(output);
  // Undefined symbols are errors: a plan's kernels run without any other library.
  const char *arguments[] = {
      "ld.lld",      "-shared", "--no-undefined",    "--build-id=none", "--threads=1", "-s", "-z",
      "noexecstack", "-o",      libraryPath.c_str(), objectPath.c_str()};
  lld::Result result = lld::lldMain(arguments, messages, messages, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return emitError(loc, "linking kernels failed: ") << output;
  auto buffer =
      llvm::MemoryBuffer::getFile(libraryPath, /*IsText=*/false, /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!buffer)
    return emitError(loc, "cannot read ") << libraryPath << ": " << buffer.getError().message();
  return llvm::SmallVector<char>((*buffer)->getBufferStart(), (*buffer)->getBufferEnd());
}
