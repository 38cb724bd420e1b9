// Goal: what a publish costs in user time, from received bytes to reply bytes, and what the check
// of its JSON is of that; and whether simdjson's DOM would be the faster check. Method: each result
// is verified once before it is timed. No sockets: the services do nothing.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <string>

#include "base/check.h"
#include "http/json_text.h"
#include "http/request_head.h"
#include "http/session.h"
#include "http/site.h"

namespace sluice::http {
namespace {

struct IdleServices : Publisher, Subscriptions, Reports {
  PublishResult Publish(std::span<const Event> events, const PublishOnce&) override {
    for (const Event& event : events) data_bytes += event.data.size();
    PublishResult result;
    result.first_sequence = 1'234'567;
    result.subscribers = 10'000;
    return result;
  }
  std::optional<Refusal> CannotAck(const PublishAck&) override { return std::nullopt; }
  AckAnswer AskAck(uint64_t, const PublishAck&, PublishOnce::By) override { return {}; }
  const Epoch& epoch() const override { return epoch_; }
  Admission Admit(const StreamRequest&) override { return {}; }
  std::string Stats(bool) override { return {}; }
  std::optional<Refusal> NotReady() override { return std::nullopt; }
  uint64_t data_bytes = 0;
  const Epoch epoch_{0x123456789abc};
};

const std::string kDocument =
    "{\"id\":12345,\"symbol\":\"ABCD\",\"price\":101.25,\"volume\":1000,\"side\":\"buy\",\"ts\":"
    "1700000000,\"venue\":\"XNAS\",\"text\":\"hello world, hello\",\"x\":1}";

std::string MakeRequest() {
  return "POST /broadcast HTTP/1.1\r\nHost: 127.0.0.1:8181\r\nUser-Agent: bench/1.0\r\n"
         "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(kDocument.size()) + "\r\n\r\n" + kDocument;
}

// An array of the document, of about so many bytes.
std::string MakeDocument(size_t bytes) {
  if (bytes <= kDocument.size()) return kDocument;
  std::string text = "[";
  while (text.size() + kDocument.size() < bytes) text.append(kDocument).append(",");
  return text.append("1]");
}

// Bytes in, reply bytes out, over and over on one connection; `first` is sent once before.
void PublishOver(benchmark::State& state, const std::string& first, const std::string& request) {
  IdleServices services;
  const PublishKeys keys;
  Site site({}, keys, {&services, &services, &services});
  Session session(site);
  session.Begin({.is_loopback = true, .is_admin_listener = false}, 0);
  const auto publish = [&] {
    session.Receive(request, 0);
    const size_t bytes = session.output().size();
    benchmark::DoNotOptimize(session.output().data());
    session.Consume(bytes);
    return bytes;
  };
  session.Receive(first, 0);
  session.Consume(session.output().size());
  session.Receive(request, 0);
  SLUICE_CHECK(session.output().find("\"success\":true") != std::string_view::npos);
  SLUICE_CHECK(services.data_bytes == kDocument.size());
  session.Consume(session.output().size());
  for (auto _ : state) benchmark::DoNotOptimize(publish());
  SLUICE_CHECK(services.data_bytes == kDocument.size() * (state.iterations() + 1));
}

void SessionPublish(benchmark::State& state) { PublishOver(state, "", MakeRequest()); }
BENCHMARK(SessionPublish);

void SessionPublishToTopic(benchmark::State& state) {
  std::string request = MakeRequest();
  PublishOver(state, "", request.replace(5, 10, "/publish/orders/42"));
}
BENCHMARK(SessionPublishToTopic);

const std::string kEvent = "{\"topics\":[\"orders/42\"],\"data\":" + kDocument + "}";

void SessionPublishEvent(benchmark::State& state) {
  PublishOver(state, "",
              "POST /publish HTTP/1.1\r\nHost: 127.0.0.1:8181\r\nUser-Agent: bench/1.0\r\n"
              "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nContent-Type: application/json\r\n"
              "Content-Length: " +
                  std::to_string(kEvent.size()) + "\r\n\r\n" + kEvent);
}
BENCHMARK(SessionPublishEvent);

void SessionPublishLine(benchmark::State& state) {
  PublishOver(state,
              "POST /publish HTTP/1.1\r\nHost: 127.0.0.1:8181\r\nContent-Type: "
              "application/x-ndjson\r\nContent-Length: 1000000000000\r\n\r\n",
              kEvent + "\n");
}
BENCHMARK(SessionPublishLine);

void HeadAlone(benchmark::State& state) {
  const std::string request = MakeRequest();
  const auto parse = [&](RequestHead* head) {
    HeadScan scan;
    return ParseHead(request, {16'384, 8'192}, &scan, head);
  };
  RequestHead head;
  SLUICE_CHECK(parse(&head).head_bytes == request.size() - kDocument.size());
  SLUICE_CHECK(head.content_length == kDocument.size());
  for (auto _ : state) benchmark::DoNotOptimize(parse(&head).head_bytes);
}
BENCHMARK(HeadAlone);

void JsonCheck(benchmark::State& state) {
  const std::string text = MakeDocument(static_cast<size_t>(state.range(0)));
  SLUICE_CHECK(!CheckJson(text, 512));
  SLUICE_CHECK(CheckJson(text.substr(0, text.size() - 1), 512).has_value());
  for (auto _ : state) benchmark::DoNotOptimize(CheckJson(text, 512).has_value());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(JsonCheck)->Arg(140)->Arg(2'048)->Arg(16'384);

// What CheckJson would cost if the DOM came first; the walk would still be needed behind it.
void JsonDom(benchmark::State& state) {
  const std::string text = MakeDocument(static_cast<size_t>(state.range(0)));
  simdjson::dom::parser dom;
  const auto accepts = [&] {
    return dom.parse(text.data(), text.size(), true).error() == simdjson::SUCCESS;
  };
  SLUICE_CHECK(accepts());
  for (auto _ : state) benchmark::DoNotOptimize(accepts());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(JsonDom)->Arg(140)->Arg(2'048)->Arg(16'384);

}  // namespace
}  // namespace sluice::http
