// `sluice` as a process of its own, for tests that kill it.
//
// Thread: one test's.
// Owner:  the process ends with the object, or with the test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    from_ = ends[0];
    std::vector<char*> pointers{const_cast<char*>(SLUICE_PROGRAM)};
    for (const std::string& argument : arguments) {
      pointers.push_back(const_cast<char*>(argument.c_str()));
    }
    pointers.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(ends[1], STDERR_FILENO);
      execv(SLUICE_PROGRAM, pointers.data());
      _exit(127);
    }
    close(ends[1]);
  }
  ~Program() {
    End(SIGKILL);
    close(from_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Where it listens; empty if it ended before it did.
  std::string AwaitAddress() {
    constexpr std::string_view kWords = "listening on ";
    char byte;
    while (read(from_, &byte, 1) == 1) {
      log_ += byte;
      const size_t at = log_.find(kWords);
      if (byte == '\n' && at != std::string::npos) {
        const size_t begin = at + kWords.size();
        return log_.substr(begin, log_.size() - begin - 1);
      }
    }
    return "";
  }
  const std::string& log() const { return log_; }

  void End(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    Ended(status, signal);
  }
  // The same without waiting for it: ask HasEnded.
  void Signal(int signal) {
    signal_ = signal;
    kill(pid_, signal);
  }
  bool HasEnded() {
    int status = 0;
    if (pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) Ended(status, signal_);
    return pid_ == 0;
  }

 private:
  void Ended(int status, int signal) {
    pid_ = 0;
    if (signal == SIGKILL) {
      EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself, status " << status << "\n" << log_;
    } else {
      EXPECT_EQ(status, 0) << log_;
    }
  }

  pid_t pid_ = 0;
  int signal_ = 0;
  int from_ = -1;
  std::string log_;
};

}  // namespace sluice::test
