#include "server_probe.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <set>
#include <string>

namespace sluice::bench {
namespace {

// A server with a worker of its own, as nginx has: both are sampled.
TEST(ServerProbe, SamplesAProcessWithItsDescendants) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // ends with the child, as that with the test
      // Work that shows in its CPU time, then: there.
      while (::clock() < CLOCKS_PER_SEC / 100) {
      }
      (void)!::write(ready[1], "x", 1);
      ::pause();
    }
    ::pause();
    ::_exit(0);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const ProcessSample sample = SampleProcess(child, true);
  EXPECT_EQ(sample.processes, 2u);
#ifdef __SANITIZE_THREAD__  // it has a thread of its own in a process
  EXPECT_GE(sample.threads, 2u);
#else
  EXPECT_EQ(sample.threads, 2u);
#endif
  EXPECT_GT(sample.cpu_ns, 1'000'000);
  EXPECT_GT(sample.resident_bytes, 0u);
  EXPECT_GT(sample.pss_bytes, 0u);
  EXPECT_FALSE(CommandLine(child).empty());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(SampleProcess(child, false).is_alive());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(ServerProbe, TheEnvironmentSaysWhatAFigureDependsOn) {
  std::set<std::string> names;
  for (const auto& [name, value] : Environment()) {
    EXPECT_FALSE(value.empty()) << name;
    names.insert(name);
  }
  for (const char* const name :
       {"kernel", "cores", "memory", "open files (limit)", "locked memory (limit)", "meter commit",
        "sysctl net/core/somaxconn", "sysctl net/ipv4/tcp_mem"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

}  // namespace
}  // namespace sluice::bench
