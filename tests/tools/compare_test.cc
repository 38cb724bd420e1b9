#include "compare.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace sluice::bench {
namespace {

// A list in a file of its own, gone with the object.
class List {
 public:
  explicit List(const std::string& text)
      : path_(testing::TempDir() + "compare_test_" + std::to_string(::getpid()) + ".toml") {
    std::ofstream(path_) << text;
  }
  ~List() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

constexpr char kTarget[] = "[[target]]\nname = \"one\"\ncommand = [\"true\", \"{port}\"]\n";

TEST(Compare, ReadsTheShippedList) {
  ComparePlan plan;
  const Status status = ReadComparePlan(SLUICE_SOURCE_DIR "/bench/compare.toml", &plan);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(plan.rates.front(), 0);
  EXPECT_EQ(plan.base, "nchan");
  EXPECT_GE(plan.targets.size(), 5u);
}

TEST(Compare, TakesARateThatIsMaxOrANumber) {
  ComparePlan plan;
  const List good(std::string("[load]\nrates = [\"max\", 2, 0.5, 0]\n") + kTarget);
  ASSERT_TRUE(ReadComparePlan(good.path(), &plan).ok());
  EXPECT_EQ(plan.rates, (std::vector<double>{0, 2, 0.5, 0}));
  for (const char* const wrong : {"[\"fast\"]", "[-1]", "[true]"}) {
    ComparePlan refused;
    const List list(std::string("[load]\nrates = ") + wrong + "\n" + kTarget);
    EXPECT_EQ(ReadComparePlan(list.path(), &refused).code(), StatusCode::kInvalidArgument) << wrong;
  }
}

CompareCell Cell(const std::string& target, double rate, const FanoutReport& run) {
  return {100, rate, target, {run, run}, {}};
}

FanoutReport Report(double deliveries_a_second, double cost_us) {
  FanoutReport report;
  report.deliveries_a_second = deliveries_a_second;
  report.server_cpu_us_a_delivery = cost_us;
  report.latency.Record(1'000'000);
  report.last.Record(2'000'000);
  report.passed = true;
  return report;
}

// The row of the table that begins with these cells; empty if there is none.
std::string Row(const std::string& table, const std::string& begin) {
  const size_t at = table.find(begin);
  return at == std::string::npos ? "" : table.substr(at, table.find('\n', at) - at);
}

TEST(Compare, ToldOverTheBaseAndTheFloor) {
  ComparePlan plan;
  plan.base = "peer";
  plan.runs = 2;
  plan.targets = {{.name = "peer", .command = {}, .stream = "", .publish = ""},
                  {.name = "ours", .command = {}, .stream = "", .publish = ""},
                  {.name = "bare", .command = {}, .stream = "", .publish = "", .is_floor = true}};
  const std::string table =
      CompareTable(plan, {Cell("peer", 0, Report(1'000, 8)), Cell("ours", 0, Report(5'500, 2)),
                          Cell("peer", 2, Report(200, 9)), Cell("ours", 2, Report(200, 6)),
                          Cell("bare", 2, Report(200, 5))});
  EXPECT_NE(Row(table, "| full speed | 100 | ours |").find("| 5.5 x |  |  | 0 |"),
            std::string::npos)
      << table;
  EXPECT_NE(Row(table, "| 2 a second | 100 | ours |").find("| 1.50 x | 1.20 | 1.00 | 0 |"),
            std::string::npos)
      << table;
  EXPECT_EQ(table.find('('), table.find("(CPU)"));  // no footnote
}

TEST(Compare, MarksCellsThatSayLessThanTheySeemTo) {
  ComparePlan plan;
  plan.base = "peer";
  plan.runs = 2;
  FanoutReport behind = Report(100, 1);
  behind.offered_share = 0.5;
  behind.passed = false;
  FanoutReport idle_server = Report(900, 1);
  idle_server.meter_was_bottleneck = true;
  idle_server.faults.lost = 3;
  idle_server.passed = false;
  CompareCell cut = Cell("cut", 0, Report(1, 1));
  cut.runs.pop_back();
  CompareCell none{100, 0, "none", {}, {"none did not start: true"}};
  const std::string table =
      CompareTable(plan, {Cell("behind", 10, behind), Cell("idle", 0, idle_server), cut, none});
  EXPECT_NE(Row(table, "| 10 a second | 100 | behind (a) |"), "") << table;
  EXPECT_NE(Row(table, "| full speed | 100 | idle (b, d) |"), "") << table;
  EXPECT_NE(Row(table, "| full speed | 100 | cut (e) |"), "") << table;
  EXPECT_NE(Row(table, "| full speed | 100 | none | none did not start"), "") << table;
  for (const char* const note : {"\n(a) ", "\n(b) ", "\n(d) ", "\n(e) "}) {
    EXPECT_NE(table.find(note), std::string::npos) << note;
  }
  EXPECT_EQ(table.find("\n(c) "), std::string::npos);
}

TEST(Compare, TellsAProblemOnceWithHowOftenItCame) {
  CompareCell cell{1, 0, "one", {}, {"slow", "cut", "slow", "slow"}};
  EXPECT_EQ(cell.Problems(), (std::vector<std::string>{"slow (3 runs)", "cut"}));
}

}  // namespace
}  // namespace sluice::bench
