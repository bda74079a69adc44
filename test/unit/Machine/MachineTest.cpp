#include "mpopt/Machine/Machine.h"
#include "mpopt/Machine/Calibrate.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt;
using namespace mpopt::machine;
using testing::HasSubstr;

namespace {

std::string validFile() { return toToml(*load("test-host")); }

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expectError(const std::string &toml, std::initializer_list<const char *> parts) {
  Result<Machine> machine = parse(toml, "my.toml");
  ASSERT_FALSE(machine.has_value());
  EXPECT_THAT(machine.error().message, HasSubstr("my.toml"));
  for (const char *part : parts)
    EXPECT_THAT(machine.error().message, HasSubstr(part));
}

TEST(DType, NamesReadBack) {
  for (DType type : kDTypes)
    EXPECT_EQ(parseDType(name(type)), type);
  EXPECT_EQ(parseDType("f7"), std::nullopt);
  EXPECT_EQ(bytesOf(DType::BF16), 2);
  EXPECT_EQ(bytesOf(DType::I4), 0.5);
  EXPECT_EQ(bytesOf(DType::F8), 1);
  EXPECT_EQ(bytesOf(DType::F4), 0.5);
}

TEST(Machine, EveryShippedMachineLoadsAndRoundTrips) {
  EXPECT_THAT(shippedMachines(), testing::IsSupersetOf({"v100", "a100-40", "a100-80", "h100", "h200", "b200", "b300",
                                                        "gb200", "gb300", "t4", "v100-16", "v100-t4", "host"}));
  for (const std::string &name : shippedMachines()) {
    Result<Machine> machine = load(name);
    ASSERT_TRUE(machine.has_value()) << machine.error().message;
    std::string text = toToml(*machine);
    Result<Machine> again = parse(text, name);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(toToml(*again), text);
  }
}

TEST(Machine, WhatNeedNotBeSaidRoundTrips) {
  Machine machine = *load("test-host");
  EXPECT_EQ(machine.device().overlap, 1);
  EXPECT_EQ(machine.device().matmul.attention, 1);
  machine.devices[0].overlap = 0;
  machine.devices[0].matmul.attention = 0.5;
  ASSERT_EQ(machine.host->cacheBytes, 0);
  machine.host->cacheBytes = 8'000'000;
  machine.host->cacheBandwidth = 3e10;
  Result<Machine> read = parse(toToml(machine), "host.toml");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->host->cacheBytes, 8'000'000);
  EXPECT_EQ(read->host->cacheBandwidth, 3e10);
  EXPECT_EQ(read->device().overlap, 0);
  EXPECT_EQ(read->device().matmul.attention, 0.5);
}

TEST(Machine, MissingTypesFallBackToWiderOnes) {
  Machine v100 = *load("v100");
  EXPECT_EQ(v100.device().peakFlops(DType::BF16), v100.device().peakFlops(DType::F32));
  EXPECT_EQ(v100.device().peakFlops(DType::I8), v100.device().peakFlops(DType::F32));
  EXPECT_GT(v100.device().peakFlops(DType::F16), v100.device().peakFlops(DType::F32));
}

TEST(Machine, HeadersThatBeginWithNoKeyAreRefused) { expectError("[(device]]\n", {"my.toml:1", "not valid TOML"}); }

TEST(Machine, LettersOutsideAsciiAreRefusedWhereTheyMeanNothing) {
  expectError("name = \u00e9\n", {"my.toml:1", "not valid TOML"});
}

TEST(Machine, UnknownNameListsTheKnownOnes) {
  Result<Machine> machine = load("a200");
  ASSERT_FALSE(machine.has_value());
  EXPECT_THAT(machine.error().message, testing::AllOf(HasSubstr("'a200'"), HasSubstr("a100-80"), HasSubstr("host")));
  EXPECT_FALSE(load("no/such/file.toml").has_value());
  EXPECT_FALSE(load("/").has_value());
}

