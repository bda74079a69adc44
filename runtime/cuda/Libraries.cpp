#include "cuda/Libraries.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <link.h>
#include <sstream>

namespace mpopt::cuda {

namespace fs = std::filesystem;

namespace {

void addFolder(std::vector<std::string> &folders, const fs::path &folder) {
  std::error_code code;
  if (!folder.empty() && fs::is_directory(folder, code))
    folders.push_back(folder.string());
}

std::vector<fs::path> entries(const fs::path &folder) {
  std::error_code code;
  std::vector<fs::path> result;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    result.push_back(it->path());
  std::sort(result.begin(), result.end());
  return result;
}

/// ENV/lib/python3.N/site-packages/nvidia/NAME/lib
void addWheelFolders(std::vector<std::string> &folders, const fs::path &environment) {
  for (const fs::path &python : entries(environment / "lib"))
    for (const fs::path &package : entries(python / "site-packages" / "nvidia"))
      addFolder(folders, package / "lib");
}

/// Fills one field of a symbol table; the first symbol that is missing is kept in `missing`.
template <typename Field> void findSymbol(void *library, const char *name, Field &field, const char *&missing) {
  field = reinterpret_cast<Field>(dlsym(library, name));
  if (!field && !missing)
    missing = name;
}

std::string pathOf(void *library) {
  link_map *map = nullptr;
  return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : "";
}

} // namespace

std::vector<std::string> libraryFolders(const std::string &given) {
  std::vector<std::string> folders;
  if (!given.empty())
    folders.push_back(given);
  if (const char *variable = std::getenv("MPOPT_CUDA_LIBRARIES")) {
    std::istringstream parts(variable);
    for (std::string part; std::getline(parts, part, ':');)
      addFolder(folders, part);
  }
  if (const char *environment = std::getenv("VIRTUAL_ENV"); environment && *environment)
    addWheelFolders(folders, environment);
  addFolder(folders, "/usr/local/cuda/lib64");
  return folders;
}

Result<void *> openLibrary(const std::vector<std::string> &names, const std::vector<std::string> &folders,
                           const std::string &remedy) {
  for (const std::string &folder : folders)
    for (const std::string &name : names) {
      std::string path = (fs::path(folder) / name).string();
      std::error_code code;
      if (!fs::exists(path, code))
        continue;
      if (void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
        return library;
      return error("cannot load '" + path + "': " + dlerror());
    }
  for (const std::string &name : names)
    if (void *library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL))
      return library;
  if (names.size() == 1)
    return error(names[0] + " is not installed; " + remedy);
  std::string list;
  for (const std::string &name : names)
    list += (list.empty() ? "neither " : " nor ") + name;
  return error(list + " is installed; " + remedy);
}

Result<Driver> loadDriver(const std::vector<std::string> &folders) {
  auto library = openLibrary({"libcuda.so.1"}, folders,
                             "install NVIDIA's driver (Debian: nvidia-driver), or name its folder with "
                             "--cuda-libraries or MPOPT_CUDA_LIBRARIES");
  if (!library)
    return tl::make_unexpected(library.error());
  Driver driver;
  const char *missing = nullptr;
#define MPOPT_CUDA_FIND(symbol, parameters) findSymbol(*library, #symbol, driver.symbol, missing);
  MPOPT_CUDA_DRIVER_SYMBOLS(MPOPT_CUDA_FIND)
#undef MPOPT_CUDA_FIND
  if (missing)
    return error("NVIDIA's driver " + pathOf(*library) + " has no function " + missing +
                 "; install a driver for CUDA 11 or later");
  return driver;
}

Result<CublasLt> loadCublasLt(const std::vector<std::string> &folders) {
  auto library = openLibrary({"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"}, folders,
                             "install cuBLAS (pip install nvidia-cublas-cu12, or NVIDIA's CUDA toolkit), or name its "
                             "folder with --cuda-libraries or MPOPT_CUDA_LIBRARIES");
  if (!library)
    return tl::make_unexpected(library.error());
  CublasLt blas;
  const char *missing = nullptr;
#define MPOPT_CUBLASLT_FIND(symbol, parameters) findSymbol(*library, #symbol, blas.symbol, missing);
  MPOPT_CUBLASLT_SYMBOLS(MPOPT_CUBLASLT_FIND)
#undef MPOPT_CUBLASLT_FIND
  if (missing)
    return error("cuBLASLt " + pathOf(*library) + " has no function " + missing + "; install cuBLAS 11 or later");
  return blas;
}

} // namespace mpopt::cuda
