#include "report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "report_page.h"

namespace sluice::bench {
namespace {

double Ms(uint64_t ns) { return static_cast<double>(ns) / 1e6; }

void Row(const char* name, const char* format, double value) {
  std::printf("  %-34s ", name);
  std::printf(format, value);
  std::printf("\n");
}

// By how much something grew, for each subscriber.
double Each(const FanoutReport& r, uint64_t before, uint64_t after) {
  return (static_cast<double>(after) - static_cast<double>(before)) / std::max(r.joined, 1u);
}

double KernelEach(const FanoutReport& r) {
  const KernelSample& before = r.memory.kernel_before;
  const KernelSample& joined = r.memory.kernel_joined;
  return Each(r, before.slab_bytes + before.tcp_bytes, joined.slab_bytes + joined.tcp_bytes);
}

void PrintMemory(const FanoutReport& r) {
  const MemoryReport& m = r.memory;
  if (m.server_joined.is_alive()) {
    Row("server user memory a subscriber", "%.0f bytes (PSS)",
        Each(r, m.server_before.pss_bytes, m.server_joined.pss_bytes));
  }
  Row("kernel memory a subscriber", "%.0f bytes (slab and socket buffers, both ends)",
      KernelEach(r));
  Row("all memory a subscriber", "%.0f bytes (meter included)",
      Each(r, m.kernel_joined.free_bytes, m.kernel_before.free_bytes));
}

void WriteMemory(JsonWriter* json, const FanoutReport& r) {
  const MemoryReport& m = r.memory;
  json->Open("memory");
  if (m.server_joined.is_alive()) {
    json->Number("server_pss_before_bytes", static_cast<double>(m.server_before.pss_bytes));
    json->Number("server_pss_bytes", static_cast<double>(m.server_joined.pss_bytes));
    json->Number("server_pss_bytes_each",
                 Each(r, m.server_before.pss_bytes, m.server_joined.pss_bytes));
  }
  json->Number("meter_pss_bytes_each", Each(r, m.meter_before.pss_bytes, m.meter_joined.pss_bytes));
  json->Number("kernel_bytes_each", KernelEach(r));
  json->Number("all_bytes_each", Each(r, m.kernel_joined.free_bytes, m.kernel_before.free_bytes));
  json->Number("available_bytes", static_cast<double>(m.kernel_joined.available_bytes));
  json->Number("tcp_bytes", static_cast<double>(m.kernel_joined.tcp_bytes));
  json->Number("tcp_peak_bytes", static_cast<double>(m.tcp_bytes_peak)).Close();
}

}  // namespace

void PrintLatency(const char* name, const Histogram& h) {
  if (h.count() == 0) return;
  std::printf("  %-34s p50 %.3f   p99 %.3f   p99.9 %.3f   max %.3f ms\n", name, Ms(h.At(0.5)),
              Ms(h.At(0.99)), Ms(h.At(0.999)), Ms(h.max()));
}

void WriteHistogram(JsonWriter* json, const char* key, const Histogram& h) {
  json->Open(key).Number("count", static_cast<double>(h.count()));
  json->Number("mean_ms", h.mean() / 1e6);
  json->Number("min_ms", Ms(h.min())).Number("p50_ms", Ms(h.At(0.5)));
  json->Number("p90_ms", Ms(h.At(0.9))).Number("p99_ms", Ms(h.At(0.99)));
  json->Number("p99_9_ms", Ms(h.At(0.999))).Number("max_ms", Ms(h.max()));
  json->OpenList("curve");  // percentile, milliseconds: closer to 100 in even steps of the log axis
  for (double tail = 1; tail > 1e-6; tail *= 0.70710678) {
    if (tail * static_cast<double>(h.count()) < 0.5) break;
    json->OpenList().Number({}, 100 * (1 - tail)).Number({}, Ms(h.At(1 - tail))).CloseList();
  }
  json->CloseList().Close();
}

void PrintTable(const FanoutReport& r) {
  const FanoutOptions& o = r.options;
  const std::string topics = o.topics > 0 ? ", " + std::to_string(o.topics) + " topics" : "";
  std::printf("fanout: %u subscribers%s, %s, %zu bytes of data, window %.1f s, meter on %s\n",
              o.subscribers, topics.c_str(),
              o.rate > 0 ? (std::to_string(o.rate) + " events/s").c_str() : "full speed",
              o.payload_bytes, r.window_s, r.engine.c_str());
  Row("deliveries a second", "%.0f", r.deliveries_a_second);
  Row("publishes accepted a second", "%.1f", r.publish_rate);
  if (o.rate > 0) Row("asked load accepted", "%.1f %%", 100 * r.offered_share);
  PrintLatency("latency, due to received", r.latency);
  PrintLatency("time to the last subscriber", r.last);
  PrintLatency("publish to its answer", r.answer);
  PrintLatency("meter's own lag, due to posted", r.publish_lag);
  PrintLatency("connect to first byte", r.first_byte);
  Row("wire bytes an event", "%.1f", r.wire_bytes_an_event);
  Row("deliveries joined to another", "%.1f %%", 100 * r.joined_share);
  if (r.has_server) {
    Row("server CPU", "%.1f %% of a core", 100 * r.server_cpu_share);
    Row("server CPU a delivery", "%.3f us", r.server_cpu_us_a_delivery);
    Row("server context switches a second", "%.0f", r.server_switches_a_second);
    Row("server resident memory", "%.1f MiB",
        static_cast<double>(r.server_end.resident_bytes) / (1 << 20));
  }
  PrintMemory(r);
  if (r.has_server) Row("CPU of all others", "%.1f %% of the machine", 100 * r.others_cpu_share);
  Row("meter CPU", "%.1f %% of its cores", 100 * r.meter_cpu_share);
  std::printf("  %-34s %llu posted, %llu accepted, %llu refused for now, %llu errors\n", "events",
              static_cast<unsigned long long>(r.events_posted),
              static_cast<unsigned long long>(r.events_accepted),
              static_cast<unsigned long long>(r.publishes_retried),
              static_cast<unsigned long long>(r.publish_errors));
  if (o.slow > 0) {
    std::printf("  %-34s %u joined, %u cut off, %.1f KiB of kernel buffers each (%.1f both ends)\n",
                "stopped readers", r.slow_joined, r.slow_cut_off, r.slow_kernel_bytes / 1024,
                r.slow_kernel_bytes_both / 1024);
  }
  if (r.reconnected > 0) Row("reconnects", "%.0f", static_cast<double>(r.reconnected));
  std::printf("  %-34s %llu had, %llu due of what was accepted\n", "deliveries",
              static_cast<unsigned long long>(r.deliveries),
              static_cast<unsigned long long>(r.deliveries_due));
  if (o.topics > 0)
    Row("events at readers of other topics", "%.0f", static_cast<double>(r.faults.misrouted));
  std::printf("  %-34s %llu lost, %llu repeated, %llu reordered, %llu corrupted, %llu cut off\n",
              "checked, every event", static_cast<unsigned long long>(r.faults.lost),
              static_cast<unsigned long long>(r.faults.repeated),
              static_cast<unsigned long long>(r.faults.reordered),
              static_cast<unsigned long long>(r.faults.corrupted),
              static_cast<unsigned long long>(r.disconnected));
  if (r.foreign > 0) Row("events of others, not judged", "%.0f", static_cast<double>(r.foreign));
  for (const std::string& problem : r.problems) std::printf("  problem: %s\n", problem.c_str());
  if (r.meter_was_bottleneck) {
    std::printf(
        "  WARNING: the meter was the bottleneck; these figures are its own, not the "
        "server's. Give it more --threads and --cpus.\n");
  }
  std::printf("%s\n", r.passed ? "PASS" : "FAIL");
}

void WriteFaults(JsonWriter* json, const Faults& faults) {
  json->Open("faults").Number("lost", static_cast<double>(faults.lost));
  json->Number("repeated", static_cast<double>(faults.repeated));
  json->Number("reordered", static_cast<double>(faults.reordered));
  json->Number("corrupted", static_cast<double>(faults.corrupted));
  json->Number("misrouted", static_cast<double>(faults.misrouted));
}

void WriteEnvironment(JsonWriter* json) {
  json->Open("environment");
  for (const auto& [name, value] : Environment()) json->Text(name, value);
  json->Close();
}

std::string ToJson(const FanoutReport& r) {
  const FanoutOptions& o = r.options;
  JsonWriter json;
  json.Open().Number("schema", 1).Text("command", "fanout").Truth("passed", r.passed);
  json.Open("asked").Text("stream", o.stream_url).Text("publish", o.publish_url);
  json.Number("subscribers", o.subscribers).Number("topics", o.topics).Number("rate", o.rate);
  json.Number("payload_bytes", static_cast<double>(o.payload_bytes));
  json.Number("duration_s", r.window_s).Number("warmup_s", o.warmup_s);
  json.Number("slow", o.slow).Number("churn", o.churn).Truth("storm", o.has_storm).Close();
  json.Text("meter_engine", r.engine);
  json.Number("deliveries_a_second", r.deliveries_a_second);
  json.Number("publishes_a_second", r.publish_rate).Number("offered_share", r.offered_share);
  json.Number("deliveries", static_cast<double>(r.deliveries));
  json.Number("deliveries_due", static_cast<double>(r.deliveries_due));
  json.Number("wire_bytes_an_event", r.wire_bytes_an_event).Number("joined_share", r.joined_share);
  json.Number("connect_s", r.connect_s).Number("joined", r.joined);
  WriteHistogram(&json, "latency", r.latency);
  WriteHistogram(&json, "last_subscriber", r.last);
  WriteHistogram(&json, "publish_answer", r.answer);
  WriteHistogram(&json, "meter_lag", r.publish_lag);
  WriteHistogram(&json, "first_byte", r.first_byte);
  json.Open("events").Number("posted", static_cast<double>(r.events_posted));
  json.Number("accepted", static_cast<double>(r.events_accepted));
  json.Number("refused_for_now", static_cast<double>(r.publishes_retried));
  json.Number("errors", static_cast<double>(r.publish_errors)).Close();
  WriteFaults(&json, r.faults);
  json.Number("disconnected", static_cast<double>(r.disconnected)).Close();
  json.Number("reconnected", static_cast<double>(r.reconnected));
  json.Open("slow").Number("joined", r.slow_joined).Number("cut_off", r.slow_cut_off);
  json.Number("kernel_bytes_each", r.slow_kernel_bytes);
  json.Number("kernel_bytes_each_both_ends", r.slow_kernel_bytes_both).Close();
  if (r.has_server) {
    json.Open("server").Number("cpu_share", r.server_cpu_share);
    json.Number("cpu_us_a_delivery", r.server_cpu_us_a_delivery);
    json.Number("context_switches_a_second", r.server_switches_a_second);
    json.Number("resident_bytes", static_cast<double>(r.server_end.resident_bytes));
    json.Number("threads", r.server_end.threads);
    json.Number("processes", r.server_end.processes);
    json.Text("command", r.server_command).Close();
  }
  WriteMemory(&json, r);
  json.Number("meter_cpu_share", r.meter_cpu_share);
  json.Number("others_cpu_share", r.others_cpu_share);
  json.Truth("meter_was_bottleneck", r.meter_was_bottleneck);
  json.OpenList("timeline");
  for (const TimelinePoint& p : r.timeline) {
    json.Open().Number("at_s", p.at_s).Number("deliveries_a_second", p.deliveries_a_second);
    json.Number("cpu_share", p.cpu_share).Number("resident_bytes", p.resident_bytes).Close();
  }
  json.CloseList().OpenList("problems");
  for (const std::string& problem : r.problems) json.Text({}, problem);
  json.CloseList();
  WriteEnvironment(&json);
  json.Close();
  return json.text() + "\n";
}

Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return Status::Ok();
  return Status::Unavailable("cannot write " + path);
}

Status WriteResult(const FanoutOptions& options, const std::string& json) {
  Status status = Status::Ok();
  if (!options.json_file.empty()) status = WriteFile(options.json_file, json);
  if (status.ok() && !options.html_file.empty()) {
    status = WriteFile(options.html_file, ReportPage(json));
  }
  return status;
}

}  // namespace sluice::bench
