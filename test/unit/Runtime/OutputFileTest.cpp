// Files that appear whole or not at all.
#include "format/OutputFile.h"
#include "PlanMaker.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <set>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace mpopt::runtime {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::string contents(const std::string &path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class OutputFileTest : public testing::TestWithParam<OutputFile::Naming> {
protected:
  Result<OutputFile> create(const std::string &path) { return OutputFile::create(path, GetParam()); }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto &entry : fs::directory_iterator(folder))
      found.insert(entry.path().filename());
    return found;
  }
  std::string folder = testFolder(), path = folder + "/out";
};

TEST_P(OutputFileTest, appearsWhenCommitted) {
  writeFile(path, "old");
  {
    auto file = create(path);
    ASSERT_TRUE(file);
    file->write("new");
    EXPECT_EQ(contents(path), "old");
  } // given up
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(names(), (std::set<std::string>{"out"}));
  auto file = create(path);
  file->write("new");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(contents(path), "new");
  EXPECT_EQ(names(), (std::set<std::string>{"out"}));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST_P(OutputFileTest, maps) {
  auto file = create(path);
  auto image = file->map(5000);
  ASSERT_TRUE(image);
  (*image)[4999] = 'x';
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(contents(path).size(), 5000u);
  EXPECT_EQ(contents(path).back(), 'x');
}

TEST_P(OutputFileTest, followsLinks) {
  writeFile(folder + "/real", "old");
  fs::create_symlink("real", path);
  auto file = create(path);
  file->write("new");
  ASSERT_TRUE(file->commit());
  EXPECT_TRUE(fs::is_symlink(path));
  EXPECT_EQ(contents(folder + "/real"), "new");
}

TEST_P(OutputFileTest, writesToDevicesDirectly) {
  auto file = create("/dev/null");
  ASSERT_TRUE(file);
  file->write("anything");
  EXPECT_TRUE(file->commit());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THAT(create("/dev/null")->map(8).error().message, HasSubstr("no regular file"));
  auto full = create("/dev/full");
  full->write("anything");
  EXPECT_THAT(full->commit().error().message, HasSubstr("cannot write '/dev/full': No space left on device"));
}

TEST_P(OutputFileTest, refusals) {
  EXPECT_THAT(create(folder).error().message, HasSubstr("it is a folder"));
  EXPECT_THAT(create(folder + "/").error().message, HasSubstr("it is a folder"));
  EXPECT_THAT(create(folder + "/no/out").error().message, HasSubstr("its folder does not exist"));
  EXPECT_THAT(create("").error().message, HasSubstr("cannot write ''"));
}

TEST_P(OutputFileTest, tooLarge) {
  struct rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &small);
  auto file = create(path);
  file->write(std::string(3 << 20, 'x'));
  Status status = file->commit();
  auto mapped = create(path)->map(1 << 20);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(status.error().message, HasSubstr("larger than the allowed file size"));
  EXPECT_THAT(mapped.error().message, HasSubstr("larger than the allowed file size"));
  file = OutputFile::create(folder + "/other");
  EXPECT_THAT(names(), testing::IsEmpty());
}

/// A process that is ended in the middle leaves nothing behind.
TEST_P(OutputFileTest, signals) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    pid_t child = fork();
    if (child == 0) {
      std::signal(signal, SIG_DFL); // jobs in the background ignore some
      auto file = create(path);
      file->write(std::string(2 << 20, 'x'));
      raise(signal);
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    EXPECT_THAT(names(), testing::IsEmpty());
  }
}

TEST(SameFile, seesThroughLinks) {
  std::string folder = testFolder();
  writeFile(folder + "/a", "");
  writeFile(folder + "/b", "");
  fs::create_symlink("a", folder + "/link");
  EXPECT_TRUE(sameFile(folder + "/a", folder + "/./a"));
  EXPECT_TRUE(sameFile(folder + "/a", folder + "/link"));
  EXPECT_FALSE(sameFile(folder + "/a", folder + "/b"));
  EXPECT_FALSE(sameFile(folder + "/none", folder + "/none"));
}

INSTANTIATE_TEST_SUITE_P(Naming, OutputFileTest,
                         testing::Values(OutputFile::Naming::noneIfPossible, OutputFile::Naming::temporary));

} // namespace
} // namespace mpopt::runtime
