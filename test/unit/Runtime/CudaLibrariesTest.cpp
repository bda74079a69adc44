#include "cuda/Libraries.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace mpopt::cuda;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

class CudaLibraries : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::path(testing::TempDir()) / ("mpopt-cuda-libraries." + std::to_string(getpid()));
    fs::create_directories(folder / "one");
  }
  void TearDown() override {
    fs::remove_all(folder);
    unsetenv("MPOPT_CUDA_LIBRARIES");
    unsetenv("VIRTUAL_ENV");
  }
  fs::path folder;
};

TEST_F(CudaLibraries, FoldersAreThoseGivenThenTheVariablesThenTheWheels) {
  fs::path wheel = folder / "lib/python3.11/site-packages/nvidia/cublas/lib";
  fs::create_directories(wheel);
  setenv("MPOPT_CUDA_LIBRARIES", ("/no/such/folder:" + (folder / "one").string()).c_str(), 1);
  setenv("VIRTUAL_ENV", folder.c_str(), 1);
  std::vector<std::string> folders = libraryFolders("given");
  std::erase(folders, "/usr/local/cuda/lib64");
  EXPECT_THAT(folders, ElementsAre("given", (folder / "one").string(), wheel.string()));
}

TEST_F(CudaLibraries, WhatIsNowhereIsAnErrorWithItsRemedy) {
  auto library = openLibrary({"libmpopt-none.so.2", "libmpopt-none.so.1"}, {folder.string()}, "install it");
  ASSERT_FALSE(library.has_value());
  EXPECT_EQ(library.error().message, "neither libmpopt-none.so.2 nor libmpopt-none.so.1 is installed; install it");
  EXPECT_EQ(openLibrary({"libmpopt-none.so.1"}, {}, "install it").error().message,
            "libmpopt-none.so.1 is not installed; install it");
}

TEST_F(CudaLibraries, AFileThatIsNoLibraryIsAnErrorThatNamesIt) {
  std::ofstream(folder / "one" / "libcuda.so.1") << "not a library";
  auto driver = loadDriver({(folder / "one").string()});
  ASSERT_FALSE(driver.has_value());
  EXPECT_THAT(driver.error().message, HasSubstr("cannot load '" + (folder / "one" / "libcuda.so.1").string()));
}

} // namespace
