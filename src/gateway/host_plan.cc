#include "gateway/host_plan.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "gateway/option_table.h"
#include "gateway/option_value.h"
#include "http/publish_keys.h"

namespace sluice {
namespace {

// Below this an epoll gateway is bounded by descriptors long before memory or processors bound it.
constexpr uint64_t kOpenFilesAmple = 65'536;

std::string LimitText(uint64_t limit) {
  if (limit == std::numeric_limits<uint64_t>::max()) return "unlimited";
  return std::to_string(limit);
}

std::string BytesText(uint64_t bytes) {
  if (bytes == 0) return "unknown";
  if (bytes == std::numeric_limits<uint64_t>::max()) return "unlimited";
  constexpr uint64_t kMiB = 1024 * 1024;
  return bytes >= 16 * kMiB ? std::to_string(bytes / kMiB) + " MiB" : FormatBytes(bytes);
}

const EngineOffer* FindOffer(const std::vector<EngineOffer>& offers, EngineKind kind) {
  for (const EngineOffer& offer : offers) {
    if (offer.kind == kind) return &offer;
  }
  return nullptr;
}

Status PlanEngine(EngineChoice choice, const std::vector<EngineOffer>& offers, HostPlan* plan) {
  if (choice != EngineChoice::kAuto) {
    const EngineKind kind =
        choice == EngineChoice::kIoUring ? EngineKind::kIoUring : EngineKind::kEpoll;
    const EngineOffer* offer = FindOffer(offers, kind);
    if (offer == nullptr || !offer->is_available) {
      return Status::Unsupported("engine: " + std::string(Name(kind)) + " cannot be had here: " +
                                 (offer == nullptr ? "this build lacks it" : offer->reason) +
                                 "; or write engine auto");
    }
    plan->engine = kind;
    return Status::Ok();
  }
  for (const EngineOffer& offer : offers) {
    if (offer.is_available) {
      plan->engine = offer.kind;
      return Status::Ok();
    }
    plan->warnings.push_back(std::string(Name(offer.kind)) + " cannot be had: " + offer.reason);
  }
  return Status::Unsupported("engine: this host offers none; sluice needs Linux with epoll");
}

Status PlanShards(const Options& options, const HostFacts& facts, HostPlan* plan) {
  for (const uint32_t cpu : options.cpus) {
    if (std::find(facts.affinity.begin(), facts.affinity.end(), cpu) == facts.affinity.end()) {
      return Status::InvalidArgument("cpus: processor " + std::to_string(cpu) +
                                     " is not among those this process may run on (" +
                                     FormatCpuList(facts.affinity) +
                                     "); write some of these, or widen the affinity mask");
    }
  }
  plan->shards = options.shards;
  if (plan->shards == 0) {
    plan->shards =
        options.cpus.empty() ? facts.usable_cores : static_cast<uint32_t>(options.cpus.size());
  }
  const std::vector<uint32_t>& cpus = options.cpus.empty() ? facts.affinity : options.cpus;
  if (!options.cpus.empty() || (plan->shards == facts.affinity.size() && plan->shards > 0)) {
    for (uint32_t shard = 0; shard < plan->shards; ++shard) {
      plan->pins.push_back(cpus[shard % cpus.size()]);
    }
  }
  if (plan->shards > facts.usable_cores) {
    plan->warnings.push_back(
        std::to_string(plan->shards) + " shards share " + std::to_string(facts.usable_cores) +
        " usable core(s): latency suffers; leave shards at its default unless you measure");
  }
  return Status::Ok();
}

// The keys are read here as the gateway reads them, so that --check finds what would stop it.
Status CheckKeys(const Options& options, HostPlan* plan) {
  if (options.publish_key_file.empty()) {
    if (!options.keyless_publish) {
      plan->warnings.push_back(
          "nobody can publish: publish.keyless is off and there is no key; set publish.key_file");
    }
    return Status::Ok();
  }
  http::PublishKeys keys;
  std::string warning;
  if (Status s = keys.Load(options.publish_key_file, &warning); !s.ok()) return s;
  if (!warning.empty()) plan->warnings.push_back(warning);
  return Status::Ok();
}

uint64_t BoundedBytes(const Options& options, const HostPlan& plan) {
  return options.ring_bytes_max + uint64_t{plan.shards} * options.log_bytes_max;
}

void WarnOfLimits(const Options& options, const HostFacts& facts, HostPlan* plan) {
  if (facts.somaxconn != 0 && facts.somaxconn < options.backlog) {
    plan->warnings.push_back(
        "net.core.somaxconn is " + std::to_string(facts.somaxconn) + ", below socket.backlog (" +
        std::to_string(options.backlog) +
        "): when many readers return at once some wait for a second SYN; sysctl -w "
        "net.core.somaxconn=" +
        std::to_string(options.backlog));
  }
  if (plan->engine == EngineKind::kEpoll && facts.open_files_hard < kOpenFilesAmple) {
    plan->warnings.push_back(
        "on epoll a subscriber is a descriptor, and this process may have " +
        LimitText(facts.open_files_hard) +
        "; raise it with ulimit -Hn as root, LimitNOFILE= in a unit, or --ulimit nofile= of a "
        "container");
  }
  const uint64_t planned = uint64_t{plan->shards} * options.subscribers_max;  // 0: not said
  if (facts.host_files_max != 0 && planned > facts.host_files_max) {
    plan->warnings.push_back("fs.file-max is " + std::to_string(facts.host_files_max) +
                             ", below the " + std::to_string(planned) +
                             " subscribers of all shards, and a descriptor of io_uring counts "
                             "too; sysctl -w fs.file-max=" +
                             std::to_string(2 * planned));
  }
  // Nothing is tracked until a rule asks for it, so entries mean that our connections would be.
  if (facts.tracked != 0 &&
      (facts.tracked >= facts.tracked_max / 5 * 4 || planned > facts.tracked_max)) {
    plan->warnings.push_back(
        "connections are tracked, and net.netfilter.nf_conntrack_max is " +
        std::to_string(facts.tracked_max) + " (" + std::to_string(facts.tracked) +
        " in use): past it the kernel drops new connections; raise it, or exempt the gateway's "
        "port with a notrack rule");
  }
  const uint64_t bounded_bytes = BoundedBytes(options, *plan);
  if (facts.memory_bytes != 0 && bounded_bytes > facts.memory_bytes / 2) {
    plan->warnings.push_back("ring and logs may take " + BytesText(bounded_bytes) + " of the " +
                             BytesText(facts.memory_bytes) +
                             " of memory; lower log.bytes_max, ring.bytes_max or shards");
  }
}

class Report {
 public:
  void Heading(const std::string& text) { text_ += text + "\n"; }
  void Line(const char* what, const std::string& value) {
    constexpr size_t kColumn = 24;
    std::string line = "  " + std::string(what);
    line.resize(std::max(line.size() + 1, kColumn), ' ');
    text_ += line + value + "\n";
  }
  void Item(const std::string& text) { text_ += "  - " + text + "\n"; }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string CoresText(const HostFacts& facts) {
  char quota[32] = "none";
  if (facts.quota_cores > 0) std::snprintf(quota, sizeof(quota), "%.2f", facts.quota_cores);
  return std::to_string(facts.usable_cores) + " (affinity " + FormatCpuList(facts.affinity) +
         ", cgroup quota " + quota + ")";
}

void ReportHost(const HostFacts& facts, const std::vector<EngineOffer>& offers, Report* report) {
  report->Heading("this host");
  report->Line("kernel", facts.kernel);
  report->Line("usable cores", CoresText(facts));
  report->Line("memory", BytesText(facts.memory_bytes));
  report->Line("open files", LimitText(facts.open_files_soft) + ", raised to " +
                                 LimitText(facts.open_files_hard) + " at the start");
  report->Line("locked memory",
               facts.locked_bytes_soft == 0 ? "0" : BytesText(facts.locked_bytes_soft));
  report->Line("listen backlog", "net.core.somaxconn " + std::to_string(facts.somaxconn));
  report->Line("TCP memory", BytesText(facts.tcp_memory_bytes_max) + " in all (tcp_mem), up to " +
                                 BytesText(facts.tcp_send_bytes_max) + " a sender (tcp_wmem)");
  report->Line("files of the host", LimitText(facts.host_files_max) + " (fs.file-max)");
  if (facts.hash_buckets != 0) {
    report->Line("table of connections",
                 std::to_string(facts.hash_buckets) + " buckets (tcp_ehash_entries)");
  }
  report->Line("connection tracking", facts.tracked_max == 0
                                          ? "none"
                                          : std::to_string(facts.tracked) + " of " +
                                                std::to_string(facts.tracked_max) +
                                                " entries in use (nf_conntrack_max)");
  for (const EngineOffer& offer : offers) {
    report->Line(offer.kind == offers.front().kind ? "engines" : "",
                 std::string(Name(offer.kind)) +
                     (offer.is_available ? ": available" : ": not available: " + offer.reason));
  }
}

std::string PublishText(const Options& options) {
  if (!options.publish_key_file.empty()) return "with a key of " + options.publish_key_file;
  return options.keyless_publish ? "without a key, from programs on this host only" : "nobody";
}

void ReportPlan(const Options& options, const HostPlan& plan, Report* report) {
  report->Heading("would be run with");
  report->Line("engine", std::string(Name(plan.engine)));
  std::string pins = "not pinned";
  if (!plan.pins.empty()) {
    pins = "pinned to";
    for (const uint32_t cpu : plan.pins) pins += " " + std::to_string(cpu);
  }
  report->Line("shards", std::to_string(plan.shards) + ", " + pins);
  for (const std::string& address : options.listen) report->Line("listens on", address);
  for (const std::string& address : options.admin_listen) {
    report->Line("administered on", address);
  }
  report->Line("publishing", PublishText(options));
  report->Line("memory, at most", BytesText(BoundedBytes(options, plan)) + " for ring and logs");
  const Options defaults;
  for (const OptionSpec& option : OptionTable()) {
    const std::string value = FormatOption(option, options);
    const std::string usual = FormatOption(option, defaults);
    if (value != usual) {
      report->Line("set", std::string(option.name) + " = " + (value.empty() ? "none" : value) +
                              " (default " + (usual.empty() ? "none" : usual) + ")");
    }
  }
}

}  // namespace

Status PlanForHost(const Options& options, const HostFacts& facts,
                   const std::vector<EngineOffer>& offers, HostPlan* plan) {
  *plan = HostPlan();
  if (Status s = PlanEngine(options.engine, offers, plan); !s.ok()) return s;
  if (Status s = PlanShards(options, facts, plan); !s.ok()) return s;
  if (Status s = CheckKeys(options, plan); !s.ok()) return s;
  WarnOfLimits(options, facts, plan);
  return Status::Ok();
}

std::string CheckReport(const Options& options, const std::string& config_path,
                        const HostFacts& facts, const std::vector<EngineOffer>& offers,
                        const HostPlan& plan) {
  Report report;
  report.Heading("configuration OK (" + (config_path.empty() ? "no file" : "file " + config_path) +
                 ")");
  ReportHost(facts, offers, &report);
  ReportPlan(options, plan, &report);
  if (!plan.warnings.empty()) {
    report.Heading("warnings");
    for (const std::string& warning : plan.warnings) report.Item(warning);
  }
  return report.Take();
}

}  // namespace sluice
