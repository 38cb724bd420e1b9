// Goal: after kill -9 at any moment everything that was acknowledged as synced is there, once, in
// order, with the same bytes, and no sequence is given out twice. Method: a child process journals
// at full speed and tells through a pipe what it gave out and what was acknowledged; the parent
// kills it after a random number of such lines, opens the journal and compares. Then the next
// round.
//
// SLUICE_JOURNAL_KILLS is the number of rounds (20).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "journal/journal.h"
#include "journal/journal_fixture.h"

extern char** environ;

namespace sluice {
namespace {

constexpr int kPipeFd = 3;
constexpr char kFolderVariable[] = "SLUICE_JOURNAL_KILL_FOLDER";

struct Line {
  enum Kind : uint64_t { kStarted = 1, kGiven = 2, kSynced = 3 };
  uint64_t kind;
  uint64_t sequence;
};

void Tell(Line::Kind kind, uint64_t sequence) {
  const Line line{kind, sequence};
  // Small writes to a pipe are whole; without a reader there is nobody to tell.
  [[maybe_unused]] const ssize_t written = write(kPipeFd, &line, sizeof line);
}

JournalOptions KillOptions(const std::string& folder) {
  JournalOptions options;
  options.directory = folder;
  options.ceiling_block = 20'000;
  options.queue_bytes_max = 1 << 20;
  return options;
}

// The child: runs until it is killed. Disabled, so that it only runs where the parent says so.
TEST(JournalKill, DISABLED_Child) {
  const char* folder = std::getenv(kFolderVariable);
  ASSERT_NE(folder, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  JournalOptions options = KillOptions(folder);
  Journal* watched = nullptr;
  std::mutex mutex;
  uint64_t told = 0;
  options.on_progress = [&] {
    const std::lock_guard lock(mutex);
    if (watched == nullptr || watched->durable_sequence() == told) return;
    told = watched->durable_sequence();
    Tell(Line::kSynced, told);
  };
  JournalRecovery recovery;
  std::unique_ptr<Journal> journal;
  ASSERT_TRUE(Journal::Open(options, &recovery, &journal).ok());
  Tell(Line::kStarted, recovery.next_sequence);
  {
    const std::lock_guard lock(mutex);
    told = recovery.next_sequence - 1;
    watched = journal.get();
  }
  std::mt19937_64 random(recovery.next_sequence);
  uint64_t next = recovery.next_sequence;
  while (true) {
    const uint64_t count = 1 + random() % 50;
    if (next + count > journal->ceiling() ||
        journal->Statistics(0).queue_bytes > options.queue_bytes_max / 4) {
      std::this_thread::yield();
      continue;
    }
    Tell(Line::kGiven, next + count - 1);
    for (uint64_t i = 0; i < count; ++i, ++next) {
      journal->Offer(*MakeFrame(next, recovery.epoch));
    }
  }
}

class Child {
 public:
  explicit Child(const std::string& folder) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    from_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], kPipeFd);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const std::string variable = std::string(kFolderVariable) + "=" + folder;
    std::vector<char*> variables{const_cast<char*>(variable.c_str())};
    for (char** entry = environ; *entry != nullptr; ++entry) {
      // Of the outer run's choice of tests nothing is passed on.
      if (std::string(*entry).rfind("GTEST_", 0) != 0) variables.push_back(*entry);
    }
    variables.push_back(nullptr);
    const char* arguments[] = {"journal_test", "--gtest_filter=JournalKill.DISABLED_Child",
                               "--gtest_also_run_disabled_tests", nullptr};
    EXPECT_EQ(posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, const_cast<char**>(arguments),
                          variables.data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }
  ~Child() {
    Kill();
    close(from_);
  }
  // False: the child is gone.
  bool Read(Line* line) { return read(from_, line, sizeof *line) == sizeof *line; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself, status " << status;
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  int from_ = -1;
};

// What the lines of all rounds so far say.
struct Told {
  uint64_t given = 0;
  std::vector<std::pair<uint64_t, uint64_t>> synced;  // ranges, one a round

  void Note(const Line& line) {
    switch (line.kind) {
      case Line::kStarted:
        EXPECT_GT(line.sequence, given) << "a sequence is given out twice";
        synced.emplace_back(line.sequence, line.sequence - 1);
        break;
      case Line::kGiven:
        given = std::max(given, line.sequence);
        break;
      case Line::kSynced:
        synced.back().second = line.sequence;
        break;
      default:
        FAIL() << "no line";
    }
  }
};

void CheckJournal(const std::string& folder, const Told& told) {
  JournalRecovery recovery;
  std::unique_ptr<Journal> journal;
  ASSERT_TRUE(Journal::Open(KillOptions(folder), &recovery, &journal).ok());
  EXPECT_GT(recovery.next_sequence, told.given);
  EXPECT_EQ(recovery.damaged, 0u);
  uint64_t expected = 1;
  size_t range = 0;
  uint64_t events = 0;
  uint64_t acknowledged = 0;
  uint64_t looked_at = 0;
  const OnRecord look = [&](const JournalRecord& record) {
    EXPECT_EQ(record.first, expected);
    expected = record.last + 1;
    while (range < told.synced.size() && told.synced[range].second < record.first) ++range;
    if (record.kind != RecordKind::kEvent) {
      EXPECT_EQ(record.reason, HoleReason::kRestart);
      return !testing::Test::HasFailure();
    }
    ++events;
    acknowledged += range < told.synced.size() && told.synced[range].first <= record.first;
    EXPECT_EQ(record.wire, WireOf(record.first, recovery.epoch));
    return !testing::Test::HasFailure();
  };
  ASSERT_TRUE(journal->ForEach(0, UINT64_MAX, look, &looked_at).ok());
  uint64_t wanted = 0;
  for (const auto& [first, last] : told.synced) wanted += last + 1 - first;
  EXPECT_EQ(acknowledged, wanted) << "acknowledged events are missing";
  EXPECT_EQ(recovery.events, events);
  journal->Close(recovery.next_sequence - 1);
}

TEST(JournalKill, LosesNothingThatWasAcknowledged) {
  const char* variable = std::getenv("SLUICE_JOURNAL_KILLS");
  const int rounds = variable == nullptr ? 20 : std::atoi(variable);
  const ScratchFolder folder;
  std::mt19937_64 random(rounds);
  Told told;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Child child(folder.path());
    Line line;
    for (uint64_t lines = 1 + random() % 300; lines > 0 && child.Read(&line); --lines) {
      told.Note(line);
    }
    child.Kill();
    while (child.Read(&line)) told.Note(line);
    // The other half of the children start on what a kill left.
    if (round % 2 == 0) CheckJournal(folder.path(), told);
  }
  CheckJournal(folder.path(), told);
  EXPECT_GT(told.given, 0u);
}

}  // namespace
}  // namespace sluice
