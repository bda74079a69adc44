#include "OutputFiles.h"
#include "Arguments.h"

namespace mpopt {

Result<std::optional<runtime::OutputFile>> openOutput(const std::string &path, const std::string &flag,
                                                      const std::vector<std::string> &taken) {
  if (path.empty())
    return std::nullopt;
  for (const std::string &other : taken)
    if (path == other || runtime::sameFile(path, other))
      return error("'" + path + "' is the model, the plan or its weights; choose another name with " + flag);
  auto file = runtime::OutputFile::create(path);
  if (!file)
    return error(file.error().message + " with " + flag);
  return std::optional(std::move(*file));
}

int finishOutput(runtime::OutputFile &file, const std::string &text, const std::string &flag) {
  file.write(text);
  Status status = file.commit();
  return status ? 0 : fail(status.error().message + " with " + flag);
}

} // namespace mpopt
