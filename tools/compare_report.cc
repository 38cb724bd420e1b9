// What a comparison says: the Markdown table that the README shows, and JSON for the page.
#include <algorithm>
#include <cstdio>
#include <map>

#include "compare.h"
#include "report.h"

namespace sluice::bench {
namespace {

double Rate(const FanoutReport& r) { return r.deliveries_a_second; }
double Cost(const FanoutReport& r) { return r.server_cpu_us_a_delivery; }
double ServerCpu(const FanoutReport& r) { return 100 * r.server_cpu_share; }
double MeterCpu(const FanoutReport& r) { return 100 * r.meter_cpu_share; }
double P50(const FanoutReport& r) { return static_cast<double>(r.latency.At(0.5)) / 1e6; }
double P99(const FanoutReport& r) { return static_cast<double>(r.latency.At(0.99)) / 1e6; }
double Last(const FanoutReport& r) { return static_cast<double>(r.last.At(0.5)) / 1e6; }
double Offered(const FanoutReport& r) { return 100 * r.offered_share; }
double Resident(const FanoutReport& r) {
  return static_cast<double>(r.server_end.resident_bytes) / (1 << 20);
}

// The cell of the same load whose target `is_wanted`; null if there is none with a result.
template <typename Wanted>
const CompareCell* Beside(const std::vector<CompareCell>& cells, const CompareCell& cell,
                          Wanted&& is_wanted) {
  for (const CompareCell& other : cells) {
    if (other.subscribers == cell.subscribers && other.rate == cell.rate && !other.runs.empty() &&
        is_wanted(other.target)) {
      return &other;
    }
  }
  return nullptr;
}

std::string Number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// What a reader of the table must know about some of its cells, by the letter behind the name.
struct Footnote {
  const char* mark;
  const char* text;
  bool (*holds)(const FanoutReport&);
};
constexpr Footnote kFootnotes[] = {
    {"a",
     "took less than 99 % of the asked load; latency counts from when an event was due, so it is "
     "that of a queue that grows",
     [](const FanoutReport& r) { return r.offered_share < 0.99; }},
    {"b", "the meter was the bottleneck: the figures are its own, the server's are not below them",
     [](const FanoutReport& r) { return r.meter_was_bottleneck; }},
    {"c", "other processes took more than a tenth of the machine",
     [](const FanoutReport& r) { return r.others_cpu_share > 0.1; }},
    {"d",
     "events were lost, repeated, reordered or corrupted, or a stream or a publish was cut off",
     [](const FanoutReport& r) {
       return r.faults.total() != 0 || !r.is_one_order || r.disconnected != 0 ||
              r.publish_errors != 0;
     }},
};
constexpr Footnote kNotAllRuns = {"e", "not every run could be made", nullptr};

// Those that hold in any of the cell's runs.
std::vector<Footnote> FootnotesOf(const ComparePlan& plan, const CompareCell& cell) {
  std::vector<Footnote> found;
  for (const Footnote& note : kFootnotes) {
    if (std::any_of(cell.runs.begin(), cell.runs.end(), note.holds)) found.push_back(note);
  }
  if (!cell.runs.empty() && cell.runs.size() < plan.runs) found.push_back(kNotAllRuns);
  return found;
}

// At full speed more deliveries are better; at a rate less CPU a delivery is.
std::string Ratio(const CompareCell& cell, const CompareCell* base) {
  if (base == nullptr || base == &cell) return "";
  if (cell.rate <= 0) return Number("%.1f x", cell.Median(Rate) / base->Median(Rate));
  return Number("%.2f x", base->Median(Cost) / cell.Median(Cost));
}

}  // namespace

std::string CompareTable(const ComparePlan& plan, const std::vector<CompareCell>& cells) {
  std::map<std::string, bool> floors;
  for (const CompareTarget& target : plan.targets) floors[target.name] = target.is_floor;
  std::string text =
      "| load | subscribers | server | deliveries/s | ± | p50 ms | p99 ms | last p50 ms | "
      "us CPU a delivery | server CPU | resident MiB | meter CPU | over " +
      plan.base + " | over the floor (CPU) | over the floor (last) | faults |\n|" +
      [] {
        std::string line;
        for (int i = 0; i < 16; ++i) line += "---|";
        return line;
      }() +
      "\n";
  std::map<std::string, std::string> footnotes;
  for (const CompareCell& cell : cells) {
    const std::string load = cell.rate > 0 ? Number("%g a second", cell.rate) : "full speed";
    text += "| " + load + " | " + std::to_string(cell.subscribers) + " | " + cell.target;
    const std::vector<Footnote> notes = FootnotesOf(plan, cell);
    for (const Footnote& note : notes) {
      text += (&note == &notes.front() ? " (" : ", ") + std::string(note.mark);
      footnotes[note.mark] = note.text;
    }
    text += notes.empty() ? " | " : ") | ";
    if (cell.runs.empty()) {
      text += (cell.problems.empty() ? "no result" : cell.problems.front()) +
              " | | | | | | | | | | | | |\n";
      continue;
    }
    const CompareCell* const base =
        Beside(cells, cell, [&](const std::string& name) { return name == plan.base; });
    const CompareCell* const floor =
        Beside(cells, cell, [&](const std::string& name) { return floors[name]; });
    const bool has_floor = floor != nullptr && !floors[cell.target] && cell.rate > 0;
    const auto over_floor = [&](double (*value)(const FanoutReport&)) {
      return has_floor ? Number("%.2f", cell.Median(value) / floor->Median(value)) : std::string();
    };
    const std::string short_of =
        cell.Median(Offered) < 99 ? Number(" (%.0f %% of the load)", cell.Median(Offered)) : "";
    text +=
        Number("%.0f", cell.Median(Rate)) + short_of + " | " +
        Number("%.0f %%", 100 * cell.Spread()) + " | " + Number("%.2f", cell.Median(P50)) + " | " +
        Number("%.2f", cell.Median(P99)) + " | " + Number("%.2f", cell.Median(Last)) + " | " +
        Number("%.3f", cell.Median(Cost)) + " | " + Number("%.0f %%", cell.Median(ServerCpu)) +
        " | " + Number("%.1f", cell.Median(Resident)) + " | " +
        Number("%.0f %%", cell.Median(MeterCpu)) + " | " + Ratio(cell, base) + " | " +
        over_floor(Cost) + " | " + over_floor(Last) + " | " + std::to_string(cell.lost()) + " |\n";
  }
  if (!footnotes.empty()) text += "\n";
  for (const auto& [mark, note] : footnotes) text += "(" + mark + ") " + note + ".  \n";
  return text;
}

std::string CompareJson(const ComparePlan& plan, const std::vector<CompareCell>& cells) {
  JsonWriter json;
  json.Open().Number("schema", 1).Text("command", "compare").Text("base", plan.base);
  json.Number("runs", plan.runs).OpenList("cells");
  for (const CompareCell& cell : cells) {
    json.Open().Text("target", cell.target).Number("subscribers", cell.subscribers);
    json.Number("rate", cell.rate).Number("deliveries_a_second", cell.Median(Rate));
    json.Number("spread", cell.Spread()).Number("cpu_us_a_delivery", cell.Median(Cost));
    json.Number("p50_ms", cell.Median(P50)).Number("p99_ms", cell.Median(P99));
    json.Number("last_p50_ms", cell.Median(Last)).Number("server_cpu", cell.Median(ServerCpu));
    json.Number("resident_mib", cell.Median(Resident)).Number("meter_cpu", cell.Median(MeterCpu));
    json.Number("faults", static_cast<double>(cell.lost())).OpenList("problems");
    for (const std::string& problem : cell.Problems()) json.Text({}, problem);
    json.CloseList().OpenList("notes");
    for (const Footnote& note : FootnotesOf(plan, cell)) json.Text({}, note.text);
    json.CloseList().OpenList("results");
    for (const FanoutReport& run : cell.runs) json.Raw({}, ToJson(run));
    json.CloseList().Close();
  }
  json.CloseList();
  WriteEnvironment(&json);
  json.Close();
  return json.text() + "\n";
}

}  // namespace sluice::bench
