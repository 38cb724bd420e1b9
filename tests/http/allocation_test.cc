// Goal: a publish on a connection that is kept alive allocates nothing in the HTTP layer.
// Method: this binary's operator new counts; the services of the fixture allocate nothing either.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "http/site_fixture.h"

namespace {
// One thread runs these tests.
uint64_t allocations = 0;
}  // namespace

// GCC 12 inlines them under the address sanitizer and then takes our own pair for a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
// The sanitizers' own nothrow form must not meet our delete.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sluice::http {
namespace {

uint64_t AllocationsOf(const std::string& request, const std::vector<size_t>& cuts,
                       const std::string& first = "") {
  SiteFixture fixture({}, "a-key-that-may-publish\n");
  fixture.services.keeps_events = false;
  Session session(fixture.site);
  session.Begin({.is_loopback = true, .is_admin_listener = false}, 0);
  if (!first.empty()) {
    session.Receive(first, 0);
    EXPECT_TRUE(session.output().starts_with("HTTP/1.1 200 "));
    session.Consume(session.output().size());
  }
  const auto publish = [&] {
    size_t begin = 0;
    for (const size_t cut : cuts) {
      session.Receive({request.data() + begin, cut - begin}, 0);
      begin = cut;
    }
    session.Receive({request.data() + begin, request.size() - begin}, 0);
    const bool is_ok = session.output().find("\"success\":true") != std::string_view::npos;
    session.Consume(session.output().size());
    return is_ok;
  };
  // The first ones grow the buffers that are used again.
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(publish());
  const uint64_t before = allocations;
  bool is_ok = true;
  for (int i = 0; i < 100; ++i) is_ok &= publish();
  const uint64_t after = allocations;
  EXPECT_TRUE(is_ok);
  return after - before;
}

std::string Request(const std::string& target) {
  const std::string body = "{\"text\":\"" + std::string(120, 'x') + "\"}";
  std::string request = "POST " + target + " HTTP/1.1\r\nHost: sluice.example.com\r\n";
  request += "User-Agent: a-publisher-with-a-long-name/1.0\r\nAccept: */*\r\n";
  request += "Authorization: Bearer a-key-that-may-publish\r\nContent-Type: application/json\r\n";
  request += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return request + body;
}

TEST(Allocation, NoneAPublish) {
  EXPECT_GT(allocations, 0u) << "the counting operator is not linked";
  EXPECT_EQ(AllocationsOf(Request("/broadcast"), {}), 0u);
}

TEST(Allocation, NoneAPublishWithAnEventName) {
  EXPECT_EQ(AllocationsOf(Request("/broadcast?event=a-name-longer-than-the-small-string"), {}), 0u);
}

TEST(Allocation, NoneAPublishToTopics) {
  EXPECT_EQ(AllocationsOf(Request("/publish/orders/a-topic-longer-than-the-small-string?topic="
                                  "another/topic/longer/than/that&id=an-id-of-some-length&key="
                                  "a-key-of-some-length&retry=1000"),
                          {}),
            0u);
}

const std::string kEvent =
    "{\"topics\":[\"orders/"
    "a-topic-longer-than-the-small-string\",\"b\"],\"id\":\"an-id-of-length\","
    "\"key\":\"k\",\"data\":{\"text\":\"" +
    std::string(120, 'x') + "\"}}";

TEST(Allocation, NoneAnEventInJson) {
  EXPECT_EQ(AllocationsOf("POST /publish HTTP/1.1\r\nHost: sluice.example.com\r\n"
                          "Authorization: Bearer a-key-that-may-publish\r\nContent-Length: " +
                              std::to_string(kEvent.size()) + "\r\n\r\n" + kEvent,
                          {}),
            0u);
}

TEST(Allocation, NoneALineOfMany) {
  const std::string head =
      "POST /publish HTTP/1.1\r\nHost: sluice.example.com\r\n"
      "Authorization: Bearer a-key-that-may-publish\r\nContent-Type: application/x-ndjson\r\n"
      "Content-Length: 1000000\r\n\r\n";
  EXPECT_EQ(AllocationsOf(kEvent + "\n", {}, head), 0u);
  EXPECT_EQ(AllocationsOf(kEvent + "\n", {50, 100}, head), 0u);
}

TEST(Allocation, NoneAPublishInPieces) {
  const std::string request = Request("/broadcast");
  EXPECT_EQ(AllocationsOf(request, {10, 150, request.size() - 50, request.size() - 20}), 0u);
}

}  // namespace
}  // namespace sluice::http
