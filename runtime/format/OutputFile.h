#ifndef MPOPT_RUNTIME_FORMAT_OUTPUTFILE_H
#define MPOPT_RUNTIME_FORMAT_OUTPUTFILE_H

#include "mpopt/Support/Result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace mpopt::runtime {

/// A file that appears under its name whole or not at all: until commit() it has no name, where the file system allows that, or one of
/// its own in the same folder ("NAME.PID.tmp"), which is removed when it is given up or when a signal ends the process. What
/// stood there before stays until then. A link is followed. What is no regular file (a terminal, a pipe, /dev/null) is
/// written at once. Errors name the path and say what is wrong with it.
class OutputFile {
public:
  enum class Naming { noneIfPossible, temporary };

  static Result<OutputFile> create(const std::string &path, Naming naming = Naming::noneIfPossible);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&other) noexcept;
  ~OutputFile();

  /// Appends. An error is kept for commit().
  void write(std::string_view bytes);
  /// Gives the file `bytes` zero bytes, reserved on disk, and maps them; null when it has none. Not with write().
  Result<char *> map(uint64_t bytes);
  /// Whether it is, or will be, a regular file.
  bool isRegular() const { return !direct; }

  /// Brings everything to the disk, so that only renaming is left to commit().
  Status finish();
  /// Finishes, and puts the file in its place.
  Status commit();

  /// Removes the temporary files of all that are not committed, before the process ends; safe in a signal handler.
  static void removeTemporaries();

private:
  OutputFile() = default;
  Status fail(int code) const;
  Status flush();
  Status open(Naming naming);
  Status openTemporary();

  std::string path, temporary; // `temporary` is empty when the file has no name
  int fd = -1, failure = 0;
  bool direct = false; // no regular file: nothing to rename
  void *mapped = nullptr;
  uint64_t mappedBytes = 0;
  std::string buffer;
};

/// Whether two paths lead to the same existing file.
bool sameFile(const std::string &one, const std::string &other);

/// Creates the file, writes and commits it.
Status writeFile(const std::string &path, std::string_view contents);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_FORMAT_OUTPUTFILE_H