TEST(MachineFile, NegativeZeroAndInfiniteBandwidthsAreErrors) {
  for (const char *bad : {"-1.0e9", "0.0", "inf", "nan"})
    expectError(replaced(validFile(), "\nbandwidth = 6e+09", std::string("\nbandwidth = ") + bad),
                {"link[0].bandwidth", "greater than 0"});
  expectError(replaced(validFile(), "memory_bandwidth = 1.2e+10", "memory_bandwidth = -2"),
              {"device[0].memory_bandwidth", "-2"});
  expectError(replaced(validFile(), "cache_bytes", "overlap = 1.5\ncache_bytes"),
              {"device[0].overlap", "between 0 and 1"});
  expectError(replaced(validFile(), "latency_seconds = 1e-06", "latency_seconds = -1e-6"), {"link[0].latency_seconds"});
}

TEST(MachineFile, WrongTypesMissingAndUnknownKeysAreErrors) {
  expectError(replaced(validFile(), "\nbandwidth = 6e+09", "\nbandwidth = \"fast\""),
              {"link[0].bandwidth", "fast", "a number"});
  expectError(replaced(validFile(), "\nbandwidth = 6e+09", ""), {"link[0].bandwidth", "missing"});
  expectError(replaced(validFile(), "\nbandwidth = ", "\nbandwith = "), {"bandwith", "unknown key"});
  expectError(replaced(validFile(), "count = 1024", "count = 0"), {"link[0].count", "at least 1"});
  expectError(replaced(validFile(), "count = 1024", "count = 9223372036854775807"), {"count"});
  expectError(replaced(validFile(), "f32 = ", "f33 = "), {"device[0].peak.f33", "element type"});
  expectError(replaced(validFile(), "[\"direct\"]", "[\"bus\"]"), {"algorithms", "ring"});
  expectError("name = \"x\"\n[[device]", {"not valid TOML"});
  expectError("", {"'name'", "missing"});
  expectError("name = \"x\"\ndevice = 3\n", {"device"});
}

TEST(MachineFile, GroupsNameDevices) {
  std::string mixed = validFile() + "\n[[group]]\ndevice = \"cpu-core\"\ncount = 3\n";
  EXPECT_EQ(parse(mixed, "mixed")->maxDevices(), 3);
  expectError(validFile() + "\n[[group]]\ndevice = \"gpu\"\ncount = 3\n", {"'gpu'"});
}

TEST(MachineFile, WritesWholeFilesAndReportsBadPaths) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "mpopt-machine-test";
  std::filesystem::remove_all(folder);
  std::string path = (folder / "deep" / "m.toml").string();
  ASSERT_TRUE(writeFile(*load("h100"), path).has_value());
  EXPECT_EQ(toToml(*load(path)), toToml(*load("h100")));
  EXPECT_FALSE(writeFile(*load("h100"), path + "/below-a-file.toml").has_value());
  std::filesystem::remove_all(folder);
}

TEST(Machine, HostLoadsTheCalibratedFileIfThereIsOne) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "mpopt-cache-test";
  std::filesystem::remove_all(folder);
  setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  EXPECT_THAT(load("host")->note, HasSubstr("shipped defaults"));
  Machine mine = *load("test-host");
  mine.note = "mine";
  ASSERT_TRUE(writeFile(mine, calibratedPath("host")).has_value());
  EXPECT_EQ(load("host")->note, "mine");
  unsetenv("XDG_CACHE_HOME");
  std::filesystem::remove_all(folder);
}

TEST(Machine, RanksShareAHost) {
  Machine host = *load("test-host");
  ASSERT_EQ(host.host->cores, 4);
  host.host->cacheBandwidth = 4e10;
  Machine four = forDevices(host, 4), eight = forDevices(host, 8);
  EXPECT_EQ(four.device().peakFlops(DType::F32), host.device().peakFlops(DType::F32));
  EXPECT_EQ(eight.device().peakFlops(DType::F32), host.device().peakFlops(DType::F32) / 2);
  EXPECT_LT(four.device().memoryBandwidth, host.device().memoryBandwidth);
  EXPECT_EQ(eight.device().memoryBytes, host.host->memoryBytes / 8);
  EXPECT_EQ(four.host->cacheBandwidth, 4e10);
  EXPECT_EQ(eight.host->cacheBandwidth, 2e10);
  EXPECT_EQ(eight.links[0].latencySeconds, 2 * host.links[0].latencySeconds);
  EXPECT_EQ(forDevices(*load("h100"), 8).device().memoryBandwidth, load("h100")->device().memoryBandwidth);
}

} // namespace
