// Starts each target of a list in turn, loads each the same way, and tells medians and ratios.
//
// For every number of subscribers and every rate the targets run A B C, A B C ..., each started
// anew and ended again, so that what disturbs the machine disturbs all alike.
//
// Thread: the caller's. Errors: kInvalidArgument for a list that cannot be read; a target that does
// not start or a run that cannot be made is a cell's problem, not the comparison's end.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "fanout.h"

namespace sluice::bench {

// In all strings {port} is the target's port, {meter} this program, {root} the list's folder's
// parent.
struct CompareTarget {
  std::string name;
  std::vector<std::string> command;
  std::string stream;
  std::string publish;
  std::string body = "{payload}";
  bool is_floor = false;  // a bare kernel loop: ratios to it are told apart
  bool is_ours = false;   // a run of it that loses anything fails the comparison
};

struct ComparePlan {
  std::vector<CompareTarget> targets;
  std::vector<uint32_t> subscribers;
  std::vector<double> rates;  // 0: full speed
  uint32_t runs = 3;
  std::string base;  // the name of the target that ratios are to
  std::vector<int> server_cpus;
  uint16_t port = 9350;
  FanoutOptions load;  // what all runs share
};

struct CompareCell {
  uint32_t subscribers = 0;
  double rate = 0;
  std::string target;
  std::vector<FanoutReport> runs;
  std::vector<std::string> problems;

  double Median(double (*value)(const FanoutReport&)) const;
  // Half the range of the deliveries a second, as a share of their median.
  double Spread() const;
  uint64_t lost() const;
  bool passed() const;  // every run that was made
  // Each problem once, with how often it came.
  std::vector<std::string> Problems() const;
};

Status ReadComparePlan(const std::string& path, ComparePlan* plan);
// Cells come in the order of the table: by rate, subscribers, target.
std::vector<CompareCell> RunCompare(const ComparePlan& plan);

std::string CompareTable(const ComparePlan& plan,
                         const std::vector<CompareCell>& cells);  // Markdown
std::string CompareJson(const ComparePlan& plan, const std::vector<CompareCell>& cells);

}  // namespace sluice::bench
