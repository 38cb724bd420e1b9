// Goal: what a person writes in a file, a variable or a flag is what the gateway runs with, and
// what is wrong is answered by one line that names the place and the way out.
#include "gateway/configuration.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "gateway/option_table.h"
#include "gateway/option_value.h"

namespace sluice {
namespace {

class Configuration : public testing::Test {
 protected:
  Status Parse(const std::vector<std::string>& flags,
               const std::vector<std::string>& environment = {}) {
    std::vector<const char*> argv{"sluice"};
    for (const std::string& flag : flags) argv.push_back(flag.c_str());
    argv.push_back(nullptr);
    std::vector<const char*> envp;
    for (const std::string& entry : environment) envp.push_back(entry.c_str());
    envp.push_back(nullptr);
    return ParseCommandLine(static_cast<int>(argv.size()) - 1, argv.data(), envp.data(),
                            &command_line_);
  }

  // The path of a file with this text, unique to the test.
  std::string File(const std::string& text) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string path = testing::TempDir() + test->name() + ".toml";
    std::ofstream(path) << text;
    return path;
  }

  const Options& options() const { return command_line_.options; }

  CommandLine command_line_;
};

void ExpectError(const Status& status, const std::vector<std::string>& parts) {
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  for (const std::string& part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "\"" << part << "\" is not in: " << status.message();
  }
  EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
}

TEST_F(Configuration, PoliciesOfTheHistoryStandInTheFile) {
  const std::string path = File(
      "[history]\nbytes_max = \"1MiB\"\n"
      "[[history.policy]]\ntopics = \"news/**\"\nevents_max = 10\nage_max = \"5m\"\n"
      "[[history.policy]]\ntopics = \"a/b\"\n");
  const Status status = Parse({"--config", path});
  ASSERT_TRUE(status.ok()) << status.message();
  const auto& policies = options().history_policies;
  ASSERT_EQ(policies.size(), 2u);
  EXPECT_EQ(policies[0].topics, "news/**");
  EXPECT_EQ(policies[0].events_max, 10u);
  EXPECT_EQ(policies[0].age_max_ms, 300'000u);
  EXPECT_FALSE(policies[0].bytes_max.has_value());  // the history's
  EXPECT_EQ(policies[1].topics, "a/b");
}

TEST_F(Configuration, APolicyThatIsWrongIsTold) {
  const auto error = [&](const std::string& policy) {
    return Parse({"--config", File("[[history.policy]]\n" + policy)});
  };
  ExpectError(error("events_max = 1\n"), {"toml:1:", "history.policy", "topics is missing"});
  ExpectError(error("topics = \"a\"\nage = 1\n"), {"toml:1:", "age is no part of a policy"});
  ExpectError(error("topics = \"a\"\nage_max = 1\n"), {"toml:1:", "age_max:"});
  ExpectError(error("topics = \"a/**/b\"\n"), {"history.policy", "at byte"});
  ExpectError(Parse({"--config", File("[history]\npolicy = 1\n")}), {"[[history.policy]]"});
  ExpectError(Parse({"--history-missing", "nowhere"}), {"history.missing", "earliest or live"});
}

TEST_F(Configuration, PoliciesOfSlowReadersStandInTheFile) {
  const std::string path = File(
      "[lag]\nbytes_max = \"3MiB\"\n"
      "[[lag.policy]]\ntopics = \"prices/**\"\npolicy = \"conflate\"\nevents_max = 10\n"
      "age_max = \"5s\"\n"
      "[[lag.policy]]\ntopics = \"**\"\npolicy = \"skip\"\nbytes_max = \"2MiB\"\n");
  const Status status = Parse({"--config", path});
  ASSERT_TRUE(status.ok()) << status.message();
  const auto& policies = options().lag_policies;
  ASSERT_EQ(policies.size(), 2u);
  EXPECT_EQ(policies[0].topics, "prices/**");
  EXPECT_EQ(policies[0].policy, "conflate");
  EXPECT_EQ(policies[0].events_max, 10u);
  EXPECT_EQ(policies[0].age_max_ms, 5'000u);
  EXPECT_FALSE(policies[0].bytes_max.has_value());  // lag.bytes_max
  EXPECT_EQ(policies[1].policy, "skip");
  EXPECT_EQ(policies[1].bytes_max, 2u << 20);
  EXPECT_EQ(options().lag_policy, "disconnect");
  // One word is for all topics.
  const Status one = Parse({"--config", File("[lag]\npolicy = \"skip\"\n")});
  ASSERT_TRUE(one.ok()) << one.message();
  EXPECT_EQ(options().lag_policy, "skip");
  EXPECT_TRUE(options().lag_policies.empty());
}

TEST_F(Configuration, APolicyOfSlowReadersThatIsWrongIsTold) {
  const auto error = [&](const std::string& policy) {
    return Parse({"--config", File("[[lag.policy]]\n" + policy)});
  };
  ExpectError(error("policy = \"skip\"\n"), {"toml:1:", "lag.policy", "topics is missing"});
  ExpectError(error("topics = \"a\"\n"), {"toml:1:", "policy is missing"});
  ExpectError(error("topics = \"a\"\npolicy = \"drop\"\n"),
              {"lag.policy of a", "\"drop\"", "disconnect, skip or conflate"});
  ExpectError(error("topics = \"a\"\npolicy = 1\n"), {"policy: takes one word"});
  ExpectError(error("topics = \"a\"\npolicy = \"skip\"\npolicies = 1\n"),
              {"policies is no part of it"});
  ExpectError(error("topics = \"a//b\"\npolicy = \"skip\"\n"), {"lag.policy", "at byte 2"});
  ExpectError(error("topics = \"a\"\npolicy = \"skip\"\nbytes_max = 1024\n"),
              {"lag.policy of a", "event.frame_bytes_max"});
  ExpectError(error("topics = \"a\"\npolicy = \"skip\"\nbytes_max = \"64MiB\"\n"),
              {"lag.policy of a", "log.bytes_max"});
  ExpectError(error("topics = \"a\"\npolicy = \"skip\"\nage_max = \"2m\"\n"),
              {"lag.policy of a", "socket.user_timeout"});
  ExpectError(Parse({"--config", File("[lag]\npolicy = 1\n")}), {"[[lag.policy]]"});
  ExpectError(Parse({"--lag-policy", "conflate", "--lag-table-bytes-max", "64MiB"}),
              {"lag.table_bytes_max (64MiB)", "below log.bytes_max"});
  EXPECT_TRUE(Parse({"--lag-policy", "skip", "--lag-table-bytes-max", "64MiB"}).ok());
  ExpectError(Parse({"--lag-policy", "never"}), {"lag.policy", "\"never\"", "conflate"});
}

TEST_F(Configuration, DefaultsAreValid) {
  const Status status = Parse({});
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(options().listen, std::vector<std::string>{"0.0.0.0:8181"});
  EXPECT_TRUE(options().keyless_publish);
}

TEST_F(Configuration, TakesACommandForTheJournalAndItsFolder) {
  for (const std::string command : {"inspect", "verify", "export"}) {
    const Status status = Parse({"journal", command, "/var/lib/sluice"}, {"SLUICE_SHARDS=none"});
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(command_line_.journal_command, command);
    EXPECT_EQ(command_line_.journal_directory, "/var/lib/sluice");
  }
  EXPECT_FALSE(Parse({"journal"}).ok());
  EXPECT_FALSE(Parse({"journal", "repair", "/var/lib/sluice"}).ok());
  EXPECT_FALSE(Parse({"journal", "inspect"}).ok());
}

TEST_F(Configuration, FileThenEnvironmentThenFlags) {
  const std::string path =
      File("shards = 2\n[lag]\nevents_max = 10\nage_max = \"7s\"\n[sweep]\nsends_max = 11\n");
  const Status status = Parse({"--config", path, "--shards", "4"},
                              {"SLUICE_SHARDS=3", "SLUICE_LAG_EVENTS_MAX=20", "HOME=/"});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(options().shards, 4u);
  EXPECT_EQ(options().lag_events_max, 20u);
  EXPECT_EQ(options().lag_age_max_ms, 7'000u);
  EXPECT_EQ(options().sweep_sends_max, 11u);
  EXPECT_EQ(command_line_.config_path, path);
}

TEST_F(Configuration, EnvironmentNamesTheFile) {
  const std::string path = File("shards = 5\n");
  ASSERT_TRUE(Parse({}, {"SLUICE_CONFIG=" + path}).ok());
  EXPECT_EQ(options().shards, 5u);
}

TEST_F(Configuration, AllSourcesReachEveryOption) {
  for (const OptionSpec& option : OptionTable()) {
    const std::string value = FormatOption(option, Options());
    if (value.empty()) continue;
    Status status = Parse({"--" + option.Flag(), value});
    EXPECT_TRUE(status.ok()) << option.name << ": " << status.message();
    status = Parse({"--" + option.Flag() + "=" + value});
    EXPECT_TRUE(status.ok()) << option.name << ": " << status.message();
    status = Parse({}, {option.Environment() + "=" + value});
    EXPECT_TRUE(status.ok()) << option.name << ": " << status.message();
    EXPECT_TRUE(command_line_.warnings.empty()) << option.name;
    EXPECT_EQ(FormatOption(option, options()), value) << option.name;
  }
}

TEST_F(Configuration, TableNamesEveryOptionOnce) {
  for (const OptionSpec& a : OptionTable()) {
    int count = 0;
    for (const OptionSpec& b : OptionTable()) count += a.Flag() == b.Flag() || a.Flag() == b.alias;
    EXPECT_EQ(count, 1) << a.name;
    EXPECT_FALSE(a.help.empty()) << a.name;
    EXPECT_LE(a.minimum, a.maximum) << a.name;
  }
}

TEST_F(Configuration, ListsRepeatAndReplace) {
  const std::string path = File("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n");
  ASSERT_TRUE(Parse({"--config", path}).ok());
  EXPECT_EQ(options().listen.size(), 2u);
  ASSERT_TRUE(Parse({"--config", path, "--listen", "[::]:9", "--listen=unix:/tmp/s"}).ok());
  EXPECT_EQ(options().listen, (std::vector<std::string>{"[::]:9", "unix:/tmp/s"}));
  ASSERT_TRUE(Parse({}, {"SLUICE_LISTEN=127.0.0.1:3, 127.0.0.1:4"}).ok());
  EXPECT_EQ(options().listen, (std::vector<std::string>{"127.0.0.1:3", "127.0.0.1:4"}));
}

TEST_F(Configuration, AliasesOfTheFlags) {
  ASSERT_TRUE(Parse({"--keyless-publish", "off", "--max-stream-age", "1h", "--publish-key-file",
                     "/k", "--admin-listen", "127.0.0.1:9", "--engine", "epoll", "--cpus", "0,2-3"})
                  .ok());
  EXPECT_FALSE(options().keyless_publish);
  EXPECT_EQ(options().stream_age_max_ms, 3'600'000u);
  EXPECT_EQ(options().publish_key_file, "/k");
  EXPECT_EQ(options().admin_listen, std::vector<std::string>{"127.0.0.1:9"});
  EXPECT_EQ(options().engine, EngineChoice::kEpoll);
  EXPECT_EQ(options().cpus, (std::vector<uint32_t>{0, 2, 3}));
}

TEST_F(Configuration, SizesAndDurationsTakeUnits) {
  const std::string path = File(
      "[lag]\nbytes_max = \"2MiB\"\n[stop]\ndelay = \"2s\"\nspread_ms = 250\n"
      "[http]\nbody_bytes_max = 65536\n[publish]\nkeyless = false\n");
  const Status status = Parse({"--config", path, "--stream-heartbeat-ms", "200"});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(options().lag_bytes_max, 2u * 1024 * 1024);
  EXPECT_EQ(options().stop_delay_ms, 2'000u);
  EXPECT_EQ(options().stop_spread_ms, 250u);
  EXPECT_EQ(options().body_bytes_max, 65'536u);
  EXPECT_EQ(options().heartbeat_ms, 200u);
  EXPECT_FALSE(options().keyless_publish);
}

TEST_F(Configuration, UnknownNamesAreRefusedWithTheNearest) {
  const std::string path = File("shards = 1\n\n[lag]\n  byte_max = \"4MiB\"\n");
  ExpectError(Parse({"--config", path}),
              {path + ":4:3: ", "lag.byte_max is no option", "did you mean lag.bytes_max?"});
  ExpectError(Parse({"--shard", "2"}), {"--shard is no option", "did you mean --shards?"});
  ExpectError(Parse({"--zzzzzzzzzz"}), {"--zzzzzzzzzz is no option; see sluice --help"});
  ExpectError(Parse({"--heartbeat=3"}), {"--heartbeat is", "--stream-heartbeat?"});
  ExpectError(Parse({"stray"}), {"\"stray\" is no option"});
}

TEST_F(Configuration, UnknownVariablesAreAWarning) {
  ASSERT_TRUE(Parse({}, {"SLUICE_LAG_BYTE_MAX=1", "SLUICE_PORT_8181_TCP=tcp://10.0.0.1:8181",
                         "SLUICE_SERVICE_HOST=10.0.0.1"})
                  .ok());
  ASSERT_EQ(command_line_.warnings.size(), 1u);
  EXPECT_NE(command_line_.warnings[0].find("did you mean SLUICE_LAG_BYTES_MAX?"), std::string::npos)
      << command_line_.warnings[0];
}

TEST_F(Configuration, WrongValuesSayTheWayOut) {
  ExpectError(Parse({"--stop-delay", "2"}), {"--stop-delay: \"2\" has no unit; write 2s or 2ms"});
  ExpectError(Parse({"--shards", "many"}), {"--shards: \"many\" is no number"});
  ExpectError(Parse({"--shards", "-1"}), {"--shards"});
  ExpectError(Parse({"--shards", "100000"}), {"is out of range; write 1 to 256, or 0"});
  ExpectError(Parse({"--lag-bytes-max", "4MB"}), {"is no size", "KiB, MiB, GiB"});
  ExpectError(Parse({"--lag-bytes-max", "99999999999GiB"}), {"is no size"});
  ExpectError(Parse({"--engine", "kqueue"}), {"write auto, io_uring or epoll"});
  ExpectError(Parse({"--keyless-publish", "maybe"}), {"--keyless-publish", "write on or off"});
  ExpectError(Parse({"--cpus", "3-1"}), {"--cpus", "write 0,2-3"});
  ExpectError(Parse({"--cpus", "1,1"}), {"--cpus", "twice"});
  ExpectError(Parse({"--shards"}), {"--shards"});
  ExpectError(Parse({}, {"SLUICE_SHARDS=x"}), {"SLUICE_SHARDS: \"x\" is no number"});
  ExpectError(Parse({"--log-level", "loud"}), {"log_level", "write trace, debug"});
}

TEST_F(Configuration, FileErrorsNameLineAndColumn) {
  std::string path = File("shards = \n");
  ExpectError(Parse({"--config", path}), {path + ":1:", "is no TOML"});
  path = File("shards = 1.5\n");
  ExpectError(Parse({"--config", path}), {path + ":1:1: shards: "});
  path = File("shards = [1, 2]\n");
  ExpectError(Parse({"--config", path}), {"shards: takes one value, no list"});
  path = File("shards = true\n");
  ExpectError(Parse({"--config", path}), {"shards: takes no true or false"});
  path = File("engine = 3\n");
  ExpectError(Parse({"--config", path}), {"engine: takes text"});
  path = File("lag = 4\n");
  ExpectError(Parse({"--config", path}), {path + ":1:1: lag is no option"});
  ExpectError(Parse({"--config", "/nowhere/sluice.toml"}),
              {"/nowhere/sluice.toml", "No such file"});
  ExpectError(Parse({"--config", "/"}), {"--config /"});
}

TEST_F(Configuration, EmptyFileIsNoError) {
  const Status status = Parse({"--config", File("")});
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_F(Configuration, HelpAndVersionReadNothingElse) {
  ASSERT_TRUE(Parse({"--help", "--config", "/nowhere"}).ok());
  EXPECT_TRUE(command_line_.help);
  ASSERT_TRUE(Parse({"--version"}, {"SLUICE_SHARDS=x"}).ok());
  EXPECT_TRUE(command_line_.version);
  ASSERT_TRUE(Parse({"--check"}).ok());
  EXPECT_TRUE(command_line_.check);
  EXPECT_TRUE(VersionText().starts_with("sluice ")) << VersionText();
}

struct BrokenRelation {
  std::vector<std::string> flags;
  std::vector<std::string> parts;
};

TEST_F(Configuration, BrokenRelationsSayWhichWhyAndWhatToDo) {
  const BrokenRelation kCases[] = {
      {{"--lag-bytes-max", "1MiB"}, {"event.frame_bytes_max (1280KiB)", "lag.bytes_max (1MiB)"}},
      {{"--journal", "/tmp/journal", "--journal-queue-bytes-max", "1MiB"},
       {"event.frame_bytes_max (1280KiB)", "journal.queue_bytes_max (1MiB)"}},
      {{"--ack", "synced"}, {"publish.ack (synced)", "journal.directory"}},
      {{"--log-bytes-max", "4MiB"}, {"lag.bytes_max (4MiB) must be below log.bytes_max"}},
      {{"--ring-bytes-max", "1MiB"}, {"ring.bytes_max (1MiB)", "raise the second"}},
      {{"--log-segment-bytes", "8MiB"}, {"log.segment_bytes", "lag.bytes_max"}},
      {{"--ring-events-max", "1000"}, {"power of two", "write 512 or 1024"}},
      {{"--http-header-bytes-max", "4KiB"}, {"http.target_bytes_max", "http.header_bytes_max"}},
      {{"--lag-age-max", "90s"}, {"lag.age_max (90s)", "socket.user_timeout (60s)"}},
      {{"--stream-retry-min", "9s"}, {"stream.retry_min", "exchange the two"}},
      {{"--stop-delay", "40s"}, {"stop.timeout (30s)", "raise it"}},
      {{"--listen", "nonsense"}, {"listen: ", "nonsense"}},
      {{"--listen", "127.0.0.1:1", "--admin-listen", "127.0.0.1:1"}, {"admin.listen", "already"}},
      {{"--http-stream-paths", "stream"}, {"http.stream_paths", "is no path"}},
      {{"--http-stream-paths", "/stats"}, {"\"/stats\" is taken already"}},
      {{"--http-broadcast-paths", "/publish"}, {"\"/publish\" is taken already"}},
      {{"--http-stream-paths", "/publish/a"}, {"\"/publish/a\" is taken already"}},
      {{"--http-cors-origins", "*,https://a.example"}, {"http.cors_origins: * stands beside"}},
      {{"--http-cors-origins", "https://a.example/"}, {"is no origin"}},
  };
  for (const BrokenRelation& broken : kCases) ExpectError(Parse(broken.flags), broken.parts);
}

TEST_F(Configuration, PortZeroMayStandTwice) {
  const Status status = Parse({"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"});
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(OptionValue, FormatsWhatItReadsBack) {
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatBytes(1), "1");
  EXPECT_EQ(FormatBytes(1536), "1536");
  EXPECT_EQ(FormatBytes(64 * 1024), "64KiB");
  EXPECT_EQ(FormatBytes(1280 * 1024), "1280KiB");
  EXPECT_EQ(FormatBytes(uint64_t{1} << 30), "1GiB");
  EXPECT_EQ(FormatDuration(0), "0");
  EXPECT_EQ(FormatDuration(250), "250ms");
  EXPECT_EQ(FormatDuration(60'000), "60s");
  EXPECT_EQ(FormatDuration(120'000), "2m");
  EXPECT_EQ(FormatCpuList({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  EXPECT_EQ(FormatCpuList({3, 1}), "3,1");
}

}  // namespace
}  // namespace sluice
