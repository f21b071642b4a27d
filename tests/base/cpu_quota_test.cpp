#include "tapegrad/base/cpu_quota_internal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace tapegrad {
namespace {

constexpr int kNoLimit = std::numeric_limits<int>::max();

// A folder of control groups, with the file that says which groups the process is in.
class CpuQuota : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  int cpus(const std::string& groups) {
    write("self", groups);
    return detail::cpu_quota((root_ / "self").string(), root_.string());
  }

  const std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("tapegrad_cpu_quota." + std::to_string(getpid()));
};

TEST_F(CpuQuota, Version2) {
  write("cpu.max", "max 100000\n");
  EXPECT_EQ(cpus("0::/\n"), kNoLimit);
  write("cpu.max", "200000 100000\n");
  EXPECT_EQ(cpus("0::/\n"), 2);
  write("cpu.max", "150000 100000\n");
  EXPECT_EQ(cpus("0::/\n"), 2) << "rounded up";
  write("cpu.max", "10000 100000\n");
  EXPECT_EQ(cpus("0::/\n"), 1);
}

TEST_F(CpuQuota, OfAGroupAndOfThoseAroundIt) {
  write("cpu.max", "800000 100000\n");
  write("user/cpu.max", "300000 100000\n");
  write("user/job/cpu.max", "max 100000\n");
  EXPECT_EQ(cpus("0::/user/job\n"), 3);
  write("user/job/cpu.max", "100000 50000\n");
  EXPECT_EQ(cpus("0::/user/job\n"), 2);
  EXPECT_EQ(cpus("0::/elsewhere/deep\n"), 8) << "a path that is not there: the root";
}

TEST_F(CpuQuota, Version1) {
  write("cpu,cpuacct/docker/x/cpu.cfs_quota_us", "400000\n");
  write("cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpus("5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n"), 4);
  EXPECT_EQ(cpus("5:memory:/docker/x\n4:cpuset:/docker/x\n"), kNoLimit);
  write("cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cpus("4:cpu,cpuacct:/docker/x\n"), kNoLimit);
  write("cpu/cpu.cfs_quota_us", "100000\n");  // a container sees its own group as the root
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpus("4:cpu,cpuacct:/docker/y\n"), 1);
}

TEST_F(CpuQuota, WhatCannotBeReadIsNoLimit) {
  EXPECT_EQ(cpus(""), kNoLimit);
  EXPECT_EQ(cpus("0::/\n"), kNoLimit);
  EXPECT_EQ(cpus("nonsense\n\n:\n"), kNoLimit);
  for (const char* text : {"", "x y", "-1 100000", "100000", "100000 0", "99999999999999999999999 100000"}) {
    write("cpu.max", text);
    EXPECT_EQ(cpus("0::/\n"), kNoLimit) << text;
  }
  EXPECT_EQ(detail::cpu_quota("/nonexistent", "/nonexistent"), kNoLimit);
}

}  // namespace
}  // namespace tapegrad
