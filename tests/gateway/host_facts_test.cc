// Goal: quotas and bounds are found under both versions of cgroups, up the hierarchy, in containers
// that hide the top of it. Method: trees of files as /proc and /sys have them.
#include "gateway/host_facts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace sluice {
namespace {

class HostTree : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = testing::TempDir() + "host_tree_" + test->name();
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << "\n";
  }
  void MountV2(const std::string& mounted = "/") {
    Write("/proc/self/mountinfo",
          "30 23 0:26 " + mounted + " /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate");
  }

  std::string root_;
};

TEST_F(HostTree, NoCgroupIsNoQuota) {
  EXPECT_EQ(ReadQuotaCores(root_), 0);
  EXPECT_EQ(ReadMemoryBound(root_), 0u);
}

TEST_F(HostTree, TightestQuotaUpTheHierarchyCounts) {
  MountV2();
  Write("/proc/self/cgroup", "0::/sys.slice/a.service");
  Write("/sys/fs/cgroup/sys.slice/a.service/cpu.max", "300000 100000");
  Write("/sys/fs/cgroup/sys.slice/cpu.max", "150000 100000");
  Write("/sys/fs/cgroup/sys.slice/a.service/memory.max", "max");
  Write("/sys/fs/cgroup/sys.slice/memory.max", "1048576");
  EXPECT_DOUBLE_EQ(ReadQuotaCores(root_), 1.5);
  EXPECT_EQ(ReadMemoryBound(root_), 1'048'576u);
}

TEST_F(HostTree, NoQuotaIsWrittenMax) {
  MountV2();
  Write("/proc/self/cgroup", "0::/");
  Write("/sys/fs/cgroup/cpu.max", "max 100000");
  EXPECT_EQ(ReadQuotaCores(root_), 0);
}

TEST_F(HostTree, ContainerSeesItsGroupAtTheTop) {
  MountV2("/docker/abc");
  Write("/proc/self/cgroup", "0::/docker/abc");
  Write("/sys/fs/cgroup/cpu.max", "50000 100000");
  EXPECT_DOUBLE_EQ(ReadQuotaCores(root_), 0.5);
}

TEST_F(HostTree, VersionOneWithJoinedControllers) {
  Write("/proc/self/mountinfo",
        "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory");
  Write("/proc/self/cgroup", "5:cpu,cpuacct:/box\n4:memory:/box\n0::/");
  Write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "250000");
  Write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
  Write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2097152");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_DOUBLE_EQ(ReadQuotaCores(root_), 2.5);
  EXPECT_EQ(ReadMemoryBound(root_), 2'097'152u);
}

TEST_F(HostTree, ReadsTheKernelSettings) {
  Write("/proc/sys/net/core/somaxconn", "128");
  Write("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304");
  Write("/proc/meminfo", "MemTotal:        2048 kB");
  Write("/proc/sys/fs/file-max", "2466170");
  Write("/proc/sys/net/ipv4/tcp_ehash_entries", "-262144");  // the machine's, seen in a namespace
  Write("/proc/sys/net/netfilter/nf_conntrack_count", "17");
  Write("/proc/sys/net/netfilter/nf_conntrack_max", "65536");
  const HostFacts facts = ReadHostFacts(root_);
  EXPECT_EQ(facts.somaxconn, 128u);
  EXPECT_EQ(facts.tcp_send_bytes_max, 4'194'304u);
  EXPECT_EQ(facts.memory_bytes, 2'048u * 1024);
  EXPECT_EQ(facts.host_files_max, 2'466'170u);
  EXPECT_EQ(facts.hash_buckets, 262'144u);
  EXPECT_EQ(facts.tracked, 17u);
  EXPECT_EQ(facts.tracked_max, 65'536u);
  EXPECT_FALSE(facts.affinity.empty());
  EXPECT_FALSE(facts.kernel.empty());
}

TEST(HostFacts, UsableCoresRoundUpAndAreAtLeastOne) {
  EXPECT_EQ(UsableCores(8, 0), 8u);
  EXPECT_EQ(UsableCores(8, 2.5), 3u);
  EXPECT_EQ(UsableCores(8, 0.1), 1u);
  EXPECT_EQ(UsableCores(2, 6), 2u);
  EXPECT_EQ(UsableCores(0, 0), 1u);
}

TEST(HostFacts, FileLimitIsRaisedToTheHardOne) {
  const FileLimit limit = RaiseFileLimit();
  const HostFacts facts = ReadHostFacts();
  EXPECT_EQ(limit.after, facts.open_files_hard);
  EXPECT_EQ(facts.open_files_soft, facts.open_files_hard);
  EXPECT_LE(limit.before, limit.after);
}

}  // namespace
}  // namespace sluice
