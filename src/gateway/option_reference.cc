#include "gateway/option_reference.h"

#include <string_view>

#include "gateway/option_table.h"
#include "gateway/option_value.h"

namespace sluice {
namespace {

struct Section {
  std::string_view name;  // before the dot; empty for options without one
  std::string_view title;
  std::string_view about;
};

constexpr Section kSections[] = {
    {"", "The gateway", "Where it listens and what it runs on."},
    {"admin", "Administration", "A second door, for those who watch the gateway."},
    {"http", "HTTP", "Paths, origins, and the bounds of one request."},
    {"publish", "Publishing", "Who may publish, and read /stats."},
    {"topics", "Topics", "What one subscription asks for, and where one event goes."},
    {"ledger", "Accounts",
     "Of how many events `GET /deliveries/ID` tells what became of them; who may ask is as for "
     "`/stats`."},
    {"event", "Events", "The bound of one event."},
    {"stream", "Streams", "What a stream opens with, and when it ends."},
    {"lag", "Lag of one reader",
     "A reader that falls behind by more than any of these never delays others: it is "
     "disconnected, or what its policy says (docs/slow-readers.md). Topics with a policy and "
     "bounds of their own stand in the file, as [[lag.policy]] with topics (a pattern), policy, "
     "and bytes_max, events_max and age_max where they differ from these; the first whose pattern "
     "covers all that a stream asks for counts. With such a list the file has no lag.policy of "
     "one word: a last one of the pattern ** is for all others."},
    {"ring", "Ring", "The one order of events, and the memory that events take on their way in."},
    {"log", "Channel logs", "The memory that events take until the slowest live reader has them."},
    {"history", "History",
     "The newest events, for readers that come back; 0 events keep none, and then a reader that "
     "missed events is told so. Classes of topics with bounds of their own stand in the file, as "
     "[[history.policy]] with topics (a pattern), and events_max, bytes_max and age_max where they "
     "differ from these; an event is of the first class that one of its topics matches."},
    {"journal", "Journal",
     "The history on disk, which outlives a restart ([journal.md](journal.md)): without a "
     "directory there is none."},
    {"sweep", "Work of one turn of a shard's loop", "A trade of throughput against latency."},
    {"send", "Sends of large events",
     "The frames of events of 16 KiB and more are never copied within the gateway; these say when "
     "the kernel need not copy them either."},
    {"socket", "Sockets", "What is set on listening sockets and inherited by connections."},
    {"stop", "Stopping", "What happens between SIGTERM and exit."},
};

std::string_view SectionOf(std::string_view name) {
  const size_t dot = name.find('.');
  return dot == std::string_view::npos ? "" : name.substr(0, dot);
}

std::string_view UnitText(const OptionSpec& option) {
  switch (option.unit) {
    case OptionUnit::kText:
      return option.is_list() ? "list" : "text";
    case OptionUnit::kCount:
      return "number";
    case OptionUnit::kBytes:
      return "bytes";
    case OptionUnit::kDuration:
      return "duration";
    case OptionUnit::kSwitch:
      return "on|off";
    case OptionUnit::kEngine:
      return "auto|io_uring|epoll";
    case OptionUnit::kCpuList:
      return "cpus";
  }
  return "";
}

bool IsNumber(const OptionSpec& option) {
  return option.unit == OptionUnit::kCount || option.unit == OptionUnit::kBytes ||
         option.unit == OptionUnit::kDuration;
}

std::string FormatBound(const OptionSpec& option, uint64_t number) {
  if (option.unit == OptionUnit::kBytes) return FormatBytes(number);
  if (option.unit == OptionUnit::kDuration) return FormatDuration(number);
  return std::to_string(number);
}

std::string RangeText(const OptionSpec& option) {
  if (!IsNumber(option)) return "";
  return FormatBound(option, option.minimum) + " to " + FormatBound(option, option.maximum);
}

std::string DefaultText(const OptionSpec& option) {
  std::string text = FormatOption(option, Options());
  return text.empty() ? "none" : text;
}

// Words of `text` in lines of at most `columns`, each after `indent`.
std::string Wrap(std::string_view text, const std::string& indent, size_t columns) {
  std::string wrapped;
  std::string line = indent;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    text.remove_prefix(std::min(blank + 1, text.size()));
    if (line.size() > indent.size() && line.size() + 1 + word.size() > columns) {
      wrapped += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += ' ';
    line += word;
  }
  return wrapped + line + "\n";
}

std::string Heading(const Section& section) {
  return std::string(section.title) + ". " + std::string(section.about);
}

std::string HelpEntry(const OptionSpec& option) {
  std::string about(option.help);
  about += " Default: " + DefaultText(option);
  if (!option.zero.empty()) about += " (0: " + std::string(option.zero) + ")";
  if (IsNumber(option)) about += "; " + RangeText(option);
  about += ".";
  if (option.is_list()) about += " May be repeated.";
  std::string head = "  --" + option.Flag() + " <" + std::string(UnitText(option)) + ">";
  if (!option.alias.empty()) head += ", --" + std::string(option.alias);
  return head + "\n" + Wrap(about, "      ", 100);
}

// The default as a TOML value.
std::string TomlDefault(const OptionSpec& option) {
  const Options defaults;
  const std::string text = FormatOption(option, defaults);
  if (option.unit == OptionUnit::kCount) return text;
  if (option.unit == OptionUnit::kSwitch) return text == "on" ? "true" : "false";
  if (option.is_list()) {
    std::string array;
    for (const std::string& value :
         defaults.*std::get<std::vector<std::string> Options::*>(option.field)) {
      array += (array.empty() ? "\"" : ", \"") + value + "\"";
    }
    return "[" + array + "]";
  }
  return "\"" + text + "\"";
}

}  // namespace

std::string HelpText() {
  std::string text =
      "sluice: an event-stream gateway. POST an event, and every subscriber gets it over SSE.\n\n"
      "  sluice [--config FILE] [options]\n"
      "  sluice journal inspect|verify|export DIR\n\n"
      "Options come from the file, then the environment (SLUICE_LAG_BYTES_MAX for "
      "--lag-bytes-max),\nthen the flags; the later one wins. Bytes take KiB, MiB and GiB, "
      "durations "
      "take ms, s, m and h.\n\n"
      "  --config <file>\n      TOML file of options (environment: SLUICE_CONFIG). Default: none.\n"
      "  --check\n      Validate the configuration, say what this host would be run with, and exit "
      "with 0 or 2.\n"
      "  --version\n      Print the version and exit.\n"
      "  -h, --help\n      Print this and exit.\n";
  for (const Section& section : kSections) {
    text += "\n" + Wrap(Heading(section), "", 100);
    for (const OptionSpec& option : OptionTable()) {
      if (SectionOf(option.name) == section.name) text += HelpEntry(option);
    }
  }
  return text;
}

std::string ReferencePage() {
  std::string page =
      "# Configuration\n\n"
      "This page is written by `scripts/reference` from the program's own table of options, and a\n"
      "test compares the two.\n\n"
      "Options come from the configuration file (`--config FILE` or `SLUICE_CONFIG`), then the\n"
      "environment, then the flags: the later one wins, and a list given later replaces the\n"
      "earlier list. One name gives all three spellings:\n\n"
      "| file | environment | flag |\n|---|---|---|\n"
      "| `[lag]` `bytes_max = \"4MiB\"` | `SLUICE_LAG_BYTES_MAX=4MiB` | `--lag-bytes-max 4MiB` "
      "|\n\n"
      "- **bytes**: a number, or one with `KiB`, `MiB` or `GiB` (powers of 1024).\n"
      "- **duration**: with its unit, `500ms`, `15s`, `2m`, `1h`, or `0`. Those who generate\n"
      "  numbers may put the unit into the name instead: `stop.delay_ms = 500`,\n"
      "  `SLUICE_STOP_DELAY_MS=500`, `--stop-delay-ms 500`.\n"
      "- **list**: an array in the file, commas in the environment, a repeated flag or commas.\n"
      "- **on|off**: `true` and `false` in the file.\n\n"
      "A wrong value, an unknown name or a broken relation is one line on standard error that "
      "says\n"
      "what, why and what to do; the program exits with 2. Try it: `sluice --check --config "
      "FILE`.\n"
      "\nRelations that are checked at the start:\n"
      "`event.frame_bytes_max` < `lag.bytes_max` < `log.bytes_max`,\n"
      "`event.frame_bytes_max` ≤ `ring.bytes_max`, `log.segment_bytes` ≤ `lag.bytes_max`,\n"
      "`event.frame_bytes_max` < `lag.table_bytes_max` < `log.bytes_max` (to conflate),\n"
      "`lag.age_max` ≤ `socket.user_timeout`, `http.target_bytes_max` ≤ `http.header_bytes_max`,\n"
      "`stream.retry_min` ≤ `stream.retry_max`, `stop.delay` + `stop.spread` < `stop.timeout`.\n";
  for (const Section& section : kSections) {
    page += "\n## " + std::string(section.title) + "\n\n" + std::string(section.about) + "\n\n" +
            "| option | default | unit | range | what it is | at the bound |\n" +
            "|---|---|---|---|---|---|\n";
    for (const OptionSpec& option : OptionTable()) {
      if (SectionOf(option.name) != section.name) continue;
      std::string about(option.help);
      if (!option.zero.empty()) about += " 0: " + std::string(option.zero) + ".";
      if (!option.alias.empty()) about += " Also `--" + std::string(option.alias) + "`.";
      std::string unit(UnitText(option));
      for (size_t at = 0; (at = unit.find('|', at)) != std::string::npos; at += 2) {
        unit.insert(at, "\\");  // a bare one would end the table's cell
      }
      page += "| `" + std::string(option.name) + "` | `" + DefaultText(option) + "` | " + unit +
              " | " + RangeText(option) + " | " + about + " | " + std::string(option.at_bound) +
              " |\n";
    }
  }
  return page;
}

std::string SampleFile(const std::map<std::string, std::string>& settings) {
  std::string file =
      "# sluice: the configuration. A line that is commented out shows the default.\n"
      "# Bytes take KiB, MiB and GiB; durations take ms, s, m and h.\n"
      "# Check a change with: sluice --check --config FILE\n";
  for (const Section& section : kSections) {
    file += "\n" + Wrap(Heading(section), "# ", 100);
    if (!section.name.empty()) file += "[" + std::string(section.name) + "]\n";
    for (const OptionSpec& option : OptionTable()) {
      if (SectionOf(option.name) != section.name) continue;
      std::string about(option.help);
      if (!option.zero.empty()) about += " 0: " + std::string(option.zero) + ".";
      if (!option.at_bound.empty()) about += " At the bound: " + std::string(option.at_bound) + ".";
      file += "\n" + Wrap(about, "# ", 100);
      const std::string key(option.name.substr(option.name.rfind('.') + 1));
      const auto setting = settings.find(std::string(option.name));
      file += setting != settings.end() ? key + " = " + setting->second + "\n"
                                        : "# " + key + " = " + TomlDefault(option) + "\n";
    }
  }
  return file;
}

std::map<std::string, std::string> InstalledSettings() {
  return {{"publish.key_file", "\"/etc/sluice/publish.keys\""},
          {"publish.keyless", "false"},
          {"stop.delay", "\"10s\""}};
}

}  // namespace sluice
