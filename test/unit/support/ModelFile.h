#ifndef MPOPT_TEST_UNIT_SUPPORT_MODELFILE_H
#define MPOPT_TEST_UNIT_SUPPORT_MODELFILE_H

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <zlib.h>

namespace mpopt {

/// A model of test/models, unpacked for as long as this lives. Its weights are not there.
class ModelFile {
public:
  ModelFile(const std::string &folder, const std::string &name)
      : path(std::filesystem::temp_directory_path() / (name + "." + std::to_string(getpid()) + ".onnx")) {
    gzFile packed = gzopen((folder + "/" + name + ".onnx.gz").c_str(), "rb");
    std::ofstream file(path, std::ios::binary);
    char buffer[1 << 16];
    for (int n; packed && (n = gzread(packed, buffer, sizeof buffer)) > 0;)
      file.write(buffer, n);
    gzclose(packed);
  }
  ~ModelFile() { std::filesystem::remove(path); }
  ModelFile(const ModelFile &) = delete;
  ModelFile &operator=(const ModelFile &) = delete;

  const std::filesystem::path path;
};

} // namespace mpopt

#endif // MPOPT_TEST_UNIT_SUPPORT_MODELFILE_H
